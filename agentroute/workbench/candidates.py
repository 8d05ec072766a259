"""What could answer a question about any text: spans of a sentence of the kind that the question asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agentroute.workbench.language import FUNCTION_WORDS, MONTHS

_MONTH = f"(?:{'|'.join(MONTHS)})"
_CAPITAL = r"(?:[A-Z\u00c0-\u00de][\w\u2019'\u00c0-\u024f-]*|[A-Z]\.(?:[A-Z]\.)*)"
_CAPITALS = rf"{_CAPITAL}(?: {_CAPITAL})*"
_JOIN = "(?:of|the|de|von|van|der|di|da|du|la|le|el|al|bin|and|&|for|in|on|at|to)"
_NOBLE = "(?:de|von|van|der|di|da|bin|al|of|the|le|la)"
_UNITS = "people|inhabitants|feet|met(?:re|er)s|miles|kilomet(?:re|er)s|km|m|ft|acres|km\u00b2|years|days"
_YEAR = re.compile(r"(?<![\d,.])(?:1\d{3}|20\d{2})(?![\d,])")
_NAME = re.compile(rf"{_CAPITAL}(?:,? (?:Jr|Sr)\.|(?: {_JOIN}){{0,2}} {_CAPITAL}| \d+(?= {_CAPITAL}))*")
_PERSON = re.compile(rf"{_CAPITAL}(?: {_NOBLE}){{0,2}}(?: {_CAPITAL})+")
_PLACES = (
    re.compile(
        r"\b(?:in|at|near|from|of|to)(?: the)? (?:(?:city|town|village|state|county) of )?"
        rf"({_CAPITAL}(?:(?: of| the)? {_CAPITAL})*(?:, {_CAPITALS})?)"
    ),
    # "(4 March 1892, Orrin, Kestrelle \u2013 1950)"
    re.compile(rf"\d{{4}},? (?:in )?({_CAPITALS}(?:, {_CAPITALS})?)(?= ?[-\u2013\u2014);])"),
)
PEOPLES = re.compile(r"\b[A-Z][a-z]+(?:ian|ean|an|ish|ese|ch|ic|aqi|eli|ani|ek|ss)\b|\bU\.?S\.?\b")
"""Words that look like a people's name, such as ``Polish``."""

_PATTERNS = {
    "year": _YEAR,
    "date": re.compile(
        rf"\b(?:\d{{1,2}} {_MONTH} \d{{3,4}}|{_MONTH} \d{{1,2}}, \d{{4}}|{_MONTH} \d{{4}}"
        r"|1\d{3}|20\d{2})\b"
    ),
    "number": re.compile(
        r"(?<![\w,.])[$\u00a3\u20ac]?\d+(?:,\d{3})*(?:\.\d+)?(?: (?:hundred|thousand|million|billion))?"
        rf"(?:%| percent)?(?: (?:{_UNITS}))?(?![\w,]|\.\d)"
        r"|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b"
    ),
    "people": re.compile(rf"({PEOPLES.pattern})(?= [a-z])"),
    "role": re.compile(
        r"\b(?:is|was|are|were|as|became|becoming) (?:an?|the|one of the) "
        r"((?:[A-Za-z\u00c0-\u024f'-]+ ){0,4}?[a-z'-]+)"
        r"(?=[,.;]| (?:and|who|which|that|in|of|from|based|by|for|with|on|at|to|born)\b)"
    ),
    "quoted": re.compile(r"[\"\u201c]([^\"\u201d]{2,60})[\"\u201d]"),
}

_THING = r"\b(?:what|which) (?:\w+ ){0,2}"
_ASKED = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("year", r"\b(?:what|which) year\b"),
        ("date", r"\bwhen\b|\b(?:what|which) (?:date|day)\b|\bdate of (?:birth|death)\b|\bbirthday\b"),
        (
            "number",
            r"\bhow (?:many|much|old|long|tall|high|far|large|big)\b|\bpopulation\b|\bnumber of\b",
        ),
        ("people", r"\bnationalit(?:y|ies)\b"),
        (
            "place",
            rf"\bwhere\b|{_THING}(?:city|town|country|state|county|village|place|island|province|district|region|"
            r"area|continent|location|borough|suburb)\b|\bplace of (?:birth|death)\b|\bbirthplace\b",
        ),
        ("role", r"\b(?:occupation|profession|position|instrument|genre|(?:type|kind) of|in common)\b"),
        ("quoted", rf"\bnick ?named?\b|{_THING}(?:song|single|character)\b"),
        (
            "person",
            rf"\bwho(?:m|se)?\b|{_THING}(?:actor|actress|singer|author|writer|director|player|artist|musician|"
            r"composer|man|woman|person|politician|president|king|queen|guitarist|drummer|producer|filmmaker|"
            r"rapper|comedian|poet|scientist|coach|manager|general|founder|philosopher)\b",
        ),
    )
)
_BEGINNING = 8
_OPENERS = FUNCTION_WORDS | frozenset(
    "following Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
)


def kind_of(question: str) -> str:
    """Say what kind of span would answer a question.

    Args:
        question: The question, in English.

    Returns:
        ``year``, ``date``, ``number``, ``people``, ``place``, ``role``, ``quoted``, ``person``, or ``name``
        when nothing tells.
    """
    low = question.lower()
    found = [(match.start(), kind) for kind, asked in _ASKED if (match := asked.search(low))]
    # What it begins with counts for more than what comes later, in a clause of its own.
    return next((kind for start, kind in found if start < _BEGINNING), found[0][1] if found else "name")


def candidates(kind: str, text: str) -> Iterator[tuple[int, int, str]]:
    """Find the spans of a sentence that are of a kind.

    Args:
        kind: As ``kind_of`` gives it.
        text: A sentence.

    Yields:
        ``(start, end, span)``.
    """
    if kind in _PATTERNS:
        for match in _PATTERNS[kind].finditer(text):
            group = match.lastindex or 0
            yield match.start(group), match.end(group), match[group]
    elif kind == "place":
        for pattern in _PLACES:
            for match in pattern.finditer(text):
                if match[1].split(" ")[0] not in MONTHS:
                    yield match.start(1), match.end(1), match[1]
    else:
        for match in (_PERSON if kind == "person" else _NAME).finditer(text):
            start, name = match.start(), match[0]
            while (first := name.partition(" "))[0].lower() in _OPENERS and first[2]:
                start, name = start + len(first[0]) + 1, first[2]
            name = name.removesuffix("'s").removesuffix("\u2019s").rstrip("'\u2019")
            if name[0].isupper() and not {name, name.lower()} & _OPENERS and name not in MONTHS:
                yield start, start + len(name), name


def years(text: str) -> list[int]:
    """Return the years that a text names.

    Args:
        text: Any text.

    Returns:
        Years from 1000 to 2099, in order.
    """
    return [int(match[0]) for match in _YEAR.finditer(text)]
