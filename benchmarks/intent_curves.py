"""How newcomers are found with more and more examples, as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from intent_sums import CURVE, TRAINED, array_of
from measuring import Record

from agentroute.evaluation.picture import DPI, check_picture

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
            y, low, high = (array_of([one[end] for one in found]) for end in ("mean", "low", "high"))
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
