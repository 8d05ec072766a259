"""Works with figures from passages: differences of years, sums, ages, measures in other units."""

from __future__ import annotations

import re

from agentroute.types import Passage
from agentroute.workbench.passages import MAX_CHARS, mentioned, passages
from agentroute.workbench.reading import best_span, leading_number, show_number
from agentroute.workbench.units import answer as convert

_UNITS = re.compile(r"\b(feet|foot|yards|miles|inches|centimetres|nautical miles)\b")
_SUM = re.compile(r"\btogether\b|\bcombined\b|\bin total\b|\baltogether\b|\bsum\b")
_GAP = re.compile(r"\bhow many\b|\bhow much\b|\bdifference\b|\bdiffer\b|\bapart\b")
_AGE = re.compile(r"\bhow old\b|\bwhat age\b|\bage of\b")
_BIRTH = re.compile(r"\b(?:births?|born|older|younger|birthplace)\b", re.IGNORECASE)
_UPWARDS = re.compile(r"\b(?:taller|higher|height|tall|high)\b")
_EVENT = "founded opened built completed"


def answer(text: str) -> str | None:
    """Read one or two figures and calculate with them.

    Args:
        text: The question.

    Returns:
        A number; ``None`` when the question has no quantity in it and is not about one or two known things.
    """
    if len(text) > MAX_CHARS:
        return None
    named = [passages()[position] for position in mentioned(text)]
    low = text.lower()
    if not named:
        return convert(text)
    if len(named) == 1 and (unit := _UNITS.search(low)):
        span = best_span("height tall" if _UPWARDS.search(low) else "length long", named[0], "measure")
        return None if span is None else convert(f"How many {unit[1]} are {span.text}?")
    if len(named) != 2:
        return None
    if _AGE.search(low):
        return _age(named)
    kind, ask = _property(low)
    a, b = (leading_number(best_span(ask, passage, kind)) for passage in named)
    if a is None or b is None:
        return None
    if _SUM.search(low):
        return show_number(a + b)
    return show_number(abs(a - b)) if _GAP.search(low) else None


def _property(low: str) -> tuple[str, str]:
    """The kind of span that a question calculates with, and how to ask for it."""
    if re.search(r"\b(?:years?|births?|born|founding)\b", low):
        return "year", "born" if _BIRTH.search(low) else _EVENT
    if re.search(r"\b(?:people|population|inhabitants|live)\b", low):
        return "count", "population inhabitants people live"
    return "measure", "height tall" if _UPWARDS.search(low) else "length long"


def _age(named: list[Passage]) -> str | None:
    """The year of what was founded or built, less the year in which the other was born."""
    born = [passage for passage in named if _BIRTH.search(passage.text)]
    made = [passage for passage in named if passage not in born]
    if len(born) != 1 or len(made) != 1:
        return None
    birth = leading_number(best_span("born", born[0], "year"))
    event = leading_number(best_span(_EVENT, made[0], "year"))
    return None if birth is None or event is None or event < birth else show_number(event - birth)
