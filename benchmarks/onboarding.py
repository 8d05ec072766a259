"""The onboarding curve: agents that join after training, by their card alone or with a few examples on it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from intent_measuring import Exam, fitting, learned, places
from measuring import Progress, Record

from agentroute.errors import InputError
from agentroute.knowledge.build import query_text
from agentroute.registry import AgentRegistry
from agentroute.routing.config import TrainConfig
from agentroute.types import AgentSpec, Embedder

SHARE = 0.1
"""Share of the agents that join later."""

STEPS = (0, 5, 20, 100)
"""Examples on their cards; a registry takes no more than 100."""

MAX_CHARACTERS = 4_000
"""Longest example that a registry takes."""

BEFORE = "before"
"""The team that the newcomers have not joined, among the steps."""

NEW, OLD, NEITHER = 1, 0, -1
"""Queries that only newcomers fit, that an agent of the training fits, and all others."""


def newcomers(exam: Exam) -> tuple[str, ...]:
    """Draw the agents that join later, among those that can be learned from and judged.

    Args:
        exam: The utterances to judge on; its seed decides.

    Returns:
        Their ids, a tenth of all and one at least.

    Raises:
        InputError: There are too few agents.
    """
    taught = fitting(exam.learned).any(axis=0)
    ids = exam.table.agent_ids
    able = [name for name, some in zip(ids, taught, strict=True) if some and exam.only([name]).any()]
    count = min(max(round(SHARE * len(ids)), 1), len(able))
    if not count or taught.sum() - count < 2:
        raise InputError(
            f"{exam.folder.path} has too few agents with utterances for some of them to join later: "
            "three at least, one of them with utterances held out"
        )
    drawn = set(np.random.default_rng(exam.seed).choice(able, count, replace=False).tolist())
    return tuple(name for name in ids if name in drawn)


def examples_of(exam: Exam, agent: str, most: int = STEPS[-1]) -> tuple[str, ...]:
    """Draw utterances of one agent, none of which is judged on; fewer of them are the first of more.

    Args:
        exam: What is judged on; its seed decides.
        agent: Whose.
        most: How many at most.

    Returns:
        Different texts.
    """
    column = exam.table.agent_ids.index(agent)
    rows = np.flatnonzero(fitting(exam.learned)[:, column])
    order = np.random.default_rng([exam.seed, column]).permutation(rows)
    texts = dict.fromkeys(query_text(exam.learned.queries[row].query).strip() for row in order.tolist())
    return tuple(text for text in texts if len(text) <= MAX_CHARACTERS)[:most]


def measure_curve(
    exam: Exam, config: TrainConfig, embedder: str | Embedder, tune: bool, tell: Progress
) -> Record:
    """Train without a tenth of the agents, let them join, and rank all agents on what was held out.

    Args:
        exam: The utterances to judge on, and the folder to learn from.
        config: How to train; its seed is the exam's, and draws the agents.
        embedder: As for ``train``.
        tune: Whether to tune the encoder.
        tell: Called as the work goes on.

    Returns:
        Plain data: who joined, and where the best-ranked agent that fits stands on each query, at each of
        ``STEPS`` and before.
    """
    joining = newcomers(exam)
    examples = {name: examples_of(exam, name) for name in joining}
    with learned(exam, config, embedder, tune, tell, joining) as router:
        began = time.monotonic()
        old = np.flatnonzero(~np.isin(exam.table.agent_ids, joining))
        staying = [exam.table.agents[column] for column in old.tolist()]
        place = {BEFORE: places(router.score(exam.queries, staying), exam.fits[:, old])}
        for done, step in enumerate(STEPS):
            tell("letting agents join", done, len(STEPS))
            team = joined(exam.table.agents, {name: texts[:step] for name, texts in examples.items()})
            place[str(step)] = places(router.score(exam.queries, team), exam.fits)
        tell("letting agents join", len(STEPS), len(STEPS))
        trained = exam.fits[:, np.isin(exam.table.agent_ids, router.record.agents)].any(axis=1)
        group = np.where(exam.only(joining), NEW, np.where(trained, OLD, NEITHER))
        return {
            "agents": len(exam.table.agents),
            "held_out": [*joining],
            "given": {
                str(step): float(np.mean([min(len(texts), step) for texts in examples.values()]))
                for step in STEPS
            },
            "queries": {
                **{part: router.manifest["queries"][part] for part in ("train", "validation")},
                "new": int((group == NEW).sum()),
                "old": int((group == OLD).sum()),
            },
            "seconds": {
                "train": router.manifest["seconds"],
                "evaluate": round(time.monotonic() - began, 1),
            },
            "per_query": {
                "cluster": exam.clusters.tolist(),
                "agent": exam.agent.tolist(),
                "group": group.tolist(),
                "place": place,
            },
        }


def joined(agents: Sequence[AgentSpec], examples: dict[str, tuple[str, ...]]) -> tuple[AgentSpec, ...]:
    """Return a team in which some agents have these examples on their cards and no others.

    Args:
        agents: The team.
        examples: By the agent's id.

    Returns:
        The team, by the rules of a registry.
    """
    given = (replace(spec, examples=examples.get(spec.id, spec.examples)) for spec in agents)
    return AgentRegistry.from_specs(given).agents
