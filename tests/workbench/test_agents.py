"""What each agent can work out, and what it leaves to others."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentroute.workbench import (
    arithmetic,
    comparison,
    dates,
    dense_reader,
    facts,
    figures,
    generalist,
    keyword_reader,
    reverse,
    two_hop_reader,
    units,
)

numbers = st.integers(min_value=1, max_value=9_999)


@given(a=numbers, b=numbers, c=numbers)
def test_arithmetic_agrees_with_python(a, b, c):
    assert arithmetic.answer(f"What is {a} + {b}?") == str(a + b)
    assert arithmetic.answer(f"What is {a} minus {b}?") == str(a - b)
    assert arithmetic.answer(f"What is {a} times ({b} + {c})?") == str(a * (b + c))
    assert arithmetic.answer(f"What is {a * b} divided by {b}?") == str(a)
    assert arithmetic.answer(f"What is the square root of {a * a}?") == str(a)
    assert arithmetic.answer(f"What is the remainder when {a} is divided by {b}?") == str(a % b)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("What is 12% of 340?", "40.8"),
        ("What is 1,200 + 34?", "1234"),
        ("What is 2 to the power of 10?", "1024"),
        ("A crate holds 24 jars. How many jars do 17 crates hold?", "408"),
        ("A girl has 12 pears and eats 5 of them. How many are left?", "7"),
        ("Who founded Halden Ferry?", None),
        ("How many minutes are there in 3.5 days?", None),
        ("How many days are there between 1892-03-04 and 1892-04-04?", None),
        ("What is 5 / 0?", None),
        ("What is 9 ** 9 ** 9?", None),
        ("What is 2 ** 999999?", None),
        ("What is __import__('os').getcwd()?", None),
    ],
)
def test_arithmetic(text, said):
    assert arithmetic.answer(text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("How many minutes are there in 3.5 days?", "5040"),
        ("Convert 100 degrees Celsius to degrees Fahrenheit.", "212"),
        ("What is 12 miles in kilometres?", "19.3121"),
        ("Express 2 square metres in square feet.", "21.5278"),
        ("How many kilograms are there in 3 hours?", None),
        ("How many jars do 17 crates hold?", None),
        ("What is 12 + 12?", None),
    ],
)
def test_units(text, said):
    assert units.answer(text) == said


@given(n=st.integers(1, 10**6))
def test_units_there_and_back(n):
    metres = units.answer(f"How many metres are there in {n} kilometres?")
    assert metres == str(n * 1000)
    assert units.answer(f"Convert {metres} metres to kilometres.") == str(n)


days = st.dates(min_value=date(1600, 1, 1), max_value=date(2400, 12, 31))


@given(start=days, n=st.integers(1, 9_999))
def test_dates_agree_with_the_calendar(start, n):
    end = start + timedelta(days=n)
    assert dates.answer(f"How many days are there between {start} and {end}?") == str(n)
    assert dates.answer(f"What day of the week was {start}?") == start.strftime("%A")
    assert dates.answer(f"What date is {n} days after {start}?") == f"{end.day} {end:%B} {end.year}"
    assert dates.answer(f"What date was {n} days before {end}?") == f"{start.day} {start:%B} {start.year}"
    assert dates.answer(f"Which ISO week does {start} fall in?") == str(start.isocalendar().week)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Was 1900 a leap year?", "no"),
        ("Was 2000 a leap year?", "yes"),
        ("How many days did February 2024 have?", "29"),
        ("How old on 2 June 2001 was somebody born on June 3, 1980?", "20"),
        ("What day of the week was 30 February 2001?", None),
        ("What date is 999999 days after 9999-12-01?", None),
        ("When was Pellworth founded?", None),
        ("How many days are there in the Resin Fair?", None),
    ],
)
def test_dates(text, said):
    assert dates.answer(text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("What is the capital of Kenya?", "Nairobi"),
        ("What is the capital of Morrocco?", "Rabat"),  # a slip of the pen
        ("Which element has the symbol Fe?", "Iron"),
        ("Which element has the atomic number 8?", "Oxygen"),
        ("When was Alan Turing born?", "1912"),
        ("Where was Alan Turing born?", "London"),
        ("What is the capital of Pellworth?", None),
        ("How many sheep are left?", None),
    ],
)
def test_facts(text, said):
    assert facts.answer(text) == said


@pytest.mark.parametrize("read", [keyword_reader.answer, dense_reader.answer])
def test_both_readers_answer_from_a_passage_that_is_named(read):
    assert read("Who founded Halden Ferry?") == "Ysra Molde"
    assert read("In what year was Halden Ferry founded?") == "1412"
    assert read("What is the population of Pellworth?") == "9,750"
    assert read("How long is Heron Bridge?") == "126 metres"
    assert read("What is Saltcote known for?") == "flake salt"


def test_meaning_finds_what_shared_words_do_not():
    described = "Can you name the quiet spot producing fiddles and lutes?"
    assert dense_reader.answer(described) == "Merle"
    assert keyword_reader.answer(described) != "Merle"


def test_two_hops_go_over_the_bridge():
    assert two_hop_reader.answer("In what year was the captain of the Grey Petrel born?") == "1711"
    assert two_hop_reader.answer("How long is the river that flows past Orrin?") == "241 kilometres"
    assert two_hop_reader.answer("Who founded the birthplace of Ysra Molde?") == "Edric Vosse"
    assert keyword_reader.answer("In what year was the captain of the Grey Petrel born?") != "1711"


def test_comparison_turns_with_its_sides():
    assert comparison.answer("Is the River Drave longer than the River Quill?") == "yes"
    assert comparison.answer("Is the River Quill longer than the River Drave?") == "no"
    for a, b in (("Orrin", "Ambry"), ("Ambry", "Orrin")):
        assert comparison.answer(f"Which was founded first, {a} or {b}?") == "Orrin"
    assert comparison.answer("Do Halden Ferry and Pellworth lie on the same river?") == "yes"
    assert comparison.answer("Is the River Drave long?") is None


def test_reverse_finds_and_counts():
    assert reverse.answer("Which bridge did Brannoc Lile design?") == "Heron Bridge"
    assert reverse.answer("How many people were born in Pellworth?") == "2"
    assert reverse.answer("Which bridge did Napoleon Bonaparte design?") is None


def test_figures_calculate_with_what_passages_say():
    assert figures.answer("How many years passed between the founding of Orrin and that of Ambry?") == "126"
    assert figures.answer("How many people live in Orrin and Ambry together?") == str(6_640 + 18_400)
    assert figures.answer("How long is the Grey Petrel in feet?") == "124.672"
    assert figures.answer("How old was Ysra Molde when Halden Ferry was founded?") == "34"
    assert figures.answer("Who founded Orrin?") is None


def test_the_generalist_is_quick_and_rough():
    assert generalist.answer("What is 3 + 4?") == "7"
    assert generalist.answer("How many hours are there in 2 days?") == "48"
    assert generalist.answer("What is the capital of Peru?") == "Lima"
    assert generalist.answer("What is 12 miles in kilometres?") == "19.2"  # 1.6 by heart
