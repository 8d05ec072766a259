"""Questions that are worked out rather than looked up: sums, units, dates.

The gold answers come from exact fractions and the standard library's calendar, not from the agents' packages.
"""

from __future__ import annotations

import calendar as months
from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction

from agentroute.workbench.items import Item, section, worded

_TURNS = 8  # questions to choose from for each wording

# from, to, factor, offset: y = x * factor + offset
_CONVERSIONS: tuple[tuple[str, str, Fraction, int], ...] = (
    ("miles", "kilometres", Fraction(1_609_344, 1_000_000), 0),
    ("feet", "metres", Fraction(3_048, 10_000), 0),
    ("metres", "feet", Fraction(10_000, 3_048), 0),
    ("inches", "centimetres", Fraction(254, 100), 0),
    ("kilograms", "pounds", Fraction(100_000_000, 45_359_237), 0),
    ("pounds", "kilograms", Fraction(45_359_237, 100_000_000), 0),
    ("hours", "minutes", Fraction(60), 0),
    ("days", "hours", Fraction(24), 0),
    ("days", "minutes", Fraction(1_440), 0),
    ("weeks", "days", Fraction(7), 0),
    ("minutes", "seconds", Fraction(60), 0),
    ("litres", "millilitres", Fraction(1_000), 0),
    ("yards", "feet", Fraction(3), 0),
    ("tonnes", "kilograms", Fraction(1_000), 0),
    ("hectares", "square metres", Fraction(10_000), 0),
    ("degrees Celsius", "degrees Fahrenheit", Fraction(9, 5), 32),
    ("ounces", "grams", Fraction(45_359_237, 1_600_000), 0),
    ("nautical miles", "kilometres", Fraction(1_852, 1_000), 0),
)


def shown(value: Fraction) -> str:
    """Write a number with at most six significant digits, whole numbers in full.

    Args:
        value: Any number.

    Returns:
        Its digits.
    """
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.6g}"


def _numbers(split: str, low: int, high: int, salt: int) -> Iterator[int]:
    """A fixed, endless stream of numbers; a hash decides which split a number serves, so none serves both."""
    state = 2 * salt + 12_345
    while True:
        state = (state * 1_103_515_245 + 12_345) % 2**31
        value = low + (state >> 8) % (high - low + 1)
        if ((value * 2_654_435_761 % 2**32 >> 16) % 3 == 0) == (split == "test"):
            yield value


def arithmetic(split: str) -> Iterator[Item]:
    """Make sums, bare and as short stories.

    Args:
        split: ``train`` or ``test``.

    Yields:
        Questions with exact answers.
    """
    for salt, (name, entry) in enumerate(section("sums").items()):
        big, small = _numbers(split, 120, 980, salt), _numbers(split, 11, 49, salt + 50)
        for template, wording in worded(entry, name, split):
            for _ in range(_TURNS):
                a, b, c, d = next(big), next(big), next(small), next(small)
                slots = {"a": a, "b": b, "c": c, "d": d, "k": 2 + d % 3}  # whatever makes whole answers
                slots |= {"s": a + b, "p": c * d, "h": b * 10, "r": c * c}
                used = [str(value) for slot, value in slots.items() if f"{{{slot}}}" in wording]
                yield Item(
                    text=wording.format(**slots),
                    gold=(shown(_result(entry["result"], slots)),),
                    template=template,
                    facts=(f"{name}({','.join(used)})",),
                    metric="numeric",
                )


def _result(how: str, slots: dict[str, int]) -> Fraction:
    a, b, c, d, k = (slots[slot] for slot in "abcdk")
    results = {
        "a": a,
        "d": d,
        "c": c,
        "a+b": a + b,
        "a*c": a * c,
        "c*d": c * d,
        "d% of h": Fraction(d * slots["h"], 100),
        "c**k": c**k,
        "c*c": c * c,
        "(a+b)*c": (a + b) * c,
        "a%c": a % c,
    }
    return Fraction(results[how])


def units(split: str) -> Iterator[Item]:
    """Make conversions between units.

    Args:
        split: ``train`` or ``test``.

    Yields:
        Questions with answers of six significant digits.
    """
    for salt, (of, to, factor, offset) in enumerate(_CONVERSIONS):
        stream = _numbers(split, 5, 480, salt + 200)
        for template, wording in worded(section("units")["convert"], "convert", split):
            for turn in range(2):
                whole = next(stream)
                n = Fraction(whole, 2) if turn and whole % 2 else Fraction(whole)
                yield Item(
                    text=wording.format(n=shown(n), of=of, to=to),
                    gold=(shown(n * factor + offset),),
                    template=template,
                    facts=(f"{shown(n)} {of} in {to}",),
                    metric="numeric",
                )


def written(day: date, style: int) -> str:
    """Write a date in one of three common ways.

    Args:
        day: The date.
        style: Any number; its remainder by three chooses.

    Returns:
        Such as ``4 March 1892``, ``March 4, 1892`` or ``1892-03-04``.
    """
    month = months.month_name[day.month]
    return (f"{day.day} {month} {day.year}", f"{month} {day.day}, {day.year}", day.isoformat())[style % 3]


def calendar(split: str) -> Iterator[Item]:
    """Make questions about dates.

    Args:
        split: ``train`` or ``test``.

    Yields:
        Questions with exact answers; dates may be answered in several forms.
    """
    for salt, (name, entry) in enumerate(section("dates").items()):
        stream = _numbers(split, 665_000, 744_000, salt + 300)  # days from 1821 to 2037
        for template, wording in worded(entry, name, split):
            for turn in range(_TURNS):
                x = date.fromordinal(next(stream))
                n = 20 + x.toordinal() % 370
                y = x + timedelta(days=n * (40 if name == "age" else 1))
                year = (x.year, x.year // 4 * 4, x.year, x.year // 100 * 100)[turn % 4]
                if name == "leap" and (year % 3 == 0) != (split == "test"):
                    continue  # a year serves one split alone
                key, gold = _dated(name, x, y, n, year)
                yield Item(
                    text=wording.format(
                        x=written(x, turn),
                        y=written(y, turn),
                        n=n,
                        w=year if name == "leap" else x.year,
                        m=months.month_name[x.month],
                    ),
                    gold=gold,
                    template=template,
                    facts=(key,),
                    metric="numeric" if gold[0].isdigit() else "exact_match",
                )


def _dated(name: str, x: date, y: date, n: int, year: int) -> tuple[str, tuple[str, ...]]:
    """The key and the answer of a question about dates."""
    if name == "weekday":
        return f"weekday {x}", (months.day_name[x.weekday()],)
    if name == "between":
        return f"days {x} {y}", (str(n),)
    if name in ("after", "before"):
        day = x + timedelta(days=n if name == "after" else -n)
        return f"{name} {x} {n}", tuple(written(day, style) for style in range(3))
    if name == "leap":
        return f"leap {year}", ("yes" if months.isleap(year) else "no",)
    if name == "length":
        return f"month {x.year}-{x.month:02d}", (str(months.monthrange(x.year, x.month)[1]),)
    if name == "week":
        return f"week {x}", (str(x.isocalendar().week),)
    return f"age {x} {y}", (str(y.year - x.year - ((y.month, y.day) < (x.month, x.day))),)
