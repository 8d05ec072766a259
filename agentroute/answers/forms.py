"""What an answer says: equal answers get equal keys, and a vote counts keys, not wordings."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from agentroute.answers.literals import read_date, read_number
from agentroute.answers.verdicts import is_refusal, yes_or_no
from agentroute.answers.wording import CLOSING, fold, list_items, tight, unwrap, words_of
from agentroute.errors import InputError

REFUSAL = "unknown"
"""The key that all ways of saying "I do not know" share."""

READ_CHARS = 2_000
"""Characters that are read for meaning; what lies beyond counts only through its digest."""

_CACHED_CHARS = 300
_MAX_DEPTH = 6
_MAX_STEPS = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Ballot:
    """What a vote came to.

    Args:
        leader: Position of the answer to quote: the heaviest of the winning group.
        members: Positions of all answers of the winning group, in order.
        share: The group's part of the weight of all non-empty answers, 0 to 1.
    """

    leader: int
    members: tuple[int, ...]
    share: float


def normal_form(text: str) -> str:
    """Return a key that equal answers share; it is its own key.

    Numbers and dates go by value, yes and no by what they say, a choice by its letter, lists item by
    item; every way of not knowing becomes ``unknown``. Names and sentences lose case, accents, articles and
    punctuation; formulas and code lose only spaces. Of very long answers the beginning is read and
    the rest is hashed.

    Args:
        text: An answer.

    Returns:
        A short lower-case text; empty for an empty answer.
    """
    return _read(text)[1]


def answer_kind(text: str) -> str:
    """Say what sort of answer a text is.

    Args:
        text: An answer.

    Returns:
        ``number | date | yes_no | choice | name | list | code | text | refusal | empty``.
    """
    return _read(text)[0]


def group_equal(texts: Sequence[str]) -> list[int]:
    """Number the groups of equal answers.

    Answers are equal when their keys are, when one is the other rounded to fewer decimals (but at least one),
    and when one is the other's number without its unit, as long as nobody gives it another unit.

    Args:
        texts: Answers.

    Returns:
        A group number for each, counted in order of first appearance; -1 for an empty answer.
    """
    keys = [normal_form(text) for text in texts]
    same = _same_number(set(keys)) if any(key[:1].isdigit() or key[:1] == "-" for key in keys) else {}
    groups: dict[str, int] = {"": -1}
    return [groups.setdefault(same.get(key, key), len(groups) - 1) for key in keys]


def _same_number(keys: set[str]) -> dict[str, str]:
    """Map the keys of measured and of more precise numbers to the plainer key that is there as well."""
    same: dict[str, str] = {}
    units: dict[str, set[str]] = {}
    for key in keys:
        if measured := _MEASURED.fullmatch(key):
            units.setdefault(measured[1], set()).add(key)
    for number, measured_keys in units.items():
        if len(measured_keys) == 1 and number in keys:
            same[measured_keys.pop()] = number
    decimals = {key: len(key.partition(".")[2]) for key in keys if _DECIMAL.fullmatch(key)}
    for key, places in decimals.items():
        rounded = {f"{Decimal(key):.{fewer}f}".rstrip("0") for fewer in range(1, places)}
        if coarser := rounded & decimals.keys():
            same[key] = max(coarser, key=len)
    for key in same:
        while same[key] in same:
            same[key] = same[same[key]]
    return same


_MEASURED = re.compile(r"(-?\d+(?:\.\d+)?) [^\W\d]+(?: [^\W\d]+){0,3}")
_DECIMAL = re.compile(r"-?\d{1,20}\.\d{1,40}")


def vote(texts: Sequence[str], weights: Sequence[float]) -> Ballot | None:
    """Let weighted answers vote, equal ones together.

    The group with the largest summed weight wins; of equal groups the one with the heaviest single answer,
    then the earliest. When no answer weighs anything, all count alike.

    Args:
        texts: Answers; empty ones do not vote.
        weights: One finite weight of 0 or more for each.

    Returns:
        The winning group, or ``None`` when every answer is empty.

    Raises:
        InputError: The weights do not match the answers, or are negative or not finite.
    """
    if len(texts) != len(weights):
        raise InputError(f"{len(texts)} answers and {len(weights)} weights: give one weight for each answer")
    if bad := [weight for weight in weights if not (math.isfinite(weight) and weight >= 0)]:
        raise InputError(f"a weight of {bad[0]!r}: weights are finite and 0 or more")
    groups: dict[int, list[int]] = {}
    for position, group in enumerate(group_equal(texts)):
        if group >= 0:
            groups.setdefault(group, []).append(position)
    if not groups:
        return None
    largest = max(weights[position] for members in groups.values() for position in members)
    # Dividing by the largest keeps huge and tiny weights within a float's range.
    weight = [value / largest if largest > 0 else 1.0 for value in weights]
    # Rounding must not decide a tie, so sums are compared after it is cut off.
    totals = {group: round(math.fsum(weight[i] for i in members), 9) for group, members in groups.items()}
    winner = max(groups, key=lambda group: (totals[group], max(weight[i] for i in groups[group]), -group))
    members = groups[winner]
    everything = math.fsum(weight[position] for group in groups.values() for position in group)
    leader = max(members, key=lambda position: (weight[position], -position))
    return Ballot(leader=leader, members=tuple(members), share=min(1.0, totals[winner] / everything))


# ---------------------------------------------------------------------------- reading


def _read(text: str) -> tuple[str, str]:
    return _read_cached(text) if len(text) <= _CACHED_CHARS else _read_fresh(text)


def _read_fresh(text: str) -> tuple[str, str]:
    if len(text) > READ_CHARS:
        return _read_long(text)
    kind, key = _step(text)
    for _ in range(_MAX_STEPS):
        # A key may still hold an answer, as that of "two k" does; go on until it is its own key.
        if kind not in _OPEN or (again := _step(key))[1] == key:
            break
        # What a text is shows before its case and punctuation are gone; a value shows whenever it is read.
        kind, key = (kind if again[0] in ("name", "text") else again[0]), again[1]
    return kind, key


_OPEN = frozenset({"name", "text", "code", "list"})
_read_cached = lru_cache(maxsize=32_768)(_read_fresh)


def _read_long(text: str) -> tuple[str, str]:
    text = text.strip()
    if len(text) <= READ_CHARS:
        return _read_fresh(text)
    rest = text[READ_CHARS:].encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(rest, digest_size=8).hexdigest()
    return "text", f"{words_of(text[:READ_CHARS])[: READ_CHARS // 2]}…{len(text)}:{digest}"


_LONG_KEY = re.compile(r"[^…]*…\d+:[0-9a-f]{16}")


def _step(text: str, depth: int = 0) -> tuple[str, str]:
    """Read a text once, without looking whether the key says more."""
    if "…" in text and _LONG_KEY.fullmatch(text):
        return "text", text
    text = unwrap(text)
    if not text:
        return "empty", ""
    if (number := read_number(text)) is not None:
        return "number", number
    if (date := read_date(text)) is not None:
        return "date", date
    if choice := _CHOICE.fullmatch(text):
        return "choice", (choice[1] or choice[2]).lower()
    low = text.casefold() if text.isascii() else fold(text)
    if verdict := yes_or_no(low):
        return "yes_no", verdict
    if is_refusal(low):
        return "refusal", REFUSAL
    if _CODE.search(text):
        if (equation := _EQUATION.fullmatch(text)) and (
            result := read_number(unwrap(equation[1]))
        ) is not None:
            return "number", result
        items = list_items(text) if depth < _MAX_DEPTH and not _DEEP.match(text) else None
        return ("code", tight(text)) if items is None else _read_list(text, items, depth)
    words = words_of(text)
    return ("name" if _NAME.fullmatch(text) else "text"), words or text


_CHOICE = re.compile(
    r"(?:(?:option|choice|answer)\s+)?"
    r"(?:([A-Za-z])[.:]?|[(\[]?([A-Za-z])[)\]][.:]?(?:\s++(?!and\b|or\b|&)[^()]*)?)",
    re.IGNORECASE | re.ASCII,
)
_CODE = re.compile(r"[=\[\]{}<>\\^|@~_`*+]|\w\(|^\(.*\)$", re.DOTALL)
_DEEP = re.compile(r"(?:[(\[]\s*){7}")  # every pair of brackets around an answer takes a step of its own
# "x = 5" and "3 * 4 = 12" say a number.
_SIDE = r"[-+*/\u00d7\u00f7().,$%\d\s]++"
_EQUATION = re.compile(rf"(?:[A-Za-z]\s*|{_SIDE}(?:={_SIDE})*)=\s*([^=]{{1,64}})")
_NAME = re.compile(
    r"(?:(?:[A-Z0-9\u00c0-\u00d6\u00d8-\u00de]\S*+"
    r"|(?:of|the|and|de|la|von|van|der|di|da|du|del|al|in|for|&)(?!\S))\s*+){1,7}"
)


def _read_list(text: str, items: list[str], depth: int) -> tuple[str, str]:
    if text[0] == "{":
        return "code", tight(text)
    if depth == 0 and len(items) == 1 and (inner := _step(items[0], depth + 1))[1]:
        return inner  # one answer in brackets is that answer
    return "list", f"{text[0]}{', '.join(_step(item, depth + 1)[1] for item in items)}{CLOSING[text[0]]}"
