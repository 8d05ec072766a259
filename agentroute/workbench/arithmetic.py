"""Works out sums, bare or wrapped in a short story, exactly and without ``eval``."""

from __future__ import annotations

import math
import re

from agentroute.workbench.passages import MAX_CHARS
from agentroute.workbench.reading import show_number

_MAX_DIGITS = 12
_LARGEST = 10**60
_NUMBER = r"\d+(?:\.\d+)?"
_REWRITES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<=\d),(?=\d{3}\b)", ""),
        (rf"({_NUMBER})\s*(?:%|percent|per cent) of ({_NUMBER})", r"(\1/100*\2)"),
        (rf"(?:square )?root of ({_NUMBER})", r"sqrt(\1)"),
        (rf"cube of ({_NUMBER})|({_NUMBER}) cubed", r"(\1\2**3)"),
        (rf"square of ({_NUMBER})|({_NUMBER}) squared", r"(\1\2**2)"),
        (rf"raise ({_NUMBER}) to the power(?: of)? ({_NUMBER})", r"\1**\2"),
        (r"(?:raised )?to the power(?: of)?|\^", "**"),
        (rf"remainder (?:when|of) ({_NUMBER}) (?:is )?divided by ({_NUMBER})", r"(\1%\2)"),
        (rf"left over when ({_NUMBER}) is divided by ({_NUMBER})", r"(\1%\2)"),
        (rf"(?:product of|multiply) ({_NUMBER}) (?:and|by|with) ({_NUMBER})", r"(\1*\2)"),
        (rf"(?:sum of|add) ({_NUMBER}) (?:and|to) ({_NUMBER})", r"(\1+\2)"),
        (rf"({_NUMBER}) and ({_NUMBER}) (?=.*\badded\b)", r"(\1+\2) "),
        (rf"subtract ({_NUMBER}) from ({_NUMBER})", r"(\2-\1)"),
        (rf"divide ({_NUMBER}) by ({_NUMBER})", r"(\1/\2)"),
        (rf"half of ({_NUMBER})", r"(\1/2)"),
        (rf"(?:double|twice) ({_NUMBER})", r"(\1*2)"),
        (r"\b(?:multiplied by|times)\b|[\u00d7\u00b7]|(?<=\d) x (?=\d)", "*"),
        (r"\bdivided by\b|\u00f7", "/"),
        (r"\bplus\b", "+"),
        (r"\bminus\b|\u2212", "-"),
    )
)
_EXPRESSION = re.compile(r"(?:sqrt|[-(\d])(?:sqrt|[-+*/%().\d\s])*[)\d]")
_OPERATION = re.compile(r"sqrt|\d\s*\)*\s*(?:[-+*/%]|\*\*)\s*\(*\s*(?:sqrt|\d)")
_DATE = re.compile(
    r"\d{4}-\d{2}-\d{2}|\b(?:january|february|march|april|may|june|july|august|september|october|november"
    r"|december)\s+\d|\d\s+(?:january|february|march|april|may|june|july|august|september|october|november|december)"
)
_HOLDS = r"(?:holds?|carr(?:y|ies)|costs?|has|contains?|weighs?)"
_STORIES = tuple(
    (re.compile(pattern, re.DOTALL), sign)
    for pattern, sign in (
        # what a story says, and what is then done with its two numbers
        (rf"\b(?:each|every|an?|one|per)\b.*\b{_HOLDS}\b.*\d.*\bhow m(?:any|uch)\b.*\d", "*"),
        (r"\b(?:shared|split|divided|dealt)\b.*\b(?:among|between|into)\b", "/"),
        (r"\b(?:sells?|sold|gave|gives|given|loses|lost|eats?|spends?|spent|breaks?|left|remain)\b", "-"),
        (r"\b(?:altogether|in total|in all|more|combined|together)\b", "+"),
    )
)


def answer(text: str) -> str | None:
    """Work out the sum in a question.

    Args:
        text: The question.

    Returns:
        The value, or ``None`` when there is no sum in it or its numbers are too large.
    """
    if len(text) > MAX_CHARS:
        return None
    low = text.lower().replace("what is", " ").replace("?", " ")
    if _DATE.search(low):
        return None
    for rewrite, replacement in _REWRITES:
        low = rewrite.sub(replacement, low)
    sums = [match[0].strip() for match in _EXPRESSION.finditer(low) if _OPERATION.search(match[0])]
    if len(sums) == 1:
        return _value(sums[0])
    numbers = re.findall(_NUMBER, low)
    if not sums and len(numbers) == 2 and "how m" in low:
        for story, sign in _STORIES:
            if story.search(low):
                return _value(f"{numbers[0]}{sign}{numbers[1]}")
    return None


def _value(expression: str) -> str | None:
    from simpleeval import InvalidExpression, SimpleEval

    if any(len(digits) > _MAX_DIGITS for digits in re.findall(r"\d+", expression)):
        return None
    expression = re.sub(r"(?<![\d.])0+(?=\d)", "", expression)  # 007 is no Python number
    try:
        value = SimpleEval(functions={"sqrt": math.sqrt}, names={}).eval(expression)
    except (InvalidExpression, SyntaxError, ArithmeticError, TypeError, ValueError, RecursionError):
        return None
    if not isinstance(value, (int, float)) or abs(value) > _LARGEST:
        return None
    return show_number(value)
