"""Levels: their order, what a model makes of them, and floor and ceiling."""

from __future__ import annotations

from itertools import chain, combinations, product

import pytest

from agentroute.effort.levels import advice, applied, breaks_cache, clamp, levels_for, rank, thinking_budget
from agentroute.types import EFFORTS, AgentSpec, Effort, EffortRange, Limits

MODELS = [
    "openai/gpt-4o-mini",
    "openai/gpt-5",
    "gpt-5.1",
    "openai/gpt-5.2",
    "openai/o3-mini",
    "o4-mini",
    "gemini/gemini-2.5-pro",
    "gemini/gemini-2.0-flash",
    "gemini/gemini-3-flash-preview",
    "gemini/gemini-3-pro-preview",
    "deepseek/deepseek-chat",
    "anthropic/claude-3-5-haiku-latest",
    "anthropic/claude-sonnet-4-5",
    "mistral/magistral-medium-latest",
    "mistral/mistral-large-latest",
    "ollama_chat/qwen3:8b",
    "groq/llama-3.3-70b-versatile",
    "groq/openai/gpt-oss-120b",
    "xai/grok-4",
    "together_ai/Qwen/Qwen2.5-7B-Instruct-Turbo",
    "openrouter/openai/gpt-5-mini",
    "nobody/knows-this",
]
LEVEL_SETS = list(chain.from_iterable(combinations(EFFORTS, size) for size in range(1, len(EFFORTS) + 1)))
CAPS = (None, *EFFORTS)


def agent(levels: tuple[Effort, ...], model: str | None = None) -> AgentSpec:
    effort = EffortRange(levels=levels, default=levels[-1])
    kind = "llm" if model else "function"
    return AgentSpec(id="a", kind=kind, description="Answers.", model=model, effort=effort)


def test_the_levels_are_ranked_from_none_to_xhigh() -> None:
    assert [rank(level) for level in EFFORTS] == list(range(6))


def test_a_level_never_passes_the_ceiling_and_clamping_twice_changes_nothing() -> None:
    for levels, level, floor, ceiling in product(LEVEL_SETS, EFFORTS, CAPS, CAPS):
        limits = Limits(effort_floor=floor, effort_ceiling=ceiling)
        found = clamp(level, limits, levels)
        assert found is not None
        assert ceiling is None or rank(found) <= rank(ceiling)
        assert found in levels or found == ceiling
        assert clamp(found, limits, levels) == found


def test_when_unsure_the_higher_level_is_taken() -> None:
    for levels, level in product(LEVEL_SETS, EFFORTS):
        found = clamp(level, Limits(), levels)
        higher = [each for each in levels if rank(each) >= rank(level)]
        assert found == (min(higher, key=rank) if higher else max(levels, key=rank))


def test_a_floor_lifts_as_far_as_the_levels_and_the_ceiling_let_it() -> None:
    for levels, level, floor, ceiling in product(LEVEL_SETS, EFFORTS, EFFORTS, CAPS):
        found = clamp(level, Limits(effort_floor=floor, effort_ceiling=ceiling), levels)
        reachable = [each for each in levels if ceiling is None or rank(each) <= rank(ceiling)]
        if found is not None and rank(found) < rank(floor):
            assert all(rank(each) < rank(floor) for each in reachable)


def test_clamping_keeps_the_order_of_what_is_wanted() -> None:
    for levels, floor, ceiling in product(LEVEL_SETS, CAPS, CAPS):
        limits = Limits(effort_floor=floor, effort_ceiling=ceiling)
        found = [rank(clamp(level, limits, levels) or "none") for level in EFFORTS]
        assert found == sorted(found)


def test_an_agent_without_levels_has_none_to_clamp_to() -> None:
    assert clamp("high", Limits(effort_floor="low"), ()) is None


@pytest.mark.parametrize("model", MODELS)
def test_what_a_model_makes_of_a_level_it_leaves_alone(model: str) -> None:
    for level in EFFORTS:
        effect = applied(model, level)
        assert effect is None or applied(model, effect) == effect


@pytest.mark.parametrize("model", MODELS)
def test_a_model_drops_all_levels_or_none(model: str) -> None:
    assert len({applied(model, level) is None for level in EFFORTS}) == 1


@pytest.mark.parametrize("model", MODELS)
def test_every_level_worth_asking_for_does_more_than_the_one_before(model: str) -> None:
    for levels in LEVEL_SETS:
        kept = levels_for(agent(levels, model))
        effects = [rank(level) for level in kept]
        assert effects == sorted(set(effects))
        assert all(applied(model, level) == level for level in kept)
        assert set(kept) <= {applied(model, level) for level in levels}
        strongest = [rank(effect) for level in levels if (effect := applied(model, level)) is not None]
        assert max(effects, default=-1) == max(strongest, default=-1)


@pytest.mark.parametrize(
    ("model", "asked", "runs_at"),
    [
        ("openai/gpt-4o-mini", "high", None),
        ("openai/gpt-5-mini", "none", "minimal"),
        ("openai/gpt-5-mini", "xhigh", "high"),
        ("openai/gpt-5.1", "minimal", "low"),
        ("azure/gpt-5.2", "xhigh", "xhigh"),
        ("anthropic/claude-sonnet-4-5", "minimal", "low"),
        ("anthropic/claude-opus-4-6", "xhigh", "high"),
        ("anthropic/claude-opus-4-7", "xhigh", "xhigh"),
        ("anthropic/claude-3-5-sonnet-latest", "low", None),
        ("gemini/gemini-2.5-flash", "xhigh", "high"),
        ("deepseek/deepseek-reasoner", "xhigh", "low"),
        ("ollama/qwen3:8b", "xhigh", "none"),
        ("ollama_chat/qwen3:8b", "high", "low"),
        ("mistral/magistral-small-latest", "none", "low"),
        ("o3", "minimal", "low"),
        ("openrouter/openai/gpt-4o", "xhigh", "xhigh"),
        ("OpenAI/GPT-4o", "low", None),
    ],
)
def test_the_table_says_what_was_seen(model: str, asked: Effort, runs_at: Effort | None) -> None:
    assert applied(model, asked) == runs_at


def test_levels_that_a_model_cannot_tell_apart_are_one_level() -> None:
    assert levels_for(agent(("high", "low", "medium"), "deepseek/deepseek-chat")) == ("low",)
    assert levels_for(agent(("low", "xhigh"), "ollama/qwen3:8b")) == ("low",)
    assert levels_for(agent(("low", "high"), "openai/gpt-4o")) == ()


def test_a_level_that_a_model_refuses_is_asked_for_by_the_name_of_its_nearest() -> None:
    assert levels_for(agent(("none", "high", "xhigh"), "openai/gpt-5-mini")) == ("minimal", "high")
    assert levels_for(agent(("minimal", "low", "high"), "anthropic/claude-sonnet-4-5")) == ("low", "high")


def test_a_model_in_no_family_gets_the_three_levels_that_all_know() -> None:
    assert levels_for(agent(EFFORTS, "nobody/knows-this")) == ("low", "medium", "high")
    assert levels_for(agent(EFFORTS, "openai/my-own-model")) == ("low", "medium", "high")


def test_what_becomes_of_a_row_is_said_when_it_is_not_what_the_row_says() -> None:
    assert advice(agent(("low", "high"), "openai/gpt-5")) == ()
    assert "takes no level" in advice(agent(("low", "high"), "openai/gpt-4o"))[0]
    assert "knows low of it" in advice(agent(("low", "high"), "deepseek/deepseek-chat"))[0]
    assert advice(agent(("low",))) == ()


def test_changing_the_level_is_dear_unless_it_is_known_not_to_be() -> None:
    assert breaks_cache("openai/gpt-5.2") and breaks_cache("anthropic/claude-sonnet-4-5")
    assert breaks_cache("nobody/knows-this")
    assert not breaks_cache("openai/gpt-4o")  # which has no second level to change to
    assert not breaks_cache("deepseek/deepseek-chat")


def test_a_budget_of_thinking_grows_with_the_level() -> None:
    assert thinking_budget("anthropic/claude-sonnet-4-5", "minimal") == 1024
    assert thinking_budget("openai/gpt-5", "high") is None
    for model in MODELS:
        budgets = [thinking_budget(model, level) for level in EFFORTS]
        known = [budget for budget in budgets if budget is not None]
        assert known == sorted(known)
        assert len(known) in (0, len(EFFORTS))


def test_an_agent_that_is_no_model_keeps_its_levels_weakest_first() -> None:
    assert levels_for(agent(("high", "none", "low"))) == ("none", "low", "high")
    assert levels_for(AgentSpec(id="a", kind="function", description="Adds.")) == ()
