"""What each part is worth: the same training with one thing changed, and rivals trained on the same split."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import hgt
import rivals
from measuring import Exam, Plan, Progress, Record, everybody

import agentroute.routing.crossfit
import agentroute.routing.fit
import agentroute.routing.memory
import agentroute.routing.router
from agentroute.knowledge.build import GraphBuilder
from agentroute.knowledge.embed import make_embedder
from agentroute.knowledge.graph import COMPARED, KnowledgeGraph
from agentroute.outcomes import OutcomeFolder
from agentroute.routing.config import TrainConfig
from agentroute.types import Embedder

Swap = tuple[Any, str, Any]
"""An owner, the name of one of its attributes, and what stands there instead."""


def without_passages(folder: OutcomeFolder) -> OutcomeFolder:
    """Return the same outcomes of queries that came without any passage."""
    stripped = copy(folder)
    stripped.queries = {
        name: replace(record, query=replace(record.query, context=()))
        for name, record in folder.queries.items()
    }
    return stripped


def no_regression(*given: Any) -> None:
    """Learn nothing from words."""


_grow = GraphBuilder.grow


def grow_untied(builder: GraphBuilder, *given: Any) -> KnowledgeGraph:
    """Grow a graph whose answers are not tied to each other."""
    graph = _grow(builder, *given)
    return replace(
        graph,
        edge_index={kind: index for kind, index in graph.edge_index.items() if kind not in COMPARED},
        edge_weight={kind: weight for kind, weight in graph.edge_weight.items() if kind not in COMPARED},
    )


@contextmanager
def swapped(*swaps: Swap) -> Iterator[None]:
    """Put something else in the place of parts of the package while the block runs.

    Nobody but this comparison needs another network or poorer graphs, so the package has no setting for it.
    """
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in swaps]
    try:
        for owner, name, other in swaps:
            setattr(owner, name, other)
        yield
    finally:
        for owner, name, old in before:
            setattr(owner, name, old)


def has_passages(folder: OutcomeFolder) -> str | None:
    """Say why passages cannot be left out, if so."""
    some = any(record.query.context for record in folder.queries.values())
    return None if some else "no query has passages"


def has_answers(folder: OutcomeFolder) -> str | None:
    """Say why nothing about answers can be changed, if so."""
    return None if folder.table().has_answers else "no answers were recorded as text"


def always(folder: OutcomeFolder) -> str | None:
    """Every folder will do."""
    return None


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """One change of the training.

    Args:
        title: What it is, for the tables.
        misfit: Says why it would change nothing in a folder, or nothing when it would.
        view: Changes the folder.
        config: Changes how it is trained, by fields of ``TrainConfig``.
        extractor: Finds the entities.
        swaps: Changes parts of the package, in training and deciding alike.
    """

    title: str
    misfit: Callable[[OutcomeFolder], str | None] = always
    view: Callable[[OutcomeFolder], OutcomeFolder] = lambda folder: folder
    config: Mapping[str, Any] | None = None
    extractor: str = "rules"
    swaps: tuple[Swap, ...] = ()

    def measure(
        self,
        folder: OutcomeFolder,
        plan: Plan,
        config: TrainConfig,
        embedder: str | Embedder,
        tell: Progress,
    ) -> Record:
        """Train with the change, and replay on the queries that were left out.

        Returns:
            Mean scores: of the policy that validation chose, and with everybody asked.
        """
        if reason := self.misfit(folder):
            return {"skipped": reason}
        folder = self.view(folder)
        with swapped(*self.swaps):
            router = agentroute.routing.train.train(
                folder,
                config=replace(config, **(self.config or {})),
                without=plan.absent(folder),
                embedder=embedder,
                extractor=self.extractor,
                progress=tell,
            )
            exam = Exam.of(router, folder)
            own = exam.replay(router)
            return {
                "score": float(own.score.mean()),
                "calls": float(own.calls.mean()),
                "everybody": everybody(router, exam),
                "seconds": {"train": router.manifest["seconds"]},
            }


ABLATIONS: Mapping[str, Ablation] = {
    "no_entities": Ablation(title="without entities", extractor="none"),
    "no_context": Ablation(title="without passages", misfit=has_passages, view=without_passages),
    "no_words": Ablation(
        title="without the regression on words",
        swaps=(
            (agentroute.routing.memory, "fit_regression", no_regression),
            (agentroute.routing.crossfit, "fit_regression", no_regression),
        ),
    ),
    "answer_vectors": Ablation(
        title="with answer text vectors", misfit=has_answers, config={"answer_vectors": True}
    ),
    "no_agreement": Ablation(
        title="without ties between answers",
        misfit=has_answers,
        swaps=((GraphBuilder, "grow", grow_untied),),
    ),
    "deep_sets": Ablation(
        title="answers as a set (no message passing over them)",
        misfit=has_answers,
        config={"network": (("grown_layers", 0),)},
    ),
    "hgt": Ablation(
        title="HGT in place of the relational layers",
        swaps=(
            (agentroute.routing.fit, "RouterGNN", hgt.HGTRouterGNN),
            (agentroute.routing.train, "NumpyGNN", hgt.NumpyHGT),
            (agentroute.routing.crossfit, "NumpyGNN", hgt.NumpyHGT),
            (agentroute.routing.router, "NumpyGNN", hgt.NumpyHGT),
        ),
    ),
}

RIVALS: Mapping[str, tuple[str, rivals.Fit]] = {
    "matrix_factorisation": ("matrix factorisation (RouteLLM's way), top 1", rivals.matrix_factorisation),
    "graph_router": ("task-query-agent graph (GraphRouter's way), top 1", rivals.graph_router),
}

FROM_REPORT: Mapping[str, tuple[str, str, str | None]] = {
    "top1": ("one agent a query", "agentroute_top1", None),
    "one_round": ("one round, then a vote (AgentRouter's way)", "agentroute_one_round", None),
    "acar": ("agreement alone stops (ACAR's way)", "agentroute_acar", None),
    "cascade": ("cheapest first until sure (a cascade)", "agentroute_cascade", None),
    "growing": ("many rounds", "agentroute_growing", None),
    "query_only": (
        "no graph: the query's vector alone, top 1; everybody: its vote",
        "query_only",
        "weighted_vote",
    ),
}
"""Changes that ``evaluate`` measures anyway: title, the policy, and the policy that asks everybody."""

CHANGES = (*ABLATIONS, *RIVALS)
"""What needs a training of its own."""

TITLES: Mapping[str, str] = {
    **{name: ablation.title for name, ablation in ABLATIONS.items()},
    **{name: title for name, (title, *_) in FROM_REPORT.items()},
    **{name: title for name, (title, _) in RIVALS.items()},
}


def measure_change(
    name: str,
    folder: OutcomeFolder,
    plan: Plan,
    config: TrainConfig,
    embedder: str | Embedder,
    tell: Progress,
) -> Record:
    """Measure one of ``CHANGES``.

    Args:
        name: Which.
        folder: The outcomes.
        plan: What to leave out.
        config: How to train; its seed decides the split, so that all see the same queries.
        embedder: As for ``train``.
        tell: Called as the work goes on.

    Returns:
        Plain data: ``score``, ``calls`` and ``everybody``, or why it was ``skipped``.
    """
    if name in ABLATIONS:
        return ABLATIONS[name].measure(folder, plan, config, embedder, tell)
    encoder = make_embedder(embedder) if isinstance(embedder, str) else embedder
    began = time.monotonic()
    task = rivals.Task.of(folder, plan.absent(folder), config, encoder)
    score = rivals.judge(RIVALS[name][1], task, tell)
    return {
        "score": score,
        "calls": 1.0,
        "everybody": None,
        "seconds": {"train": round(time.monotonic() - began, 1)},
    }
