"""The router that was learned: live it decides as it was judged, and keeps to what it is told."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effort.conftest import QUICK
from effort.ladder import LEVELS, make_ladder

from agentroute.effort.ladders import Ladder, find_ladders
from agentroute.effort.levels import rank
from agentroute.effort.plan import moves, states
from agentroute.effort.signs import widths
from agentroute.effort.step_router import StepRouter
from agentroute.effort.train import EffortConfig
from agentroute.effort.training import train_effort
from agentroute.errors import InputError, RouterFileError
from agentroute.knowledge import files
from agentroute.outcomes import OutcomeFolder
from agentroute.types import (
    AgentSpec,
    Effort,
    EffortRange,
    EffortRouter,
    Limits,
    Price,
    SecondLook,
    StepRole,
    Tried,
)

SPEC = AgentSpec(
    id="adder",
    kind="llm",
    description="Adds.",
    model="openai/gpt-5-mini",
    effort=EffortRange(levels=("low", "medium", "high"), default="medium"),
)


def situation(text: str = "Add 10, 20, 30. This is sum 1 of the day.", **more: Any) -> dict[str, Any]:
    role: StepRole = "answer"
    return {
        "history": [],
        "observation": text,
        "spec": SPEC,
        "role": role,
        "step": 1,
        "limits": Limits(),
        **more,
    }


def live(router: StepRouter, ladder: Ladder, row: int) -> tuple[list[str], str]:
    """Run a recorded step through ``select`` and ``look``; return the levels asked, and the one kept."""
    given = situation(ladder.views[row].text)
    level, tried = router.select(**given), []
    while level is not None:
        reply = ladder.replies[row][LEVELS.index(level)]
        tokens = None if reply.tokens is None else int(reply.tokens)
        tried.append(Tried(level=level, answer=reply.answer, response=reply.response, tokens=tokens))
        look = router.look(tried=tried, **given)
        level = look.level
    return [one.level for one in tried], tried[look.keep].level


def test_live_it_decides_as_it_was_judged(learned: StepRouter, sums: Path) -> None:
    (ladder,) = find_ladders(OutcomeFolder.open(sums))
    plan = learned.plans[0]
    judged = plan.walk(ladder, np.zeros((len(ladder), 0), np.float32))
    assert plan.choice.at is not None
    for row in range(60):
        asked, kept = live(learned, ladder, row)
        assert asked == [level for level, was in zip(LEVELS, judged.asked[row], strict=True) if was]
        assert kept == LEVELS[judged.given[row]]


def test_it_learned_to_look(learned: StepRouter) -> None:
    given = situation()
    assert learned.select(**given) == "low"
    sure = learned.look(tried=[Tried(level="low", answer="60", tokens=55)], **given)
    unsure = learned.look(
        tried=[Tried(level="low", answer="perhaps 63, but I am not sure", tokens=55)], **given
    )
    assert sure.level is None
    assert unsure.level is not None
    assert sure.chance is not None and unsure.chance is not None and sure.chance > unsure.chance


def test_it_is_an_effort_router_with_a_second_look(learned: StepRouter) -> None:
    assert isinstance(learned, EffortRouter)
    assert isinstance(learned, SecondLook)


def test_floor_and_ceiling_hold_at_every_call(learned: StepRouter) -> None:
    names: tuple[Effort, ...] = ("low", "medium", "high")
    for floor, ceiling in product(names, names):
        if rank(floor) > rank(ceiling):
            continue
        given = situation(limits=Limits(effort_floor=floor, effort_ceiling=ceiling))
        level, tried = learned.select(**given), []
        while level is not None:
            assert rank(floor) <= rank(level) <= rank(ceiling)
            tried.append(Tried(level=level, answer="perhaps 63, but I am not sure", tokens=50))
            level = learned.look(tried=tried, **given).level


def test_levels_that_the_agent_lacks_are_never_asked(learned: StepRouter) -> None:
    spec = replace(SPEC, effort=EffortRange(levels=("low", "high"), default="low"))
    given = situation(spec=spec)
    look = learned.look(tried=[Tried(level="low", answer="perhaps 63, but I am not sure")], **given)
    assert look.level in (None, "high")


def test_an_agent_that_it_does_not_know_keeps_its_level(learned: StepRouter) -> None:
    other = replace(SPEC, id="writer", model="openai/gpt-5")
    assert learned.select(**situation(spec=other)) == "medium"
    assert learned.look(tried=[Tried(level="medium", answer="?")], **situation(spec=other)).level is None
    assert learned.select(**situation(spec=replace(SPEC, effort=None))) is None


def test_a_step_without_text_gets_the_highest(learned: StepRouter) -> None:
    assert learned.select(**situation("  ")) == "high"
    given = situation("", limits=Limits(effort_ceiling="medium"))
    assert learned.select(**given) == "medium"


def test_ten_thousand_messages_are_no_matter(learned: StepRouter) -> None:
    history = [{"role": "user", "content": "and?"}] * 10_000
    assert learned.select(**situation(history=history, step=5_000)) in LEVELS


def test_changing_the_level_is_not_worth_reading_a_long_history_anew(learned: StepRouter) -> None:
    history = [{"role": "user", "content": "word " * 20_000}]
    dear = replace(SPEC, price=Price(input=10.0, output=10.0))
    assert learned.select(**situation(spec=dear, history=history)) == "low"
    assert learned.select(**situation(spec=dear, history=history, step=2), previous="high") == "high"
    assert learned.select(**situation(spec=dear, history=history[:0], step=2), previous="high") == "low"
    keeps = replace(dear, model="deepseek/deepseek-chat", effort=SPEC.effort)
    assert learned.select(**situation(spec=keeps, history=history, step=2), previous="high") == "low"


def test_a_file_decides_as_what_was_saved(learned: StepRouter, sums: Path, tmp_path: Path) -> None:
    learned.save(tmp_path)
    again = StepRouter.load(tmp_path)
    (ladder,) = find_ladders(OutcomeFolder.open(sums))
    assert [live(again, ladder, row) for row in range(20)] == [
        live(learned, ladder, row) for row in range(20)
    ]
    assert again.manifest["test_ids"] == learned.manifest["test_ids"]


def test_a_file_of_another_kind_is_refused(learned: StepRouter, tmp_path: Path) -> None:
    files.save(tmp_path / "other", {"kind": "agents"}, {"a": np.zeros(1)})
    with pytest.raises(RouterFileError, match="not of effort"):
        StepRouter.load(tmp_path / "other")
    manifest = {"kind": "effort", "signs": widths(), "ladders": [{"name": "adder", "rungs": [["a", "low"]]}]}
    files.save(tmp_path / "torn", manifest, {"0.mean": np.zeros(1)})
    with pytest.raises(RouterFileError, match="lacks a part"):
        StepRouter.load(tmp_path / "torn")
    files.save(tmp_path / "old", {**manifest, "signs": [1, 2, 3]}, {"0.mean": np.zeros(1)})
    with pytest.raises(RouterFileError, match="train it again"):
        StepRouter.load(tmp_path / "old")
    learned.save(tmp_path / "looped")
    whole, tensors = files.load(tmp_path / "looped")
    tensors["0.start.left"] = np.zeros_like(tensors["0.start.left"])  # the root is its own child
    files.save(tmp_path / "looped", whole, tensors)
    with pytest.raises(RouterFileError, match="make no trees"):
        StepRouter.load(tmp_path / "looped")
    learned.save(tmp_path / "bent")
    path = tmp_path / "bent" / files.FILE_NAME
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    with pytest.raises(RouterFileError, match="damaged"):
        StepRouter.load(tmp_path / "bent")


def test_deciding_imports_neither_torch_nor_scikit_learn(learned: StepRouter, tmp_path: Path) -> None:
    learned.save(tmp_path)
    code = (
        "import sys\n"
        "from agentroute.effort.step_router import StepRouter\n"
        "from agentroute.types import AgentSpec, EffortRange, Limits\n"
        f"router = StepRouter.load({str(tmp_path)!r})\n"
        "spec = AgentSpec(id='adder', kind='function', description='', "
        "effort=EffortRange(levels=('low', 'high'), default='high'))\n"
        "router.select(history=[], observation='Add 1.', spec=spec, role='answer', step=1, limits=Limits())\n"
        "print(sorted({'torch', 'sklearn', 'scipy', 'litellm'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_same_seed_gives_the_same_router(sums: Path, learned: StepRouter) -> None:
    again = train_effort(sums, config=QUICK)
    for state in states(3):
        np.testing.assert_array_equal(again.plans[0].plan.worth[state], learned.plans[0].plan.worth[state])


def test_the_dearer_a_step_the_less_is_spent(learned: StepRouter, sums: Path) -> None:
    (ladder,) = find_ladders(OutcomeFolder.open(sums))
    plan, none = learned.plans[0], np.zeros((len(ladder), 0), np.float32)
    cheap, dear = (plan.walk(ladder, none, at).spent(ladder.tokens).sum() for at in (0, -1))
    assert dear < cheap


def test_rungs_are_only_asked_upwards() -> None:
    for state in states(4):
        for move in moves(state, 4):
            assert move.rung in state if not move.ask else all(move.rung > rung for rung in state)


def test_too_few_steps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it takes 40"):
        train_effort(make_ladder(tmp_path, 20), config=QUICK)


@pytest.mark.parametrize("wrong", [{"max_loss": 2.0}, {"doubt": -1.0}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        EffortConfig(**wrong)  # type: ignore[arg-type]
