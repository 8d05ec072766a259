"""Questions that offer their answers: one of two names, or yes and no."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentroute.workbench.candidates import PEOPLES, years
from agentroute.workbench.open_book import Book
from agentroute.workbench.passages import stems

_CLOSED = re.compile(r"^(?:is|are|was|were|do|does|did|has|have|had|can|could)\b", re.IGNORECASE)
# "Which is longer, A or B?" and "Was A or B born first?"
_AT_THE_END = re.compile(
    r"(?:,|:|\u2013|-|\?|\bout of|\bbetween|\bwas|\bis|\bare|\bwere) ?\s*"
    r"(?P<a>[^,?]+?),? or (?:the )?(?P<b>[^,?]+)\??$"
)
_INSIDE = re.compile(
    r"^(?:Is|Was|Did|Does|Has|Who was born (?:first|later) out of|Who is (?:older|younger) out of) "
    r"(?P<a>.+?),? "
    r"(?:or|and) (?P<b>.+?)"
    r"(?: (?:born|released|published|founded|established|made|come|die|older|younger|first)\b.*)?\?$"
)
_ARTICLE = re.compile(r"^(?:the|is|was|either) ")
_LONGEST_NAME = 80
_LESS = re.compile(
    r"\b(?:first|earlier|earliest|older|oldest|before|elder|smaller|fewer|fewest|less|least|shorter|lower)\b"
)
_MORE = re.compile(
    r"\b(?:later|latest|last|younger|youngest|newer|newest|recent|recently|after|more|most|larger|largest|taller|"
    r"tallest|higher|highest|longer|longest|bigger|greater)\b"
)
_DIED = re.compile(r"\bdied?\b|\bdeath\b")
_SIZE = re.compile(r"\bmembers?\b|\bpopulation\b|\btall|\bhigh|\blarge")
_ORIGIN = re.compile(
    r"\b(?:nationality|countr(?:y|ies)|american|british|u\.?s\.?|based|located|same)\b", re.IGNORECASE
)
_LAND = re.compile(r"\b(?:in|of|from) (?:the )?([A-Z][a-z]+(?: [A-Z][a-z]+)?)(?=[,.\s)])")
_NUMBER = re.compile(r"(?<![\w,.])\d+(?:,\d{3})*(?:\.\d+)?")


def is_closed(question: str) -> bool:
    """Tell whether a question wants yes or no.

    Args:
        question: The question, in English.

    Returns:
        Whether it begins with a verb and offers nothing else.
    """
    return bool(_CLOSED.match(question)) and " or " not in question and " out of " not in question


def options(question: str) -> tuple[str, str] | None:
    """Return the two names that a question offers.

    Args:
        question: The question, in English.

    Returns:
        The names as they are written; ``None`` when it offers none.
    """
    text = question.strip()
    found = None if is_closed(text) else _INSIDE.match(text) or _AT_THE_END.search(text)
    if found is None:
        return None
    a, b = (_ARTICLE.sub("", found[key].strip(' ?"')) for key in ("a", "b"))
    return (a, b) if 0 < len(a) < _LONGEST_NAME and 0 < len(b) < _LONGEST_NAME else None


def chosen(question: str, offered: tuple[str, str], texts: tuple[str, str], book: Book) -> str:
    """Choose one of two names by what was read of each.

    Args:
        question: The question. One that asks for more or less of something compares years or numbers.
        offered: The names.
        texts: What was read of each.
        book: Whose words say which are telling.

    Returns:
        One of the names.
    """
    low = question.lower()
    less, more = _LESS.search(low), _MORE.search(low)
    if less or more:
        a, b = (_measure(low, text) for text in texts)
        if a is not None and b is not None and a != b:
            wants_less = less is not None and (more is None or less.start() < more.start())
            return offered[0] if (a < b) == wants_less else offered[1]
    wanted = set(stems(question)) - set(stems(" ".join(offered)))
    fits = [sum(book.weight(word) for word in wanted & set(stems(text))) for text in texts]
    return offered[0] if fits[0] >= fits[1] else offered[1]


def _measure(question: str, text: str) -> float | None:
    """The number that a question compares: the first year, the second for a death, or the largest number."""
    dates = years(text)
    if dates and not _SIZE.search(question):
        return float(dates[min(1 if _DIED.search(question) else 0, len(dates) - 1)])
    numbers = [float(found.replace(",", "")) for found in _NUMBER.findall(text)]
    return max(numbers, default=None)


def verdict(question: str, texts: Sequence[str]) -> str:
    """Answer a question by yes or no.

    Args:
        question: The question.
        texts: What was read of each thing that it names.

    Returns:
        ``yes`` when what is asked holds for each by the words, else ``no``.
    """
    if len(texts) < 2:
        return "yes"
    if _ORIGIN.search(question):
        origins = [set(PEOPLES.findall(text)) | set(_LAND.findall(text)) for text in texts]
        asked = set(PEOPLES.findall(question))
        if asked and "same" not in question:
            return "yes" if all(asked & origin for origin in origins) else "no"
        if re.search(r"nationalit|countr", question):
            return "yes" if set.intersection(*origins) else "no"
    wanted = set(stems(question)) - {"both", "sam", "typ", "kind", "locat"}
    heard = [set(stems(text)) for text in texts]
    return "yes" if any(all(word in words for words in heard) for word in wanted) else "no"
