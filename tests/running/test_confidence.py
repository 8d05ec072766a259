"""Whose chance of being right a refined answer has, and which promises it keeps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentroute.running.confidence import certainty
from agentroute.running.refine import count
from agentroute.types import Answer, Refined

ANSWERS = [Answer(agent="a", text="Rome"), Answer(agent="b", text="Paris"), Answer(agent="c", text="rome.")]
WEIGHTS = {"a": 0.4, "b": 0.4, "c": 0.2}
OWN = "not assured: nobody has judged the refiner's own words"


def said(text: str) -> Refined:
    return Refined(text=text, sources=("a",), confidence=0.123)


def decision(
    confidence: float | None = 0.9, assured: bool | None = None, stop: bool = True
) -> dict[str, Any]:
    return {"confidence": confidence, "assured": assured, "stop": stop}


@pytest.mark.parametrize(
    ("text", "confidence"),
    [
        ("Rome", 0.9),
        ("ROME", 0.9),
        ("Paris", 0.9 * 0.4 / 0.6),
        ("It is Rome, as most of them say, though one says Paris.", None),
        ("", None),
    ],
)
def test_the_chance_is_that_of_the_answers_which_say_the_same(text: str, confidence: float | None) -> None:
    assert certainty(said(text), ANSWERS, WEIGHTS, decision()) == (pytest.approx(confidence), None)


@pytest.mark.parametrize("last", [None, decision(None), decision(0.9, stop=False)])
def test_where_nobody_judges_it_is_the_share_of_the_vote(last: Any) -> None:
    assert certainty(said("Rome"), ANSWERS, WEIGHTS, last) == (0.123, None)
    late = "not assured: the run ended before its answers were judged"
    assert certainty(said("Rome"), ANSWERS, WEIGHTS, last, 0.9) == (0.123, late)


@pytest.mark.parametrize(
    ("text", "assured", "target", "problem"),
    [
        ("Rome", True, 0.9, None),
        ("Rome", True, None, None),
        ("Rome", False, 0.95, "not assured: confidence 0.90 is below what 95% right answers take"),
        ("Rome", False, 0.985, "not assured: confidence 0.90 is below what 98.5% right answers take"),
        (
            "Rome",
            False,
            None,
            "not assured: confidence 0.90 is below what the promised share of right answers take",
        ),
        ("Paris", True, 0.9, "not assured: the refiner did not follow the answer judged best"),
        ("Paris", False, 0.9, "not assured: confidence 0.60 is below what 90% right answers take"),
        ("Rome or so", True, 0.9, OWN),
        ("Rome or so", False, 0.9, OWN),
        ("Rome or so", None, None, None),
    ],
)
def test_only_a_judged_answer_keeps_a_promise(
    text: str, assured: bool | None, target: float | None, problem: str | None
) -> None:
    assert certainty(said(text), ANSWERS, WEIGHTS, decision(0.9, assured), target).problem == problem


@given(
    st.lists(st.sampled_from(["Rome", "rome.", "Paris", "42", "42.0", "no"]), min_size=1, max_size=6),
    st.lists(st.floats(0, 1), min_size=6, max_size=6),
    st.floats(0, 1),
)
def test_a_vote_always_has_the_chance_of_the_judged_best(
    texts: list[str], weights: list[float], chance: float
) -> None:
    answers = [Answer(agent=f"a{i}", text=text) for i, text in enumerate(texts)]
    given_weights = {answer.agent: weight for answer, weight in zip(answers, weights, strict=False)}
    refined = count(answers, given_weights)
    assert certainty(refined, answers, given_weights, decision(chance)).confidence == chance
    for answer in answers:  # nobody else's is higher
        other = Refined(text=answer.text, sources=(answer.agent,), confidence=1.0)
        found = certainty(other, answers, given_weights, decision(chance)).confidence
        assert found is not None and 0 <= found <= chance
