"""One folder of labelled utterances, one seed: train, evaluate the sets, time ``route()``."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from measuring import UNBOUNDED, Progress, Record
from speed import timed

from agentroute.errors import InputError
from agentroute.evaluation.set_report import SetReport
from agentroute.evaluation.sets import evaluate_sets, figures_of, held_to_size
from agentroute.knowledge.cache import CachedEmbedder
from agentroute.outcomes import OutcomeFolder, OutcomeTable
from agentroute.outcomes.jsonl import Problems
from agentroute.outcomes.split import split_queries
from agentroute.outcomes.utterances import UtteranceFolder
from agentroute.routing.clusters import cluster_of
from agentroute.routing.config import TrainConfig
from agentroute.routing.growth import BATCH
from agentroute.routing.policy import rank
from agentroute.routing.router import GraphRouter
from agentroute.routing.train import train
from agentroute.types import Embedder, Query

Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

TCAR_SIZE = 1.37
"""Agents in a set of TCAndon-Router, in the mean (arXiv 2601.04544)."""

SIZES: Mapping[str, float | None] = {UNBOUNDED: None, f"size <= {TCAR_SIZE:g}": TCAR_SIZE}
"""How large sets may be in the mean, by what that is called."""

TIMED = 100
"""Utterances whose ``route()`` is timed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Exam:
    """The utterances that a router's training leaves out, which are those it is judged on.

    Args:
        folder: Where they are from.
        seed: Of the split.
        table: Their labels.
        fits: Which agents fit each. Shapes: ``(queries, agents)``.
        clusters: A number per query, the same for those that stand or fall together; it means the same with
            every seed. Shapes: ``(queries,)``.
        learned: The other utterances.
    """

    folder: OutcomeFolder
    seed: int
    table: OutcomeTable
    fits: Mask
    clusters: Indices
    learned: OutcomeTable

    @classmethod
    def of(cls, folder: OutcomeFolder, seed: int) -> Exam:
        """Split a folder as ``train`` does."""
        if not folder.labelled:
            raise InputError(f"{folder.path} holds outcomes; measure them with benchmarks/quality.py")
        table = folder.table()
        split = split_queries(table.queries, seed)
        held = table.take(split.test)
        return cls(
            folder=folder,
            seed=seed,
            table=held,
            fits=fitting(held),
            clusters=cluster_of(table)[split.test],
            learned=table.take(np.union1d(split.train, split.validation)),
        )

    @property
    def queries(self) -> list[Query]:
        """The queries."""
        return [row.query for row in self.table.queries]

    @property
    def agent(self) -> Indices:
        """The first agent that fits each query, -1 where none does. Shapes: ``(queries,)``."""
        return np.where(self.fits.any(axis=1), self.fits.argmax(axis=1), -1).astype(np.int64)

    def only(self, agents: Sequence[str]) -> Mask:
        """Tell which queries some of these agents fit, and nobody else. Shapes: ``(queries,)``."""
        among = np.isin(self.table.agent_ids, agents)
        return np.asarray(self.fits[:, among].any(axis=1) & ~self.fits[:, ~among].any(axis=1))


def without_history(folder: UtteranceFolder) -> UtteranceFolder:
    """Return the same utterances as if nothing had been said before."""
    alone = {
        name: replace(record, query=replace(record.query, history=()))
        for name, record in folder.queries.items()
    }
    return UtteranceFolder(folder.path, folder.registry, alone, Problems())


def fitting(table: OutcomeTable) -> Mask:
    """Return which agents fit. Shapes: ``(queries, agents)``."""
    return np.asarray(np.nan_to_num(table.score) > 0.5)


def places(logits: Floats, fits: Mask) -> list[int | None]:
    """Return where the best-ranked agent that fits stands on each query, best 1; ``None`` where none fits.

    Args:
        logits: What is expected of each agent. Shapes: ``(queries, agents)``.
        fits: Which agents fit. Shapes: the same.

    Returns:
        One place per query.
    """
    place = np.where(fits, rank(logits, np.ones(fits.shape, bool)), fits.shape[1]).min(axis=1)
    return [int(one) + 1 if some else None for one, some in zip(place, fits.any(axis=1), strict=True)]


@contextmanager
def learned(
    exam: Exam,
    config: TrainConfig,
    embedder: str | Embedder,
    tune: bool,
    tell: Progress,
    without: Sequence[str] = (),
) -> Iterator[GraphRouter]:
    """Train on what an exam leaves; the router lasts as long as the block.

    Args:
        exam: The exam, which the router does not see.
        config: How to train; its seed is the exam's.
        embedder: As for ``train``.
        tune: Whether to tune the encoder.
        tell: Called as the work goes on.
        without: Agents to leave out.

    Yields:
        The router; it embeds no text twice.
    """
    assert config.seed == exam.seed
    with tempfile.TemporaryDirectory() as home:
        router = train(
            exam.folder,
            Path(home) / "router" if tune else None,  # where a tuned encoder is kept
            config=config,
            without=without,
            embedder=embedder,
            progress=tell,
            tune_encoder=tune,
        )
        held = {query.id for query in exam.queries}
        out = set(router.manifest["test_ids"])
        # Without an agent, the utterances that it alone fits are not there.
        if not (out <= held if without else out == held):
            raise RuntimeError(
                "train holds out other queries than this exam; this is no longer how it splits"
            )
        if isinstance(router.embedder, CachedEmbedder):
            yield router
            return
        remembering = CachedEmbedder(router.embedder, Path(home) / "vectors.sqlite")
        try:
            yield with_encoder(router, remembering)
        finally:
            remembering.close()


def with_encoder(router: GraphRouter, embedder: Embedder) -> GraphRouter:
    """Return the same router with another way to the same vectors, and nothing computed yet."""
    return GraphRouter(
        embedder=embedder,
        extractor=router.extractor,
        record=router.record,
        weights=router.weights,
        tried=router.tried,
        setting=router.setting,
        baseline=router.baseline,
        manifest=router.manifest,
        foresight=router.foresight,
    )


def measure(
    exam: Exam,
    config: TrainConfig,
    embedder: str | Embedder,
    tune: bool,
    tell: Progress,
    more: Callable[[GraphRouter, Exam], Record] = lambda router, exam: {},
) -> Record:
    """Train, time ``route()``, and evaluate the sets at each of ``SIZES``.

    Args:
        exam: The utterances to judge on, and the folder to learn from.
        config: How to train; its seed is the exam's.
        embedder: As for ``train``.
        tune: Whether to tune the encoder.
        tell: Called as the work goes on.
        more: Measures what else is wanted of the router.

    Returns:
        Plain data: the figures, and what they are made of query by query.
    """
    with learned(exam, config, embedder, tune, tell) as router:
        speed = route_ms(router, exam)  # first: nothing has looked at these utterances yet
        began = time.monotonic()
        views = _views(router, exam)
        ways, per_query, unseen = {}, {}, newly_met(router, exam)
        for name, size in SIZES.items():
            try:
                report, per_query[name] = _held(router, exam, views, size, tell)
            except InputError as error:
                ways[name] = {"error": str(error)}
                continue
            ways[name] = {"report": report.to_json(details=size is None)}
        return {
            "agents": len(exam.table.agents),
            "queries": {
                **{part: router.manifest["queries"][part] for part in ("train", "validation")},
                "judged": len(exam.table),
                "none_fits": int((exam.agent < 0).sum()),
            },
            "seconds": {
                "train": router.manifest["seconds"],
                "evaluate": round(time.monotonic() - began, 1),
            },
            "route_ms": speed,
            "ways": ways,
            **more(router, exam),
            "unseen": _unseen(exam, unseen, per_query[UNBOUNDED]["place"]),
            "per_query": {
                "cluster": exam.clusters.tolist(),
                "agent": exam.agent.tolist(),
                "unseen": exam.only(unseen).astype(int).tolist(),
                "ways": per_query,
            },
        }


def _views(router: GraphRouter, exam: Exam) -> Floats:
    builder, queries = router.builder(exam.table.agents), exam.queries
    starts = range(0, len(queries), BATCH)
    parts = [router.views(builder.build(queries[start : start + BATCH])) for start in starts]
    return np.concatenate(parts, axis=1)


def _held(
    router: GraphRouter, exam: Exam, views: Floats, size: float | None, tell: Progress
) -> tuple[SetReport, Record]:
    """Hold the router to a mean size; return the report, and what it is made of query by query."""
    agents, fits = exam.table.agents, exam.fits
    report = evaluate_sets(router, exam.folder, seed=exam.seed, max_set_size=size, progress=tell)
    bounded, sets = held_to_size(router, views, agents, size)
    for name, (value, counts) in figures_of(sets, fits).items():
        here, said = (value.sum() / counts.sum() if counts.any() else None), getattr(report, name)
        if (here is None) != (said is None) or (here is not None and abs(here - said) > 1e-6):
            raise RuntimeError(
                f"evaluate_sets says {name} is {said}, the same sets here {here}; this is no longer what it "
                "does"
            )
    labels = np.maximum(fits.sum(axis=1), 1)
    return report, {
        "place": places(bounded.setting.calibration(views), fits),
        "size": sets.members.sum(axis=1).tolist(),
        "full": sets.unrefused.sum(axis=1).tolist(),
        "recall": _rounded((sets.members & fits).sum(axis=1) / labels),
        "meant": _rounded((sets.unrefused & fits).sum(axis=1) / labels),
    }


def _rounded(values: Floats) -> list[float]:
    return [round(float(value), 5) for value in values]


def newly_met(router: GraphRouter, exam: Exam) -> list[str]:
    """Return the agents that only fit held-out queries: the router knows them by their cards alone."""
    needed = exam.fits.any(axis=0)
    ids = exam.table.agent_ids
    return [name for name, some in zip(ids, needed, strict=True) if some and name not in router.record.agents]


def _unseen(exam: Exam, unseen: Sequence[str], place: Sequence[int | None]) -> Record | None:
    """Say how the agents are found that training never saw; ``None`` where there are none."""
    if not unseen:
        return None
    found: Record = {}
    for agent in unseen:
        here = [one for one, mine in zip(place, exam.only([agent]), strict=True) if mine]
        found[agent] = {
            "queries": len(here),
            "top1": sum(one == 1 for one in here) / len(here) if here else None,
            "top3": sum(one is not None and one <= 3 for one in here) / len(here) if here else None,
        }
    return found


def route_ms(router: GraphRouter, exam: Exam, times: int = TIMED) -> Record:
    """Time ``route()`` on utterances that were never embedded, each by itself, the encoder included.

    Args:
        router: The router.
        exam: Whose utterances to take.
        times: How many of them.

    Returns:
        ``p50`` and ``p95`` in milliseconds, how many ``utterances`` were timed, and how busy the machine was.
    """
    encoder = router.embedder
    while isinstance(encoder, CachedEmbedder):
        encoder = encoder.inner
    new, agents = with_encoder(router, encoder), exam.table.agents
    new.route(Query(text="Who is there?"), agents)  # loads the encoder, and embeds the cards
    chosen = np.random.default_rng(exam.seed).permutation(len(exam.table))[:times]
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    seconds = [timed(lambda row=row: new.route(exam.table.queries[row].query, agents)) for row in chosen]
    p50, p95 = 1e3 * np.percentile(seconds, (50, 95))
    return {"p50": float(p50), "p95": float(p95), "utterances": len(seconds), "load": load}
