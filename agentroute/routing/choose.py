"""What validation chooses: how far to trust the network, and whom to ask.

Every policy is tried at every trust, simplest first. A candidate that trusts the network more must beat the
one that trusts it less by more than chance on the same validation queries: thin data keeps the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from agentroute.knowledge.graph import Floats, Indices
from agentroute.outcomes import OutcomeTable
from agentroute.routing.policy import Nucleus, Policy, PriceAware, Table, TopK, make_policy
from agentroute.routing.replay import Replay, replay

TRUST = (0.0, 0.5, 1.0)
ROUNDS = 3
"""Waves that a run may take, as in ``Limits``."""

TRUST_SE = 1.64
"""Standard errors of the paired difference by which more trust must beat less: one-sided, 95%."""

DOUBT_SE = 0.5
"""Standard errors of its gain that a setting must be worth more by."""


@dataclass(frozen=True)
class Calibration:
    """Turns a network's log-odds into chances that hold.

    Args:
        trust: How far to go from the record (0) to the network (1).
        scale: Factor on the log-odds; below 1 where they are too sure.
        shift: Added to the log-odds.
    """

    trust: float = 1.0
    scale: float = 1.0
    shift: float = 0.0

    def __call__(self, prior: Floats, network: Floats) -> Floats:
        """Return calibrated log-odds. Shapes: those of the arguments."""
        return np.asarray(
            self.scale * (prior + self.trust * (network - prior)) + self.shift, dtype=np.float32
        )


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A way to run the router, and what validation said of it.

    Args:
        policy: Whom to ask.
        rounds: Waves at most; more than one only serves to ask others when nobody answered.
        calibration: From log-odds to chances.
        score: Mean validation score.
        calls: Mean agents asked.
        cost_usd: Mean US dollars, or ``None`` where unknown.
        doubt: Standard error of what it scores above the first setting, the one that asks one agent.
        price: What it costs, as a multiple of the first setting: by US dollars where known, else by calls.
    """

    policy: Policy
    rounds: int = ROUNDS
    calibration: Calibration
    score: float
    calls: float
    cost_usd: float | None
    doubt: float = 0.0
    price: float = 1.0

    def worth(self, call_price: float) -> float:
        """Return what it scores, less a price per call and less half a standard error of its gain.

        Of many candidates the luckiest looks best. The more a setting differs from asking one agent, the more
        luck there can be in it.

        Args:
            call_price: Score (0 to 1) that the price of one more call must bring.

        Returns:
            Points of score, 0 to 1.
        """
        return self.score - call_price * self.price - DOUBT_SE * self.doubt

    def plain(self) -> dict[str, Any]:
        """Return plain data, for a router file."""
        return {
            "policy": self.policy.plain(),
            "rounds": self.rounds,
            "calibration": asdict(self.calibration),
            "score": round(self.score, 5),
            "calls": round(self.calls, 4),
            "cost_usd": self.cost_usd,
            "doubt": round(self.doubt, 5),
            "price": round(self.price, 4),
        }

    @classmethod
    def from_plain(cls, data: dict[str, Any]) -> Setting:
        """Read what ``plain`` gave."""
        return cls(
            policy=make_policy(data["policy"]),
            rounds=data["rounds"],
            calibration=Calibration(**data["calibration"]),
            score=data["score"],
            calls=data["calls"],
            cost_usd=data["cost_usd"],
            doubt=data["doubt"],
            price=data["price"],
        )


def calibrate(prior: Floats, network: Floats, score: Floats, trust: float) -> Calibration:
    """Fit ``sigmoid(scale * logits + shift)`` to recorded scores.

    This is Platt's scaling (1999) with soft labels, by Newton's method.

    Args:
        prior: Log-odds from the record alone. Shapes: ``(queries, agents)``.
        network: Log-odds from the network.
        score: Recorded scores, NaN where an agent did not run.
        trust: How far to go from the one to the other.

    Returns:
        The calibration at this trust.
    """
    ran = ~np.isnan(score)
    logits, target = (prior + trust * (network - prior))[ran], score[ran]
    x = np.stack([logits, np.ones_like(logits)], axis=1).astype(np.float64)
    start = np.array([1.0, 0.0])
    theta = start

    def loss(theta: Table) -> float:
        z = x @ theta
        return float(np.logaddexp(0.0, z).sum() - target @ z + 0.5 * ((theta - start) ** 2).sum())

    for _ in range(25):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ theta, -500.0, 500.0)))
        # A weak pull toward "leave it as it is" keeps thin or one-sided data from running away.
        gradient = x.T @ (p - target) + (theta - start)
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        # Where the log-odds are far too sure, a whole step overshoots and never comes back.
        while loss(theta - step) > loss(theta) + 1e-9 and np.abs(step).max() > 1e-9:
            step = step / 2.0
        theta = theta - step
    scale, shift = float(np.clip(theta[0], 0.05, 5.0)), float(np.clip(theta[1], -5.0, 5.0))
    return Calibration(trust=trust, scale=scale, shift=shift)


def candidates(agents: int, priced: bool) -> Sequence[tuple[Policy, int]]:
    """List the policies that validation chooses from, simplest first, and their rounds.

    Args:
        agents: How many agents there are.
        priced: True when some prices are known and not zero.

    Returns:
        Policies and rounds. The first asks one agent, and nobody else even if that one says nothing.
    """
    sizes = [k for k in (2, 3, 4, 5, 7, 9) if k <= agents]
    found: list[Policy] = [TopK(k=1)]
    found += [TopK(k=k, temperature=t) for k in sizes for t in (0.25, 0.5, 1.0, 2.0)]
    found += [Nucleus(p=p, temperature=t, most=7) for p in (0.5, 0.7, 0.9) for t in (0.25, 0.5, 1.0)]
    if priced:
        weights = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
        found += [PriceAware(price_weight=w, most=most) for w in weights for most in (1, 3, 5)]
    return [(TopK(k=1), 1), *((policy, ROUNDS) for policy in found)]


def settings(
    prior: Floats, network: Floats, cost: Table, table: OutcomeTable, groups: Indices
) -> tuple[Setting, ...]:
    """Try every policy on the validation queries.

    Args:
        prior: Log-odds from the record alone. Shapes: ``(queries, agents)``.
        network: Log-odds from the network.
        cost: Expected US dollars per agent, NaN where unknown. Shapes: ``(agents,)``.
        table: Recorded outcomes of the validation queries.
        groups: ``answer_groups(table)``.

    Returns:
        One setting per policy, each at the trust that earned it; the first asks one agent.
    """
    calibrations = [calibrate(prior, network, table.score, trust) for trust in TRUST]
    logits = [calibration(prior, network) for calibration in calibrations]
    known = cost[~np.isnan(cost)]
    found: list[Setting] = []
    first: Replay | None = None
    for policy, rounds in candidates(len(table.agents), bool(len(known)) and bool(known.max() > 0)):
        tried = [replay(policy, scores, cost, table, groups, rounds) for scores in logits]
        kept = 0
        for more in range(1, len(tried)):
            gain = tried[more].score - tried[kept].score
            if gain.mean() > TRUST_SE * gain.std() / len(gain) ** 0.5 and gain.any():
                kept = more
        got = tried[kept]
        first = first or got
        mean_cost, mean_calls = float(got.cost_usd.mean()), float(got.calls.mean())
        alone = float(first.cost_usd.mean())
        difference = got.score - first.score
        found.append(
            Setting(
                policy=policy,
                rounds=rounds,
                calibration=calibrations[kept],
                score=float(got.score.mean()),
                calls=mean_calls,
                cost_usd=None if np.isnan(mean_cost) else mean_cost,
                doubt=float(difference.std() / len(difference) ** 0.5),
                price=mean_cost / alone if alone > 0 else mean_calls,
            )
        )
    return tuple(found)


def best(
    tried: Sequence[Setting],
    call_price: float,
    *,
    max_calls: float | None = None,
    max_cost_usd: float | None = None,
) -> Setting | None:
    """Choose the setting that is worth most on validation; see ``Setting.worth``.

    A setting that gives up when its one agent says nothing only serves to keep a bound.

    Args:
        tried: What ``settings`` gave.
        call_price: Score (0 to 1) that one more call must bring.
        max_calls: Mean calls per query at most.
        max_cost_usd: Mean US dollars per query at most; settings of unknown cost do not qualify then.

    Returns:
        The setting, or ``None`` when none keeps within the bounds.
    """
    kept = [
        setting
        for setting in tried
        if (max_calls is None or setting.calls <= max_calls)
        and (max_cost_usd is None or (setting.cost_usd is not None and setting.cost_usd <= max_cost_usd))
    ]
    if max_calls is None and max_cost_usd is None:
        kept = [setting for setting in kept if setting.rounds > 1] or kept
    return max(kept, key=lambda setting: setting.worth(call_price), default=None)
