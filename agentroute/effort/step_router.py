"""The effort router that was learned: each step at the level that should do, and a look at what came back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agentroute.effort.levels import clamp, levels_for, rank
from agentroute.effort.plan import Asked, moves, signs_of
from agentroute.effort.rereading import rereading_cost
from agentroute.effort.router import FixedEffort
from agentroute.effort.signs import Reply, StepView, widths
from agentroute.effort.storing import arrays_of, facts_of, restored
from agentroute.effort.train import LadderPlan, numbered
from agentroute.errors import InputError, RouterFileError
from agentroute.knowledge import files
from agentroute.registry.ladders import base_of
from agentroute.types import AgentSpec, Effort, Embedder, Limits, Look, StepRole, Tried

KIND = "effort"
"""What the manifest of an effort router's file says it is."""

Floats = npt.NDArray[np.floating[Any]]


@dataclass(eq=False)
class StepRouter:
    """Implements ``types.EffortRouter`` and ``types.SecondLook`` with what was learned of some ladders.

    An agent that no ladder fits keeps the level of its row. Deciding imports neither torch nor scikit-learn.

    Args:
        plans: What was learned, ladder by ladder.
        manifest: Plain facts: the data, the seed, the steps held out.
        embedder: For the vectors of steps, where the plans need them.
    """

    plans: Sequence[LadderPlan]
    manifest: dict[str, Any]
    embedder: Embedder | None = None
    _fixed: FixedEffort = field(default_factory=FixedEffort, repr=False)

    @property
    def version(self) -> str:
        """Which router this is, for the record."""
        return f"effort:{self.manifest.get('data')}/seed={self.manifest.get('seed')}"

    # ------------------------------------------------------------------------ deciding

    def plan_for(self, spec: AgentSpec) -> LadderPlan | None:
        """Return what was learned of an agent: by its id, else by its model."""
        for names in ((spec.id, base_of(spec)), (spec.model or "", (spec.model or "").rpartition("/")[2])):
            for learned in self.plans:
                if {learned.ladder.name, learned.ladder.model} & set(filter(None, names)):
                    return learned
        return None

    def select(
        self,
        *,
        history: Sequence[dict[str, Any]],
        observation: str,
        spec: AgentSpec,
        role: StepRole,
        step: int,
        limits: Limits,
        previous: Effort | None = None,
        chance: float = 1.0,
    ) -> Effort | None:
        """Choose the level to begin a step with.

        Args:
            history: The messages so far.
            observation: What the step has to deal with.
            spec: The agent's row.
            role: What the step is for.
            step: Its number, from 1.
            limits: The run's caps, of which the effort floor and ceiling count.
            previous: The level of the step before; another one may cost the provider's prompt cache.
            chance: How likely the steps so far are right, where that is known.

        Returns:
            The level, or ``None`` when the agent has no levels. The row's default where nothing was
            learned of the agent; the highest where there is nothing to read.
        """
        learned = self.plan_for(spec)
        if learned is None:
            return self._fixed.select(
                history=history, observation=observation, spec=spec, role=role, step=step, limits=limits
            )
        levels = levels_for(spec)
        if not levels:
            return None
        view = _view(observation, role, step, history)
        if learned.choice.at is None or not view.text.strip():
            return clamp(levels[-1], limits, levels)
        at = _at(learned, chance)
        worth, _ = learned.plan.values((), self._signs(learned, view, (), ()), at)
        values = _open(learned, (), worth[0], limits, levels)
        penalty = float(learned.plan.prices[at]) * rereading_cost(spec, history, learned.currency, previous)
        best = max(
            values,
            key=lambda rung: (values[rung] - (penalty if _level(learned, rung) != previous else 0.0), rung),
            default=None,
        )
        wanted = levels[-1] if best is None else _level(learned, best) or levels[-1]
        return clamp(wanted, limits, levels)

    def look(
        self,
        *,
        tried: Sequence[Tried],
        history: Sequence[dict[str, Any]],
        observation: str,
        spec: AgentSpec,
        role: StepRole,
        step: int,
        limits: Limits,
        chance: float = 1.0,
    ) -> Look:
        """Look at what came back, and say whether to ask again at a higher level.

        Args:
            tried: The levels asked so far, and what came back; at least one.
            history: The messages before the step.
            observation: What the step has to deal with.
            spec: The agent's row.
            role: What the step is for.
            step: Its number, from 1.
            limits: The run's caps.
            chance: How likely the steps before are right, where that is known.

        Returns:
            The next level, or ``None`` and whose answer to keep.
        """
        learned = self.plan_for(spec)
        view = _view(observation, role, step, history)
        if learned is None or learned.choice.at is None or not tried or not view.text.strip():
            return Look(keep=len(tried) - 1)
        place = {rung.level: position for position, rung in enumerate(learned.ladder.rungs)}
        found = {place[one.level]: number for number, one in enumerate(tried) if one.level in place}
        if len(found) < len(tried):  # a level that the ladder does not know
            return Look(keep=len(tried) - 1)
        asked: Asked = tuple(sorted(found))
        replies = [_reply(tried[found[rung]]) for rung in asked]
        at = _at(learned, chance)
        worth, chances = learned.plan.values(asked, self._signs(learned, view, asked, replies), at)
        values = _open(learned, asked, worth[0], limits, levels_for(spec))
        stops = {
            move.rung: float(value)
            for move, value in zip(moves(asked, learned.plan.rungs), worth[0], strict=True)
            if not move.ask
        }
        kept = max(stops, key=lambda rung: (stops[rung], rung))
        likely = float(min(1.0, max(0.0, chances[0, kept])))
        up = max(values, key=lambda rung: (values[rung], rung), default=None)
        if up is not None and values[up] >= stops[kept]:
            return Look(level=_level(learned, up), keep=found[kept], chance=likely)
        return Look(keep=found[kept], chance=likely)

    def _signs(self, learned: LadderPlan, view: StepView, asked: Asked, replies: Sequence[Reply]) -> Floats:
        return signs_for(learned, view, asked, replies, self.embedder)

    # ------------------------------------------------------------------------ files

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the router into a folder, whole or not at all.

        Args:
            folder: Where to; made if missing.

        Returns:
            The file's path.
        """
        tensors: files.Tensors = {}
        for number, learned in enumerate(self.plans):
            tensors |= {f"{number}.{name}": value for name, value in arrays_of(learned).items()}
        facts = {
            **self.manifest,
            "kind": KIND,
            "embedder": self.embedder.fingerprint if self.embedder else None,
            "signs": widths(),
            "ladders": [facts_of(learned) for learned in self.plans],
        }
        return files.save(folder, facts, tensors)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], embedder: Embedder | None = None) -> StepRouter:
        """Read a router that was saved.

        Args:
            folder: Its folder, or the file.
            embedder: The one that it was trained with; the project's own where it needs one.

        Returns:
            The router.

        Raises:
            RouterFileError: It is missing, damaged, of another kind, or was made with another embedder.
        """
        manifest, tensors = files.load(folder)
        if manifest.get("kind") != KIND:
            raise RouterFileError(
                f"{folder} holds a router of agents, not of effort: give it as router=..., or make one with "
                "'agentroute effort train FOLDER --out ROUTER'"
            )
        if manifest.get("signs") != widths():
            raise RouterFileError(
                f"{folder} reads {manifest.get('signs')} signs of a step, this agentroute {widths()}; "
                "train it again"
            )
        wanted = manifest.get("embedder")
        if wanted is not None and embedder is None:
            from agentroute.knowledge.embed import default_embedder

            embedder = default_embedder()
        if wanted is not None and embedder is not None and embedder.fingerprint != wanted:
            raise RouterFileError(
                f"{folder} was trained with the embedder {wanted}, this one is {embedder.fingerprint}: "
                "give the same, or train it again"
            )
        try:
            plans = [
                restored(facts, {k.partition(".")[2]: v for k, v in tensors.items() if k.startswith(f"{n}.")})
                for n, facts in enumerate(manifest["ladders"])
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise RouterFileError(
                f"{folder} lacks a part of an effort router ({type(error).__name__}: {error}); train it again"
            ) from None
        return cls(plans=plans, manifest=manifest, embedder=embedder if wanted is not None else None)


def signs_for(
    learned: LadderPlan,
    view: StepView,
    asked: Asked,
    replies: Sequence[Reply],
    embedder: Embedder | None,
) -> Floats:
    """Read what a ladder's plan looks at of one live step.

    Args:
        learned: What was learned of the ladder.
        view: The step.
        asked: The rungs asked so far, ascending.
        replies: What they said, in the same order.
        embedder: The one that the plan was trained with, where it was with one.

    Returns:
        Shapes: ``(1, signs)``.
    """
    vectors = np.zeros((1, 0), np.float32)
    if learned.words.by_vector.shape[0]:
        if embedder is None:
            raise InputError(f"the plan of {learned.ladder.name} needs the embedder that it was trained with")
        vectors = embedder.embed([view.text])
    said = learned.words([view.text], vectors, numbered([view.task], learned.tasks)) + learned.mean
    return signs_of(view, said[0], replies)


def _view(observation: str, role: StepRole, step: int, history: Sequence[dict[str, Any]]) -> StepView:
    """Look at a step; where nothing came back, at the question."""
    text = observation
    if not text.strip():
        asked = (message.get("content") for message in history if message.get("role") == "user")
        text = next((content for content in asked if isinstance(content, str) and content.strip()), "")
    return StepView(text=text, role=role, step=step, history=history)


def _at(learned: LadderPlan, chance: float) -> int:
    at = learned.choice.at
    assert at is not None
    if not learned.by_episode or chance >= 1.0:
        return at
    return int(learned.plan.dearer(at, np.array([chance]))[0])


def _level(learned: LadderPlan, rung: int) -> Effort | None:
    return learned.ladder.rungs[rung].level


def _open(
    learned: LadderPlan, asked: Asked, worth: Floats, limits: Limits, levels: Sequence[Effort]
) -> dict[int, float]:
    """Return what the rungs are worth that may be asked: the agent's own levels within floor and ceiling."""
    low = rank(limits.effort_floor) if limits.effort_floor is not None else -1
    high = rank(limits.effort_ceiling) if limits.effort_ceiling is not None else len(levels) + 99
    found: dict[int, float] = {}
    for move, value in zip(moves(asked, learned.plan.rungs), worth.tolist(), strict=True):
        level = _level(learned, move.rung) if move.ask else None
        if level in levels and level is not None and low <= rank(level) <= high:
            found[move.rung] = value
    return found


def _reply(one: Tried) -> Reply:
    return Reply(answer=one.answer, response=one.response, tokens=one.tokens)
