"""From an outcome folder to an effort router, with a part left out to judge it by."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from agentroute.effort.ladders import find_ladders
from agentroute.effort.step_router import StepRouter
from agentroute.effort.train import EffortConfig, Progress, deal_anew, learn
from agentroute.errors import InputError
from agentroute.outcomes import OutcomeFolder
from agentroute.outcomes.split import split_queries
from agentroute.types import Embedder


def train_effort(
    folder: OutcomeFolder | str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    config: EffortConfig | None = None,
    across: bool = False,
    agents: Sequence[str] = (),
    held_out: bool = True,
    embedder: Embedder | None = None,
    shuffled: bool = False,
    progress: Progress | None = None,
) -> StepRouter:
    """Train an effort router on the ladders of a folder.

    Args:
        folder: Outcomes of agents that differ in effort, or its path.
        out: Where to save the router.
        config: How to train.
        across: Whether all agents, of whatever model, are one ladder in the order of their price.
        agents: The agents to look at; all by default.
        held_out: Whether to leave a fifth of the queries out, for ``evaluate``.
        embedder: For vectors of the steps' texts; their words alone are read without it.
        shuffled: Whether to deal the scores out anew first, which makes the control of ``evaluate``.
        progress: Called as the work goes on.

    Returns:
        The router.

    Raises:
        InputError: The folder has no ladder, or too few steps on which every level ran.
    """
    opened = folder if isinstance(folder, OutcomeFolder) else OutcomeFolder.open(Path(folder))
    if opened.labelled:
        raise InputError(f"{opened.path} holds utterances, with no levels of effort; give outcomes")
    config, tell = config or EffortConfig(), progress or (lambda what, done, total: None)
    records = tuple(opened.queries.values())
    split = split_queries(records, config.seed, held_out)
    test = {records[row].query.id for row in split.test.tolist()}
    ladders = find_ladders(opened, across=across, agents=agents, held_out=test)
    plans = []
    for ladder in ladders:
        known = ladder.without(test)
        plans.append(learn(deal_anew(known, config.seed) if shuffled else known, config, embedder, tell))
    manifest = {
        "data": opened.path.resolve().name,
        "seed": config.seed,
        "test_ids": sorted(filter(None, test)),
        "across": across,
        "agents": list(agents),
        "max_loss": config.max_loss,
        "doubt": config.doubt,
        "price": config.price,
        "dropped": {ladder.name: ladder.dropped for ladder in ladders if ladder.dropped},
    }
    router = StepRouter(plans=plans, manifest=manifest, embedder=embedder)
    if out is not None:
        router.save(out)
    return router
