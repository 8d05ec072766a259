"""What was measured on utterances, summed up over seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from intent_measuring import SIZES
from measuring import UNBOUNDED, Record, mean
from onboarding import BEFORE, NEW, OLD, STEPS
from tables import WHOLE

from agentroute.evaluation.bootstrap import interval, resampled_means
from agentroute.evaluation.set_report import RIVALS

CURVE = "curve"
"""The training without some agents, among the changes."""

DEAF = "no history"
"""The training on utterances without their earlier turns, among the changes."""

TRAINED = "trained"
"""The whole router, which learned from all utterances of the newcomers, among the steps."""

Values = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]
Part = tuple[Values, Mask, npt.NDArray[np.int64]]
"""One seed: a value per query, which queries count, and a number for those that stand or fall together."""


def over_seeds(parts: Sequence[Part]) -> Record:
    """Sum up one figure over seeds.

    A query that several seeds hold out is drawn together with itself, since it is one query.

    Args:
        parts: One per seed.

    Returns:
        ``mean`` over the seeds, ``low`` and ``high``, the ends of its 95% bootstrap interval over queries,
        and ``seeds``, the figure of each; ``None`` is unknown.
    """
    seeds = [float(value[counts].mean()) if counts.any() else None for value, counts, _ in parts]
    value, counts, clusters = (np.concatenate([part[i] for part in parts]) for i in range(3))
    if len(np.unique(clusters[counts])) < 2:  # one alone says nothing of how far others would be
        return {"mean": mean(seeds), "low": None, "high": None, "seeds": seeds}
    counted = np.stack([np.where(counts, value, 0.0), counts.astype(np.float64)], axis=1)
    above, below = resampled_means(counted, 0, clusters=clusters).T
    some = below > 0  # a draw may hold none of the few queries that count
    low, high = interval(above[some] / below[some])
    return {"mean": mean(seeds), "low": low, "high": high, "seeds": seeds}


def summarize(runs: Sequence[Record]) -> dict[str, Record]:
    """Sum up over seeds.

    Args:
        runs: What was measured, each with ``set``, ``seed`` and ``change``.

    Returns:
        Per set: ``ways``, ``rankings``, times and ``unseen`` where it was measured whole, and ``curve`` where
        that was asked for.
    """
    found: dict[str, Record] = {}
    for name in dict.fromkeys(run["set"] for run in runs):
        mine = sorted((run for run in runs if run["set"] == name), key=lambda run: run["seed"])
        whole = [run for run in mine if run["change"] == WHOLE]
        curve = [run for run in mine if run["change"] == CURVE]
        deaf = [run for run in mine if run["change"] == DEAF]
        found[name] = {}
        if whole:
            found[name] |= _over_whole(whole)
        if deaf:
            found[name][DEAF] = _over_whole(deaf)
        if curve:
            found[name][CURVE] = _over_curve(curve, {run["seed"]: run for run in whole})
    return found


def _over_whole(runs: Sequence[Record]) -> Record:
    ways = {}
    for way in SIZES:
        if errors := [run["ways"][way]["error"] for run in runs if "error" in run["ways"][way]]:
            ways[way] = {"error": errors[0]}
            continue
        figures = [_figures(run["per_query"], way) for run in runs]
        ways[way] = {name: over_seeds([one[name] for one in figures]) for name in figures[0]}
    reports = [run["ways"][UNBOUNDED]["report"] for run in runs]
    rivals = {
        name: [(report["baselines"].get(name) or {}).get("top1") for report in reports] for name in RIVALS
    }
    return {
        "seeds": [run["seed"] for run in runs],
        "agents": runs[0]["agents"],
        "queries": runs[0]["queries"],
        "ways": ways,
        "rankings": {name: mean(found) for name, found in rivals.items()},
        "verdicts": dict(Counter(report["verdict"] for report in reports)),
        "pleading": _pleading(runs),
        "crowd": _crowd(runs),
        "unseen": _over_unseen([run for run in runs if run["unseen"]]),
        "seconds": {part: mean([run["seconds"][part] for run in runs]) for part in ("train", "evaluate")},
        "route_ms": {
            **{part: mean([run["route_ms"][part] for run in runs]) for part in ("p50", "p95", "load")},
            "each": [run["route_ms"] for run in runs],
        },
    }


def _pleading(runs: Sequence[Record]) -> Record:
    found = [run["pleading"] for run in runs if "pleading" in run]
    return {
        card: {way: mean([one[card][way] for one in found]) for way in found[0][card]}
        for card in (found[0] if found else {})
    }


def _crowd(runs: Sequence[Record]) -> Record:
    found = [run["crowd"] for run in runs if "crowd" in run]
    if not found:
        return {}
    shares = {name: mean([one[name] for one in found]) for name in ("recall", "fitting")}
    times = {part: mean([one["route_ms"][part] for one in found]) for part in ("p50", "p95")}
    return {**{name: found[0][name] for name in ("agents", "queries")}, **shares, **times}


def _figures(found: Record, way: str) -> dict[str, Part]:
    """Return the figures of one seed query by query; they are those of ``SetReport``."""
    clusters, known = array_of(found["cluster"]), array_of(found["agent"]) >= 0
    one = {name: array_of(values) for name, values in found["ways"][way].items()}
    given = one["size"] > 0
    figures: dict[str, tuple[Any, Mask]] = {
        "top1": (one["place"] == 1, known),
        "set_recall": (one["recall"], known),
        "unrefused_recall": (one["meant"], known),
        "unrefused_size": (one["full"], np.ones(len(known), bool)),
        "in_scope_loss": (one["meant"] - one["recall"], known),
        "mean_set_size": (one["size"], given),
        "oos_recall": (~given, ~known),
        "oos_precision": (~known, ~given & ~known.all()),
    }
    return {
        name: (np.asarray(value, np.float64), counts, clusters.astype(np.int64))
        for name, (value, counts) in figures.items()
    }


def array_of(values: Sequence[float | None]) -> Values:
    """Return an array, NaN where unknown."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _over_unseen(runs: Sequence[Record]) -> Record | None:
    if not runs:
        return None
    parts = [run["per_query"] for run in runs]
    clusters = [array_of(part["cluster"]).astype(np.int64) for part in parts]
    here = [array_of(part["unseen"]) > 0 for part in parts]
    place = [array_of(part["ways"][UNBOUNDED]["place"]) for part in parts]
    return {
        "seeds": [run["seed"] for run in runs],
        "agents": [*dict.fromkeys(name for run in runs for name in run["unseen"])],
        "queries": int(here[0].sum()),
        **{
            name: over_seeds(_within(place, here, clusters, most))
            for name, most in (("top1", 1), ("top3", 3))
        },
    }


def _within(
    place: Sequence[Values], here: Sequence[Mask], clusters: Sequence[npt.NDArray[np.int64]], most: int
) -> list[Part]:
    return [
        (np.asarray(one <= most, np.float64), mine, cluster)
        for one, mine, cluster in zip(place, here, clusters, strict=True)
    ]


def _over_curve(runs: Sequence[Record], whole: Mapping[int, Record]) -> Record:
    """Sum up the onboarding curve; queries of one newcomer are drawn together, since it is one newcomer."""
    parts = [run["per_query"] for run in runs]
    group = [array_of(part["group"]) for part in parts]
    new, old = [one == NEW for one in group], [one == OLD for one in group]
    by_agent = [array_of(part["agent"]).astype(np.int64) for part in parts]
    by_query = [array_of(part["cluster"]).astype(np.int64) for part in parts]
    before = [array_of(part["place"][BEFORE]) for part in parts]

    def figures(place: Sequence[Values]) -> Record:
        found: Record = {}
        for name, most in (("top1", 1), ("top3", 3)):
            found[f"new_{name}"] = over_seeds(_within(place, new, by_agent, most))
            found[f"old_{name}"] = over_seeds(_within(place, old, by_query, most))
            lost = [
                ((was <= most).astype(np.float64) - (now <= most), mine, cluster)
                for was, now, mine, cluster in zip(before, place, old, by_query, strict=True)
            ]
            found[f"old_{name}_lost"] = over_seeds(lost)
        return found

    steps = {
        str(step): {
            "given": mean([run["given"][str(step)] for run in runs]),
            **figures([array_of(part["place"][str(step)]) for part in parts]),
        }
        for step in STEPS
    }
    if all(run["seed"] in whole for run in runs):
        held = [whole[run["seed"]]["per_query"]["ways"][UNBOUNDED]["place"] for run in runs]
        steps[TRAINED] = {"given": None, **figures([array_of(place) for place in held])}
    return {
        "seeds": [run["seed"] for run in runs],
        "agents": runs[0]["agents"],
        "newcomers": len(runs[0]["held_out"]),
        "queries": runs[0]["queries"],
        "before": {
            f"old_{name}": over_seeds(_within(before, old, by_query, most))
            for name, most in (("top1", 1), ("top3", 3))
        },
        "steps": steps,
    }
