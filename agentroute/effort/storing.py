"""What was learned of a ladder, as plain data and arrays for a router file, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from agentroute.effort.choice import Choice
from agentroute.effort.forest import Forest
from agentroute.effort.ladders import Ladder, Rung
from agentroute.effort.plan import Plan, moves, states
from agentroute.effort.train import LadderPlan
from agentroute.knowledge.regression import Regression


def arrays_of(learned: LadderPlan) -> dict[str, npt.NDArray[Any]]:
    """Return what was learned of a ladder as arrays by name."""
    found = {f"words.{name}": value for name, value in learned.words.arrays().items()}
    found |= {"mean": np.asarray(learned.mean), "spent": np.asarray(learned.spent)}
    plan = learned.plan
    for state in states(plan.rungs):
        name = "-".join(map(str, state)) or "start"
        found |= {f"{name}.{part}": value for part, value in plan.forests[state].arrays().items()}
        found[f"{name}.worth"], found[f"{name}.chance"] = plan.worth[state], plan.chance[state]
    return found


def facts_of(learned: LadderPlan) -> dict[str, Any]:
    """Return the rest of it as plain data."""
    return {
        "name": learned.ladder.name,
        "model": learned.ladder.model,
        "rungs": [[rung.agent, rung.level] for rung in learned.ladder.rungs],
        "currency": learned.currency,
        "tasks": list(learned.tasks),
        "by_episode": learned.by_episode,
        "prices": learned.plan.prices.tolist(),
        "choice": asdict(learned.choice),
    }


def restored(facts: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> LadderPlan:
    """Build what was learned from what ``facts_of`` and ``arrays_of`` gave.

    Args:
        facts: Plain data.
        arrays: Arrays by name.

    Returns:
        What was learned.

    Raises:
        KeyError: A part is missing.
        ValueError: The parts do not fit each other.
    """
    rungs = tuple(Rung(agent=agent, level=level) for agent, level in facts["rungs"])
    empty = np.zeros((0, len(rungs)))
    words = Regression.restore(_part(arrays, "words"))
    if words is None:
        raise KeyError("words")
    every = states(len(rungs))
    named = {state: _part(arrays, "-".join(map(str, state)) or "start") for state in every}
    forests = {state: Forest.restore(named[state]) for state in every}
    for state, forest in forests.items():
        shape = (len(facts["prices"]), forest.leaves, len(moves(state, len(rungs))))
        if named[state]["worth"].shape != shape or len(named[state]["chance"]) != forest.leaves:
            raise ValueError(f"the tables of state {state} do not fit its forest")
    choice = dict(facts["choice"])
    choice["tried"] = tuple(tuple(row) for row in choice["tried"])
    if not (choice["at"] is None or 0 <= choice["at"] < len(facts["prices"])):
        raise ValueError(f"the setting {choice['at']} is none of {len(facts['prices'])}")
    return LadderPlan(
        ladder=Ladder(
            name=facts["name"],
            model=facts["model"],
            rungs=rungs,
            records=(),
            views=(),
            score=empty,
            tokens=empty,
            read=empty,
            cost_usd=empty,
            replies=(),
        ),
        currency=facts["currency"],
        tasks=tuple(facts["tasks"]),
        by_episode=bool(facts["by_episode"]),
        words=words,
        mean=arrays["mean"],
        spent=arrays["spent"],
        plan=Plan(
            rungs=len(rungs),
            forests=forests,
            worth={state: named[state]["worth"] for state in every},
            chance={state: named[state]["chance"] for state in every},
            prices=np.array(facts["prices"], np.float64),
            at=choice["at"] or 0,
            margin=float(choice["margin"]),
        ),
        choice=Choice(**choice),
    )


def _part(arrays: Mapping[str, npt.NDArray[Any]], name: str) -> dict[str, npt.NDArray[Any]]:
    return {key[len(name) + 1 :]: value for key, value in arrays.items() if key.startswith(f"{name}.")}
