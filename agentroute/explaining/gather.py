"""Gathers an explanation: what was decided, why, and whether that holds when something is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from agentroute.errors import InputError
from agentroute.explaining.case import Case
from agentroute.explaining.changes import changes, first_of, smallest_tip
from agentroute.explaining.deleting import deletion, left_out, named
from agentroute.explaining.explanation import Explanation, Part, Points, Reason, Role
from agentroute.explaining.parts import NAMES, belief, nearest_example, parts, ties
from agentroute.explaining.past import past_queries
from agentroute.explaining.words import MOST_TERMS, MOST_WORDS, spoken, strongest
from agentroute.knowledge.build import query_text
from agentroute.knowledge.foresight import SHARE
from agentroute.routing.cards import CardRouter
from agentroute.routing.router import GraphRouter
from agentroute.types import AgentSpec, Limits, Query, Router

_WORDS = NAMES.index("words")


def explain(
    router: Router,
    query: Query | str,
    agents: Sequence[AgentSpec],
    *,
    limits: Limits = Limits(),
    past: int = 5,
    texts: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Explanation:
    """Say why a router would ask whom it would ask first, and check the reasons by changing them.

    Nobody is asked. Every statement of what would be otherwise comes from routing again with that change.

    Args:
        router: A trained router, or the one that ranks agents by their descriptions.
        query: The question.
        agents: The registry rows.
        limits: The run's caps.
        past: Recorded questions to show, at most.
        texts: Recorded questions by their ids, to show what they were.
        seed: Of the words that are deleted at random for comparison.

    Returns:
        The explanation.

    Raises:
        QueryError: The query is empty.
        InputError: There are no agents, ``past`` is negative, or the router gives no scores to explain.
    """
    if not isinstance(router, (GraphRouter, CardRouter)):
        raise InputError(
            f"the router is {type(router).__name__}, whose choices have no scores to take apart; explain a "
            "router made by `agentroute train`, or the ranking by descriptions (CardRouter)"
        )
    if past < 0:
        raise InputError(f"past is {past}; it takes how many recorded questions to show, 0 or more")
    asked = Query(text=query) if isinstance(query, str) else query
    case = Case.of(router, asked, agents, limits)
    decision = case.decision
    first = first_of(decision)
    runner_up = _runner_up(case)
    about = first or runner_up
    assert about is not None  # there is at least one agent
    explained = [*decision.weights, *([runner_up] if runner_up and runner_up not in decision.weights else [])]
    reasons = _reasons(case, explained)
    own = reasons[explained.index(about)]
    if own.points is None:
        own = replace(own, words=left_out(case, case.column[about]))
        reasons = tuple(own if reason.agent == about else reason for reason in reasons)
    factor = _factor(case, own) or 1.0
    # Where nobody was chosen, what keeps the best from it is asked for.
    speak = named(own, factor if first else -factor)
    found = changes(case, about, speak, own.example)
    tested = None if first is None else deletion(case, first, speak, seed)
    margin = None
    if first is not None and runner_up is not None:
        margin = float(case.logits[case.column[first]] - case.logits[case.column[runner_up]])
    return Explanation(
        query=asked.text,
        decision=decision,
        policy=case.router.policy.plain(),
        first=first,
        runner_up=runner_up,
        margin=margin,
        reasons=reasons,
        past=past_queries(case, explained, past, texts or {}),
        changes=found,
        tip=smallest_tip(found, first),
        deletion=tested,
        notes=tuple(_notes(case, reasons, tested is None and first is not None)),
        graph=case.graph,
    )


def _runner_up(case: Case) -> str | None:
    """Return the best of those not chosen; when all were, the second of them."""
    weights = case.decision.weights
    ranked = [place.agent for place in case.decision.ranking]
    rest = [agent for agent in ranked if agent not in weights]
    if rest:
        return rest[0]
    return [*weights][1] if len(weights) > 1 else None


def _reasons(case: Case, agents: Sequence[str]) -> tuple[Reason, ...]:
    weights = case.decision.weights
    costs = {place.agent: (place.score, place.cost_usd) for place in case.decision.ranking}
    found = []
    for agent, made_of in zip(agents, _parts(case, agents), strict=True):
        column = case.column[agent]
        role: Role = "selected" if agent in weights else "runner-up"
        example, cosine = nearest_example(case, column)
        record = case.router.record
        found.append(
            Reason(
                agent=agent,
                role=role,
                weight=weights.get(agent, 0.0),
                log_odds=float(case.logits[column]),
                chance=costs[agent][0],
                cost_usd=costs[agent][1],
                known=record is not None and agent in record.agents,
                parts=made_of,
                points=None,
                words=(),
                terms=(),
                card=float(case.graph.suits[column, -2]),
                example=example,
                example_cosine=cosine,
                ties=ties(case, column),
            )
        )
    return _worded(case, found)


def _parts(case: Case, agents: Sequence[str]) -> list[tuple[Part, ...]]:
    every = parts(case)
    return [every[case.column[agent]] for agent in agents]


def _factor(case: Case, reason: Reason) -> float:
    """Return how much of what words say is in an agent's score; 0 where they have no say."""
    record = case.router.record
    if not isinstance(case.router, GraphRouter) or record is None or record.regression is None:
        return 0.0
    return float(belief(case)[case.column[reason.agent], _WORDS]) if reason.known else 0.0


def _worded(case: Case, reasons: Sequence[Reason]) -> tuple[Reason, ...]:
    """Add what the regression on words makes of the question, where it has a say."""
    record = case.router.record
    heard = [reason for reason in reasons if _factor(case, reason)]
    if record is None or record.regression is None or not heard:
        return tuple(reasons)
    columns = [record.agents.index(reason.agent) for reason in heard]
    regression = record.regression
    said = spoken(regression, query_text(case.query), case.query.text, columns)
    task = record.task_position.get(case.query.task or "", -1)
    by_vector = case.vector.astype(np.float64) @ regression.by_vector[:, columns]
    foresight = case.router.foresight if isinstance(case.router, GraphRouter) else None
    foreseen = np.zeros(0) if foresight is None else foresight([query_text(case.query)])[0]
    done: dict[str, Reason] = {}
    for i, (reason, column) in enumerate(zip(heard, columns, strict=True)):
        mean, also = float(record.mean[column]), column < len(foreseen)
        heeded = 1.0 - SHARE if also else 1.0
        done[reason.agent] = replace(
            reason,
            points=Points(
                mean=mean,
                words=heeded * float(said.points[:, i].sum()),
                earlier=heeded * float(said.earlier[i]),
                vector=heeded * float(by_vector[i]),
                task=heeded * float(regression.by_task[task, column]),
                foresight=SHARE * (float(foreseen[column]) - mean) if also else 0.0,
            ),
            words=strongest(said.words, heeded * said.points[:, i], MOST_WORDS),
            terms=strongest(said.terms, heeded * said.term_points[:, i], MOST_TERMS),
        )
    return tuple(done.get(reason.agent, reason) for reason in reasons)


def _notes(case: Case, reasons: Sequence[Reason], untested: bool) -> list[str]:
    notes = []
    if not isinstance(case.router, GraphRouter):
        notes.append(
            "no trained router: agents were ranked by how like the question their descriptions and examples "
            "are; these scores are no chances, only an order"
        )
    else:
        notes += [
            f"{reason.agent} has no record: its score is the network's reading of its card, from where the "
            "others stand"
            for reason in reasons
            if not reason.known
        ]
    if len(case.logits) < len(case.agents):
        notes.append(
            f"of {len(case.agents):,} agents, {len(case.logits):,} were looked at closely; the others were "
            "left out by their cards and their means"
        )
    if len(case.agents) == 1:
        notes.append("there is one agent only: nobody else could be asked")
    if case.decision.selected and case.decision.expected_cost_usd is None:
        notes.append("half the budget was not tried: the price of the selection is not known")
    if untested:
        notes.append("the deletion test needs a word that speaks for the first choice, and others beside it")
    return notes
