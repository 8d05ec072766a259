"""How answers compare: by value, both ways alike, and whatever they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentroute.answers import group_equal
from agentroute.knowledge.likeness import READ_CHARS, compare, numbers, read, words

MANY = settings(max_examples=50, deadline=None)
SAID = st.sampled_from(
    [
        "Paris",
        "paris.",
        "Rome",
        "yes",
        "Yes, it is.",
        "no",
        "42",
        "42.0",
        "3.14159",
        "3.14",
        "",
        " ",
        "I don't know",
    ]
)
TEXTS = st.lists(SAID | st.text(max_size=12), max_size=7)


@MANY
@given(TEXTS)
def test_equality_and_resemblance_are_symmetric_and_nobody_is_like_itself(texts):
    like = compare(texts)
    for table in (like.equal, like.resembles, like.within):
        assert table.shape == (len(texts), len(texts))
        assert table.dtype == np.float32
        assert ((table >= 0) & (table <= 1)).all()
        assert not table.diagonal().any()
    assert np.array_equal(like.equal, like.equal.T)
    assert np.array_equal(like.resembles, like.resembles.T)


@MANY
@given(TEXTS)
def test_an_empty_answer_is_like_nothing(texts):
    like = compare([*texts, "", "  \n"])
    for table in (like.equal, like.resembles, like.within):
        assert not table[-2:].any()
        assert not table[:, -2:].any()


@MANY
@given(TEXTS)
def test_who_is_equal_is_alike_and_wholly_within(texts):
    like = compare(texts)
    assert (like.resembles >= like.equal).all()
    assert (like.within >= like.equal).all()


@MANY
@given(TEXTS, st.text(min_size=1, max_size=12).filter(str.strip))
def test_identical_answers_are_equal_whatever_they_say(texts, text):
    like = compare([text, *texts, text])
    for table in (like.equal, like.resembles, like.within):
        assert table[0, -1] == table[-1, 0] == 1.0


@MANY
@given(TEXTS, st.data())
def test_how_two_compare_does_not_depend_on_the_others(texts, data):
    kept = data.draw(st.lists(st.sampled_from(range(len(texts))), unique=True)) if texts else []
    whole, part = compare(texts), compare([texts[i] for i in kept])
    for name in ("equal", "resembles", "within"):
        assert np.array_equal(getattr(part, name), getattr(whole, name)[np.ix_(kept, kept)])


@MANY
@given(st.lists(SAID, min_size=2, max_size=2))
def test_two_answers_are_equal_when_they_would_vote_together(pair):
    groups = group_equal(pair)
    assert compare(pair).equal[0, 1] == float(groups[0] == groups[1] >= 0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,000", "1000"),
        ("42", "42.0"),
        ("3.14159", "3.14"),
        ("12 km", "12"),
        ("5 March 2020", "2020-03-05"),
        ("March 5, 2020", "5 March 2020"),
        ("yes", "Yes, it is."),
        ("No.", "no"),
        ("[1, 2]", "[1.0, 2]"),
        ("(B)", "b"),
        ("I don't know", "unknown"),
        ("The Thames", "thames."),
    ],
)
def test_equal_is_by_value(one, other):
    assert compare([one, other]).equal.tolist() == [[0.0, 1.0], [1.0, 0.0]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1000", "1001"),
        ("5 March 2020", "6 March 2020"),
        ("yes", "no"),
        ("[1, 2]", "[2, 1]"),
        ("12 km", "12 m"),
    ],
)
def test_other_values_are_not_equal(one, other):
    assert not compare([one, other]).equal.any()


def test_words_in_common_are_counted_each_way():
    like = compare(["the old river Rhine", "Rhine", "old Rhine delta"])
    assert like.within[1, 0] == 1.0
    assert like.within[0, 1] == pytest.approx(1 / 4)
    assert like.within[0, 2] == pytest.approx(2 / 4)
    assert like.within[2, 0] == pytest.approx(2 / 3)
    assert like.resembles[0, 2] == pytest.approx(2 * 2 / (4 + 3))


def test_near_numbers_resemble_and_are_not_equal():
    like = compare(["about 1000 km", "1005 miles", "1200 feet", "1000 and 7"])
    assert like.resembles[0, 1] == pytest.approx(0.9)
    assert like.resembles[0, 2:].max() < 0.5
    assert not like.equal.any()


OTHER_SCRIPTS = ["東京", "東京。", "Лев Толстой", "лев толстой", "القاهرة", "กรุงเทพ"]
OTHER_SCRIPTS += ["\u0661\u0662", "½", "²", "\u0661\u0662\u066b\u0665"]  # digits that are not 0 to 9


def test_other_scripts_are_read():
    like = compare(OTHER_SCRIPTS)
    assert like.equal[2, 3] == 1.0
    assert like.equal[0, 2] == 0.0
    assert np.isfinite(like.resembles).all()


STRANGE = {
    "NUL": "\0 answer \0",
    "lone surrogate": "\ud800",
    "digits": "1" * 500,
    "a number with a thousand commas": "1," * 1000,
    "brackets": "[" * 400,
    "quotes": "['" * 300,
    "points": "1." * 300,
    "percent": "%" * 500,
    "spaces": "a" + " " * 600,
}


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE.keys())
def test_strange_answers_are_read(text):
    shown = read(text)
    assert all(np.isfinite(number) for number in shown.numbers)
    like = compare([text, "Paris", text])
    assert like.equal[0, 2] == 1.0
    assert np.isfinite(like.within).all()


def test_of_a_long_answer_the_beginning_is_read():
    """Ten megabytes cost what four hundred characters cost; otherwise this would take minutes."""
    long = [
        "river Rhine " * 900_000,
        "1 2 3 " * 1_700_000,
        "x" * 10_000_000,
        "[" * 10_000_000,
        "\n" * 10_000_000,
    ]
    for text in long:
        assert read(text) == read(text[:READ_CHARS])
    texts = [*long, *(text[:READ_CHARS] for text in long)] * 3
    like = compare(texts)
    said = [read(text).kind != "empty" for text in long]
    assert [like.equal[i, i + len(long)] for i in range(len(long))] == [float(some) for some in said]


def test_an_answer_shows_what_it_is_made_of():
    shown = read("About $3,200.50 million, or 12%")
    assert shown.numbers == (12.0, 3200.5)
    assert (shown.decimals, shown.has_unit) == (2, True)
    assert read("['Ada Lovelace', \"Charles Babbage\"]").items == ("ada lovelace", "charles babbage")
    assert read("[Ada]").items == ("ada",)
    assert not read("the Thames").has_unit
    assert words("Größe, größe und 三") == {"größe", "und", "三"}
    assert numbers("from 1 to .5 and 1,000.25") == [1.0, 0.5, 1000.25]
