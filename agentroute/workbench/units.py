"""Converts quantities between units of measure with pint."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from agentroute.workbench.passages import MAX_CHARS
from agentroute.workbench.reading import show_number

_NUMBER = re.compile(r"(?<![\w.])(-?\d[\d,]*(?:\.\d+)?)")
_WORDS = re.compile(r"[a-z°][a-z]*|°")
_ALIASES = {
    "celsius": "degC",
    "degrees celsius": "degC",
    "degrees centigrade": "degC",
    "fahrenheit": "degF",
    "degrees fahrenheit": "degF",
    "kelvins": "kelvin",
    "tonnes": "metric_ton",
    "tonne": "metric_ton",
    "stones": "stone",
    "nautical miles": "nautical_mile",
    "nautical mile": "nautical_mile",
    "square metres": "metre**2",
    "square feet": "foot**2",
    "square miles": "mile**2",
    "square kilometres": "kilometre**2",
    "cubic metres": "metre**3",
    "cubic centimetres": "centimetre**3",
    "cubic feet": "foot**3",
    "kilometres per hour": "kilometre/hour",
    "miles per hour": "mile/hour",
    "metres per second": "metre/second",
    "fortnights": "fortnight",
}
# Words that pint would take for units, but that mean something else in a question.
_NOT_UNITS = frozenset(
    "a an are as at be by do does high how i in is it long many much of old on or the to was which".split()
)
_LONGEST = 3


def answer(text: str) -> str | None:
    """Convert the quantity in a question to the unit it asks for.

    Args:
        text: The question.

    Returns:
        The number in the asked unit, or ``None`` without exactly one quantity and one other unit of its kind.
    """
    if len(text) > MAX_CHARS:
        return None
    low = text.lower()
    numbers = list(_NUMBER.finditer(low))
    if len(numbers) != 1:
        return None
    number = numbers[0]
    given = _unit_at(low[number.end() :].lstrip(" -"))
    if given is None:
        return None
    rest = low[number.end() :].lstrip(" -")
    target = _first_unit(low[: number.start()], given) or _first_unit(rest[given[1] :], given)
    if target is None:
        return None
    from pint.errors import DimensionalityError, OffsetUnitCalculusError

    try:
        value = _registry().Quantity(float(number[1].replace(",", "")), given[0]).to(target).magnitude
    except (DimensionalityError, OffsetUnitCalculusError, OverflowError):
        return None
    return show_number(float(value))


@lru_cache(maxsize=1)
def _registry() -> Any:
    from pint import UnitRegistry

    return UnitRegistry()


def _unit_at(text: str) -> tuple[str, int] | None:
    """The longest unit that a text begins with, and where it ends."""
    words = list(_WORDS.finditer(text))[:_LONGEST]
    for count in range(len(words), 0, -1):
        phrase = text[: words[count - 1].end()]
        if unit := _known(" ".join(phrase.split())):
            return unit, words[count - 1].end()
    return None


def _first_unit(text: str, given: tuple[str, int]) -> str | None:
    for word in _WORDS.finditer(text):
        if (found := _unit_at(text[word.start() :])) and found[0] != given[0]:
            return found[0]
    return None


@lru_cache(maxsize=4096)
def _known(phrase: str) -> str | None:
    if phrase in _ALIASES:
        return _ALIASES[phrase]
    if " " in phrase or phrase in _NOT_UNITS or len(phrase) < 2:
        return None
    return phrase if phrase in _registry() else None
