"""Finds what a passage is about when the question says what it did: which bridge did she design?"""

from __future__ import annotations

import re

from agentroute.types import Passage
from agentroute.workbench.passages import MAX_CHARS, mentioned, passages
from agentroute.workbench.reading import cues, fit_of

_ENOUGH = 0.2
_COUNT = re.compile(r"\bhow many\b|\bnumber of\b|\bcount\b", re.IGNORECASE)
_LIVES = re.compile(r"\b(?:born|birthplace)\b", re.IGNORECASE)
_KINDS = tuple(
    # what a question calls what it looks for, and what shows in the title or text of such a passage
    (kind, re.compile(word, re.IGNORECASE))
    for kind, word in (
        ("town", r"\btowns?\b"),
        ("bridge", r"\bbridges?\b"),
        ("river", r"\brivers?\b"),
        ("mountain", r"\b(?:mountain|peak)s?\b"),
        ("person", r"\b(?:who|whom|persons?|people|somebody|someone)\b"),
    )
)


def answer(text: str) -> str | None:
    """Search all passages for those that tie their subject to the name in the question.

    Args:
        text: The question.

    Returns:
        The title of the best one, or how many there are; ``None`` when none fits.
    """
    if len(text) > MAX_CHARS:
        return None
    named = mentioned(text)
    if len(named) > 1:
        return None
    value = passages()[named[0]].title if named else _unlisted(text)
    if value is None:
        return None
    rest = re.sub(re.escape(value), " ", text, flags=re.IGNORECASE)
    kind = next((kind for kind, word in _KINDS if word.search(rest)), "thing")
    wanted, counting = cues(rest), _COUNT.search(text) is not None
    scored: list[tuple[float, str]] = []
    for passage in passages():
        at = passage.text.find(value)
        if at < 0 or passage.title == value or not _is_a(kind, passage):
            continue
        score = fit_of(passage.text, at, at + len(value), wanted)
        if counting or score >= _ENOUGH:  # who counts takes in every passage of the kind that has the name
            scored.append((score, passage.title))
    if not scored:
        return None
    return str(len(scored)) if counting else max(scored)[1]


def _is_a(kind: str, passage: Passage) -> bool:
    lives = _LIVES.search(passage.text) is not None
    return {
        "town": not lives and "town" in passage.text.lower(),
        "bridge": "Bridge" in passage.title,
        "river": passage.title.startswith("River "),
        "mountain": passage.title.startswith("Mount "),
        "person": lives,
    }.get(kind, not lives)


def _unlisted(text: str) -> str | None:
    """A name in the question that has no passage of its own."""
    names = re.findall(r"(?<!^)\b[A-Z][\w\u2019'-]*(?: [A-Z][\w\u2019'-]*)+", text)
    return names[-1] if names else None
