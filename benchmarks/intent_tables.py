"""What was measured on utterances, summed up over seeds: as plain data, as Markdown, as a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from intent_measuring import SIZES, TCAR_SIZE
from measuring import UNBOUNDED, Record, mean
from onboarding import BEFORE, NEW, OLD, STEPS
from tables import UNKNOWN, WHOLE, not_measured, page, section

from agentroute.evaluation.bootstrap import interval, resampled_means
from agentroute.evaluation.picture import DPI, check_picture
from agentroute.evaluation.set_report import RIVALS

CURVE = "curve"
"""The training without some agents, among the changes."""

DEAF = "no history"
"""The training on utterances without their earlier turns, among the changes."""

TRAINED = "trained"
"""The whole router, which learned from all utterances of the newcomers, among the steps."""

REPORTED = {"clinc150": 0.9125, "hwu64": 0.9163, "sgd_intents": 0.9158}
"""Set recall of TCAndon-Router by the folder's name (arXiv 2601.04544, table 1), on test rows of its own."""

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
    clusters, known = _array(found["cluster"]), _array(found["agent"]) >= 0
    one = {name: _array(values) for name, values in found["ways"][way].items()}
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


def _array(values: Sequence[float | None]) -> Values:
    """Return an array, NaN where unknown."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _over_unseen(runs: Sequence[Record]) -> Record | None:
    if not runs:
        return None
    parts = [run["per_query"] for run in runs]
    clusters = [_array(part["cluster"]).astype(np.int64) for part in parts]
    here = [_array(part["unseen"]) > 0 for part in parts]
    place = [_array(part["ways"][UNBOUNDED]["place"]) for part in parts]
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
    group = [_array(part["group"]) for part in parts]
    new, old = [one == NEW for one in group], [one == OLD for one in group]
    by_agent = [_array(part["agent"]).astype(np.int64) for part in parts]
    by_query = [_array(part["cluster"]).astype(np.int64) for part in parts]
    before = [_array(part["place"][BEFORE]) for part in parts]

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
            **figures([_array(part["place"][str(step)]) for part in parts]),
        }
        for step in STEPS
    }
    if all(run["seed"] in whole for run in runs):
        held = [whole[run["seed"]]["per_query"]["ways"][UNBOUNDED]["place"] for run in runs]
        steps[TRAINED] = {"given": None, **figures([_array(place) for place in held])}
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


# ---------------------------------------------------------------------------- Markdown


def markdown(summary: Mapping[str, Record], failed: Sequence[Record], command: str) -> str:
    """Write the tables.

    Args:
        summary: What ``summarize`` gave.
        failed: What could not be measured: ``set``, ``seed``, ``change`` and ``error``.
        command: What makes the tables again.

    Returns:
        Markdown.
    """
    parts = ["# Utterances"]
    whole = {name: one for name, one in summary.items() if "ways" in one}
    if whole:
        parts += [_sets(whole, command), _rankings(whole, command)]
    if deaf := {name: one for name, one in whole.items() if DEAF in one}:
        parts.append(_histories(deaf, f"{command} --history"))
    if unseen := {name: one["unseen"] for name, one in whole.items() if one["unseen"]}:
        parts.append(_never_seen(unseen, command))
    if curves := {name: one[CURVE] for name, one in summary.items() if CURVE in one}:
        parts.append(_onboarding(curves, f"{command} --curve"))
    if stressed := {name: one for name, one in whole.items() if one["crowd"]}:
        parts += [_pleas(stressed, f"{command} --stress"), _crowds(stressed, f"{command} --stress")]
    if whole:
        parts.append(_times(whole, command))
    return page([*parts, *not_measured(failed)])


_SHOWN = (
    "top1",
    "mean_set_size",
    "set_recall",
    "unrefused_recall",
    "unrefused_size",
    "in_scope_loss",
    "oos_recall",
    "oos_precision",
)


def _sets(summary: Mapping[str, Record], command: str) -> str:
    rows = []
    for name, one in summary.items():
        for way, found in one["ways"].items():
            if "error" in found:
                rows.append([name, way, found["error"]])
                continue
            reported = REPORTED.get(name) if SIZES[way] == TCAR_SIZE else None
            rows.append([name, way, *(_figure(found[figure]) for figure in _SHOWN), _share(reported)])
    header = (
        "utterances",
        "bound",
        "top-1",
        "mean size",
        "set recall",
        "with none refused",
        "mean size then",
        "lost by refusing",
    )
    note = (
        "Means over seeds, and the 95% bootstrap interval over queries. Top-1: the best-ranked agent fits. "
        "Set recall: share of the agents that fit that are in the set, which is empty where the router says "
        "that none fits; `with none refused` is that of the same sets when it never says so. Mean size "
        "counts the sets that were given. Oos recall: how many of the queries that no agent fits were "
        "refused; oos precision: how many of those refused they are. `TCAR` is what TCAndon-Router reports "
        f"for set recall at a mean size of {TCAR_SIZE:g} (arXiv 2601.04544), on test rows of its own."
    )
    header = (*header, "oos recall", "oos precision", "TCAR")
    return section("Sets", header, rows, note, command)


_HEARD = ("top1", "set_recall", "unrefused_recall", "mean_set_size")


def _histories(summary: Mapping[str, Record], command: str) -> str:
    rows = []
    for name, one in summary.items():
        for what, run in (("with them", one), ("without", one[DEAF])):
            for way, found in run["ways"].items():
                if "error" not in found:
                    rows.append([name, what, way, *(_figure(found[figure]) for figure in _HEARD)])
    note = "The same utterances, trained on and judged with their last two earlier turns, and without any."
    header = ("utterances", "earlier turns", "bound", "top-1", "set recall", "with none refused", "mean size")
    return section("Earlier turns", header, rows, note, command)


def _rankings(summary: Mapping[str, Record], command: str) -> str:
    rows = [
        [
            name,
            _figure(one["ways"][UNBOUNDED]["top1"]),
            *(_share(one["rankings"][rival]) for rival in RIVALS),
            ", ".join(f"{verdict} ({n})" for verdict, n in one["verdicts"].items()),
        ]
        for name, one in summary.items()
    ]
    note = (
        "Top-1 beside that of simpler rankings on the same queries: a regression on words, nearest queries, "
        "a network that sees the query alone, and the nearest card."
    )
    header = ("utterances", "agentroute", *RIVALS, "verdict (seeds)")
    return section("Rankings", header, rows, note, command)


def _never_seen(unseen: Mapping[str, Record], command: str) -> str:
    rows = [
        [
            name,
            ", ".join(one["agents"]),
            f"{one['queries']:,}",
            *(_figure(one[figure]) for figure in ("top1", "top3")),
        ]
        for name, one in unseen.items()
    ]
    note = (
        "Agents of the held-out part without an utterance to learn from, known by their description alone "
        "and ranked among all. The other tables count their utterances too."
    )
    return section("Never seen", ("utterances", "agents", "queries", "top-1", "top-3"), rows, note, command)


_JOINED = ("new_top1", "new_top3", "old_top1", "old_top3", "old_top1_lost")


def _onboarding(curves: Mapping[str, Record], command: str) -> str:
    rows = []
    for name, one in curves.items():
        team = f"{one['newcomers']} of {one['agents']}"
        alone = [_figure(one["before"][f"old_{part}"]) for part in ("top1", "top3")]
        rows.append([name, team, "not there", UNKNOWN, UNKNOWN, *alone, UNKNOWN])
        for step, found in one["steps"].items():
            rows.append(
                [name, team, _how(step, found["given"]), *(_figure(found[figure]) for figure in _JOINED)]
            )
    header = (
        "utterances",
        "newcomers",
        "on their cards",
        "new: top-1",
        "top-3",
        "old: top-1",
        "top-3",
        "old lose",
    )
    note = (
        "A tenth of the agents is left out of training and joins by its card alone, or with some of its "
        "training utterances as examples on the card; all agents are then ranked. `new` are held-out "
        "queries that only newcomers fit, `old` those that an agent of the training fits. `old lose` is "
        "top-1 against the team before, query by query. Means over seeds, each with newcomers of its own, "
        "and 95% bootstrap intervals; queries of one newcomer are drawn together."
    )
    return section("Agents that join later", header, rows, note, command)


def _how(step: str, given: float | None) -> str:
    if given is None:
        return "trained with them"
    fewer = f" ({given:.0f} there)" if given < int(step) else ""
    return f"{step} examples{fewer}"


_READ = ("as it is", "damped", "as it is by cards alone", "damped by cards alone")


def _pleas(summary: Mapping[str, Record], command: str) -> str:
    rows = [
        [name, card, *(_share(found[way]) for way in _READ)]
        for name, one in summary.items()
        for card, found in one["pleading"].items()
    ]
    note = (
        "A newcomer joins whose card says nothing of what it can do. Share of the held-out queries on which "
        "it is ranked first, when its card is read as it is, and as routers read it: without what pleads, "
        "and with few of many keywords. By cards alone: as without any training."
    )
    header = (
        "utterances",
        "card",
        "read as it is",
        "damped",
        *(f"{way}, by cards alone" for way in _READ[:2]),
    )
    return section("Cards that plead", header, rows, note, command)


def _crowds(summary: Mapping[str, Record], command: str) -> str:
    rows = [
        [
            name,
            f"{one['crowd']['agents']:,}",
            f"{one['crowd']['queries']:,}",
            *(_share(one["crowd"][figure]) for figure in ("recall", "fitting")),
            *(f"{one['crowd'][part]:.1f}" for part in ("p50", "p95")),
        ]
        for name, one in summary.items()
    ]
    note = (
        "The agents among made-up ones, half of which vary a real card. Kept: the best-ranked of all is on "
        "the shortlist; fitting kept: one that fits is. `route()` is timed with the vectors at hand."
    )
    header = ("utterances", "agents", "queries", "kept", "fitting kept", "route() p50 ms", "p95 ms")
    return section("Ten thousand agents", header, rows, note, command)


def _times(summary: Mapping[str, Record], command: str) -> str:
    rows = [
        [
            name,
            str(one["agents"]),
            *(f"{one['queries'][part]:,}" for part in ("train", "validation", "judged", "none_fits")),
            ", ".join(map(str, one["seeds"])),
            *(f"{one['seconds'][part]:.0f}" for part in ("train", "evaluate")),
            *(f"{one['route_ms'][part]:.1f}" for part in ("p50", "p95")),
            UNKNOWN if one["route_ms"]["load"] is None else f"{one['route_ms']['load']:.1f}",
        ]
        for name, one in summary.items()
    ]
    header = ("utterances", "agents", "training", "validation", "judged", "of them none fits", "seeds")
    header = (*header, "training seconds", "evaluating seconds", "route() p50 ms", "p95 ms", "load")
    note = (
        "Counts are those of the first seed. In training, texts whose vectors are in the cache are not "
        "embedded again, unless the encoder is tuned; `route()` is timed on texts that are new to it. Load "
        "is that of the machine at that time: a busy one makes every time longer."
    )
    return section("Times", header, rows, note, command)


def _figure(found: Record) -> str:
    if found["mean"] is None:
        return UNKNOWN
    ends = "" if found["low"] is None else f" ({_share(found['low'])} to {_share(found['high'])})"
    return f"{_share(found['mean'])}{ends}"


def _share(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3f}"


# ---------------------------------------------------------------------------- the picture

_NEW, _OLD = "#c2410c", "#475569"
_PANEL_INCHES = (4.2, 3.8)


def draw_curves(summary: Mapping[str, Record], folder: Path) -> list[Path]:
    """Draw the onboarding curves, one panel per set.

    Args:
        summary: What ``summarize`` gave.
        folder: Where to; made if missing.

    Returns:
        The picture; nothing where no curve was measured.
    """
    curves = {name: one[CURVE] for name, one in summary.items() if CURVE in one}
    if not curves:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "onboarding.png"
    check_picture(path)
    from matplotlib.figure import Figure  # not pyplot: it would open a backend and keep every figure

    across = min(len(curves), 2)
    down = -(-len(curves) // across)
    width, height = _PANEL_INCHES
    figure = Figure(figsize=(width * across, height * down + 0.5), dpi=DPI, layout="constrained")
    panels = figure.subplots(down, across, squeeze=False, sharey=True)
    for panel, (name, curve) in zip(panels.flat, curves.items(), strict=False):
        _draw_curve(panel, name, curve)
    for panel in list(panels.flat)[len(curves) :]:
        panel.set_axis_off()
    lines, names = panels.flat[0].get_legend_handles_labels()
    figure.legend(
        lines, names, loc="outside lower center", ncols=3 if across > 1 else 2, fontsize=8, frameon=False
    )
    figure.savefig(path)
    return [path]


def _draw_curve(panel: Any, name: str, curve: Record) -> None:
    steps = [step for step in curve["steps"] if step != TRAINED]
    x = np.arange(len(steps))
    for who, colour in (("new", _NEW), ("old", _OLD)):
        for part, line in (("top1", "o-"), ("top3", "s--")):
            found = [curve["steps"][step][f"{who}_{part}"] for step in steps]
            y, low, high = (_array([one[end] for one in found]) for end in ("mean", "low", "high"))
            errors = np.nan_to_num(np.maximum([y - low, high - y], 0.0))
            label = f"{who} agents, {part.replace('top', 'top-')}"
            panel.errorbar(
                x,
                y,
                yerr=errors,
                fmt=line,
                color=colour,
                label=label,
                markersize=4,
                elinewidth=0.8,
                capsize=2,
            )
    if TRAINED in curve["steps"]:
        level = curve["steps"][TRAINED]["new_top1"]["mean"]
        panel.axhline(level, color=_NEW, linewidth=0.8, linestyle=":", label="new, top-1, trained with them")
    level = curve["before"]["old_top1"]["mean"]
    panel.axhline(level, color=_OLD, linewidth=0.8, linestyle=":", label="old, top-1, before they joined")
    panel.set_xticks(x, steps)
    panel.set_ylim(-0.02, 1.02)
    panel.set_xlabel("examples on a new agent's card")
    panel.set_ylabel("share of queries whose agent is found")
    panel.set_title(f"{name}: {curve['newcomers']} of {curve['agents']} agents join", fontsize=10)
    panel.grid(alpha=0.2)
