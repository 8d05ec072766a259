"""Numbers and dates as people write them, read by value."""

from __future__ import annotations

import re
from datetime import date
from fractions import Fraction

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_SCALES = {
    "hundred": 100,
    "thousand": 1_000,
    "k": 1_000,
    "million": 1_000_000,
    "mn": 1_000_000,
    "billion": 1_000_000_000,
    "bn": 1_000_000_000,
    "trillion": 1_000_000_000_000,
}
_SCALE = "|".join(sorted(_SCALES, key=len, reverse=True))
_NUMBER = re.compile(
    r"(?:(?:about|around|approximately|approx\.?|roughly)\s+|[~≈]\s*)?"
    r"(?P<sign>[-+\u2212])?\s*(?:[$€£¥₹]|usd\s|us\$)?\s*(?P<sign2>[-\u2212])?"
    r"(?:(?P<whole>\d{1,3}(?:,\d{3})+|\d{1,3}(?:[\u00a0\u2009\u202f ]\d{3})+|\d+)?(?P<part>\.\d*)?"
    r"(?:e(?P<power>[-+]?\d{1,2}))?"
    r"|(?:(?P<mixed>\d{1,9})\s+)?(?P<top>\d{1,20})\s*/\s*(?P<bottom>\d{1,20}))"
    rf"\s*(?P<scale>{_SCALE})?\s*(?:%|percent|per cent|percentage points?|dollars?|usd|euros?|[€£])?\s*",
    re.IGNORECASE,
)
_WORD_NUMBER = re.compile(
    rf"(?:(?P<unit>{'|'.join(sorted(_UNITS, key=len, reverse=True))})"
    rf"|(?P<tens>{'|'.join(_TENS)})(?:[\s-]+(?P<small>{'|'.join(_UNITS[1:10])}))?)"
    rf"(?:\s+(?P<scale>{_SCALE}))?(?:\s+(?:percent|per cent|dollars?))?",
    re.IGNORECASE,
)
_COULD_BE = re.compile(rf"\d|^(?:{'|'.join(_UNITS + _TENS)})\b", re.IGNORECASE)
_YEAR = re.compile(r"\d{4}")
_MAX_CHARS = 64
_MAX_KEY = 40


def number_value(text: str) -> Fraction | None:
    """Read a text that is one number and nothing else.

    Thousands separators, currency and percent signs, simple fractions, words up to ninety-nine and scale
    words such as "million" are understood. A percent sign does not divide: ``14%`` and ``14`` are both 14.

    Args:
        text: A text of any length; only short ones can be numbers.

    Returns:
        Its value, or ``None`` when the text is not one number.
    """
    text = text.strip()
    if len(text) > _MAX_CHARS or not _COULD_BE.search(text):
        return None
    match = _NUMBER.fullmatch(text)
    if match is None:
        return _word_value(text)
    whole, part, top = match["whole"], match["part"], match["top"]
    if top is not None:
        if not int(match["bottom"]):
            return None
        value = Fraction(int(top), int(match["bottom"])) + int(match["mixed"] or 0)
    elif whole is None and (part is None or len(part) < 2):
        return None
    else:
        value = Fraction(re.sub(r"\D", "", whole or "0") + (part or "").rstrip(".")) * Fraction(10) ** int(
            match["power"] or 0
        )
    value *= _SCALES[match["scale"].lower()] if match["scale"] else 1
    negative = (match["sign"] or "+") in "-\u2212" or match["sign2"] is not None
    return -value if negative else value


def _word_value(text: str) -> Fraction | None:
    if not text[:1].isalpha() or not (match := _WORD_NUMBER.fullmatch(text)):
        return None
    low = {name: (value or "").lower() for name, value in match.groupdict().items()}
    value = _UNITS.index(low["unit"]) if low["unit"] else 20 + 10 * _TENS.index(low["tens"])
    value += _UNITS.index(low["small"]) if low["small"] else 0
    return Fraction(value * _SCALES.get(low["scale"], 1))


def read_number(text: str) -> str | None:
    """Write a number the one way that all of its spellings share.

    Args:
        text: A text.

    Returns:
        Plain decimals where they end, else a fraction in lowest terms; ``None`` when it is not a number.
    """
    if text.isdecimal() and text.isascii() and len(text) <= _MAX_KEY:
        return text.lstrip("0") or "0"
    value = number_value(text)
    if value is None:
        return None
    digits = 0
    while digits <= _MAX_KEY and 10**digits % value.denominator:
        digits += 1
    if digits > _MAX_KEY:
        key = f"{value.numerator}/{value.denominator}"
    else:
        scaled = str(abs(value.numerator) * (10**digits // value.denominator)).rjust(digits + 1, "0")
        key = "-" * (value < 0) + (f"{scaled[:-digits]}.{scaled[-digits:]}" if digits else scaled)
    return key if len(key) <= _MAX_KEY and number_value(key) == value else None


# ---------------------------------------------------------------------------- dates

_MONTHS = "january february march april may june july august september october november december".split()
_MONTH = "|".join(f"{name[:3]}(?:{name[3:]})?" if len(name) > 3 else name for name in _MONTHS).replace(
    "sep(?:tember)?", "sept?(?:ember)?"
)
_WEEKDAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s+)?"
_DATES = (
    re.compile(r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})"),
    re.compile(
        rf"{_WEEKDAY}(?P<name>{_MONTH})\.?\s+(?P<d>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<y>\d{{4}})",
        re.IGNORECASE,
    ),
    re.compile(
        rf"{_WEEKDAY}(?:the\s+)?(?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?:\s+of)?\s+(?P<name>{_MONTH})\.?,?\s+"
        r"(?P<y>\d{4})",
        re.IGNORECASE,
    ),
    re.compile(r"(?P<a>\d{1,2})[/.](?P<b>\d{1,2})[/.](?P<y>\d{4})"),
)


def read_date(text: str) -> str | None:
    """Write a date the one way that all of its spellings share.

    Args:
        text: A text.

    Returns:
        ``YYYY-MM-DD``; ``None`` when the text is not a date, or when day and month could be either way round.
    """
    if len(text) > _MAX_CHARS or not _YEAR.search(text):
        return None
    for pattern in _DATES:
        if match := pattern.fullmatch(text.strip()):
            parts = match.groupdict()
            if "a" in parts:
                first, second = int(parts["a"]), int(parts["b"])
                if first <= 12 and second <= 12 and first != second:
                    return None
                month, day = (first, second) if first <= 12 else (second, first)
            else:
                day = int(parts["d"])
                month = int(parts["m"]) if "m" in parts else _month(parts["name"])
            try:
                return date(int(parts["y"]), month, day).isoformat()
            except ValueError:  # no such day
                return None
    return None


def _month(name: str) -> int:
    return next(i for i, month in enumerate(_MONTHS, 1) if month.startswith(name.lower()[:3]))
