"""How much an answer is worth against the right ones: 0 (wrong) to 1 (right)."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from fractions import Fraction

from agentroute.answers import answer_kind, normal_form
from agentroute.answers.literals import number_value
from agentroute.errors import InputError

Metric = Callable[[str, Sequence[str]], float]


def score(answer: str, gold: Sequence[str], metric: str | Metric = "exact_match") -> float:
    """Score one answer.

    Args:
        answer: What an agent said; an empty answer scores 0 by every metric.
        gold: The right answers; the one that fits best counts.
        metric: A name in ``METRICS``, or a function of ``(answer, gold)`` that returns 0 to 1.

    Returns:
        0 (wrong) to 1 (right).

    Raises:
        InputError: There is no such metric, no right answer, or the function returned something else.
    """
    right = (gold,) if isinstance(gold, str) else tuple(gold)
    if isinstance(metric, str):
        if metric not in METRICS:
            close = get_close_matches(metric, METRICS, n=1)
            hint = (
                f"did you mean {close[0]!r}?"
                if close
                else f"there are {', '.join(METRICS)}, or give a function"
            )
            raise InputError(f"no metric {metric!r}; {hint}")
        if not right:
            raise InputError(
                f"no right answer was given: {metric} compares with one; record gold, or give a function"
            )
        measure = METRICS[metric]
        return max(measure(answer, one) for one in right) if answer.strip() else 0.0
    if not answer.strip():
        return 0.0
    value = metric(answer, right)
    if not isinstance(value, (int, float)) or not math.isfinite(value) or not 0 <= value <= 1:
        name = getattr(metric, "__name__", type(metric).__name__)
        raise InputError(
            f"{name}() returned {value!r} for {answer[:60]!r}: a metric returns a number from 0 to 1"
        )
    return float(value)


def exact_match(answer: str, gold: str) -> float:
    """Return 1 when both say the same, or are the same words (SQuAD, arXiv 1606.05250).

    Args:
        answer: What an agent said.
        gold: A right answer.

    Returns:
        0 or 1.
    """
    if normal_form(answer) == normal_form(gold) != "":
        return 1.0
    words = _squad_words(answer)
    return float(bool(words) and words == _squad_words(gold))


def token_f1(answer: str, gold: str) -> float:
    """Return the F1 of the words in common (SQuAD, arXiv 1606.05250).

    Yes and no are right or wrong as a whole, as in HotpotQA (arXiv 1809.09600). Scripts that put no spaces
    between words are compared by character.

    Args:
        answer: What an agent said.
        gold: A right answer.

    Returns:
        0 to 1.
    """
    if normal_form(answer) == normal_form(gold) != "":
        return 1.0
    if "yes_no" in (answer_kind(answer), answer_kind(gold)):
        return 0.0
    said, wanted = _squad_words(answer), _squad_words(gold)
    common = (Counter(said) & Counter(wanted)).total()
    return 2 * common / (len(said) + len(wanted)) if common else 0.0


def numeric(answer: str, gold: str) -> float:
    """Return 1 when the answer's number is the right one.

    Of a sentence the last number counts. A number is right within one part in a million, or when it rounds to
    a gold answer that has decimals; where only one of the two writes a percent sign, 0.14 is 14%.

    Args:
        answer: What an agent said.
        gold: A right answer, a number.

    Returns:
        0 or 1.
    """
    wanted, said = _last_number(gold), _last_number(answer)
    if wanted is None or said is None:
        return exact_match(answer, gold)
    decimals = re.search(r"\.(\d+)", gold)
    said_percent, wanted_percent = (
        re.search(r"%|\bper ?cent", text, re.I) is not None for text in (answer, gold)
    )
    candidates = [said]
    if said_percent != wanted_percent:
        candidates.append(said / 100 if said_percent else said * 100)
    for value in candidates:
        if abs(value - wanted) <= abs(wanted) / 1_000_000:
            return 1.0
        if decimals and abs(value - wanted) <= Fraction(1, 2 * 10 ** len(decimals[1])) and value * wanted > 0:
            return 1.0
    return 0.0


def choice(answer: str, gold: str) -> float:
    """Return 1 when both name the same letter of a multiple choice.

    Args:
        answer: What an agent said; in a sentence, the letter after "answer is" or the only one in brackets.
        gold: The right letter.

    Returns:
        0 or 1.
    """
    said = _letter(answer)
    return float(said is not None and said == _letter(gold))


METRICS: dict[str, Callable[[str, str], float]] = {
    "exact_match": exact_match,
    "token_f1": token_f1,
    "numeric": numeric,
    "choice": choice,
}
"""The metrics that have a name; each compares an answer with one right answer."""

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
# Han, kana, Thai, Lao, Khmer, Burmese: one character is one word.
_UNSPACED = re.compile(r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff])")
_NUMBER = re.compile(
    r"[-\u2212]?[$€£¥]?[-\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+|(?<=\d))"
    r"(?:e[-+]?\d{1,2}\b)?(?:/\d+)?"
    r"(?:\s*(?:hundred|thousand|million|billion|trillion)\b)?",
    re.IGNORECASE,
)
_ANSWER_IS = re.compile(r"\b(?:answer|choice|option)(?:\s+is)?\s*:?\s*[(\[]?([A-Z])\b", re.IGNORECASE)
_BRACKETED = re.compile(r"\(([A-Za-z])\)")


def _squad_words(text: str) -> list[str]:
    bare = _ARTICLES.sub(" ", text[:100_000].lower().translate(_PUNCTUATION))
    return _UNSPACED.sub(r" \1 ", bare).split()


def _last_number(text: str) -> Fraction | None:
    key = normal_form(text)
    if (whole := number_value(key)) is not None:
        return whole
    found = [match[0] for match in _NUMBER.finditer(text[-4_000:]) if match[0].strip()]
    return next((value for one in reversed(found) if (value := number_value(one)) is not None), None)


def _letter(text: str) -> str | None:
    key = normal_form(text)
    if len(key) == 1 and key.isalpha():
        return key
    letters = _ANSWER_IS.findall(text[-4_000:]) or list(set(_BRACKETED.findall(text[-4_000:])))
    return (
        letters[-1].lower() if letters and (len(letters) == 1 or _ANSWER_IS.search(text[-4_000:])) else None
    )
