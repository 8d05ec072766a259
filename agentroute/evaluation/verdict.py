"""Whether a router is worth deploying, by one rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SIMPLE = (
    "best_single",
    "best_per_task",
    "cheapest",
    "random",
    "knn",
    "words",
    "query_only",
    "majority",
    "weighted_vote",
    "all_agents",
)
"""The baselines a router must beat; of equals the first is named."""


@dataclass(frozen=True, kw_only=True)
class PolicyScore:
    """How one policy did; ``None`` is unknown.

    Args:
        score: Mean score, 0 to 1.
        score_low: Lower end of its 95% bootstrap interval.
        score_high: Upper end.
        cost_usd: US dollars per query.
        calls: Agents asked per query.
        latency_s: Seconds per query, agents of one round working side by side.
        gain: Score above ``best_single`` on the same queries.
        gain_low: Lower end of its 95% paired bootstrap interval.
        gain_high: Upper end.
    """

    score: float
    score_low: float
    score_high: float
    cost_usd: float | None
    calls: float
    latency_s: float | None
    gain: float
    gain_low: float
    gain_high: float


@dataclass(frozen=True, kw_only=True)
class Rival:
    """How often the agent that a baseline ranks best fits, and by how much the router leads.

    Args:
        top1: Share of the queries that some agent fits, 0 to 1.
        top1_low: Lower end of its 95% bootstrap interval.
        top1_high: Upper end.
        lead: The router's ``top1`` less this one, on the same queries.
        lead_low: Lower end of its 95% paired bootstrap interval.
        lead_high: Upper end.
    """

    top1: float
    top1_low: float
    top1_high: float
    lead: float
    lead_low: float
    lead_high: float


Policies = Mapping[str, PolicyScore | None]


def priced_in_usd(policies: Policies) -> bool:
    """Tell whether dollars tell policies apart; where they do not, calls are the price.

    Args:
        policies: What is to be compared.

    Returns:
        True when every policy's cost is known and not all are free.
    """
    costs = [policy.cost_usd for policy in policies.values() if policy is not None]
    return None not in costs and any(costs)


def decide(policies: Policies) -> tuple[str, str]:
    """Say whether to deploy the router.

    The price of a policy is its mean cost in US dollars; where any cost is unknown or all are free, its mean
    number of calls. The router is worth deploying when no simple baseline at its price or less scores as
    high, and one of two things holds:

    - *a real gain*: the 95% paired interval of its gain over ``best_single`` is above 0;
    - *a real saving*: it scores at least as high as every simple baseline, and costs less than the best one.

    Otherwise the baseline to keep is the best of those at its price or less that score as high; where there
    is none, the best of all. The oracle knows the answers and is no baseline.

    Args:
        policies: By name; ``agentroute`` and ``best_single`` among them.

    Returns:
        ``deploy`` or ``no gain: keep NAME``, and why, in one sentence.
    """
    own = policies["agentroute"]
    assert own is not None
    simple = {name: policy for name in SIMPLE if (policy := policies.get(name)) is not None}
    usd = priced_in_usd({**simple, "agentroute": own})

    def price(policy: PolicyScore) -> float:
        return (policy.cost_usd or 0.0) if usd else policy.calls

    strongest = max(simple, key=lambda name: simple[name].score)
    # Sums of the same prices in another order may differ in the last digits.
    room = price(own) * (1 + 1e-9)
    rivals = {n: p for n, p in simple.items() if price(p) <= room and p.score >= own.score}
    if not rivals and own.gain_low > 0:
        return "deploy", "it gains over best_single, and nothing simple at its price or less does as well"
    if not rivals and own.score >= simple[strongest].score and price(simple[strongest]) > room:
        return "deploy", f"it does as well as {strongest}, the best simple baseline, for less"
    if rivals:
        keep = max(rivals, key=lambda name: rivals[name].score)
        return f"no gain: keep {keep}", f"{keep} does as well at the same price or less"
    reason = "its gain over best_single may be chance" if own.gain > 0 else "best_single does as well"
    return f"no gain: keep {strongest}", reason


def decide_sets(rivals: Mapping[str, Rival | None]) -> tuple[str, str]:
    """Say whether to deploy a router of utterances: when it ranks better than the strongest baseline.

    It does when the 95% paired interval of its lead in ``top1`` is above 0.

    Args:
        rivals: The baselines, by name; ``None`` where one cannot be computed, but not all.

    Returns:
        ``deploy`` or ``no gain: keep NAME``, and why, in one sentence.
    """
    found = {name: rival for name, rival in rivals.items() if rival is not None}
    strongest = max(found, key=lambda name: found[name].top1)
    lead = found[strongest]
    if lead.lead_low > 0:
        return "deploy", f"its best-ranked agent fits more often than that of {strongest}, the best baseline"
    reason = "its lead may be chance" if lead.lead > 0 else f"{strongest} ranks as well"
    return f"no gain: keep {strongest}", reason
