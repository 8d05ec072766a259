"""What each word of a question does for an agent, and the question without some of its words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from agentroute.explaining.explanation import Word
from agentroute.knowledge.regression import Regression
from agentroute.knowledge.terms import TURN, Term, Vocabulary, located, spans

MOST_WORDS = 60
"""Words of a question that an explanation lists."""
MOST_TERMS = 12
"""Words and pairs, as the regression counts them, that it lists for one agent."""

Points = npt.NDArray[np.floating]

_BEFORE_A_MARK = re.compile(r"[ \t]+(?=[.,;:!?])")
_GAP = re.compile(r"[ \t]{2,}")


class Spoken(NamedTuple):
    """What a regression makes of the words of a question, in points from -1 to 1.

    Args:
        words: The distinct words of the question, in order; marks count as words here.
        points: What each adds. Shapes: ``(words, agents)``.
        earlier: What the words of earlier turns add. Shapes: ``(agents,)``.
        terms: Each term that the regression knows, of earlier turns as well, in clear text.
        term_points: What each adds. Shapes: ``(terms, agents)``.
    """

    words: list[str]
    points: Points
    earlier: Points
    terms: list[str]
    term_points: Points


def spoken(regression: Regression, text: str, question: str, columns: Sequence[int]) -> Spoken:
    """Take a linear regression apart into what each word adds.

    A word alone has all that it adds. What a pair adds belongs half to each of its parts, and what a name
    adds evenly to its words.

    Args:
        regression: What words say of each agent.
        text: What was read: the question, then earlier turns.
        question: The beginning of it.
        columns: The agents, by their columns.

    Returns:
        Points that sum to what the regression's terms add.
    """
    tokens, found = spans(text), located(text)
    row = Vocabulary(regression.terms, regression.rarity)([text])
    adds = row.values[:, None] * regression.by_term[row.columns][:, columns]
    place = {int(code): i for i, code in enumerate(regression.terms[row.columns])}
    count = Counter(term.code for term in found)
    by_token = np.zeros((len(tokens), len(columns)))
    shown: dict[int, str] = {}
    for term in found:
        if term.code not in place:
            continue
        shown.setdefault(place[term.code], _clear(term, text, tokens))
        parts = [part for part in term.parts if len(part)]
        for part in parts:
            by_token[part.start : part.stop] += adds[place[term.code]] / (
                count[term.code] * len(parts) * len(part)
            )
    ours = [i for i, (start, _) in enumerate(tokens) if start < len(question)]
    earlier = by_token[len(ours) :].sum(0)
    order = {word: i for i, word in enumerate(dict.fromkeys(_token(text, tokens[i]) for i in ours))}
    points = np.zeros((len(order), len(columns)))
    for i in ours:
        points[order[_token(text, tokens[i])]] += by_token[i]
    return Spoken(list(order), points, earlier, [shown[i] for i in range(len(adds))], adds)


def strongest(names: Sequence[str], points: Points, most: int) -> tuple[Word, ...]:
    """Return the words that do most, the strongest first.

    Args:
        names: The words.
        points: What each adds. Shapes: ``(words,)``.
        most: How many.

    Returns:
        Those that do anything.
    """
    order = np.argsort(-np.abs(points), kind="stable")[:most].tolist()
    return tuple(Word(text=names[i], points=float(points[i])) for i in order if points[i])


def words_of(question: str) -> list[str]:
    """Return the distinct words of a question, in order, whatever the case of their letters; no marks."""
    found = dict.fromkeys(_token(question, span) for span in spans(question))
    return [word for word in found if is_word(word)]


def is_word(token: str) -> bool:
    """Whether a token is a word or a number, and not a mark."""
    return any(char.isalnum() for char in token)


def without_words(question: str, words: Collection[str]) -> str:
    """Delete some words wherever they stand.

    Args:
        question: The question.
        words: The words, as ``words_of`` writes them.

    Returns:
        The question without them, the gaps closed.
    """
    gone = [span for span in spans(question) if _token(question, span) in words]
    if not gone:
        return question
    kept, end = [], 0
    for start, stop in gone:
        kept.append(question[end:start])
        end = stop
    left = "".join([*kept, question[end:]])
    return _GAP.sub(" ", _BEFORE_A_MARK.sub("", left)).strip()


def _token(text: str, span: tuple[int, int]) -> str:
    return text[span[0] : span[1]].casefold()


def _clear(term: Term, text: str, tokens: Sequence[tuple[int, int]]) -> str:
    """Write a term for a person, with the digits that stand in the text."""
    shown, earlier = [], term.text.startswith(TURN)
    plain = term.text.removeprefix(TURN)
    for part in term.parts:
        name = len(term.parts) > 1 and plain.split(" ")[0 if part is term.parts[0] else -1] == "A"
        shown.append("^" if not len(part) else "NAME" if name else _token(text, tokens[part.start]))
    joined = (" ... " if " * " in plain else " ").join(shown)
    return f"{TURN}{joined}" if earlier else joined
