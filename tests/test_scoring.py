from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentroute.errors import InputError
from agentroute.scoring import METRICS, score

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
words = st.text(alphabet="abcdefg éß東京 .,'0123456789", max_size=30)


@patient
@given(words, st.lists(words, min_size=1, max_size=4), st.sampled_from(sorted(METRICS)))
def test_laws_of_every_metric(answer: str, gold: list[str], metric: str) -> None:
    value = score(answer, gold, metric)
    assert 0 <= value <= 1
    assert value == max(score(answer, [one], metric) for one in gold)
    assert score(answer, gold[::-1], metric) == value
    if metric != "choice" and answer.strip(" .,'"):
        assert score(answer, [*gold, answer], metric) == 1.0
    if not answer.strip():
        assert value == 0.0


@patient
@given(words, words)
def test_f1_is_symmetric_and_at_least_exact(one: str, other: str) -> None:
    if one.strip() and other.strip():
        assert score(one, [other], "token_f1") == pytest.approx(score(other, [one], "token_f1"))
        assert score(one, [other], "token_f1") >= score(one, [other], "exact_match")


@pytest.mark.parametrize(
    ("answer", "gold", "metric", "value"),
    [
        ("The  Eiffel tower.", "eiffel tower", "exact_match", 1.0),
        ("1,200", "1200.0", "exact_match", 1.0),
        ("Paris, France", "Paris", "exact_match", 0.0),
        ("Paris, France", "Paris", "token_f1", 2 / 3),
        ("Yes, they are.", "yes", "token_f1", 1.0),
        ("no", "yes", "token_f1", 0.0),
        ("yes yes", "yes", "token_f1", 0.0),
        ("東京都", "東京", "token_f1", 0.8),
        ("The total is 1,234.5 dollars.", "1234.5", "numeric", 1.0),
        ("3 apples and 4 pears make 7", "7", "numeric", 1.0),
        ("14.1593", "14.16", "numeric", 1.0),
        ("14.17", "14.16", "numeric", 0.0),
        ("0.1416", "14.16%", "numeric", 1.0),
        ("14.16%", "0.1416", "numeric", 1.0),
        ("0.1416", "14.16", "numeric", 0.0),
        ("$5 million", "5,000,000", "numeric", 1.0),
        ("1998", "1999", "numeric", 0.0),
        ("3.6", "4", "numeric", 0.0),
        ("-5", "5", "numeric", 0.0),
        ("-0.001", "0.00", "numeric", 0.0),
        ("unclear", "5", "numeric", 0.0),
        ("The answer is (B).", "B", "choice", 1.0),
        ("b) Paris", "(B)", "choice", 1.0),
        ("Either (A) or (B)", "B", "choice", 0.0),
        ("Because of gravity, the answer is C", "C", "choice", 1.0),
        ("Paris", "B", "choice", 0.0),
    ],
)
def test_scores(answer: str, gold: str, metric: str, value: float) -> None:
    assert score(answer, [gold], metric) == pytest.approx(value)
    assert score(answer, gold, metric) == pytest.approx(value)  # one right answer may come bare


def test_a_function_is_a_metric() -> None:
    seen: list[tuple[str, tuple[str, ...]]] = []

    def half(answer: str, gold: tuple[str, ...]) -> float:
        seen.append((answer, gold))
        return 0.5

    assert score("x", ["y", "z"], half) == 0.5
    assert score("x", [], half) == 0.5  # a function may need no right answer
    assert score("  ", ["y"], half) == 0.0
    assert seen == [("x", ("y", "z")), ("x", ())]


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf, "0.5", None])
def test_a_function_that_returns_no_score_is_named(value: object) -> None:
    def broken(answer: str, gold: object) -> object:
        return value

    with pytest.raises(InputError, match=r"broken\(\) returned .* from 0 to 1"):
        score("x", ["y"], broken)


def test_what_cannot_be_scored_is_an_error() -> None:
    with pytest.raises(InputError, match="did you mean 'token_f1'"):
        score("x", ["y"], "token_f2")
    with pytest.raises(InputError, match="exact_match, token_f1, numeric, choice"):
        score("x", ["y"], "BLEURT-20")
    with pytest.raises(InputError, match="no right answer"):
        score("x", [], "numeric")
