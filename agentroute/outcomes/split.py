"""Who trains, who chooses, who judges: a split by query, the same on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agentroute.outcomes.records import QueryRecord

Indices = npt.NDArray[np.int64]

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.15
"""Of what is left after the test part."""


@dataclass(frozen=True)
class Split:
    """Row positions of three parts that share no question.

    Args:
        train: What the network and the record learn from.
        validation: What settings are chosen on.
        test: What is held out for ``evaluate``.
    """

    train: Indices
    validation: Indices
    test: Indices


def split_queries(records: Sequence[QueryRecord], seed: int, held_out: bool = True) -> Split:
    """Split queries by a hash of their text, so that equal questions stay together.

    A folder may bring its own split: ``meta: {"split": "train" | "test"}`` on every query. Queries of one
    ``meta: {"template": ...}`` stay together, so that validation is as new as test; so do the steps of one
    ``meta: {"episode": ...}``.

    Args:
        records: The queries.
        seed: Another seed, another split.
        held_out: False to train on everything but the validation part.

    Returns:
        The three parts.
    """
    named = np.array([str(record.meta.get("split") or "") for record in records])
    own = bool(len(named)) and set(named.tolist()) <= {"train", "test"}
    keys = [_key(record) for record in records]
    if own:
        test = named == "test"
    else:
        test = np.array([_chance(key, seed, "test") < TEST_SHARE for key in keys], dtype=bool)
    if not held_out:
        test = np.zeros(len(records), dtype=bool)
    draws = np.array([_chance(key, seed, "validation") for key in keys])
    # Few templates may all miss the share. There must be something to choose on: then the lowest draw.
    lowest = draws[~test].min() if (~test).any() else 0.0
    chosen = draws <= max(VALIDATION_SHARE, lowest)
    return Split(
        train=np.flatnonzero(~test & ~chosen),
        validation=np.flatnonzero(~test & chosen),
        test=np.flatnonzero(test),
    )


def folds(records: Sequence[QueryRecord], seed: int, count: int) -> list[Indices]:
    """Deal queries into parts of about one size; equal questions, and those of one template, stay together.

    Args:
        records: The queries.
        seed: Another seed, other parts.
        count: How many parts.

    Returns:
        The positions of each part; none is empty while there are enough different questions.
    """
    keys = [_key(record) for record in records]
    order = sorted(set(keys), key=lambda key: (_chance(key, seed, "fold"), key))
    # Dealt by size, largest first in a seeded order, so that a large template does not make a large part.
    size = {key: 0 for key in order}
    for key in keys:
        size[key] += 1
    load, fold_of = [0] * count, {}
    for key in sorted(order, key=lambda key: -size[key]):
        fold_of[key] = load.index(min(load))
        load[fold_of[key]] += size[key]
    dealt = np.array([fold_of[key] for key in keys], dtype=np.int64)
    return [np.flatnonzero(dealt == part) for part in range(count)]


def _key(record: QueryRecord) -> str:
    for name in ("template", "episode"):
        if shared := record.meta.get(name):
            return str(shared)
    return " ".join(record.query.text.casefold().split())


def _chance(key: str, seed: int, part: str) -> float:
    digest = hashlib.sha256(f"{part}|{seed}|{key}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
