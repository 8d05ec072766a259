"""One set of outcomes, one seed: train, evaluate, and keep what a comparison over seeds needs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agentroute.errors import InputError
from agentroute.evaluation.bootstrap import interval, resampled_means
from agentroute.evaluation.compare import evaluate, hold
from agentroute.evaluation.report import Report
from agentroute.evaluation.verdict import SIMPLE, Policies, PolicyScore, decide, priced_in_usd
from agentroute.outcomes import OutcomeFolder, OutcomeTable
from agentroute.routing.baselines import run_baselines
from agentroute.routing.clusters import cluster_of
from agentroute.routing.config import TrainConfig
from agentroute.routing.growth import Growth
from agentroute.routing.policy import TopK
from agentroute.routing.replay import Replay, answer_groups
from agentroute.routing.router import GraphRouter
from agentroute.routing.train import train
from agentroute.types import Embedder

Progress = Callable[[str, int, int], None]
Record = dict[str, Any]

UNBOUNDED = "unbounded"


@dataclass(frozen=True, kw_only=True)
class Bound:
    """How the router is held back.

    Args:
        calls: Agents asked per query, in the mean.
        cost: Price per query, in the mean, as a multiple of the best single agent's; where dollars are
            unknown or all zero, a call is the price.
        preset: One way of asking, by its name in ``presets.PRESETS``.
    """

    calls: float | None = None
    cost: float | None = None
    preset: str | None = None

    def limits(self, single: PolicyScore) -> dict[str, float]:
        """Return what ``evaluate`` is to be told, given what the best single agent costs."""
        if self.calls is not None:
            return {"max_calls": self.calls}
        if self.cost is None:
            return {}
        return {"max_cost_usd": self.cost * single.cost_usd} if single.cost_usd else {"max_calls": self.cost}

    def name(self, single: PolicyScore) -> str:
        """Say it in a word, for the tables."""
        if self.preset is not None:
            return self.preset
        if "max_calls" in (found := self.limits(single)):
            return f"calls <= {found['max_calls']:g}"
        return f"cost <= {self.cost:g}x"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured on one set, beside the router as it comes.

    Args:
        without: Agents to leave out, where the set has them.
        bounds: The ways in which the router is held back.
    """

    without: tuple[str, ...] = ()
    bounds: tuple[Bound, ...] = (Bound(cost=1),)

    def absent(self, folder: OutcomeFolder) -> tuple[str, ...]:
        """Return the agents to leave out of a folder."""
        return tuple(name for name in self.without if name in folder.registry)


PLANS: Mapping[str, Plan] = {
    "hotpot_dev_rag": Plan(bounds=(Bound(calls=4), Bound(calls=2))),
    "mmlu_pro": Plan(bounds=(Bound(cost=1),)),
    "tatqa_strategy": Plan(bounds=(Bound(cost=2),)),
    # What o1-mini thinks is not in its recorded output, so that its recorded cost is far too low.
    "zeroeval": Plan(without=("o1-mini-2024-09-12",), bounds=(Bound(cost=4),)),
    # No answers as text, and a task label on every query: one agent a query is all there is to choose.
    "llmrouter_mix": Plan(bounds=(Bound(preset="top1"),)),
    "workbench": Plan(bounds=(Bound(calls=1.5),)),
}
"""By the folder's name; any other set is held to the best single agent's price."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Exam:
    """The queries that a router's training left out and on which every agent ran: those ``evaluate`` judges.

    Args:
        table: Their outcomes.
        groups: ``answer_groups(table)``.
        clusters: A number per query, the same for those that stand or fall together; it means the same with
            every seed.
        growth: The network's view of them; ``None`` where no answers were recorded as text.
    """

    table: OutcomeTable
    groups: npt.NDArray[np.int64]
    clusters: npt.NDArray[np.int64]
    growth: Growth | None

    @classmethod
    def of(cls, router: GraphRouter, folder: OutcomeFolder) -> Exam:
        """Take them from the folder that the router was trained on."""
        table = folder.table([name for name in folder.registry.ids if name in router.record.agents])
        held = set(router.manifest["test_ids"])
        left_out = np.array([row.query.id in held for row in table.queries])
        rows = np.flatnonzero(left_out & table.ran.all(axis=1))
        if not len(rows):
            raise InputError(f"{folder.path}: no query that training left out was answered by every agent")
        clusters, table = cluster_of(table)[rows], table.take(rows)
        return cls(table=table, groups=answer_groups(table), clusters=clusters, growth=router.growth(table))

    def replay(self, router: GraphRouter) -> Replay:
        """Say what a router would have scored."""
        return router.replay(self.table, self.groups, growth=self.growth)


def everybody(router: GraphRouter, exam: Exam) -> float | None:
    """Return the mean score when all are asked and the network says whose answer is given.

    Args:
        router: The router.
        exam: The queries.

    Returns:
        0 to 1, or ``None`` where there is no answer to judge.
    """
    all_ = TopK(k=len(exam.table.agents), judged=True)
    for setting in router.tried:
        if setting.policy == all_:
            return float(exam.replay(router.using(setting)).score.mean())
    return None


def measure(
    folder: OutcomeFolder,
    plan: Plan,
    config: TrainConfig,
    embedder: str | Embedder,
    tell: Progress,
    tune: bool = False,
) -> Record:
    """Train on a folder and evaluate, unbounded and as the plan says.

    Args:
        folder: The outcomes.
        plan: What to leave out, and the bounds.
        config: How to train; its seed decides the split.
        embedder: As for ``train``.
        tell: Called as the work goes on.
        tune: Whether the encoder is tuned first.

    Returns:
        Plain data: the figures, and the scores query by query of whatever is compared.
    """
    absent = plan.absent(folder)
    router = train(folder, config=config, without=absent, embedder=embedder, progress=tell, tune_encoder=tune)
    began = time.monotonic()
    seed = config.seed
    report = evaluate(router, folder, seed=seed, control=False, progress=tell)
    exam = Exam.of(router, folder)
    baselines = run_baselines(router, exam.table, exam.groups, seed)
    single = _known(report, "best_single")
    kept: dict[str, Replay] = {"best_single": _present(baselines, "best_single")}
    ways: dict[str, Record] = {}
    for bound in (Bound(), *plan.bounds):
        name = bound.name(single) if bound != Bound() else UNBOUNDED
        try:
            held, got, found = _held(router, exam, folder, report, bound, seed, tell)
        except InputError as error:
            ways[name] = {"error": str(error)}
            continue
        ways[name] = _way(found, held)
        kept[name] = got
        for rival in (ways[name]["strongest"], ways[name]["same_price"]):
            if rival is not None:
                kept[rival["name"]] = _present(baselines, rival["name"])
    return {
        "agents": len(exam.table.agents),
        "queries": {**router.manifest["queries"], "judged": report.n_queries},
        "seconds": {
            "train": router.manifest["seconds"],
            "evaluate": round(time.monotonic() - began, 1),
        },
        "report": report.to_json(details=True),
        "ways": ways,
        "everybody": everybody(router, exam),
        "per_query": {
            "cluster": exam.clusters.tolist(),
            "score": {name: [round(float(one), 5) for one in got.score] for name, got in kept.items()},
        },
    }


def _held(
    router: GraphRouter,
    exam: Exam,
    folder: OutcomeFolder,
    report: Report,
    bound: Bound,
    seed: int,
    tell: Progress,
) -> tuple[GraphRouter, Replay, Policies]:
    """Hold the router back; return it, what came of it, and it as ``agentroute`` among all policies."""
    if bound.preset is not None:
        held = router.with_preset(bound.preset)
        got = exam.replay(held)
        name = f"agentroute_{bound.preset}"
        policies = {**report.policies, "agentroute": _known(report, name)}
    else:
        limits = bound.limits(_known(report, "best_single"))
        held, got = hold(router, exam.replay, limits)
        if limits:
            report = evaluate(router, folder, seed=seed, control=False, progress=tell, **limits)
        policies = dict(report.policies)
    own = policies["agentroute"]
    assert own is not None
    if abs(own.score - got.score.mean()) > 1e-6 or abs(own.calls - got.calls.mean()) > 1e-6:
        raise RuntimeError(
            f"evaluate says {own.score:.6f} with {own.calls:.4f} calls, its replay here "
            f"{got.score.mean():.6f} with {got.calls.mean():.4f}; this is no longer what evaluate does"
        )
    return held, got, policies


def _way(policies: Policies, held: GraphRouter) -> Record:
    own, single = policies["agentroute"], policies["best_single"]
    assert own is not None and single is not None
    strongest, same_price = rivals_of(policies)
    return {
        "figures": asdict(own),
        "points": points(own.score, single.score),
        "cost_ratio": ratio(own, single),
        "verdict": decide(policies)[0],
        "policy": held.policy.plain(),
        "strongest": strongest,
        "same_price": same_price,
    }


def points(score: float, single: float) -> float:
    """Return points of score (0 to 100) above another score (0 to 1)."""
    return round(100.0 * (score - single), 4)


def ratio(own: PolicyScore, single: PolicyScore) -> float | None:
    """Return a policy's price as a multiple of the best single agent's; ``None`` is unknown."""
    return own.cost_usd / single.cost_usd if own.cost_usd is not None and single.cost_usd else None


def rivals_of(policies: Policies) -> tuple[Record, Record | None]:
    """Find the strongest simple baseline, and the strongest of those that cost no more than the router.

    They are found on the very queries that are judged, which no honest choice could know: it favours them.

    Args:
        policies: By name; ``agentroute`` and ``best_single`` among them.

    Returns:
        Name and points of each; nothing for the second where every simple baseline is dearer.
    """
    own, single = policies["agentroute"], policies["best_single"]
    assert own is not None and single is not None
    simple = {name: policy for name in SIMPLE if (policy := policies.get(name)) is not None}
    usd = priced_in_usd({**simple, "agentroute": own})

    def price(policy: PolicyScore) -> float:
        return (policy.cost_usd or 0.0) if usd else policy.calls

    def best(among: Mapping[str, PolicyScore]) -> Record:
        name = max(among, key=lambda name: among[name].score)
        return {"name": name, "points": points(among[name].score, single.score)}

    # Sums of the same prices in another order may differ in the last digits.
    near = {name: p for name, p in simple.items() if price(p) <= price(own) * (1 + 1e-9)}
    return best(simple), best(near) if near else None


def _known(report: Report, name: str) -> PolicyScore:
    policy = report.policies.get(name)
    if policy is None:
        raise InputError(f"there is no {name} on {report.data}")
    return policy


def _present(found: Mapping[str, Replay | None], name: str) -> Replay:
    got = found[name]
    assert got is not None  # it was in the report
    return got


def over_seeds(runs: Sequence[Record], name: str) -> Record:
    """Sum up one way of holding the router back over the seeds of a set.

    Args:
        runs: What ``measure`` gave, one per seed.
        name: The way, as in ``ways``.

    Returns:
        Means with the lowest and the highest, and intervals pooled over all seeds; ``None`` is unknown.
    """
    ways = [run["ways"].get(name, {"error": "not measured"}) for run in runs]
    if errors := [way["error"] for way in ways if "error" in way]:
        return {"error": errors[0]}
    same = [way["same_price"] for way in ways]
    return {
        "points": spread([way["points"] for way in ways]),
        "score": spread([way["figures"]["score"] for way in ways]),
        "calls": mean([way["figures"]["calls"] for way in ways]),
        "cost_ratio": mean([way["cost_ratio"] for way in ways]),
        "strongest": _rival([way["strongest"] for way in ways]),
        "same_price": _rival(same) if all(same) else None,
        "above_best_single": pooled(runs, name, ["best_single"] * len(runs)),
        "above_same_price": pooled(runs, name, [rival["name"] for rival in same]) if all(same) else None,
        "verdicts": dict(Counter(way["verdict"] for way in ways)),
    }


def _rival(found: Sequence[Record]) -> Record:
    return {
        "names": [name for name, _ in Counter(rival["name"] for rival in found).most_common()],
        "points": mean([rival["points"] for rival in found]),
    }


def pooled(runs: Sequence[Record], name: str, rivals: Sequence[str]) -> Record:
    """Compare the router with one rival a seed, query by query, over all seeds.

    A query that several seeds hold out is drawn together with itself, since it is one query.

    Args:
        runs: What ``measure`` gave, one per seed.
        name: The way, as in ``ways``.
        rivals: The baseline of each run.

    Returns:
        ``mean``, ``low`` and ``high`` in points: the mean over queries and its 95% bootstrap interval.
    """
    found = [run["per_query"] for run in runs]
    gain = np.concatenate(
        [np.subtract(part["score"][name], part["score"][r]) for part, r in zip(found, rivals, strict=True)]
    )
    clusters = np.concatenate([np.array(part["cluster"], np.int64) for part in found])
    low, high = interval(resampled_means(gain[:, None], 0, clusters=clusters)[:, 0])
    return {"mean": 100.0 * float(gain.mean()), "low": 100.0 * low, "high": 100.0 * high}


def mean(values: Sequence[float | None]) -> float | None:
    """Return the mean, unknown with an unknown part."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def spread(values: Sequence[float]) -> Record:
    """Return mean, lowest and highest."""
    return {"mean": sum(values) / len(values), "low": min(values), "high": max(values)}
