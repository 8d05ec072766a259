"""Ladders in an outcome folder: agents that differ in effort alone, or agents in the order of their price."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from agentroute.effort.signs import Reply, StepView
from agentroute.errors import InputError
from agentroute.outcomes import Outcome, OutcomeFolder, QueryRecord
from agentroute.registry.ladders import ladders_of
from agentroute.types import AgentSpec, Effort

Floats = npt.NDArray[np.float64]

ACROSS = "across"
"""The name of the ladder that all agents of a folder make up."""

CURRENCIES = ("tokens", "cost_usd", "all_tokens", "weight", "highest")
"""What a step can be priced in: tokens written, US dollars, tokens read and written, the level's weight, or 1
for the highest rung and nothing for the others."""

WEIGHTS: dict[Effort, float] = {
    "none": 0.0,
    "minimal": 0.1,
    "low": 0.2,
    "medium": 0.5,
    "high": 1.0,
    "xhigh": 2.0,
}
"""What a step at each level counts where neither dollars nor tokens were recorded; low to high as in Ares
(arXiv 2603.07915)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rung:
    """One step of a ladder.

    Args:
        agent: Whose outcomes these are.
        level: The level that it ran at; ``None`` where rungs are whole agents.
    """

    agent: str
    level: Effort | None

    @property
    def name(self) -> str:
        """What the reports call it."""
        return self.level or self.agent


@dataclass(frozen=True, kw_only=True, eq=False)
class Ladder:
    """What each rung made of each step.

    Args:
        name: The agent whose levels these are, or ``ACROSS``.
        model: The model behind all rungs, if it is one.
        rungs: The rungs, cheapest first; the last one is what is done without a router.
        records: The steps.
        views: The same, as a router sees them.
        score: 0 to 1; NaN where a rung did not run. Shapes: ``(steps, rungs)``.
        tokens: Tokens written, reasoning included; NaN where unknown. Shapes: the same.
        read: Tokens read; NaN where unknown. Shapes: the same.
        cost_usd: US dollars; NaN where unknown. Shapes: the same.
        replies: What came back.
        dropped: Outcomes left out, since the level was asked for and not applied.
    """

    name: str
    model: str | None
    rungs: tuple[Rung, ...]
    records: tuple[QueryRecord, ...]
    views: tuple[StepView, ...]
    score: Floats
    tokens: Floats
    read: Floats
    cost_usd: Floats
    replies: tuple[tuple[Reply, ...], ...]
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.records)

    @property
    def named(self) -> tuple[str, ...]:
        """The names of the rungs."""
        return tuple(rung.name for rung in self.rungs)

    def take(self, rows: Sequence[int] | npt.NDArray[Any]) -> Ladder:
        """Keep some steps, by their positions or by one true or false each."""
        kept = np.asarray(rows)
        kept = np.flatnonzero(kept) if kept.dtype == bool else kept.astype(np.intp)
        return replace(
            self,
            records=tuple(self.records[row] for row in kept),
            views=tuple(self.views[row] for row in kept),
            score=self.score[kept],
            tokens=self.tokens[kept],
            read=self.read[kept],
            cost_usd=self.cost_usd[kept],
            replies=tuple(self.replies[row] for row in kept),
        )

    def without(self, held_out: Collection[str | None]) -> Ladder:
        """Leave some queries out, by their ids."""
        return self.take(np.array([record.query.id not in held_out for record in self.records], bool))

    def only(self, columns: Sequence[int]) -> Ladder:
        """Keep some rungs, in the order given."""
        kept = list(columns)
        return replace(
            self,
            rungs=tuple(self.rungs[column] for column in kept),
            score=self.score[:, kept],
            tokens=self.tokens[:, kept],
            read=self.read[:, kept],
            cost_usd=self.cost_usd[:, kept],
            replies=tuple(tuple(row[column] for column in kept) for row in self.replies),
        )

    def complete(self) -> Ladder:
        """Keep the steps that every rung ran on: only those are fair to all of them."""
        return self.take(np.asarray(~np.isnan(self.score).any(axis=1)))

    def episodes(self) -> npt.NDArray[np.int64] | None:
        """Return a number per step, the same for steps of one episode; ``None`` where there are none."""
        named = [record.meta.get("episode") for record in self.records]
        if any(name is None for name in named):
            return None
        return np.unique([str(name) for name in named], return_inverse=True)[1].astype(np.int64)

    def price(self, wanted: str | None = None) -> tuple[str, Floats]:
        """Say what a step costs.

        Args:
            wanted: One of ``CURRENCIES``; by default the first that is known throughout: tokens written where
                rungs are levels, dollars where they are agents.

        Returns:
            The currency, and the prices. Shapes: ``(steps, rungs)``.

        Raises:
            InputError: What is wanted is not known of every step.
        """
        steps = [float(place + 1) for place in range(len(self.rungs))]
        named = [rung.level for rung in self.rungs]
        weights = [WEIGHTS[level] if level else step for level, step in zip(named, steps, strict=True)]
        known: dict[str, Floats] = {
            "tokens": self.tokens,
            "cost_usd": self.cost_usd,
            "all_tokens": self.tokens + self.read,
            "weight": np.tile(np.array(weights), (len(self), 1)),
            "highest": np.tile(np.arange(len(steps)) == len(steps) - 1, (len(self), 1)).astype(np.float64),
        }
        order = ("tokens", "cost_usd", "weight") if named[-1] else ("cost_usd", "tokens", "weight")
        for name in (wanted,) if wanted else order:
            if name not in known:
                raise InputError(f"price {name!r} is unknown: use one of {', '.join(CURRENCIES)}")
            found = known[name]
            if np.isfinite(found).all() and (found > 0).any():
                return name, found
        raise InputError(f"{self.name}: {wanted} is not known of every step; choose another price")


def find_ladders(
    folder: OutcomeFolder,
    *,
    across: bool = False,
    agents: Sequence[str] = (),
    held_out: Collection[str | None] = (),
) -> list[Ladder]:
    """Find the ladders of a folder.

    Args:
        folder: The outcomes.
        across: Whether to make all agents, of whatever model, one ladder in the order of their price.
        agents: The agents to look at; all by default.
        held_out: Ids of queries that the order of agents must not be learned from.

    Returns:
        The ladders, by name.

    Raises:
        InputError: There is no ladder, or an agent is unknown.
    """
    if unknown := [name for name in agents if name not in folder.registry]:
        raise InputError(
            f"no agent {unknown[0]!r} in {folder.path}; there are {', '.join(folder.registry.ids)}"
        )
    specs = [folder.registry[name] for name in (agents or folder.registry.ids)]
    groups = {ACROSS: tuple(specs)} if across else ladders_of(specs)
    found = [name for name, group in groups.items() if len(group) > 1]
    if not found:
        raise InputError(
            f"{folder.path} has no ladder: agents with the same model and different effort, or ids like "
            "NAME@low and NAME@high; with --across all agents are one ladder, in the order of their price"
        )
    outcomes: dict[tuple[str, str], list[Outcome]] = {}
    dropped: dict[str, int] = {}
    for outcome in folder.read():
        if _misapplied(outcome):
            dropped[outcome.agent] = dropped.get(outcome.agent, 0) + 1
        else:
            outcomes.setdefault((outcome.query, outcome.agent), []).append(outcome)
    made = [_ladder(name, groups[name], folder, outcomes, dropped) for name in sorted(found)]
    if not across:
        return made
    return [ladder.only(_by_price(ladder.without(held_out))) for ladder in made]


def _misapplied(outcome: Outcome) -> bool:
    """Tell whether a step asked for a level that was not sent; such an outcome teaches nothing of it."""
    return any(
        isinstance(step, dict)
        and step.get("requested") is not None
        and step.get("applied") != step["requested"]
        for step in outcome.steps
    )


def _ladder(
    name: str,
    specs: Sequence[AgentSpec],
    folder: OutcomeFolder,
    outcomes: dict[tuple[str, str], list[Outcome]],
    dropped: dict[str, int],
) -> Ladder:
    records = tuple(folder.queries.values())
    cells = [[outcomes.get((record.query.id or "", spec.id), []) for spec in specs] for record in records]
    score = _means(cells, "score")
    ran = ~np.isnan(score)
    some = np.flatnonzero(ran.any(axis=1))
    levelled = name != ACROSS
    return Ladder(
        name=name,
        model=specs[0].model if len({spec.model for spec in specs}) == 1 else None,
        rungs=tuple(
            Rung(agent=spec.id, level=spec.effort.default if levelled and spec.effort else None)
            for spec in specs
        ),
        records=records,
        views=tuple(map(view_of, records)),
        score=score,
        tokens=_means(cells, "output_tokens"),
        read=_means(cells, "input_tokens"),
        cost_usd=_means(cells, "cost_usd"),
        replies=tuple(tuple(map(_reply, row)) for row in cells),
        dropped=sum(dropped.get(spec.id, 0) for spec in specs),
    ).take(some)


def _by_price(ladder: Ladder) -> list[int]:
    """Order agents by price; the one that scores best comes last, and dearer ones fall away."""
    known = ladder.complete()
    if not len(known):
        raise InputError(
            "no query was answered by every agent of the ladder; name fewer of them with --agents"
        )
    _, price = known.price()
    mean, cost = known.score.mean(axis=0), price.mean(axis=0)
    best = min(range(len(mean)), key=lambda column: (-mean[column], cost[column]))
    cheaper = [column for column in np.argsort(cost, kind="stable").tolist() if cost[column] < cost[best]]
    return [*cheaper, best]


def view_of(record: QueryRecord) -> StepView:
    """Say how a recorded query looks to a router: a question, or one step of a trajectory (``meta``)."""
    meta = record.meta
    history, role, step = meta.get("history"), meta.get("role"), meta.get("step")
    observation = meta.get("observation")
    return StepView(
        text=observation if isinstance(observation, str) and observation else record.query.text,
        role=role if role in ("plan", "tool", "answer", "refine") else "answer",
        step=step if type(step) is int and step > 0 else 1,
        history=history if isinstance(history, list) else (),
        task=record.query.task,
    )


def _reply(runs: Sequence[Outcome]) -> Reply:
    said = next((run for run in runs if run.said is not None), None)
    tokens = [run.output_tokens for run in runs if run.output_tokens is not None]
    return Reply(
        answer=(said.said or "") if said else "",
        response=(said.response or said.answer) if said else None,
        tokens=sum(tokens) / len(tokens) if tokens else None,
    )


def _means(cells: Sequence[Sequence[Sequence[Outcome]]], name: str) -> Floats:
    """Average over runs; unknown where no run knows it."""

    def mean(runs: Sequence[Outcome]) -> float:
        known = [value for run in runs if (value := getattr(run, name)) is not None]
        return float(sum(known) / len(known)) if known else np.nan

    return np.array([[mean(runs) for runs in row] for row in cells], np.float64).reshape(len(cells), -1)
