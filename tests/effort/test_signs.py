"""Signs: as many for every step, finite whatever comes, and bounded in what they read."""

from __future__ import annotations

import math

import pytest

from agentroute.effort.signs import (
    HISTORY_LIMIT,
    Reply,
    StepView,
    pair_signs,
    reply_signs,
    step_signs,
)

ODD = ("", " ", "\0", "7", "(A)", "x" * 100_000, "9" * 5_000, "\ud800", "[(0, 1), (1, 0)]", "é" * 300)


@pytest.mark.parametrize("text", ODD)
def test_any_text_gives_as_many_finite_numbers(text: str) -> None:
    view, plain = StepView(text=text), StepView(text="How many?")
    assert len(step_signs(view)) == len(step_signs(plain))
    assert all(map(math.isfinite, step_signs(view)))
    reply = Reply(answer=text, tokens=None)
    assert len(reply_signs(reply, view)) == len(reply_signs(Reply(answer="4", tokens=3), plain))
    assert all(map(math.isfinite, reply_signs(reply, view)))
    assert all(map(math.isfinite, pair_signs(reply, Reply(answer="4"))))


def test_of_ten_thousand_messages_only_the_last_are_read() -> None:
    end = [{"role": "tool", "content": f"result {n}"} for n in range(HISTORY_LIMIT)]
    noise = [{"role": "tool", "content": "error: failed"}] * 10_000
    quiet = [{"role": "tool", "content": "fine"}] * 10_000
    signs = [step_signs(StepView(text="So?", step=9, history=[*before, *end])) for before in (noise, quiet)]
    assert signs[0] == signs[1]


def test_errors_and_repetition_show() -> None:
    call = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}],
    }
    good = [call, {"role": "tool", "content": "42"}]
    bad = [call, {"role": "tool", "content": "error: no such city"}] * 2
    assert step_signs(StepView(text="42", step=2, history=good)) != step_signs(
        StepView(text="42", step=2, history=bad)
    )
    plain, failed = (step_signs(StepView(text=text, step=2)) for text in ("a city", "an error"))
    assert plain != failed


def test_a_message_that_is_no_message_is_passed_over() -> None:
    step_signs(
        StepView(text="x", history=[{"content": None}, {"role": "tool", "content": [{"type": "text"}]}])
    )


def test_answers_agree_by_what_they_say() -> None:
    assert pair_signs(Reply(answer="1,200"), Reply(answer="1200"))[0] == 1.0
    assert pair_signs(Reply(answer="1200"), Reply(answer="1201"))[0] == 0.0
    same = pair_signs(Reply(answer="[(0, 1)]"), Reply(answer="[(0, 1)]"))
    assert same[:3] == [1.0, 1.0, 1.0]
