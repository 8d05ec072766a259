"""Tuning the sentence encoder before anything is remembered: on labels, or on scores."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from agentroute.errors import InputError
from agentroute.knowledge.build import query_text
from agentroute.knowledge.foresight import TunedForesight
from agentroute.knowledge.graph import Floats
from agentroute.knowledge.minilm import MiniLMEmbedder
from agentroute.routing.crossfit import parts_of
from agentroute.routing.fit import Progress
from agentroute.routing.lesson import Lesson
from agentroute.routing.router_file import ENCODER_FOLDER
from agentroute.types import Embedder


def tuned_embedder(
    lesson: Lesson, embedder: str | Embedder, out: str | os.PathLike[str] | None, tell: Progress
) -> MiniLMEmbedder:
    """Fine-tune the encoder on the training part of some utterances.

    Args:
        lesson: The utterances.
        embedder: Must name MiniLM, since that is what can be tuned.
        out: The folder that the router will be saved in.
        tell: Called as the work goes on.

    Returns:
        The tuned encoder, in ``fresh_encoder(out)``.

    Raises:
        InputError: Another embedder was asked for, or there is no place to save it.
    """
    if embedder != "minilm":
        raise InputError(f"the embedder is {embedder}; only minilm can be tuned")
    if out is None:
        raise InputError("a tuned encoder is saved beside the router; say where with out=FOLDER")
    from agentroute.knowledge.tuning import tune_encoder

    some = lesson.table.take(lesson.split.train)
    return tune_encoder(
        [query_text(row.query) for row in some.queries],
        np.asarray(np.nan_to_num(some.score) > 0.5),
        [spec.card for spec in some.agents],
        fresh_encoder(out),
        seed=lesson.config.seed,
        tell=tell,
    )


def tuned_foresight(lesson: Lesson, tell: Progress) -> tuple[TunedForesight, Floats]:
    """Tune an encoder on the scores of the queries to learn from, and others to foresee each part of them.

    Args:
        lesson: The queries.
        tell: Called as the work goes on.

    Returns:
        What foresees scores on any question; and what was foreseen of these queries, each without its part.
        Shapes: ``(queries, agents)``.
    """
    from agentroute.knowledge.tuning import foresee

    learned, seed = lesson.learned, lesson.config.seed
    texts = [query_text(row.query) for row in learned.queries]
    return foresee(texts, learned.score, parts_of(learned.queries, seed), seed=seed, tell=tell)


def fresh_encoder(out: str | os.PathLike[str]) -> Path:
    """Where a tuned encoder waits until its router is saved, so that an older router keeps its own."""
    return Path(out) / f"{ENCODER_FOLDER}.new"
