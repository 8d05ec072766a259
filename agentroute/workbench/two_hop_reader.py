"""Goes from the passage that a question names to one that it names, and answers from there."""

from __future__ import annotations

import re
from collections.abc import Collection

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
    linked = through(text, named[0], links(text, named[0])) if named else None
    return linked or first_answer(text, named + [at for at, _ in by_words(text, 2)])


def links(text: str, position: int) -> list[int]:
    """Find the passages that a passage leads to, for a question.

    Args:
        text: The question.
        position: Where to start.

    Returns:
        Positions, the mention that fits the question best first; none that does not fit at all.
    """
    fits = {other: _link(text, position, other) for other in mentioned(passages()[position].text)}
    enough = [other for other, fit in fits.items() if other != position and fit >= _ENOUGH]
    return sorted(enough, key=lambda other: -fits[other])


def through(text: str, position: int, others: Collection[int]) -> str | None:
    """Answer from a passage that another one leads to.

    Args:
        text: The question.
        position: Where to start.
        others: The passages that may be read; each is one that ``links`` found.

    Returns:
        The answer; ``None`` when none of them has one that beats what the first passage says of itself.
    """
    start, rest, kind = passages()[position], _rest(text, position), answer_type(text)
    best = (0.0, "")
    for other in () if kind == "title" else others:
        link = _link(text, position, other)
        span, direct = best_span(rest, passages()[other], kind), best_span(text, start, kind)
        if span is None or (direct is not None and direct.score >= link + span.score):
            continue
        best = max(best, (min(link, 1.5) + min(span.score, 1.5), span.text), key=lambda pair: pair[0])
    return best[1] or None


def _link(text: str, position: int, other: int) -> float:
    """How well the mention of one passage in another fits a question."""
    start, title = passages()[position].text, passages()[other].title
    wanted, at = cues(_rest(text, position)), start.lower().find(title.lower())
    fit = fit_of(start, at, at + len(title), wanted)
    return fit + 0.5 * bool(set(stems(title)) & wanted.keys())  # "the river ..." asks for a River


def _rest(text: str, position: int) -> str:
    """A question without the name of the passage that it starts from."""
    title = passages()[position].title.removeprefix("The ")
    return re.sub(re.escape(title), " ", text, flags=re.IGNORECASE)
