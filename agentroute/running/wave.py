"""From a router's decision to the agents that are really sent: checked before anybody is asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from agentroute.types import AgentSpec, Limits, RoutingDecision

_KINDS: Mapping[str, type] = {
    **dict.fromkeys(("expected_score", "expected_cost_usd", "coverage", "confidence"), float),
    **dict.fromkeys(("stop", "abstained", "assured"), bool),
    "round": int,
}
"""What a decision's single values are, unless unknown."""


class Verdict(NamedTuple):
    """What comes of a decision.

    Args:
        decision: The decision with plain numbers in it, or ``None`` when it could not be followed.
        wave: Whom to send now; empty means to refine.
        weights: The voting weights so far, this decision's included.
        problems: What was wrong with it.
        halt: Why nobody is sent, for a run that has no answer yet.
        note: What the result shall say though nothing went wrong.
    """

    decision: RoutingDecision | None
    wave: tuple[str, ...]
    weights: dict[str, float]
    problems: tuple[str, ...]
    halt: str
    note: str | None = None


def judge(
    decision: object,
    *,
    known: Collection[str],
    asked: Collection[str],
    weights: Mapping[str, float],
    limits: Limits,
    last: bool,
    default: str | None = None,
    left_usd: float | None = None,
) -> Verdict:
    """Check a decision against who exists, who was asked already, and the caps.

    Args:
        decision: What the router returned.
        known: The ids of the team.
        asked: Who has been asked in this run; nobody is asked twice.
        weights: The voting weights of earlier waves.
        limits: The caps of the run.
        last: True when no further wave may go out.
        default: Who is asked when nobody fits and nobody was asked yet.
        left_usd: US dollars that the run has left, or ``None`` without a cap.

    Returns:
        Whom to send, and with what weights to vote if it is nobody.
    """
    if not isinstance(decision, RoutingDecision):
        name = type(decision).__name__
        problem = f"router: failed (it returned {name}, not a RoutingDecision)"
        return Verdict(None, (), dict(weights), (problem,), f"the router returned {name}")
    decision, problems = _plain(decision)
    chosen = decision.weights
    if decision.stop:
        return Verdict(decision, (), chosen or dict(weights), problems, _why(decision, "the router stopped"))
    if decision.abstained or not (chosen or last):
        why = _why(decision, "no agent fits")
        if default in known and not asked and not last and not _too_dear(decision, default, left_usd):
            return _instead(decision, str(default), why, problems)
        return Verdict(decision, (), {**weights, **chosen}, problems, why)
    if unknown := [agent for agent in chosen if agent not in known]:
        names = ", ".join(map(repr, unknown))
        problems = (*problems, f"router: selected {names}, which the registry does not have")
    wave = [agent for agent in chosen if agent in known and agent not in asked]
    if last:
        return Verdict(None, (), dict(weights), problems, "no round is left")
    if len(wave) > limits.max_agents:
        heaviest = set(sorted(wave, key=lambda agent: -chosen[agent])[: limits.max_agents])
        problems = (
            *problems,
            f"router: selected {len(wave)} agents, the cap is {limits.max_agents}: the heaviest were asked",
        )
        wave = [agent for agent in wave if agent in heaviest]
    halt = "" if wave else _why(decision, "nobody new was selected")
    return Verdict(decision, tuple(wave), {**weights, **chosen}, problems, halt)


def beyond(verdict: Verdict, specs: Sequence[AgentSpec], left_usd: float | None) -> dict[str, str]:
    """Say who of a wave is not asked, so that the others fit into what is left: those of the least weight.

    Args:
        verdict: The wave and its weights.
        specs: The team, for the prices of functions; the router's expectations tell those of models.
        left_usd: US dollars that are left, or ``None`` without a cap.

    Returns:
        Why, by agent. Nobody whose price is unknown is among them: the bill decides about those.
    """
    if left_usd is None or verdict.decision is None:
        return {}
    prices = {row.agent: row.cost_usd for row in verdict.decision.ranking}
    for spec in specs:
        if spec.kind in ("function", "runnable") and (own := spec.price) is not None:
            prices[spec.id] = own.call
    refused: dict[str, str] = {}
    planned = 0.0
    for agent in sorted(verdict.wave, key=lambda agent: -verdict.weights.get(agent, 0.0)):
        price = prices.get(agent)
        if price is not None and planned + price > left_usd + 1e-9:
            rest = max(0.0, left_usd - planned)
            refused[agent] = f"asking {agent} may cost ${price:.6f}, ${rest:.6f} is left for it"
        else:
            planned += price or 0.0
    return refused


def _too_dear(decision: RoutingDecision, agent: str | None, left_usd: float | None) -> bool:
    price = next((row.cost_usd for row in decision.ranking if row.agent == agent), None)
    return price is not None and left_usd is not None and price > left_usd


def _instead(decision: RoutingDecision, default: str, why: str, problems: tuple[str, ...]) -> Verdict:
    """Send the default agent where nobody fits; that nobody does stays on record."""
    note = f"{why}; the default agent {default} was asked"
    taken = replace(decision, selected=((default, 1.0),), abstained=True, reason=note)
    return Verdict(taken, (default,), {default: 1.0}, problems, "", note)


def _why(decision: RoutingDecision, what: str) -> str:
    # Some routers give it as their reason.
    if not decision.reason or decision.reason.startswith(what):
        return decision.reason or what
    return f"{what}: {decision.reason}"


def _plain(decision: RoutingDecision) -> tuple[RoutingDecision, tuple[str, ...]]:
    """Make all weights finite floats and all else plain: a checkpoint refuses numpy's, and a vote NaN."""
    sure = decision.confidence
    fair = all(type(w) is float and w >= 0 and math.isfinite(w) for _, w in decision.selected)
    chance = sure is None or bool(0.0 <= sure <= 1.0)
    plain = all(type(getattr(decision, name)) in (kind, type(None)) for name, kind in _KINDS.items())
    if fair and chance and plain and all(type(row.score) is float for row in decision.ranking):
        return decision, ()
    selected = tuple((str(agent), _weight(weight)) for agent, weight in decision.selected)
    ranking = tuple(
        replace(row, score=float(row.score), cost_usd=None if row.cost_usd is None else float(row.cost_usd))
        for row in decision.ranking
    )
    rest = {name: _as(kind, getattr(decision, name)) for name, kind in _KINDS.items()}
    problems: tuple[str, ...] = ()
    if odd := [agent for agent, weight in decision.selected if not (math.isfinite(weight) and weight >= 0)]:
        problems = (f"router: the weights of {', '.join(odd)} are not numbers of 0 or more; they count 0",)
    if not chance:
        problems = (*problems, f"router: its confidence of {sure} is no chance from 0 to 1; it is left out")
        rest |= {"confidence": None, "assured": None}
    return replace(decision, selected=selected, ranking=ranking, **rest), problems


def _as(kind: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else kind(value)


def _weight(weight: float) -> float:
    return float(weight) if math.isfinite(weight) and weight >= 0 else 0.0
