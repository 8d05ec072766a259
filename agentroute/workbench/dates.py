"""Answers questions about dates: weekdays, spans, ages, leap years, lengths of months, week numbers."""

from __future__ import annotations

import re
from calendar import isleap, month_name, monthrange
from datetime import date, timedelta

from agentroute.workbench.passages import MAX_CHARS

_MONTHS = {name.lower(): number for number, name in enumerate(month_name) if name}
_MONTH = "|".join(_MONTHS)
_DATE = re.compile(
    rf"(?P<y1>\d{{4}})-(?P<m1>\d{{2}})-(?P<d1>\d{{2}})"
    rf"|(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? (?P<m2>{_MONTH}),? (?P<y2>\d{{4}})"
    rf"|(?P<m3>{_MONTH}) (?P<d3>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<y3>\d{{4}})"
)
_YEAR = re.compile(r"\b(\d{4})\b")
_COUNT = re.compile(r"\b(\d{1,6}) (day|week)s?\b")


def answer(text: str) -> str | None:
    """Work out what a question asks about its dates.

    Args:
        text: The question.

    Returns:
        A weekday, a number, a date, yes or no; ``None`` when the question is not about dates.
    """
    if len(text) > MAX_CHARS:
        return None
    low = text.lower()
    days, rest = _dates(low)
    for about in (_month_length, _leap_year, _of_one_day, _of_two_days):
        if (found := about(rest, days)) is not None:
            return found
    return None


def _dates(low: str) -> tuple[list[date], str]:
    """The dates in a text, and the text without them."""
    days = []
    for match in _DATE.finditer(low):
        part = match.groupdict()
        year = part["y1"] or part["y2"] or part["y3"]
        month = part["m1"] or part["m2"] or part["m3"]
        day = part["d1"] or part["d2"] or part["d3"]
        try:
            days.append(date(int(year), _MONTHS.get(month) or int(month), int(day)))
        except ValueError:  # such as 30 February
            continue
    return days, _DATE.sub(" ", low)


def _leap_year(rest: str, days: list[date]) -> str | None:
    year = _YEAR.search(rest)
    if year is None or days or not re.search(r"\bleap\b|\b29 february\b|\bfebruary 29\b", rest):
        return None
    return "yes" if isleap(int(year[1])) else "no"


def _month_length(rest: str, days: list[date]) -> str | None:
    match = re.search(rf"\b({_MONTH})\b(?: of)?,? (\d{{4}})", rest)
    if match is None or days or not re.search(r"\bdays\b", rest) or not 1 <= int(match[2]) <= 9999:
        return None
    return str(monthrange(int(match[2]), _MONTHS[match[1]])[1])


def _of_one_day(rest: str, days: list[date]) -> str | None:
    if len(days) != 1:
        return None
    day = days[0]
    if count := _COUNT.search(rest):
        step = timedelta(days=int(count[1]) * (7 if count[2] == "week" else 1))
        if re.search(r"\bbefore\b|\bago\b|\bearlier\b", rest):
            step = -step
        try:
            day += step
        except OverflowError:
            return None
        return (
            _weekday(day)
            if re.search(r"weekday|day of the week", rest)
            else f"{day.day} {month_name[day.month]} {day.year}"
        )
    if re.search(r"\bweekday\b|day of the week|what day\b", rest):
        return _weekday(day)
    if "week" in rest:
        return str(day.isocalendar().week)
    return None


def _of_two_days(rest: str, days: list[date]) -> str | None:
    if len(days) != 2:
        return None
    if re.search(r"\bhow old\b|\bage\b", rest):
        start, end = sorted(days)
        return str(end.year - start.year - ((end.month, end.day) < (start.month, start.day)))
    if "week" in rest:
        return str(abs((days[1] - days[0]).days) // 7)
    return str(abs((days[1] - days[0]).days)) if "days" in rest else None


def _weekday(day: date) -> str:
    return ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")[day.weekday()]
