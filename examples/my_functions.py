"""Agents of one's own: plain Python functions from a question to an answer, used by the examples."""

import re

from agentroute import Query

_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def letters(question: str) -> str | None:
    """Count the letters of the quoted word; ``None`` means: I have nothing to say."""
    word = _quoted(question)
    return None if word is None else str(len(word))


async def backwards(question: str) -> str | None:
    """Spell the quoted word from its end. An async function is awaited."""
    word = _quoted(question)
    return None if word is None else word[::-1]


def roman(query: Query) -> str | None:
    """Read a Roman numeral. A parameter of type ``Query`` gets all that came with the question."""
    found = re.search(r"\b[IVXLCDM]+\b", query.text)
    if found is None:
        return None
    values = [_ROMAN[letter] for letter in found[0]]
    signs = [-1 if value < after else 1 for value, after in zip(values, [*values[1:], 0], strict=True)]
    return str(sum(sign * value for sign, value in zip(signs, values, strict=True)))


def guess(question: str) -> str:
    """Say five, whatever is asked."""
    return "5"


def _quoted(question: str) -> str | None:
    found = re.search(r"'(\w+)'", question)
    return found[1] if found else None
