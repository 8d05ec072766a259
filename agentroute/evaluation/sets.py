"""Evaluating sets: a router of labelled utterances, on queries that training left out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agentroute.errors import InputError, OutcomeError
from agentroute.evaluation.bootstrap import interval, resampled_means
from agentroute.evaluation.collection import Progress
from agentroute.evaluation.compare import left_out_of_training
from agentroute.evaluation.set_report import FIGURES, RIVALS, Interval, SetReport
from agentroute.evaluation.verdict import Rival, decide_sets
from agentroute.knowledge.build import GraphBuilder
from agentroute.knowledge.graph import Floats, Indices
from agentroute.outcomes import OutcomeFolder, OutcomeTable
from agentroute.routing.baselines import learned_scores
from agentroute.routing.choose import best
from agentroute.routing.clusters import cluster_of
from agentroute.routing.deciding import EXACT, SHORTLIST
from agentroute.routing.growth import BATCH
from agentroute.routing.policy import Mask, View
from agentroute.routing.router import BOUNDED_CALL_PRICE, GraphRouter
from agentroute.types import AgentSpec, Query


def evaluate_sets(
    router: GraphRouter | str | os.PathLike[str],
    folder: OutcomeFolder | str | os.PathLike[str],
    *,
    seed: int = 0,
    max_set_size: float | None = None,
    without: Sequence[str] = (),
    progress: Progress | None = None,
) -> SetReport:
    """Say how good a router's sets are on labelled utterances, and compare its ranking with simple ones.

    On the folder that the router was trained on, only the queries that training left out are judged; on
    another folder, all of them. Agents that the router has never seen take part by their cards.

    Args:
        router: The router, or its folder.
        folder: The utterances, or their folder.
        seed: For the bootstrap.
        max_set_size: Agents in a set, at most in the mean: over the sets given on these queries, and over
            those of all queries, so that refusing many does not make room for larger sets.
        without: Agents to leave out, with the utterances that only they fit.
        progress: Called as the work goes on.

    Returns:
        The report.

    Raises:
        InputError: A file cannot be read, the folder holds no utterances, the bound is below 1, or no agent
            is left.
        OutcomeError: No query is left that some agent fits.
    """
    if max_set_size is not None and not 1.0 <= max_set_size < np.inf:
        raise InputError(f"max_set_size is {max_set_size}; a set has at least 1 agent: give 1 or more")
    opened = folder if isinstance(folder, OutcomeFolder) else OutcomeFolder.open(Path(folder))
    if not opened.labelled:
        raise InputError(
            f"{opened.path} holds outcomes, not utterances with labels; judge it with evaluate()"
        )
    router = router if isinstance(router, GraphRouter) else GraphRouter.load(router)
    table, _, where = left_out_of_training(router, opened, opened.table())
    notes = [where, *opened.problems]
    known = _fits(table).any(axis=1)
    table = table.without(without)
    if not table.agents:
        raise InputError(f"without {', '.join(without)} no agent is left to choose; leave fewer out")
    gone = np.asarray(known & ~_fits(table).any(axis=1))
    if gone.any():
        table = table.take(~gone)
        notes.append(f"{int(gone.sum()):,} queries were left out, since only agents left out fit them")
    fits = _fits(table)
    if not fits.any():
        raise OutcomeError(
            f"{opened.path}: no query is left that some agent fits, so there is nothing to judge"
        )
    if strangers := [name for name in table.agent_ids if name not in router.record.agents]:
        notes.append(f"never seen in training, and known by their cards alone: {', '.join(strangers)}")

    views, rivals = _score(router, [row.query for row in table.queries], table.agents, progress)
    bounded, sets = held_to_size(router, views, table.agents, max_set_size)
    notes.append(f"sets here: {bounded.setting.policy}")

    known = np.asarray(fits.any(axis=1))
    parts = figures_of(sets, fits)
    rows = np.arange(len(table))
    ours = fits[rows, sets.best].astype(np.float64)
    for name, first in rivals.items():
        if first is not None:
            theirs = fits[rows, first].astype(np.float64)
            parts[name] = theirs * known, known
            parts[f"lead over {name}"] = (ours - theirs) * known, known
    means, ends = _judge(parts, seed, cluster_of(table))
    figures: dict[str, Any] = {name: means[name] for name in FIGURES}
    baselines = {name: None if rivals[name] is None else _rival(name, means, ends) for name in RIVALS}
    verdict, why = decide_sets(baselines)
    return SetReport(
        data=opened.path.resolve().name,
        n_queries=len(table),
        n_oos=int((~known).sum()),
        agents=table.agent_ids,
        seed=seed,
        **figures,
        intervals={name: ends[name] for name in FIGURES},
        baselines=baselines,
        verdict=verdict,
        why=why,
        notes=tuple(notes),
    )


@dataclass(frozen=True, eq=False)
class Sets:
    """The sets that a router gives on some queries.

    Args:
        members: Who is in each set; nobody where the router says that none fits. Shapes: ``(queries,
            agents)``.
        unrefused: The same, with the set that it would have given there. Shapes: ``(queries, agents)``.
        best: The best-ranked agent. Shapes: ``(queries,)``.
    """

    members: Mask
    unrefused: Mask
    best: Indices

    @classmethod
    def of(cls, router: GraphRouter, views: Floats, agents: Sequence[AgentSpec]) -> Sets:
        """Let a router's policy choose.

        Args:
            router: The router.
            views: Its ``views`` of the queries. Shapes: ``(VIEWS + 1, queries, agents)``.
            agents: The columns.

        Returns:
            The sets of its first round.
        """
        logits, cost = router.setting.calibration(views), router.cost(agents)
        free, nobody = np.ones(logits.shape, bool), np.zeros(logits.shape, bool)
        view = View(
            agents=tuple(spec.id for spec in agents),
            expected=logits,
            cost=cost,
            free=free,
            asked=nobody,
            spoke=nobody,
            agree=np.zeros(len(logits)),
        )
        members = router.policy.wave(view)
        given = members.any(axis=1, keepdims=True)
        unrefused = np.where(given, members, router.policy.select(logits, cost, free))
        return cls(members, unrefused, logits.argmax(axis=1).astype(np.int64))

    @property
    def calls(self) -> npt.NDArray[np.int64]:
        """Agents in each set given, or in all if these are larger in the mean. Shapes: ``(sets,)``."""
        given, every = self.members.sum(axis=1), self.unrefused.sum(axis=1)
        given = given[given > 0]
        return np.asarray(given if len(given) and given.mean() > every.mean() else every)

    @property
    def cost_usd(self) -> npt.NDArray[np.float64]:
        """Nobody is asked here, so that it is unknown. Shapes: ``(queries,)``."""
        return np.full(len(self.members), np.nan)


def held_to_size(
    router: GraphRouter, views: Floats, agents: Sequence[AgentSpec], most: float | None
) -> tuple[GraphRouter, Sets]:
    """Find the best setting of a router whose sets are small enough on some queries.

    How large they are is counted on these queries, how good they are is known from validation. Labels are not
    looked at.

    Args:
        router: The router.
        views: Its ``views`` of the queries. Shapes: ``(VIEWS + 1, queries, agents)``.
        agents: The columns.
        most: Agents in a set, at most in the mean; ``None`` for the router as it is.

    Returns:
        The router with that setting, and its sets.

    Raises:
        InputError: No setting's sets are that small.
    """
    if most is None:
        return router, Sets.of(router, views, agents)
    # The same set of settings, with what they cost here.
    tried = [
        replace(setting, calls=float(Sets.of(router.using(setting), views, agents).calls.mean()))
        for setting in router.tried
    ]
    found = best(tried, BOUNDED_CALL_PRICE, max_calls=most + 1e-9)
    if found is None:
        smallest = min(setting.calls for setting in tried)
        raise InputError(
            f"no setting of this router keeps to sets of {most:g} agents; the smallest have {smallest:.3f}"
        )
    bounded = router.using(router.tried[tried.index(found)])
    return bounded, Sets.of(bounded, views, agents)


Part = tuple[npt.NDArray[np.floating], Mask]
"""What is counted per query, and which queries count. Shapes: ``(queries,)`` twice."""


def figures_of(sets: Sets, fits: Mask) -> dict[str, Part]:
    """Return the figures of some sets query by query; see ``SetReport`` for what each is.

    Args:
        sets: The sets.
        fits: Which agents fit each query. Shapes: ``(queries, agents)``.

    Returns:
        For each of ``FIGURES``, values, 0 where a query does not count, and which queries count.
    """
    known, rows = np.asarray(fits.any(axis=1)), np.arange(len(fits))
    size, labels = sets.members.sum(axis=1), fits.sum(axis=1)
    shared, meant = (sets.members & fits).sum(axis=1), (sets.unrefused & fits).sum(axis=1)
    given, right = size > 0, np.maximum(labels, 1)
    refused, oos = ~given, ~known
    found = {
        "top1": (fits[rows, sets.best], known),
        "set_precision": (shared / np.maximum(size, 1), known),
        "set_recall": (shared / right, known),
        "set_f1": (2.0 * shared / np.maximum(size + labels, 1), known),
        "jaccard": (shared / np.maximum(size + labels - shared, 1), known),
        "mean_set_size": (size, given),
        "conflicts": (size > 1, given),
        "oos_recall": (refused, oos),
        # Where every query has an agent that fits, nothing can be learned from who was refused.
        "oos_precision": (oos, refused & oos.any()),
        "in_scope_loss": ((meant - shared) / right, known),
        "unrefused_recall": (meant / right, known),
        "unrefused_size": (sets.unrefused.sum(axis=1), np.ones(len(fits), bool)),
    }
    return {name: (np.where(counts, value, 0.0), counts) for name, (value, counts) in found.items()}


def _fits(table: OutcomeTable) -> Mask:
    return np.asarray(np.nan_to_num(table.score) > 0.5)


def _score(
    router: GraphRouter, queries: Sequence[Query], agents: Sequence[AgentSpec], progress: Progress | None
) -> tuple[Floats, dict[str, Indices | None]]:
    """Score all queries in each of the router's views, and say whom each baseline ranks best."""
    tell: Progress = progress or (lambda what, done, total: None)
    builder, dim = router.builder(agents), router.embedder.dim
    place = {agent: column for column, agent in enumerate(router.record.agents)}
    here = np.array([i for i, spec in enumerate(agents) if spec.id in place], np.int64)
    columns = [place[agents[i].id] for i in here.tolist()]
    views: list[Floats] = []
    best: dict[str, list[Indices] | None] = {name: [] for name in RIVALS}
    for start in range(0, len(queries), BATCH):
        tell("evaluating", start, len(queries))
        some = queries[start : start + BATCH]
        graphs = builder.build(some)
        views.append(_narrowed(router.views(graphs), builder, some))
        vectors = np.stack([graph.x["query"][0, :dim] for graph in graphs])
        scores = learned_scores(router, some, vectors, columns) if columns else {}
        ranked = {name: None if s is None else here[s.argmax(axis=1)] for name, s in scores.items()}
        ranked["cards"] = np.stack([graph.suits[:, -1] for graph in graphs]).argmax(axis=1)
        for name, parts in best.items():
            if parts is not None and (found := ranked.get(name)) is not None:
                parts.append(found)
            else:
                best[name] = None
    tell("evaluating", len(queries), len(queries))
    whole = {name: None if parts is None else np.concatenate(parts) for name, parts in best.items()}
    return np.concatenate(views, axis=1), whole


NEVER = -1e6
"""Log-odds of an agent that ``route()`` does not look at."""


def _narrowed(views: Floats, builder: GraphBuilder, queries: Sequence[Query]) -> Floats:
    """Leave out whom ``route()`` leaves out of a large team; the scores of the others stay as they are."""
    if views.shape[2] > EXACT:
        for row, query in enumerate(queries):
            left = np.setdiff1d(np.arange(views.shape[2]), builder.shortlist(query, SHORTLIST))
            views[:, row, left] = NEVER
    return views


def _judge(
    parts: Mapping[str, Part], seed: int, clusters: Indices
) -> tuple[dict[str, float | None], dict[str, Interval | None]]:
    """Turn what is counted per query into means and their intervals, all from the same draws of queries."""
    values = np.stack([value for value, _ in parts.values()], axis=1)
    counts = np.stack([counted for _, counted in parts.values()], axis=1).astype(np.float64)
    drawn = resampled_means(np.concatenate([values, counts], axis=1), seed, clusters=clusters)
    above, below = np.split(drawn, 2, axis=1)
    means: dict[str, float | None] = dict.fromkeys(parts)
    ends: dict[str, Interval | None] = dict.fromkeys(parts)
    for i, name in enumerate(parts):
        if counts[:, i].any():
            means[name] = float(values[:, i].sum() / counts[:, i].sum())
            # A draw may hold none of the few queries that count.
            some = below[:, i] > 0
            ends[name] = interval(above[some, i] / below[some, i])
    return means, ends


def _rival(name: str, means: Mapping[str, float | None], ends: Mapping[str, Interval | None]) -> Rival:
    top1, lead = means[name], means[f"lead over {name}"]
    own, paired = ends[name], ends[f"lead over {name}"]
    assert top1 is not None and lead is not None and own is not None and paired is not None
    low, high = own
    return Rival(top1=top1, top1_low=low, top1_high=high, lead=lead, lead_low=paired[0], lead_high=paired[1])
