"""Training: recorded outcomes to a router.

The order is: split, remember the training part, learn corrections to that memory, then let validation
choose how far to trust them and whom to ask. The test part is left alone; the router file remembers which
queries it
holds.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from agentroute.errors import InputError, OutcomeError
from agentroute.knowledge.build import GraphBuilder, query_text
from agentroute.knowledge.embed import make_embedder
from agentroute.knowledge.extract import RuleExtractor
from agentroute.knowledge.graph import Floats, Indices
from agentroute.knowledge.hetero import PackedGraphs
from agentroute.knowledge.minilm import MiniLMEmbedder
from agentroute.knowledge.record import TrackRecord
from agentroute.knowledge.team import Team
from agentroute.outcomes import OOS, OutcomeFolder, OutcomeTable
from agentroute.outcomes.split import Split, folds, split_queries
from agentroute.routing.calibration import Calibration
from agentroute.routing.choose import Setting, best
from agentroute.routing.config import TrainConfig
from agentroute.routing.crossfit import (
    build_all,
    completed,
    cross_fitted,
    examples_of,
    fit_in_parts,
    remember,
)
from agentroute.routing.fit import Progress, fit
from agentroute.routing.gnn import GNNConfig
from agentroute.routing.growth import Growth, grow_all
from agentroute.routing.newcomers import left_out
from agentroute.routing.policy import Mask, TopK
from agentroute.routing.query_only import fit_query_only
from agentroute.routing.regress import choose_ridge, fit_regression
from agentroute.routing.replay import answer_groups
from agentroute.routing.router import GraphRouter
from agentroute.routing.router_file import ENCODER_FOLDER
from agentroute.routing.runtime import NumpyGNN
from agentroute.routing.sets import AGENT_PRICE, set_settings
from agentroute.routing.trial import Trial
from agentroute.routing.unfinished import Unfinished
from agentroute.routing.views import views_of
from agentroute.routing.voices import fit_voices
from agentroute.types import Embedder, Extractor

SMALL = 3_000
"""Queries below which none are set aside for validation; see ``fit_in_parts``."""


LABEL_WEIGHT = 1.0
"""Weight of the ranking loss where scores are labels."""

LABEL_ROWS = 8_192
"""Utterances in one pass. Their graphs have a hundred agents each, and few passes are enough."""

LABEL_PATIENCE = 128
"""Steps without a better validation loss after which training on utterances ends."""

LABEL_PACE = 3.0
"""How much larger the steps are on utterances: fewer passes, and no worse a loss on CLINC150."""

CHOOSING = 4
"""One part in so many of the queries is left out to choose how far words are believed."""


def train(
    folder: str | os.PathLike[str] | OutcomeFolder,
    out: str | os.PathLike[str] | None = None,
    *,
    config: TrainConfig = TrainConfig(),
    without: Sequence[str] = (),
    held_out: bool = True,
    embedder: str | Embedder = "minilm",
    extractor: Extractor | None = None,
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
        extractor: Finds the entities; by default the rule extractor.
        progress: Called as the work goes on.
        shuffle_labels: Give every training query another query's scores: the control that must show no gain.
        tune_encoder: Whether to fine-tune MiniLM on the training utterances first; it is saved beside the
            router.

    Returns:
        The router.

    Raises:
        InputError: The encoder cannot be tuned on this folder, or there is no place to save it.
        OutcomeError: There is too little to learn from.
    """
    started = time.monotonic()
    tell = progress or (lambda what, done, total: None)
    opened = folder if isinstance(folder, OutcomeFolder) else OutcomeFolder.open(Path(folder))
    table = opened.table().without(tuple(without))
    sparse = table.sparse_agents(config.sparse_share)
    # A pair that was recorded several times is several samples; all runs of a query go to the same part.
    table = opened.table(each_run=True).without((*without, *sparse))
    rate = config.learning_rate
    if opened.labelled:
        table = table.take(_still_labelled(table))
        config = replace(
            config,
            labels=True,
            listwise=LABEL_WEIGHT,
            call_price=AGENT_PRICE,
            pass_rows=LABEL_ROWS,
            patience=min(config.patience, LABEL_PATIENCE),
            learning_rate=LABEL_PACE * config.learning_rate,
        )
    _check(table, opened)
    split = split_queries(table.queries, config.seed, held_out)
    if opened.labelled:
        table, split, unheard = _without_newcomers(table, split)
        sparse = (*sparse, *unheard)
    _check(table, opened, split)
    if shuffle_labels:
        table = _shuffled(table, split, config.seed)
    if tune_encoder:
        encoder: Embedder = _tuned(opened, table, split, embedder, out, config, tell)
    else:
        encoder = make_embedder(embedder) if isinstance(embedder, str) else embedder
    finder = extractor or RuleExtractor()
    unfinished = Unfinished(None if out is None else Path(out))

    tell("reading queries", 0, 1)
    small = len(split.train) + len(split.validation) < SMALL
    # A small folder cannot spare a validation part: all of it trains, and each part is judged by a network
    # that has not seen it.
    rows = np.sort(np.concatenate([split.train, split.validation])) if small else split.train
    learned = table.take(rows)
    groups = answer_groups(learned)
    record = remember(learned, encoder, finder)
    examples = examples_of(record, learned)
    ridge = choose_ridge(examples, folds(learned.queries, config.seed, CHOOSING)[0])
    record = replace(record, regression=fit_regression(examples, ridge))
    if table.has_answers:
        record = replace(record, voice=fit_voices(groups, learned.score, config))
    builder = GraphBuilder(
        Team.build(table.agents, encoder), encoder, finder, record, read_answers=config.answer_vectors
    )
    bare = cross_fitted(builder, learned, examples, config.seed, ridge)
    graphs = grow_all(builder, bare, learned)
    gnn_config = GNNConfig(embedding=encoder.dim, **dict(config.network))
    if small:
        judged = learned
        tell("reading queries", 1, 1)
        fitted, growth = fit_in_parts(PackedGraphs(graphs), learned, gnn_config, config, tell, unfinished)
    else:
        judged = table.take(split.validation)
        others = build_all(builder, judged)
        held = grow_all(builder, others, judged)
        bare += others
        if opened.labelled:
            more, rows_of = left_out(builder, learned, examples, config.seed, ridge, build_all)
            graphs, learned_score = [*graphs, *more], np.concatenate([learned.score, learned.score[rows_of]])
        else:
            learned_score = learned.score
        tell("reading queries", 1, 1)
        score = np.concatenate([learned_score, judged.score])
        train_rows, held_rows = np.split(np.arange(len(score)), [len(graphs)])
        fitted = fit(
            PackedGraphs([*graphs, *held]), score, train_rows, held_rows, gnn_config, config, tell, unfinished
        )
        growth = Growth(NumpyGNN(fitted.weights), PackedGraphs(held))
        graphs = held
    baseline = _fit_baseline(record, table, split, rows, encoder, replace(config, learning_rate=rate))
    manifest: dict[str, Any] = {
        "version": f"{opened.path.resolve().name}-{config.seed}",
        "embedder_name": embedder if isinstance(embedder, str) else None,
        "gnn": asdict(gnn_config),
        "train": asdict(config),
        "data": opened.path.resolve().name,
        "registry_hash": builder.team.hash,
        "queries": {"train": len(split.train), "validation": len(split.validation), "test": len(split.test)},
        "validation_ids": [*dict.fromkeys(table.queries[i].query.id for i in split.validation)],
        "test_ids": [*dict.fromkeys(table.queries[i].query.id for i in split.test)],
        "record_ids": [row.query.id for row in learned.queries],
        "without": [*without],
        "sparse": [*sparse],
        "losses": fitted.losses,
    }
    unset = Setting(policy=TopK(), calibration=Calibration(), score=0.0, calls=1.0, cost_usd=None)
    router = GraphRouter(
        embedder=encoder,
        extractor=finder,
        record=record,
        weights=fitted.weights,
        tried=(unset,),
        setting=unset,
        baseline=baseline,
        manifest=manifest,
    )
    tell("choosing a policy", 0, 1)
    views = views_of(np.stack([graph.suits for graph in graphs]), growth.expected)
    cost = router.cost(table.agents)
    if opened.labelled:
        router.tried = set_settings(views, judged)
    else:
        trial = Trial(
            views=views,
            cost=cost,
            judged=judged,
            growth=growth if table.has_answers else None,
            learned=learned,
            groups=groups,
            voice=record.voice,
            mean=record.mean,
            seed=config.seed,
        )
        router.tried = trial.settings()
        if not shuffle_labels:  # the control is not asked what its levels bring
            router.one_level = trial.at_one_level(router.tried[0].cost_usd)
    tell("choosing a policy", 1, 1)
    chosen = best(router.tried, config.call_price)
    assert chosen is not None  # without bounds every setting qualifies
    router = router.using(chosen)
    if not small:
        # The settings are chosen: from here on the queries that chose them are experience like all others.
        known = table.take(np.concatenate([split.train, split.validation]))
        router.record = completed(record, known, bare, builder, ridge)
        manifest["record_ids"] = [row.query.id for row in known.queries]
    router.manifest = {**manifest, "seconds": round(time.monotonic() - started, 1)}
    if out is not None:
        if isinstance(encoder, MiniLMEmbedder) and tune_encoder:
            encoder.bundle(Path(out) / ENCODER_FOLDER)
            shutil.rmtree(_fresh_encoder(out))
        router.save(out)
        unfinished.clear()
    return router


def _still_labelled(table: OutcomeTable) -> Mask:
    """Return which utterances say something: of agents that are here, or that none fits.

    Without its agent an utterance would look like one that none fits.
    """
    here = np.asarray(np.nan_to_num(table.score).any(axis=1))
    nobody = np.array([row.meta.get("labels") == [OOS] for row in table.queries], dtype=bool)
    return np.asarray(here | nobody)


def _without_newcomers(table: OutcomeTable, split: Split) -> tuple[OutcomeTable, Split, tuple[str, ...]]:
    """Leave out agents that no training utterance fits, and the utterances to choose on that only they fit.

    They are not bad at everything: they are newcomers, known by their cards.
    """
    heard = np.asarray((np.nan_to_num(table.score[split.train]) > 0).any(axis=0))
    unheard = tuple(agent for agent, known in zip(table.agent_ids, heard, strict=True) if not known)
    table = table.without(unheard)
    kept = _still_labelled(table)[split.validation]
    return table, replace(split, validation=split.validation[kept]), unheard


def _tuned(
    opened: OutcomeFolder,
    table: OutcomeTable,
    split: Split,
    embedder: str | Embedder,
    out: str | os.PathLike[str] | None,
    config: TrainConfig,
    tell: Progress,
) -> MiniLMEmbedder:
    """Fine-tune the encoder on the training part, into the folder that the router is saved in."""
    if not opened.labelled:
        raise InputError(
            f"{opened.path} holds outcomes: an encoder is tuned on utterances that say which agents fit; "
            "train without tuning it"
        )
    if embedder != "minilm":
        raise InputError(f"the embedder is {embedder}; only minilm can be tuned")
    if out is None:
        raise InputError("a tuned encoder is saved beside the router; say where with out=FOLDER")
    from agentroute.knowledge.tune import tune_encoder

    rows = split.train
    return tune_encoder(
        [query_text(table.queries[row].query) for row in rows.tolist()],
        np.asarray(np.nan_to_num(table.score[rows]) > 0.5),
        [spec.card for spec in table.agents],
        _fresh_encoder(out),
        seed=config.seed,
        tell=tell,
    )


def _fresh_encoder(out: str | os.PathLike[str]) -> Path:
    """Where a tuned encoder waits until its router is saved, so that an older router keeps its own."""
    return Path(out) / f"{ENCODER_FOLDER}.new"


def _fit_baseline(
    record: TrackRecord,
    table: OutcomeTable,
    split: Split,
    rows: Indices,
    embedder: Embedder,
    config: TrainConfig,
) -> dict[str, Floats]:
    """Train the query-only network on the training part, with validation to end it."""
    learned, held = split.train, split.validation
    known = np.full(len(table), -1, np.int64)
    known[rows] = np.arange(len(rows))
    texts = [query_text(table.queries[row].query) for row in held.tolist()]
    return fit_query_only(
        record.vectors[known[learned]], table.score[learned], embedder.embed(texts), table.score[held], config
    )


def _shuffled(table: OutcomeTable, split: Split, seed: int) -> OutcomeTable:
    """Give every training query another's scores; what was answered stays, so that nothing fits any more."""
    rows = np.arange(len(table.queries))
    kept = np.concatenate([split.train, split.validation])
    rows[kept] = np.random.default_rng(seed).permutation(kept)
    return replace(table, score=table.score[rows])


def _check(table: OutcomeTable, opened: OutcomeFolder, split: Split | None = None) -> None:
    if len(table.agents) < 1:
        few = f"{opened.path}: no agent ran on half of the queries; collect more outcomes first"
        raise OutcomeError("\n".join((few, *opened.problems)))
    if len(table.queries) < 20:
        raise OutcomeError(f"{opened.path}: {len(table.queries)} queries; training needs at least 20")
    if split is not None and min(len(split.train), len(split.validation)) < 1:
        raise OutcomeError(f"{opened.path}: {len(table.queries)} queries are too few to split; collect more")
