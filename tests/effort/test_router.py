"""The effort router that keeps to the row."""

from __future__ import annotations

from itertools import product

from agentroute.effort.levels import levels_for, rank
from agentroute.effort.router import FixedEffort
from agentroute.types import EFFORTS, AgentSpec, Effort, EffortRange, EffortRouter, Limits

FREE = Limits()
LEVELS: tuple[Effort, ...] = ("low", "medium", "high")


def selected(spec: AgentSpec, limits: Limits = FREE, step: int = 1) -> Effort | None:
    return FixedEffort().select(
        history=[{"role": "user", "content": "Why?"}],
        observation="",
        spec=spec,
        role="answer",
        step=step,
        limits=limits,
    )


def agent(default: Effort, model: str = "nobody/knows-this") -> AgentSpec:
    effort = EffortRange(levels=LEVELS, default=default)
    return AgentSpec(id="a", kind="llm", description="Answers.", model=model, effort=effort)


def test_it_is_an_effort_router() -> None:
    assert isinstance(FixedEffort(), EffortRouter)


def test_without_limits_every_step_gets_the_level_of_the_row() -> None:
    for default, step in product(LEVELS, (1, 2, 7)):
        assert selected(agent(default), step=step) == default


def test_the_ceiling_always_holds() -> None:
    for default, floor, ceiling in product(LEVELS, (None, *EFFORTS), EFFORTS):
        level = selected(agent(default), Limits(effort_floor=floor, effort_ceiling=ceiling))
        assert level is not None
        assert rank(level) <= rank(ceiling)


def test_the_floor_holds_where_the_agent_can_reach_it() -> None:
    assert selected(agent("low"), Limits(effort_floor="medium")) == "medium"
    assert selected(agent("low"), Limits(effort_floor="xhigh")) == "high"


def test_an_agent_without_levels_gets_none() -> None:
    plain = AgentSpec(id="a", kind="function", description="Adds.")
    assert selected(plain, Limits(effort_floor="high")) is None
    assert selected(agent("high", model="openai/gpt-4o")) is None


def test_a_level_that_does_no_more_than_a_lower_one_is_not_asked_for() -> None:
    spec = agent("high", model="deepseek/deepseek-chat")
    assert selected(spec) in levels_for(spec) == ("low",)
