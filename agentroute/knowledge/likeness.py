"""How answers compare: read once each, then two by two.

Nothing here depends on which other answers are there. So the ties among some answers are the ties among all
of them, less those of the ones left out: a graph that has grown half-way is a part of the one that has grown
fully.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from agentroute.answers import answer_kind, group_equal
from agentroute.knowledge.graph import Floats

READ_CHARS = 400
"""Characters of an answer that are compared; what an answer says, it says early."""

CLOSE = 0.01
"""Relative difference up to which two numbers are near each other."""

_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+")
_ITEM = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_UNIT = re.compile(r"thousand|million|billion|percent|[%$\u20ac\u00a3]", re.IGNORECASE)
_DECIMALS = re.compile(r"\.(\d{1,20})")


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer's text shows by itself.

    Args:
        kind: What ``answer_kind`` says.
        words: Its words in lower case.
        numbers: The sizes of its numbers, ascending; signs and units are left out.
        items: Its parts, when it is written as a list of quoted texts; else the whole.
        decimals: Digits after the point, of the number with most.
        has_unit: Whether it names a unit of money, a percentage, or thousands and more.
    """

    kind: str
    words: frozenset[str]
    numbers: tuple[float, ...]
    items: tuple[str, ...]
    decimals: int
    has_unit: bool


def read(text: str) -> Reading:
    """Read an answer.

    Args:
        text: The answer; what lies beyond ``READ_CHARS`` is not read.

    Returns:
        What it shows.
    """
    return _read(text[:READ_CHARS])


@lru_cache(maxsize=65_536)
def _read(text: str) -> Reading:
    quoted = _ITEM.findall(text) if text.startswith("[") else []
    return Reading(
        kind=answer_kind(text),
        words=words(text),
        numbers=tuple(sorted(numbers(text))),
        items=tuple((one or other).strip().lower() for one, other in quoted) or (text.strip("[] ").lower(),),
        decimals=max(map(len, _DECIMALS.findall(text)), default=0),
        has_unit=_UNIT.search(text) is not None,
    )


def words(text: str) -> frozenset[str]:
    """Return the words of a text, in lower case."""
    return frozenset(_WORD.findall(text.lower()))


def numbers(text: str) -> list[float]:
    """Return the sizes of the numbers of a text, in order."""
    return [float(found.replace(",", "")) for found in _NUMBER.findall(text) if len(found) < 40]


@dataclass(frozen=True, eq=False, slots=True)
class Likeness:
    """How some answers compare, two by two.

    Args:
        equal: Whether both say the same, by value. Symmetric.
        resembles: Words or numbers that both have, as a share of those that either has (F1). Symmetric.
        within: Share of the row's words that the column has as well.

    Shapes:
        Each is ``(answers, answers)``; the diagonal and empty answers are 0.
    """

    equal: Floats
    resembles: Floats
    within: Floats


def compare(texts: Sequence[str]) -> Likeness:
    """Compare answers two by two.

    Args:
        texts: The answers.

    Returns:
        What they share.
    """
    cut = [text[:READ_CHARS] for text in texts]
    different = sorted(set(cut))
    place = {text: i for i, text in enumerate(different)}
    table = np.zeros((3, len(different), len(different)), dtype=np.float32)
    for i, text in enumerate(different):
        table[:, i, i] = 1.0 if _read(text).kind != "empty" else 0.0
        for j in range(i):
            equal, resembles, within, holds = _pair(different[j], text)
            table[:2, i, j] = table[:2, j, i] = equal, resembles
            table[2, j, i], table[2, i, j] = within, holds
    at = np.array([place[text] for text in cut], dtype=np.int64)
    table = table[:, at[:, None], at[None, :]]
    table[:, np.arange(len(at)), np.arange(len(at))] = 0.0
    return Likeness(*table)


@lru_cache(maxsize=262_144)
def _pair(one: str, other: str) -> tuple[float, float, float, float]:
    """Return how equal two texts are, how alike, and how much of each the other holds."""
    a, b = _read(one), _read(other)
    if "empty" in (a.kind, b.kind):
        return 0.0, 0.0, 0.0, 0.0
    groups = group_equal([one, other])
    equal = float(groups[0] == groups[1])
    shared = len(a.words & b.words)
    alike = 2.0 * shared / max(len(a.words) + len(b.words), 1)
    near = len(a.numbers) == len(b.numbers) > 0 and all(
        abs(x - y) <= CLOSE * max(x, y) for x, y in zip(a.numbers, b.numbers, strict=True)
    )
    return (
        equal,
        max(alike, equal, 0.9 * near),
        max(shared / max(len(a.words), 1), equal),
        max(shared / max(len(b.words), 1), equal),
    )
