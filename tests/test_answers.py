from __future__ import annotations

import math
import time
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentroute.answers import answer_kind, group_equal, normal_form, vote
from agentroute.answers.forms import READ_CHARS
from agentroute.answers.literals import number_value
from agentroute.errors import InputError

PIECES = (
    "The answer is ",
    "answer: ",
    "(B)",
    "B.",
    "yes",
    "No, ",
    "they are",
    "1,200",
    "-5",
    "0.50",
    "1/3",
    "$",
    "%",
    " million",
    "twenty one",
    "the ",
    "a ",
    "['",
    "', '",
    "']",
    "[[1, 2], [3]]",
    "(",
    ")",
    "{",
    "}",
    '"',
    "'",
    "`",
    "**",
    "\\boxed{",
    "\\frac{1}{2}",
    "x = ",
    "3 * 4 = 12",
    "March 3, 1999",
    "3/4/2001",
    "2001-04-13",
    "...",
    "…",
    "I don't know",
    "is not provided in the context",
    "J. R. R.",
    "É",
    "ß",
    "İ",
    "ﷺ",
    "हिन्दी",
    "が",
    "👍🏽",
    "\u200d",
    "\ud800",
    "\n",
    " ",
    ",",
    ".",
    "-",
    "_",
)
texts = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
weights = st.integers(0, 2**20).map(float)
ballots = st.lists(st.tuples(texts, weights), min_size=1, max_size=7)


# ---------------------------------------------------------------------------- keys


@settings(patient, max_examples=600)
@given(texts)
def test_a_key_is_its_own_key(text: str) -> None:
    key = normal_form(text)
    assert normal_form(key) == key
    assert (key == "") == (not text.strip()) == (answer_kind(text) == "empty")


@patient
@given(st.fractions(max_denominator=10**6).filter(lambda value: abs(value) < 10**9))
def test_numbers_go_by_value(value: Fraction) -> None:
    spellings = {f"{value.numerator}/{value.denominator}"}
    if value.denominator == 1:
        spellings |= {
            f"{value.numerator:,}",
            f"{value.numerator}.0",
            f"  {value.numerator}.",
            f"{value.numerator}%",
        }
        spellings |= {
            f"The answer is {value.numerator}",
            f"['{value.numerator:,}']",
            f"\\boxed{{{value.numerator}}}",
        }
    assert len({normal_form(text) for text in spellings}) == 1
    assert {answer_kind(text) for text in spellings} == {"number"}
    assert number_value(normal_form(spellings.pop())) == value


@patient
@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))
def test_different_numbers_have_different_keys(one: int, other: int) -> None:
    assert (normal_form(str(one)) == normal_form(f"{other:,}")) == (one == other)
    assert (normal_form(f"{one} km") == normal_form(f"{other:,} km")) == (one == other)


@patient
@given(st.dates())
def test_dates_go_by_value(day) -> None:
    month = day.strftime("%B")
    year = f"{day.year:04}"
    spellings = [
        day.isoformat(),
        f"{month} {day.day}, {year}",
        f"{day.day} {month} {year}",
        f"{month[:3]}. {day.day} {year}",
    ]
    if day.day > 12:
        spellings += [f"{day.day:02}/{day.month:02}/{year}", f"{day.month}/{day.day}/{year}"]
    assert {normal_form(text) for text in spellings} == {day.isoformat()}
    assert {answer_kind(text) for text in spellings} == {"date"}


@pytest.mark.parametrize(
    "same",
    [
        (
            "1,200",
            "1200",
            "1200.0",
            "$1,200",
            "1.2 thousand",
            "USD 1200",
            "x = 1200",
            "400 * 3 = 1200",
            "**1200**",
        ),
        ("five million", "5,000,000", "5 million dollars", "$5 million"),
        ("21", "twenty-one", "Twenty One", "21%", "21 percent", "about 21"),
        ("0.5", "1/2", ".5", "\\frac{1}{2}", "$\\dfrac12$", "\\boxed{\\frac12}", "2/4"),
        ("-5", "-$5", "$-5", "\u22125"),
        ("yes", "Yes.", "YES!", "yes, they are", "Yes, both are American.", "The answer is yes", "'Yes'"),
        ("no", "No.", "No, only one is American; the other is not.", "no they are not"),
        ("b", "B", "(B)", "B.", "B)", "[B]", "Answer: (B)", "The answer is (B) Paris.", "Option B", "**B**"),
        ("unknown", "I don't know.", "I don\u2019t know who", "Cannot be determined", "N/A", "Not sure."),
        ("unknown", "Not specified in the text.", "The year is not provided in the context.", "Not given"),
        ("unknown", "There is no information about it.", "I'm sorry, but I can't say", "Sorry, no idea"),
        ("The Beatles", "the beatles.", '"Beatles"', "<answer>The Beatles</answer>", "BEATLES"),
        ("J. R. R. Tolkien", "J.R.R. Tolkien", "j.r.r. tolkien"),
        ("U.S.", "US", "us"),
        ("Étude", "etude", "E\u0301tude"),
        ("seven dwarfs", "the 7 dwarfs"),
        ("['a', 'b']", '["a", "b"]', "['A','b.']", "[a, b]"),
        ("(1, 2)", "(1,2)", "( 1, 2.0 )"),
        ("f(x)=[y]", "f(x) = [y]"),
        ("{'a': \"b\"}", '{"a":"b"}'),
    ],
)
def test_ways_of_saying_the_same_share_a_key(same: tuple[str, ...]) -> None:
    assert {normal_form(text) for text in same} == {normal_form(same[0])}


@pytest.mark.parametrize(
    "different",
    [
        ("yes", "no", "Yes, Prime Minister", "No Doubt", "No. 5", "No Time to Die", "Yesterday"),
        ("unknown", "The Unknown Soldier", "I Don't Know How to Love Him", "none"),
        ("-5 degrees", "5 degrees", "5.5 degrees", "55 degrees"),
        ("3/4/1999", "4/3/1999", "March 4, 1999", "1999"),
        ("Vitamin A", "Vitamin B", "Vitamin", "a"),
        ("c1ccc(N)cc1", "C1CCC(N)CC1", "C[C@H](O)N", "C[C@@H](O)N"),
        ("[1, 2]", "[2, 1]", "[1, 2, 3]", "(1, 2)", "[[1], 2]"),
        ("x^2+1", "x^2-1", "x^{2}"),
        ("किताब", "कताब", "كتاب", "書", "が", "か", "й", "и"),
        ("👍", "👎"),
        ("B. B. King", "B", "(A) and (B)"),
        ("Paris", "London", "...", "1.2.3", "123"),
    ],
)
def test_different_answers_have_different_keys(different: tuple[str, ...]) -> None:
    assert len({normal_form(text) for text in different}) == len(different)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("12 %", "number"),
        ("3 March 1999", "date"),
        ("No, they are not.", "yes_no"),
        ("(C)", "choice"),
        ("Marie Curie", "name"),
        ("The University of Chicago", "name"),
        ("['Paris', 'Rome']", "list"),
        ("def f(x): return x", "code"),
        ("because it rained all day", "text"),
        ("I do not know", "refusal"),
        (" \n", "empty"),
    ],
)
def test_kinds(text: str, kind: str) -> None:
    assert answer_kind(text) == kind


@patient
@given(st.text(min_size=1, max_size=50), st.text(min_size=1, max_size=50))
def test_long_answers_differ_by_their_ends_too(end: str, other: str) -> None:
    body = "word " * READ_CHARS
    one, two = f"{body}{end}", f"{body}{other}"
    assert (normal_form(one) == normal_form(two)) == (one.strip() == two.strip())
    assert normal_form(normal_form(one)) == normal_form(one)
    assert len(normal_form(one)) < READ_CHARS


def test_hostile_answers_are_read_in_bounded_time() -> None:
    hostile = [
        "é " * 5_000_000,
        "(" * 1_900,
        "(" * 900 + ")" * 900,
        "[[" * 400 + "]," * 400,
        "A" * 1_900 + " b",
        "A " * 900 + "!",
        "yes" + "," * 1_900,
        "yes," + " " * 1_900 + "x",
        "1" + " " * 1_900 + "=",
        "1=" * 900 + "[",
        "9" * 1_900,
        "1e99 million",
        "'" * 1_900,
        "\\text{" * 300 + "}" * 300,
        "answer: " * 240,
        "is not " * 280,
        "['" + "', '" * 450,
        "1/0",
    ]
    start = time.monotonic()
    for text in hostile:
        assert normal_form(normal_form(text)) == normal_form(text) != ""
    assert time.monotonic() - start < 20


# ---------------------------------------------------------------------------- groups and votes


@patient
@given(st.lists(texts, max_size=8))
def test_groups_are_numbered_in_order_of_appearance(answers: list[str]) -> None:
    groups = group_equal(answers)
    assert [group == -1 for group in groups] == [not text.strip() for text in answers]
    seen = list(dict.fromkeys(group for group in groups if group >= 0))
    assert seen == list(range(len(seen)))
    for i, one in enumerate(answers):
        for j, other in enumerate(answers):
            if normal_form(one) == normal_form(other):
                assert groups[i] == groups[j]


def test_a_rounded_number_and_one_with_its_unit_agree() -> None:
    assert group_equal(["14.1593", "14.16%", "14.2", "14", "15"]) == [0, 0, 0, 1, 2]
    assert group_equal(["5 inches", "5", "6 inches"]) == [0, 0, 1]
    assert group_equal(["5 inches", "5", "5 feet"]) == [0, 1, 2]


@patient
@given(ballots, st.randoms(use_true_random=False))
def test_permuting_the_answers_permutes_the_ballot(cast: list[tuple[str, float]], random) -> None:
    order = list(range(len(cast)))
    random.shuffle(order)
    shuffled = [cast[i] for i in order]
    first, second = (vote([t for t, _ in c], [w for _, w in c]) for c in (cast, shuffled))
    if first is None or second is None:
        assert first is second
        return
    groups = group_equal([text for text, _ in cast])
    totals = {
        g: math.fsum(w for (_, w), k in zip(cast, groups, strict=True) if k == g) for g in set(groups) - {-1}
    }
    peaks = {g: max(w for (_, w), k in zip(cast, groups, strict=True) if k == g) for g in totals}
    best = max((totals[g], peaks[g]) for g in totals)
    assert first.share == second.share
    if sum((totals[g], peaks[g]) == best for g in totals) == 1:
        assert {order[i] for i in second.members} == set(first.members)


@patient
@given(ballots, st.integers(-300, 300))
def test_scaling_the_weights_changes_nothing(cast: list[tuple[str, float]], power: int) -> None:
    answers, given_weights = [t for t, _ in cast], [w for _, w in cast]
    assert vote(answers, given_weights) == vote(answers, [w * 2.0**power for w in given_weights])


@patient
@given(ballots.filter(lambda cast: any(w > 0 and t.strip() for t, w in cast)), texts)
def test_an_answer_without_weight_does_not_change_who_wins(cast: list[tuple[str, float]], text: str) -> None:
    plain = [normal_form(t) for t, _ in cast]  # keys without number joining, so that only the vote is tested
    plain = [f"word {i}" if t else "" for t, i in zip(plain, group_equal(plain), strict=True)]
    given_weights = [w for _, w in cast]
    before, after = vote(plain, given_weights), vote([*plain, f"word {len(text)}"], [*given_weights, 0.0])
    assert before is not None and after is not None
    assert plain[before.leader] == plain[after.leader] and before.share == after.share


def test_the_winner_its_leader_and_the_ties() -> None:
    ballot = vote(["Paris", "London", "paris.", ""], [0.3, 0.4, 0.35, 9.0])
    assert ballot is not None and (ballot.leader, ballot.members) == (2, (0, 2))
    assert ballot.share == pytest.approx(0.65 / 1.05)
    tied = vote(["a b", "c d", "a b"], [1.0, 2.0, 1.0])
    assert tied is not None and tied.leader == 1  # the group with the heaviest single answer
    earliest = vote(["a b", "c d"], [1.0, 1.0])
    assert earliest is not None and earliest.leader == 0
    weightless = vote(["a b", "c d", "c d"], [0.0, 0.0, 0.0])
    assert weightless is not None and (weightless.members, weightless.share) == ((1, 2), pytest.approx(2 / 3))
    assert vote(["", " "], [1.0, 2.0]) is None
    assert vote([], []) is None


@pytest.mark.parametrize("bad", [[1.0], [1.0, -1.0], [1.0, math.nan], [math.inf, 1.0]])
def test_weights_that_cannot_be_are_refused(bad: list[float]) -> None:
    with pytest.raises(InputError, match="weight"):
        vote(["a", "b"], bad)
