"""Training: recorded outcomes to a router.

The order is: split, remember the training part, learn corrections to that memory, then let validation
choose how far to trust them and whom to ask. The test part is left alone; the router file remembers which
queries it holds.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agentroute.errors import InputError
from agentroute.knowledge.build import query_text
from agentroute.knowledge.embed import make_embedder
from agentroute.knowledge.extract import extractor_name, make_extractor
from agentroute.knowledge.graph import Floats, KnowledgeGraph
from agentroute.knowledge.hetero import PackedGraphs
from agentroute.knowledge.minilm import MiniLMEmbedder
from agentroute.outcomes import OutcomeFolder
from agentroute.routing.calibration import Calibration
from agentroute.routing.choose import Setting, best
from agentroute.routing.config import TrainConfig
from agentroute.routing.crossfit import MANY, fit_in_parts
from agentroute.routing.fit import Fitted, Progress, fit, fit_committee
from agentroute.routing.gnn import GNNConfig
from agentroute.routing.growth import Growth
from agentroute.routing.lesson import Lesson
from agentroute.routing.memory import Memory
from agentroute.routing.policy import TopK
from agentroute.routing.query_only import fit_query_only
from agentroute.routing.router import GraphRouter
from agentroute.routing.router_file import ENCODER_FOLDER
from agentroute.routing.runtime import NumpyGNN
from agentroute.routing.sets import set_settings
from agentroute.routing.trial import Trial
from agentroute.routing.tuned import fresh_encoder, tuned_embedder, tuned_foresight
from agentroute.routing.unfinished import Unfinished
from agentroute.routing.views import views_of
from agentroute.types import Embedder, Extractor


def train(
    folder: str | os.PathLike[str] | OutcomeFolder,
    out: str | os.PathLike[str] | None = None,
    *,
    config: TrainConfig = TrainConfig(),
    without: Sequence[str] = (),
    held_out: bool = True,
    embedder: str | Embedder = "minilm",
    extractor: str | Extractor = "rules",
    progress: Progress | None = None,
    shuffle_labels: bool = False,
    tune_encoder: bool = False,
) -> GraphRouter:
    """Train a router on an outcome folder.

    Args:
        folder: Recorded outcomes, or utterances labelled with the agents that fit.
        out: Where to save the router; not saved when ``None``. What was learned so far is kept there as well,
            in ``unfinished``, until the router is saved: the same training, begun again, goes on from it and
            ends with the same weights.
        config: How to train.
        without: Agents to leave out.
        held_out: False to train on all queries, with none left for ``evaluate``.
        embedder: A name for ``make_embedder``, or an embedder.
        extractor: A name for ``make_extractor``, or an extractor.
        progress: Called as the work goes on.
        shuffle_labels: Give every training query another query's scores: the control that must show no gain.
        tune_encoder: Whether to fine-tune MiniLM first, for minutes. On utterances it becomes the embedder.
            On outcomes the embedder stays, and the tuned one foresees what each agent should score on a
            question. Either is saved beside the router.

    Returns:
        The router.

    Raises:
        InputError: The encoder cannot be tuned on these utterances, there is no place to save it, answers are
            to be read where none were recorded as text, or there is no such embedder or extractor.
        MissingExtraError: The package of the embedder, or of the extractor, is not installed.
        OutcomeError: There is too little to learn from.
    """
    started = time.monotonic()
    tell = progress or (lambda what, done, total: None)
    finder = make_extractor(extractor) if isinstance(extractor, str) else extractor
    opened = folder if isinstance(folder, OutcomeFolder) else OutcomeFolder.open(Path(folder))
    lesson = Lesson.read(opened, config, without=without, held_out=held_out, shuffled=shuffle_labels)
    if config.answer_vectors and not lesson.table.has_answers:
        raise InputError(
            f"{opened.path} has no answers as text, so that there are none to read: "
            "leave out answer_vectors (--answer-vectors)"
        )
    foresight, foreseen = None, None
    if tune_encoder and opened.labelled:
        encoder: Embedder = tuned_embedder(lesson, embedder, out, tell)
    else:
        encoder = make_embedder(embedder) if isinstance(embedder, str) else embedder
    if tune_encoder and not opened.labelled:
        foresight, foreseen = tuned_foresight(lesson, tell)
    unfinished = Unfinished(None if out is None else Path(out))
    tell("reading queries", 0, 1)
    memory = Memory.of(lesson, encoder, finder, foresight, foreseen)
    taught = _teach(memory, tell, unfinished)
    unset = Setting(policy=TopK(), calibration=Calibration(), score=0.0, calls=1.0, cost_usd=None)
    router = GraphRouter(
        embedder=encoder,
        extractor=finder,
        record=memory.record,
        weights=taught.fitted.weights,
        tried=(unset,),
        setting=unset,
        baseline=_fit_baseline(memory, config.learning_rate),
        manifest={
            **_told(lesson),
            "embedder_name": embedder if isinstance(embedder, str) else None,
            "extractor": extractor_name(finder),
            "gnn": asdict(taught.shape),
            "registry_hash": memory.builder.team.hash,
            "losses": taught.fitted.losses,
        },
        foresight=foresight,
    )
    tell("choosing a policy", 0, 1)
    router = _chosen(router, memory, taught, control=shuffle_labels)
    tell("choosing a policy", 1, 1)
    if not lesson.small:
        # The settings are chosen: from here on the queries that chose them are experience like all others.
        router.record = memory.completed(taught.known)
    router.manifest = {**router.manifest, "seconds": round(time.monotonic() - started, 1)}
    if out is not None:
        if isinstance(encoder, MiniLMEmbedder) and tune_encoder and opened.labelled:
            encoder.bundle(Path(out) / ENCODER_FOLDER)
            shutil.rmtree(fresh_encoder(out))
        router.save(out)
        unfinished.clear()
    return router


class _Taught(NamedTuple):
    """What the network learned, and how it sees queries that it was not trained on.

    Args:
        fitted: Its weights.
        shape: Its shape.
        judged: Graphs of the queries that settings are chosen on.
        growth: What is said of these by a network that has not seen them.
        known: Graphs of the queries in ``Lesson.known``; of a small folder, of those that it learned from.
    """

    fitted: Fitted
    shape: GNNConfig
    judged: list[KnowledgeGraph]
    growth: Growth
    known: list[KnowledgeGraph]


def _teach(memory: Memory, tell: Progress, unfinished: Unfinished) -> _Taught:
    """Train the network, on all queries of a small folder, and on the training part of others."""
    lesson, config = memory.lesson, memory.lesson.config
    shape = GNNConfig(embedding=memory.builder.embedder.dim, **dict(config.network))
    graphs = memory.graphs()
    if lesson.small:
        tell("reading queries", 1, 1)
        fitted, growth = fit_in_parts(PackedGraphs(graphs), lesson.learned, shape, config, tell, unfinished)
        return _Taught(fitted, shape, graphs, growth, graphs)
    held = memory.held()
    shown, score = graphs, lesson.learned.score
    if lesson.opened.labelled:
        more, rows = memory.newcomers()
        shown, score = [*graphs, *more], np.concatenate([score, score[rows]])
    tell("reading queries", 1, 1)
    packed, score = PackedGraphs([*shown, *held]), np.concatenate([score, lesson.judged.score])
    train_rows, held_rows = np.split(np.arange(len(score)), [len(shown)])
    # Of many agents told apart by few utterances, several networks make fewer mistakes than one.
    learn = fit_committee if lesson.opened.labelled and len(lesson.known) < MANY else fit
    fitted = learn(packed, score, train_rows, held_rows, shape, config, tell, unfinished)
    growth = Growth(NumpyGNN(fitted.weights), PackedGraphs(held))
    return _Taught(fitted, shape, held, growth, [*graphs, *held])


def _chosen(router: GraphRouter, memory: Memory, taught: _Taught, control: bool) -> GraphRouter:
    """Try settings on the queries that are there for it, and return the router with the best of them."""
    lesson, growth = memory.lesson, taught.growth
    views = views_of(np.stack([graph.suits for graph in taught.judged]), growth.expected)
    if lesson.opened.labelled:
        router.tried = set_settings(views, lesson.judged)
    else:
        trial = Trial(
            views=views,
            cost=router.cost(lesson.table.agents),
            judged=lesson.judged,
            growth=growth if lesson.table.has_answers else None,
            learned=lesson.learned,
            groups=memory.groups,
            voice=memory.record.voice,
            mean=memory.record.mean,
            seed=lesson.config.seed,
        )
        router.tried = trial.settings()
        if not control:  # the control is not asked what its levels bring
            router.one_level = trial.at_one_level(router.tried[0].cost_usd)
    chosen = best(router.tried, lesson.config.call_price)
    assert chosen is not None  # without bounds every setting qualifies
    return router.using(chosen)


def _told(lesson: Lesson) -> dict[str, Any]:
    """Return what the router file says of the data."""
    table, split, name = lesson.table, lesson.split, lesson.opened.path.resolve().name
    recorded = lesson.rows if lesson.small else lesson.known
    return {
        "version": f"{name}-{lesson.config.seed}",
        "train": asdict(lesson.config),
        "data": name,
        "queries": {"train": len(split.train), "validation": len(split.validation), "test": len(split.test)},
        "validation_ids": [*dict.fromkeys(table.queries[i].query.id for i in split.validation)],
        "test_ids": [*dict.fromkeys(table.queries[i].query.id for i in split.test)],
        "record_ids": [table.queries[i].query.id for i in recorded],
        "without": [*lesson.without],
        "sparse": [*lesson.sparse],
    }


def _fit_baseline(memory: Memory, rate: float) -> dict[str, Floats]:
    """Train the query-only network on the training part, with validation to end it."""
    table, split, rows = memory.lesson.table, memory.lesson.split, memory.lesson.rows
    known = np.full(len(table), -1, np.int64)
    known[rows] = np.arange(len(rows))
    texts = [query_text(table.queries[row].query) for row in split.validation.tolist()]
    return fit_query_only(
        memory.record.vectors[known[split.train]],
        table.score[split.train],
        memory.builder.embedder.embed(texts),
        table.score[split.validation],
        replace(memory.lesson.config, learning_rate=rate),  # longer steps are the graph network's alone
    )
