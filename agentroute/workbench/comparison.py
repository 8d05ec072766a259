"""Compares two named things by what their passages say: yes or no, or which of them."""

from __future__ import annotations

import re

from agentroute.types import Passage
from agentroute.workbench.passages import MAX_CHARS, mentioned, passages
from agentroute.workbench.reading import best_span, leading_number

_PEOPLE, _EVENT = (
    "population inhabitants people live",
    "born founded opened built completed published",
)
_DIMENSIONS = tuple(
    (re.compile(pattern), kind, ask, greater)
    for pattern, kind, ask, greater in (
        # (what a question says, the kind of span to compare, how to ask for it, does the greater one win?)
        (r"\bfewer\b|\bsmaller\b.*\bpopulation|\bpopulation\b.*\bsmaller", "count", _PEOPLE, False),
        (r"\bmore (?:people|inhabitants|members)|\b(?:bigger|larger)\b", "count", _PEOPLE, True),
        (r"\b(?:population|inhabitants)\b.*\b(?:greater|more)\b", "count", _PEOPLE, True),
        (r"\bshorter\b|\blength\b.*\b(?:smaller|less)", "measure", "length long", False),
        (r"\blonger\b|\blength\b", "measure", "length long", True),
        (r"\blower\b", "measure", "height tall", False),
        (r"\b(?:higher|taller|height)\b", "measure", "height tall", True),
        (r"\bborn\b.*\b(?:after|later)|\byounger\b|\b(?:after|later)\b.*\bborn", "year", "born", True),
        (r"\b(?:before|first|earlier|older|oldest)\b", "year", _EVENT, False),
        (r"\b(?:after|later|newer|last)\b", "year", _EVENT, True),
    )
)
_SAME = re.compile(r"\bsame\b|\bboth\b|\balso that of\b")
_WHICH = re.compile(r"\b(?:which|who|what|where)\b")


def answer(text: str) -> str | None:
    """Read the same property of two things and compare.

    Args:
        text: The question.

    Returns:
        ``yes``, ``no`` or one of the two names; ``None`` when it is no comparison of two known things.
    """
    if len(text) > MAX_CHARS:
        return None
    named = mentioned(text)
    if len(named) != 2:
        return None
    first, second = (passages()[position] for position in named)
    low = text.lower()
    if _SAME.search(low):
        return _same(low, first, second)
    for pattern, kind, ask, greater in _DIMENSIONS:
        if not pattern.search(low):
            continue
        a, b = (leading_number(best_span(ask, passage, kind)) for passage in (first, second))
        if a is None or b is None or a == b:
            return None
        wins = (a > b) == greater
        if _WHICH.search(low):
            return (first if wins else second).title
        return "yes" if wins else "no"
    return None


def _same(low: str, first: Passage, second: Passage) -> str | None:
    ask, kind = ("which river", "river") if "river" in low else ("where born", "place")
    a, b = (best_span(ask, passage, kind) for passage in (first, second))
    if a is None or b is None:
        return None
    return "yes" if a.text == b.text else "no"
