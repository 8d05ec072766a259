"""What was measured, summed up over seeds: as plain data, as Markdown, as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ablations import ABLATIONS, FROM_REPORT, RIVALS, TITLES
from measuring import UNBOUNDED, Record, mean, over_seeds, points, ratio, spread

from agentroute.evaluation.picture import draw
from agentroute.evaluation.report import EXTRA
from agentroute.evaluation.verdict import PolicyScore

WHOLE = "agentroute"
"""The router with nothing changed, among the changes."""

UNKNOWN, UNCHANGED = "-", "="


def summarize(runs: Sequence[Record]) -> dict[str, Record]:
    """Sum up over seeds.

    Args:
        runs: What was measured, each with ``set``, ``seed`` and ``change``.

    Returns:
        Per set: ``bounds``, ``presets``, ``training`` and, where any was measured, ``ablations``.
    """
    found: dict[str, Record] = {}
    for name in dict.fromkeys(run["set"] for run in runs):
        mine = [run for run in runs if run["set"] == name]
        whole = sorted((run for run in mine if run["change"] == WHOLE), key=lambda run: run["seed"])
        if not whole:
            continue
        ways = dict.fromkeys(way for run in whole for way in run["ways"])
        found[name] = {
            "seeds": [run["seed"] for run in whole],
            "agents": whole[0]["agents"],
            "queries": whole[0]["queries"],
            "best_single": mean([_policy(run, "best_single")["score"] for run in whole]),
            "oracle": mean([_policy(run, "oracle")["score"] for run in whole]),
            "bounds": {way: over_seeds(whole, way) for way in ways},
            "presets": {preset: _over_policies(whole, preset) for preset in EXTRA},
            "seconds": {
                part: mean([run["seconds"][part] for run in whole]) for part in ("train", "evaluate")
            },
        }
        if changes := _over_changes(mine, whole):
            found[name]["ablations"] = changes
    return found


def _policy(run: Record, name: str) -> Record:
    found: Record = run["report"]["policies"].get(name) or {}
    return found


def _over_policies(runs: Sequence[Record], name: str) -> Record | None:
    """Sum up one policy of the reports; nothing where a seed lacks it."""
    found = [_policy(run, name) for run in runs]
    if not all(found):
        return None
    singles = [PolicyScore(**_policy(run, "best_single")) for run in runs]
    both = [(PolicyScore(**policy), single) for policy, single in zip(found, singles, strict=True)]
    return {
        "points": spread([points(own.score, single.score) for own, single in both]),
        "calls": mean([own.calls for own, _ in both]),
        "cost_ratio": mean([ratio(own, single) for own, single in both]),
    }


def _over_changes(runs: Sequence[Record], whole: Sequence[Record]) -> dict[str, Record]:
    """Sum up every change; one is compared on the seeds for which it was measured."""
    single = {run["seed"]: _policy(run, "best_single")["score"] for run in whole}

    def above(seeds: Sequence[int], scores: Sequence[float | None]) -> Record | None:
        gains = [points(s, single[seed]) for seed, s in zip(seeds, scores, strict=True) if s is not None]
        return spread(gains) if gains and len(gains) == len(seeds) else None

    found: dict[str, Record] = {}
    for name in (*ABLATIONS, *RIVALS):
        mine = [run for run in runs if run["change"] == name and run["seed"] in single]
        if skipped := [run["skipped"] for run in mine if "skipped" in run]:
            found[name] = {"skipped": skipped[0]}
        elif mine:
            seeds = [run["seed"] for run in mine]
            found[name] = {
                "seeds": seeds,
                "own": above(seeds, [run["score"] for run in mine]),
                "everybody": above(seeds, [run["everybody"] for run in mine]),
                "calls": mean([run["calls"] for run in mine]),
            }
    if not found:
        return {}
    seeds = [run["seed"] for run in whole]
    first = {
        "seeds": seeds,
        "own": above(seeds, [run["ways"][UNBOUNDED]["figures"]["score"] for run in whole]),
        "everybody": above(seeds, [run["everybody"] for run in whole]),
        "calls": mean([run["ways"][UNBOUNDED]["figures"]["calls"] for run in whole]),
    }
    for name, (_, own, all_) in FROM_REPORT.items():
        found[name] = {
            "seeds": seeds,
            "own": above(seeds, [_policy(run, own).get("score") for run in whole]),
            "everybody": above(seeds, [_policy(run, all_ or "").get("score") for run in whole]),
            "calls": mean([_policy(run, own).get("calls") for run in whole]),
        }
    order = [*ABLATIONS, *FROM_REPORT, *RIVALS]
    return {WHOLE: first, **{name: found[name] for name in order if name in found}}


def markdown(
    summary: Mapping[str, Record], failed: Sequence[Record], command: str, ablations_command: str
) -> str:
    """Write the tables.

    Args:
        summary: What ``summarize`` gave.
        failed: What could not be measured: ``set``, ``seed``, ``change`` and ``error``.
        command: What makes the first tables again.
        ablations_command: What makes all of them again.

    Returns:
        Markdown.
    """
    parts = ["# Quality"]
    if summary:
        parts += [_bounds(summary, command), _presets(summary, command), _training(summary, command)]
    if any("ablations" in one for one in summary.values()):
        parts += [_changes(summary, ablations_command, part) for part in ("own", "everybody")]
    return page([*parts, *not_measured(failed)])


def page(parts: Sequence[str]) -> str:
    """Join the parts of a page."""
    return "\n\n".join(parts) + "\n"


def not_measured(failed: Sequence[Record]) -> list[str]:
    """Return the part of a page that says what failed, and why; nothing where nothing did."""
    lines = [f"- {one['set']}, seed {one['seed']}, {one['change']}: {one['error']}" for one in failed]
    return ["\n".join(["## Not measured", "", *lines])] if lines else []


def _bounds(summary: Mapping[str, Record], command: str) -> str:
    rows = []
    for name, one in summary.items():
        for way, found in one["bounds"].items():
            start = [name, way, f"{one['best_single']:.3f}"]
            if "error" in found:
                rows.append([*start, found["error"]])
                continue
            rows.append(
                [
                    *start,
                    _spread(found["points"]),
                    _rival(found["strongest"]),
                    _rival(found["same_price"]),
                    _interval(found["above_same_price"]),
                    f"{found['calls']:.2f}",
                    _times(found["cost_ratio"]),
                    ", ".join(f"{verdict} ({n})" for verdict, n in found["verdicts"].items()),
                    f"{one['oracle']:.3f}",
                ]
            )
    header = ("outcomes", "bound", "best single", "agentroute", "strongest simple", "at its price or less")
    header = (*header, "agentroute above that", "calls", "cost", "verdict (seeds)", "oracle")
    note = (
        "Best single and oracle are scores, 0 to 1. All else is in points of score (0 to 100) above the best "
        "single agent on the same held-out queries: the mean over seeds, and from the lowest to the highest. "
        "The simple baselines are those that turned out strongest on these very queries. `agentroute above "
        "that` compares with the second of them query by query, over all seeds, with a 95% bootstrap "
        "interval. `cost` is a multiple of the best single agent's."
    )
    return section("Against the baselines", header, rows, note, command)


def _presets(summary: Mapping[str, Record], command: str) -> str:
    rows = [
        [name, *(_preset(one["presets"].get(preset)) for preset in EXTRA)] for name, one in summary.items()
    ]
    header = ("outcomes", *(preset.removeprefix("agentroute_") for preset in EXTRA))
    note = "Points above the best single agent, and calls per query, of the same router held to one way."
    return section("Ways of asking", header, rows, note, command)


def _training(summary: Mapping[str, Record], command: str) -> str:
    rows = [
        [
            name,
            str(one["agents"]),
            *(f"{one['queries'][part]:,}" for part in ("train", "validation", "judged")),
            ", ".join(map(str, one["seeds"])),
            *(f"{one['seconds'][part]:.0f}" for part in ("train", "evaluate")),
        ]
        for name, one in summary.items()
    ]
    header = ("outcomes", "agents", "training", "validation", "judged", "seeds")
    header = (*header, "training seconds", "evaluating seconds")
    note = "Counts are those of the first seed. Texts whose vectors are in the cache are not embedded again."
    return section("Training", header, rows, note, command)


def _changes(summary: Mapping[str, Record], command: str, part: str) -> str:
    sets = [name for name, one in summary.items() if "ablations" in one]
    rows = []
    for change in (WHOLE, *TITLES):
        cells = [_change(summary[name]["ablations"].get(change), part) for name in sets]
        if set(cells) - {UNKNOWN, UNCHANGED}:
            rows.append([TITLES.get(change, "agentroute"), *cells])
    title, note = {
        "own": ("Each part, by its own policy", "the policy that validation chose"),
        "everybody": ("Each part, with everybody asked", "all agents asked and one answer chosen"),
    }[part]
    return section(
        title,
        ("change", *sets),
        rows,
        f"Points above the best single agent, mean over seeds: {note}. "
        f"`{UNCHANGED}` changes nothing in that set; `{UNKNOWN}` was not or cannot be measured.",
        command,
    )


def _change(found: Record | None, part: str) -> str:
    if found is None:
        return UNKNOWN
    if "skipped" in found:
        return UNCHANGED
    return UNKNOWN if found[part] is None else f"{found[part]['mean']:+.1f}"


def section(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], note: str, command: str) -> str:
    """Write one table under its title.

    Args:
        title: What stands above.
        header: The columns.
        rows: Their cells; a short row is filled up.
        note: What a reader has to know.
        command: What makes it again.

    Returns:
        Markdown.
    """
    lines = [[*header], ["---"] * len(header), *([*row, *[""] * (len(header) - len(row))] for row in rows)]
    table = "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
    return f"## {title}\n\n{table}\n\n{note}\n\n```bash\n{command}\n```"


def _spread(found: Record) -> str:
    return f"{found['mean']:+.1f} ({found['low']:+.1f} to {found['high']:+.1f})"


def _interval(found: Record | None) -> str:
    return UNKNOWN if found is None else _spread(found)


def _rival(found: Record | None) -> str:
    return UNKNOWN if found is None else f"{found['points']:+.1f} ({', '.join(found['names'])})"


def _times(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}x"


def _preset(found: Record | None) -> str:
    return UNKNOWN if found is None else f"{found['points']['mean']:+.1f} at {found['calls']:.1f}"


def pictures(runs: Sequence[Record], folder: Path) -> list[Path]:
    """Draw score against price for every set, each policy at its mean over the seeds.

    Args:
        runs: What was measured.
        folder: Where to; made if missing.

    Returns:
        The pictures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name in dict.fromkeys(run["set"] for run in runs):
        mine = [run for run in runs if run["set"] == name and run["change"] == WHOLE]
        if not mine:
            continue
        policies = {policy: _mean_policy([_policy(run, policy) for run in mine]) for policy in _names(mine)}
        for way in mine[0]["ways"]:
            held = [run["ways"].get(way, {}).get("figures", {}) for run in mine]
            if way != UNBOUNDED and f"agentroute_{way}" not in policies:
                policies[f"agentroute ({way})"] = _mean_policy(held)
        title = f"{name}: mean over seeds {', '.join(str(run['seed']) for run in mine)}"
        drawn.append(draw(policies, title, folder / f"{name}.png"))
    return drawn


def _names(runs: Sequence[Record]) -> list[str]:
    return [*dict.fromkeys(name for run in runs for name in run["report"]["policies"])]


def _mean_policy(found: Sequence[Record]) -> PolicyScore | None:
    """Average a policy's figures and the ends of its intervals; nothing where a seed lacks it."""
    if not all(found):
        return None
    names = [field.name for field in fields(PolicyScore)]
    averaged: dict[str, Any] = {name: mean([one[name] for one in found]) for name in names}
    return PolicyScore(**averaged)
