"""Looks up capitals, elements, books, scientists, mountains and planets in a table."""

from __future__ import annotations

import csv
import re
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files

from agentroute.workbench.passages import MAX_CHARS

_CUES = {
    "capital": "capital governed government seat",
    "currency": "currency money pay prices",
    "continent": "continent",
    "symbol": "symbol abbreviate abbreviation letters written chemical stands",
    "number": "atomic number protons periodic",
    "author": "wrote written author novelist writer penned whom",
    "published": "published publication appear appeared year when",
    "born": "born birth year when",
    "birthplace": "birthplace native where born place town",
    "height": "high height tall elevation metres",
    "country": "country",
    "order": "planet position place placed sun order",
}
_LONGEST = 5
_CLOSE = 0.86
Row = dict[str, str]


def answer(text: str) -> str | None:
    """Look up what a question asks about a subject, or which subject has the value it names.

    Args:
        text: The question.

    Returns:
        The value or the subject; ``None`` when the table does not have it.
    """
    if len(text) > MAX_CHARS:
        return None
    words = re.findall(r"[\w.'\u2019-]*\w", text)
    low = {word.lower() for word in words}
    if rows := _about(words):
        ranked = sorted(rows, key=lambda row: -_overlap(row["attribute"], low))
        return ranked[0]["value"] if _overlap(ranked[0]["attribute"], low) else None
    return _subject_with(text, low)


def named_row(text: str) -> Row | None:
    """Take the first thing that the table says of a subject.

    Args:
        text: A text that may name a subject.

    Returns:
        A row, or ``None`` when the text names no subject exactly.
    """
    words = " ".join(re.findall(r"[\w.'\u2019-]*\w", text.lower()))
    rows = next((rows for subject, rows in _table().items() if f" {subject} " in f" {words} "), ())
    return rows[0] if rows else None


@lru_cache(maxsize=1)
def _table() -> dict[str, tuple[Row, ...]]:
    lines = (files("agentroute.workbench") / "facts.csv").read_text(encoding="utf-8").splitlines()
    table: dict[str, tuple[Row, ...]] = {}
    for row in csv.DictReader(lines):
        table[row["subject"].lower()] = (*table.get(row["subject"].lower(), ()), row)
    return table


def _about(words: list[str]) -> tuple[Row, ...]:
    """The rows of the longest subject that a question names, allowing for a slip of the pen in long names."""
    table = _table()
    phrases = [
        " ".join(words[start : start + length]).lower().removesuffix("'s").removesuffix("\u2019s")
        for length in range(_LONGEST, 0, -1)
        for start in range(len(words) - length + 1)
    ]
    for phrase in phrases:
        if phrase in table:
            return table[phrase]
    for phrase in phrases:
        if len(phrase) >= 6 and (close := get_close_matches(phrase, list(table), n=1, cutoff=_CLOSE)):
            return table[close[0]]
    return ()


def _overlap(attribute: str, low: set[str]) -> float:
    cues = _CUES[attribute].split()
    # Earlier cues are the surer ones: "where was X born" asks for the place, "when" for the year.
    hits = [cue for cue in cues if cue in low]
    bonus = 0.5 if attribute in low else 0.0
    if attribute == "birthplace" and ("when" in low or "year" in low):
        return 0.0
    if attribute == "born" and ("where" in low or "place" in low or "town" in low):
        return 0.0
    return len(hits) + bonus


def _subject_with(text: str, low: set[str]) -> str | None:
    best: tuple[float, str] | None = None
    for rows in _table().values():
        for row in rows:
            if _overlap(row["attribute"], low) and re.search(
                rf"(?<!\w){re.escape(row['value'])}(?!\w)", text
            ):
                score = (
                    _overlap(row["attribute"], low)
                    + (1.0 if row["kind"] in low else 0.0)
                    + len(row["value"]) / 100
                )
                if row["kind"] in low and (best is None or score > best[0]):
                    best = (score, row["subject"])
    return None if best is None else best[1]
