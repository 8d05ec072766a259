"""What validation chooses: how far to trust the network, and whom to ask.

Every policy is tried at every trust, simplest first. A candidate that trusts the network more must beat the
one that trusts it less by more than chance on the same validation queries: thin data keeps the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from agentroute.knowledge.graph import Floats, Indices
from agentroute.outcomes import OutcomeTable
from agentroute.routing.assurance import thresholds
from agentroute.routing.calibration import VIEWS, Calibration, calibrate, calibrate_growth
from agentroute.routing.clusters import cluster_of, standard_error
from agentroute.routing.growth import Growth
from agentroute.routing.policy import Nucleus, Policy, PriceAware, Table, TopK, make_policy
from agentroute.routing.replay import Judge, Replay, replay
from agentroute.routing.rounds import Agreement, Cascade, Growing, Panel
from agentroute.routing.smoothing import smoothed

ROUNDS = 8
"""Waves that a run may take, as in ``Limits``."""

PRICES = tuple(round(0.002 * 1.32**step, 4) for step in range(21))
"""Price weights that are tried: points of score (0 to 1) that the mean price of a call must buy."""

SURE = (0.6, 0.75, 0.85, 0.93, 1.0)
"""Chances of being right that are tried as good enough."""

TRUST_SE = 1.64
"""Standard errors of the paired difference by which more trust must beat less: one-sided, 95%."""

DOUBT_SE = 0.25
"""Standard errors of its gain that a setting must be worth more by."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A way to run the router, and what validation said of it.

    Args:
        policy: Whom to ask.
        rounds: Waves at most; more than one only serves to ask others when nobody answered.
        calibration: From log-odds to chances.
        score: Mean validation score.
        steady: The same, smoothed over settings that are nearly the same, see ``smoothing``; ``None`` where
            it was not.
        calls: Mean agents asked.
        cost_usd: Mean US dollars, or ``None`` where unknown.
        doubt: Standard error of what it scores above the first setting, the one that asks one agent.
        price: What it costs, as a multiple of the first setting of the whole team: by US dollars where known,
            else by calls.
        right: Scale and shift that turn the network's log-odds of an answer into a chance.
        gain: Scale and shift that do so with what an agent would add.
        sure: For each of ``assurance.TARGETS``, the confidence from which on answers keep that promise, or
            ``None`` when validation could not show it.
    """

    policy: Policy
    rounds: int = ROUNDS
    calibration: Calibration
    score: float
    calls: float
    cost_usd: float | None
    steady: float | None = None
    doubt: float = 0.0
    price: float = 1.0
    right: tuple[float, float] = (1.0, 0.0)
    gain: tuple[float, float] = (1.0, 0.0)
    sure: tuple[float | None, ...] = ()

    def worth(self, call_price: float) -> float:
        """Return what it should score, less a price per call and a quarter of a standard error of its gain.

        Of many candidates the luckiest looks best. So scores are smoothed, and the more a setting differs
        from asking one agent, the more luck there can be in it.

        Args:
            call_price: Score (0 to 1) that the price of one more call must bring.

        Returns:
            Points of score, 0 to 1.
        """
        score = self.score if self.steady is None else self.steady
        return score - call_price * self.price - DOUBT_SE * self.doubt

    def plain(self) -> dict[str, Any]:
        """Return plain data, for a router file."""
        return {
            "policy": self.policy.plain(),
            "rounds": self.rounds,
            "calibration": asdict(self.calibration),
            "score": round(self.score, 5),
            "steady": None if self.steady is None else round(self.steady, 5),
            "calls": round(self.calls, 4),
            "cost_usd": self.cost_usd,
            "doubt": round(self.doubt, 5),
            "price": round(self.price, 4),
            "right": [*self.right],
            "gain": [*self.gain],
            "sure": [*self.sure],
        }

    @classmethod
    def from_plain(cls, data: dict[str, Any]) -> Setting:
        """Read what ``plain`` gave."""
        return cls(
            policy=make_policy(data["policy"]),
            rounds=data["rounds"],
            calibration=Calibration.from_plain(data["calibration"]),
            score=data["score"],
            calls=data["calls"],
            cost_usd=data["cost_usd"],
            steady=data.get("steady"),
            doubt=data["doubt"],
            price=data["price"],
            right=tuple(data["right"]),
            gain=tuple(data["gain"]),
            sure=tuple(data["sure"]),
        )


def candidates(
    agents: int, priced: bool, growing: bool = False, panels: Sequence[tuple[str, ...]] = ()
) -> Sequence[tuple[Policy, int]]:
    """List the policies that validation chooses from, simplest first, and their rounds.

    Args:
        agents: How many agents there are.
        priced: True when some prices are known and not zero.
        growing: True when there are answers to look at.
        panels: Lists of agents worth asking in that order.

    Returns:
        Policies and rounds. The first asks one agent, and nobody else even if that one says nothing.
    """
    sizes = sorted({k for k in (2, 3, 4, 5, 7, 9, agents) if 1 < k <= agents})
    found: list[Policy] = [TopK(k=1)]
    found += [TopK(k=k, temperature=t) for k in sizes for t in (0.25, 0.5, 1.0, 2.0)]
    found += [Nucleus(p=p, temperature=t, most=7) for p in (0.5, 0.7, 0.9) for t in (0.25, 0.5, 1.0)]
    weights = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
    if priced:
        found += [PriceAware(price_weight=w, most=most) for w in weights for most in (1, 3, 5)]
    if growing:
        found += [TopK(k=k, judged=True) for k in sizes]
        found += [Growing(price_weight=weight) for weight in PRICES]
        waves = [(first, most) for first, most in ((2, 2), (4, 3)) if first <= agents]
        found += [Growing(price_weight=w, first=f, most=m) for w in PRICES[::2] for f, m in waves]
        if priced:
            found += [
                PriceAware(price_weight=w, most=most, novelty=0.6, judged=True)
                for w in weights
                for most in (4, 8)
            ]
        found += [Agreement(first=2, most=most) for most in (3, 5, 9) if most <= agents]
        found += [Cascade(sure=sure) for sure in SURE[:-1]]
        for panel in panels:
            steps = ((1, 1), (2, 2)) if len(panel) > 2 else ((1, 1),)
            found += [Panel(order=panel, first=f, most=m, sure=s) for f, m in steps for s in SURE[:-1]]
            found += [Panel(order=panel[:n], first=n) for n in range(2, len(panel) + 1)]
    # Lists of agents may begin alike.
    return [(TopK(k=1), 1), *((policy, ROUNDS) for policy in dict.fromkeys(found))]


def settings(
    views: Floats,
    cost: Table,
    table: OutcomeTable,
    groups: Indices,
    growth: Growth | None = None,
    panels: Sequence[tuple[str, ...]] = (),
    usual: float | None = None,
) -> tuple[Setting, ...]:
    """Try every policy on the validation queries.

    Args:
        views: From ``views.views_of``; nearness is not read. Shapes: ``(VIEWS + 1, queries, agents)``.
        cost: Expected US dollars per agent, NaN where unknown. Shapes: ``(agents,)``.
        table: Recorded outcomes of the validation queries.
        groups: ``answer_groups(table)``.
        growth: The network's view of the same queries; ``None`` where no answers were recorded as text.
        panels: Lists of agents worth asking in that order.
        usual: US dollars that are one price; by default, and where it is ``None``, what the first setting
            costs.

    Returns:
        One setting per policy, each at the trust that earned it; the first asks one agent.
    """
    calibrations = [calibrate(views, table.score, trust) for trust in range(VIEWS)]
    logits = [calibration(views) for calibration in calibrations]
    known = cost[~np.isnan(cost)]
    priced = bool(len(known)) and bool(known.max() > 0)
    right, gain = ((1.0, 0.0), (1.0, 0.0)) if growth is None else calibrate_growth(growth, table, groups)
    judge = None if growth is None else Judge(growth=growth, right=right, gain=gain)
    clusters = cluster_of(table)
    found: list[Setting] = []
    first: Replay | None = None
    alone = 0
    for policy, rounds in candidates(len(table.agents), priced, growth is not None, panels):
        # Answers tell more than any trust in what was expected of their agents: that is settled with one.
        trusts = [alone] if policy.looks else range(len(logits))
        tried = {trust: replay(policy, logits[trust], cost, table, groups, rounds, judge) for trust in trusts}
        kept = next(iter(tried))
        for more in list(tried)[1:]:
            difference = tried[more].score - tried[kept].score
            if difference.any() and difference.mean() > TRUST_SE * standard_error(difference, clusters):
                kept = more
        got = tried[kept]
        if policy == TopK(k=1):
            alone = kept
        first = first or got
        mean_cost, mean_calls = float(got.cost_usd.mean()), float(got.calls.mean())
        least = float(first.cost_usd.mean()) if usual is None else usual
        found.append(
            Setting(
                policy=policy,
                rounds=rounds,
                calibration=calibrations[kept],
                score=float(got.score.mean()),
                calls=mean_calls,
                cost_usd=None if np.isnan(mean_cost) else mean_cost,
                doubt=standard_error(got.score - first.score, clusters),
                price=mean_cost / least if least > 0 and not np.isnan(mean_cost) else mean_calls,
                right=right,
                gain=gain,
                sure=thresholds(got.share, got.score) if policy.judged else (),
            )
        )
    steady = smoothed(
        [(one.policy, one.rounds) for one in found],
        [one.price for one in found],
        [one.score for one in found],
    )
    return tuple(replace(one, steady=score) for one, score in zip(found, steady, strict=True))


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
