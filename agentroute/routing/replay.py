"""What a policy would have scored on recorded outcomes: whole tables at once, the same rules as a live run.

A live run asks the wave of each round until the policy asks nobody; then it votes, or gives the answer that
the network thinks best. So does this.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agentroute.answers import group_equal
from agentroute.errors import InputError
from agentroute.outcomes import OutcomeTable
from agentroute.routing.growth import Growth, calibrated
from agentroute.routing.policy import Mask, Policy, Table, View

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Replay:
    """What came of one policy on one table.

    Args:
        score: Score of the refined answer; 0 where nobody answered. Shapes: ``(queries,)``.
        asked: Who was asked. Shapes: ``(queries, agents)``.
        leader: The agent whose answer was quoted, -1 for none. Shapes: ``(queries,)``.
        share: Weight behind the answer, of all that answered; where the policy judges answers, the chance
            that it is right. Shapes: ``(queries,)``.
        cost_usd: US dollars per query, NaN where any part is unknown. Shapes: ``(queries,)``.
        latency_s: Seconds per query: the slowest agent of each round, summed. Shapes: ``(queries,)``.
    """

    score: Table
    asked: Mask
    leader: Indices
    share: Table
    cost_usd: Table
    latency_s: Table

    @property
    def calls(self) -> npt.NDArray[np.int64]:
        """Agents asked per query. Shapes: ``(queries,)``."""
        return np.asarray(self.asked.sum(axis=1))


def answer_groups(table: OutcomeTable) -> Indices:
    """Number equal answers of a query alike; -1 for an empty one.

    Args:
        table: Recorded outcomes. Where no answer texts were kept, every outcome that ran is its own group.

    Returns:
        Shapes: ``(queries, agents)``.
    """
    if not table.has_answers:
        groups = np.tile(np.arange(len(table.agents)), (len(table.queries), 1))
        return np.where(np.isnan(table.score), -1, groups)
    texts = [group_equal([text or "" for text in row]) for row in table.answers]
    groups = np.array(texts, dtype=np.int64).reshape(table.score.shape)
    return np.where(np.isnan(table.score), -1, groups)


def vote(groups: Indices, weights: Table) -> tuple[Indices, Table]:
    """Let every row vote, by the rules of ``answers.vote``.

    Args:
        groups: Number of the answer per agent, -1 for none. Shapes: ``(queries, agents)``.
        weights: Weight per agent; 0 takes no part. Shapes: ``(queries, agents)``.

    Returns:
        The winning group's heaviest agent per query, -1 where nobody voted, and the share of the weight
        behind it. Shapes: ``(queries,)`` twice.
    """
    votes = (groups >= 0) & (weights > 0)
    weights = np.where(votes, weights, 0.0).astype(np.float64)  # float32 has no 1e-300
    weights = weights / np.maximum(weights.max(axis=1, keepdims=True), 1e-300)
    same = (groups[:, :, None] == groups[:, None, :]) & votes[:, :, None] & votes[:, None, :]
    backing = np.einsum("qab,qb->qa", same, weights)
    # Rounding must not decide a tie, so sums are compared after it is cut off.
    best = np.round(np.where(votes, backing, -1.0), 9)
    heaviest = np.where(best == best.max(axis=1, keepdims=True), weights, -1.0)
    # Of equally heavy agents, one of the group that spoke first.
    first = np.where(heaviest == heaviest.max(axis=1, keepdims=True), same.argmax(axis=2), groups.shape[1])
    leader = np.where(votes.any(axis=1), first.argmin(axis=1), -1)
    total = weights.sum(axis=1)
    share = backing[np.arange(len(leader)), leader] / np.maximum(total, 1e-300)
    return leader, np.where(leader >= 0, share, 0.0)


def agreement(groups: Indices, spoke: Mask) -> Table:
    """Return the share of the answers that say what most of them say.

    Args:
        groups: Number of the answer per agent, -1 for none. Shapes: ``(queries, agents)``.
        spoke: Whose answers count. Shapes: ``(queries, agents)``.

    Returns:
        0 where nobody spoke. Shapes: ``(queries,)``.
    """
    return vote(np.where(spoke, groups, -1), spoke.astype(np.float64))[1]


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """How good answers are and what agents would add, as chances: a network and its calibration.

    Args:
        growth: The network's view of the same queries.
        right: Scale and shift of the log-odds that an answer is right.
        gain: Scale and shift of the log-odds of what an agent adds.
    """

    growth: Growth
    right: tuple[float, float] = (1.0, 0.0)
    gain: tuple[float, float] = (1.0, 0.0)

    def look(self, rows: Indices, asked: Mask, spoke: Mask) -> tuple[Table, Table]:
        """Return gains and chances of being right; see ``View``."""
        gain, right = self.growth.look(rows, asked)
        chance = np.where(spoke, calibrated(right, *self.right), -1.0)
        return calibrated(gain, *self.gain), chance


def replay(
    policy: Policy,
    logits: Table,
    cost: Table,
    table: OutcomeTable,
    groups: Indices | None = None,
    max_rounds: int = 3,
    judge: Judge | None = None,
) -> Replay:
    """Run a policy over recorded outcomes.

    Args:
        policy: Whom to ask.
        logits: Log-odds of each agent's expected score. Shapes: ``(queries, agents)``.
        cost: Expected price per agent in US dollars, NaN where unknown. Shapes: ``(agents,)``.
        table: What the agents gave.
        groups: ``answer_groups(table)``, when it is at hand.
        max_rounds: Waves at most, as in ``Limits``.
        judge: Who judges answers; needed by a policy that looks at them.

    Returns:
        What came of it.

    Raises:
        InputError: The policy looks at answers, and there is no judge.
    """
    groups = answer_groups(table) if groups is None else groups
    if policy.looks and judge is None:
        raise InputError(f"the policy {policy.name} looks at answers; give it a judge, from a trained router")
    judge = judge if policy.looks else None
    asked = np.zeros(logits.shape, dtype=bool)
    latency = np.zeros(len(logits))
    active = np.arange(len(logits))

    def view(rows: Indices) -> View:
        spoke = asked[rows] & (groups[rows] >= 0)
        gain, right = (None, None) if judge is None else judge.look(rows, asked[rows], spoke)
        return View(
            agents=table.agent_ids,
            expected=logits[rows],
            cost=cost,
            free=~asked[rows],
            asked=asked[rows],
            spoke=spoke,
            agree=agreement(groups[rows], spoke),
            gain=gain,
            right=right,
        )

    for _ in range(max_rounds):
        active = active[~asked[active].all(axis=1)]
        if not len(active):
            break
        wave = policy.wave(view(active)) & ~asked[active]
        some = wave.any(axis=1)
        active, wave = active[some], wave[some]
        slowest = np.where(wave, table.latency_s[active], -np.inf).max(axis=1, initial=-np.inf)
        latency[active] += slowest
        asked[active] |= wave
    if not policy.judged:
        return tally(asked, policy.weights(logits, asked & (groups >= 0)), table, groups, latency)
    right = view(np.arange(len(logits))).right
    assert right is not None  # a policy that judges also looks
    leader = np.where(right.max(axis=1) >= 0, right.argmax(axis=1), -1)
    return _summed(asked, leader, np.maximum(right.max(axis=1), 0.0), table, latency)


def tally(asked: Mask, weights: Table, table: OutcomeTable, groups: Indices, latency: Table) -> Replay:
    """Vote among those who were asked and sum up what it cost.

    Args:
        asked: Who was asked. Shapes: ``(queries, agents)``.
        weights: Voting weights. Shapes: ``(queries, agents)``.
        table: What the agents gave.
        groups: ``answer_groups(table)``.
        latency: Seconds per query. Shapes: ``(queries,)``.

    Returns:
        What came of it.
    """
    leader, share = vote(np.where(asked, groups, -1), weights)
    return _summed(asked, leader, share, table, latency)


def _summed(asked: Mask, leader: Indices, share: Table, table: OutcomeTable, latency: Table) -> Replay:
    rows = np.arange(len(leader))
    return Replay(
        score=np.where(leader >= 0, table.score[rows, leader], 0.0),
        asked=asked,
        leader=leader,
        share=share,
        cost_usd=np.where(asked, table.cost_usd, 0.0).sum(axis=1),
        latency_s=latency,
    )
