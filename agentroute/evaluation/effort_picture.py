"""The frontier of effort: what each policy scores against what it spends."""

from __future__ import annotations

from pathlib import Path

from agentroute.evaluation.effort_report import EffortReport
from agentroute.evaluation.picture import DPI, SIZE_INCHES, check_picture, saved

_OWN, _FIXED, _OTHER, _ORACLE = "#c2410c", "#1d4ed8", "#475569", "#15803d"
_SAID = {
    "tokens": "tokens written",
    "cost_usd": "US dollars",
    "all_tokens": "tokens read and written",
    "weight": "weight of the levels",
    "highest": "share of the steps at the highest rung",
}


def draw_effort(report: EffortReport, path: Path) -> Path:
    """Draw fixed levels, the oracle and the router, with the line that coins between fixed levels reach.

    Args:
        report: What was found.
        path: Where to; its ending decides the format.

    Returns:
        The path.

    Raises:
        MissingExtraError: matplotlib is not installed.
        InputError: The path has an ending that is no picture, or cannot be written.
    """
    check_picture(path)
    from matplotlib.figure import Figure  # not pyplot: it would open a backend and keep every figure

    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    for name, policy in report.policies.items():
        color = {"agentroute": _OWN, "oracle": _ORACLE, "random": _OTHER}.get(name, _FIXED)
        axes.errorbar(
            policy.price,
            policy.score,
            yerr=[[policy.score - policy.score_low], [policy.score_high - policy.score]],
            fmt={"agentroute": "o", "oracle": "*"}.get(name, "s"),
            markersize=9 if name in ("agentroute", "oracle") else 6,
            color=color,
            elinewidth=0.8,
        )
        axes.annotate(
            name,
            (policy.price, policy.score),
            xytext=(8, 6),
            textcoords="offset points",
            fontsize=8,
            color=color,
        )
    fixed = sorted((p.price, p.score) for name, p in report.policies.items() if name.startswith("fixed_"))
    axes.plot([x for x, _ in fixed], [y for _, y in fixed], color=_FIXED, alpha=0.35, linewidth=1, zorder=0)
    axes.margins(x=0.14, y=0.10)
    axes.set_xlabel(f"{_SAID[report.currency]}, a {'step' if report.episodes is None else 'episode'}")
    axes.set_ylabel("score")
    axes.set_title(report.data)
    axes.grid(alpha=0.2)
    return saved(figure, path)
