"""One question in the making, and how a fixed number of them is chosen without chance."""

from __future__ import annotations

import csv
import hashlib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, TypeVar

_T = TypeVar("_T")
_SHORT = {"metres": "m", "kilometres": "km"}
_PHRASES = frozenset({"known", "material", "job"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One question before it has a number.

    Args:
        text: The question.
        gold: All acceptable answers.
        template: The name of its wording.
        facts: What one has to know to answer, each as ``subject/attribute`` or as the sum itself.
        metric: How an answer is scored.
    """

    text: str
    gold: tuple[str, ...]
    template: str
    facts: tuple[str, ...]
    metric: str = "exact_match"


@lru_cache(maxsize=1)
def _wordings() -> dict[str, dict[str, dict[str, Any]]]:
    return tomllib.loads((files("agentroute.workbench") / "wordings.toml").read_text(encoding="utf-8"))


def section(name: str) -> dict[str, dict[str, Any]]:
    """Read one section of the wordings.

    Args:
        name: Such as ``attributes`` or ``sums``.

    Returns:
        An entry for each kind of question: its lists ``train`` and ``test``, and whatever else it needs.
    """
    return _wordings()[name]


def worded(entry: dict[str, Any], name: str, split: str) -> list[tuple[str, str]]:
    """Name the wordings of one kind of question.

    Args:
        entry: An entry of a section.
        name: What their names begin with.
        split: ``train`` or ``test``.

    Returns:
        ``(template, wording)`` pairs.
    """
    return [(f"{name}.{split}{number}", wording) for number, wording in enumerate(entry[split])]


def rows(name: str) -> list[dict[str, str]]:
    """Read a table that ships with the workbench.

    Args:
        name: The file's name.

    Returns:
        One dict for each row, by column.
    """
    text = (files("agentroute.workbench") / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def accepted(value: str) -> tuple[str, ...]:
    """List the forms of an answer that count as right.

    Args:
        value: The answer as the source has it.

    Returns:
        The value, and for a measure also its short form and the bare number.
    """
    number, _, unit = value.partition(" ")
    return (value, f"{number} {_SHORT[unit]}", number) if unit in _SHORT else (value,)


def metric_of(attribute: str) -> str:
    """Name the metric for an attribute: phrases are scored by the words in common, all else as a whole.

    Args:
        attribute: Such as ``founded`` or ``known``.

    Returns:
        ``token_f1`` or ``exact_match``.
    """
    return "token_f1" if attribute in _PHRASES else "exact_match"


def shuffled(items: Iterable[_T], salt: str) -> list[_T]:
    """Order things by a hash of what they are, which no version of Python changes.

    Args:
        items: Things whose ``repr`` says what they are.
        salt: Another salt gives another order.

    Returns:
        The same things in another order.
    """
    return sorted(items, key=lambda item: hashlib.blake2b(f"{salt}|{item!r}".encode()).digest())


def spread(items: Iterable[Item], n: int, salt: str) -> list[Item]:
    """Choose questions evenly over their templates.

    Args:
        items: Where to choose from; a text that occurs twice counts once.
        n: How many to choose.
        salt: Another salt chooses others.

    Returns:
        ``n`` items, or all there are.
    """
    groups: dict[str, list[Item]] = {}
    for item in shuffled({item.text: item for item in items}.values(), salt):
        groups.setdefault(item.template, []).append(item)
    turns = [
        (turn, place, item) for place, group in enumerate(groups.values()) for turn, item in enumerate(group)
    ]
    return [item for _, _, item in sorted(turns, key=lambda entry: entry[:2])[:n]]
