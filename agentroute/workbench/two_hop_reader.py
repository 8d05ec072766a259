"""Goes from the passage that a question names to one that it names, and answers from there."""

from __future__ import annotations

import re

from agentroute.workbench.passages import MAX_CHARS, by_words, mentioned, passages, stems
from agentroute.workbench.reading import answer_type, best_span, cues, first_answer, fit_of

_ENOUGH = 0.3


def answer(text: str) -> str | None:
    """Follow one link between passages and read the second; where no link fits, read as if there were none.

    Args:
        text: The question.

    Returns:
        The answer; ``None`` when neither the linked passage nor the first ones found have one.
    """
    if len(text) > MAX_CHARS:
        return None
    named = mentioned(text)
    return (_linked(text, named[0]) if named else None) or first_answer(
        text, named + [at for at, _ in by_words(text, 2)]
    )


def _linked(text: str, position: int) -> str | None:
    start = passages()[position]
    rest = re.sub(re.escape(start.title.removeprefix("The ")), " ", text, flags=re.IGNORECASE)
    wanted, kind = cues(rest), answer_type(text)
    best: tuple[float, str] | None = None
    for other in mentioned(start.text):
        bridge = passages()[other]
        if other == position or kind == "title":
            continue
        at = start.text.lower().find(bridge.title.lower())
        link = fit_of(start.text, at, at + len(bridge.title), wanted)
        link += 0.5 * bool(set(stems(bridge.title)) & wanted.keys())  # "the river ..." asks for a River
        span = best_span(rest, bridge, kind)
        # What the first passage says of itself beats what it says of the link.
        direct = best_span(text, start, kind)
        if span is None or link < _ENOUGH or (direct is not None and direct.score >= link + span.score):
            continue
        score = min(link, 1.5) + min(span.score, 1.5)
        if best is None or score > best[0]:
            best = (score, span.text)
    return None if best is None else best[1]
