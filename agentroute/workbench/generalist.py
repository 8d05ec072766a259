"""Knows a little of everything: the first span that could do, one easy sum, a few conversions by heart."""

from __future__ import annotations

import re

from agentroute.workbench.facts import named_row
from agentroute.workbench.passages import MAX_CHARS, by_words, passages
from agentroute.workbench.reading import answer_type, show_number, spans

_SUM = re.compile(r"(\d+)\s*([-+*]|plus|minus|times)\s*(\d+)")
_BY_HEART = {
    ("hour", "minute"): 60.0,
    ("day", "hour"): 24.0,
    ("week", "day"): 7.0,
    ("minute", "second"): 60.0,
    ("mile", "kilometre"): 1.6,
    ("metre", "feet"): 3.3,
    ("kilogram", "pound"): 2.2,
    ("tonne", "kilogram"): 1000.0,
}


def answer(text: str) -> str | None:
    """Give a quick answer of any sort.

    Args:
        text: The question.

    Returns:
        An answer that may well be rough; ``None`` when nothing comes to mind.
    """
    if len(text) > MAX_CHARS:
        return None
    low = text.lower()
    if found := _SUM.search(low):
        a, b = int(found[1][:9]), int(found[3][:9])
        return show_number({"+": a + b, "p": a + b, "-": a - b, "m": a - b}.get(found[2][0], a * b))
    if converted := _converted(low):
        return converted
    if re.match(r"(?:is|are|was|were|do|does|did|has|have)\b", low):
        return "yes"
    if (row := named_row(text)) is not None:
        return row["value"]
    ranked = by_words(text)
    if not ranked:
        return None
    passage = passages()[ranked[0][0]]
    found_spans = spans(passage, answer_type(text))
    return found_spans[0][2] if found_spans else passage.title


def _converted(low: str) -> str | None:
    quantity = re.search(r"(\d+(?:\.\d+)?) (\w+?)s?\b", low)
    if quantity is None:
        return None
    for (of, to), factor in _BY_HEART.items():
        if of == quantity[2] and to in low.replace(quantity[0], " "):
            return show_number(float(quantity[1]) * factor)
    return None
