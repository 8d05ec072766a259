"""The cost-quality picture: what each policy scores, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentroute.errors import InputError, MissingExtraError
from agentroute.evaluation.verdict import PolicyScore, priced_in_usd

if TYPE_CHECKING:
    from agentroute.evaluation.joint import Pair

SIZE_INCHES = (8.0, 5.0)
DPI = 150
FORMATS = (".png", ".svg", ".pdf")

CHARACTER = 4.7
"""Mean width of a letter in typographic points, at the labels' size."""

NAMED = 6
"""Names that one label has room for, where many policies come to the same."""

_Box = tuple[float, float, float, float]
_Place = tuple[int, int, str]
_PLACES: tuple[_Place, ...] = (
    *((8, up, "left") for up in (0, 8, -8)),
    *((-8, up, "right") for up in (0, 8, -8)),
    *((0, up, "center") for up in (14, -14, 24, -24)),
    *((16, up, "left") for up in (16, -16, 26, -26)),
)
"""Where a label may stand, best first: points to the right, points up, the side of it that is fixed."""

_OWN, _OTHER, _ORACLE = "#c2410c", "#475569", "#15803d"


def check_picture(path: Path) -> None:
    """See that a picture can be drawn before anything long is begun.

    Args:
        path: Where it is to go.

    Raises:
        MissingExtraError: matplotlib is not installed.
        InputError: The path has an ending that is no picture, or its folder is missing.
    """
    try:
        import matplotlib  # noqa: F401 - only whether it is there
    except ImportError:
        raise MissingExtraError("plots", "plot") from None
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path} does not end in {', '.join(FORMATS)}; the ending decides the format")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path.parent} is not a folder; make it first, or give another path")


def draw(
    policies: Mapping[str, PolicyScore | None], title: str, path: Path, frontier: Sequence[Pair] = ()
) -> Path:
    """Draw what policies score against what they cost.

    Args:
        policies: By name; those that could not be computed are left out.
        title: What stands above.
        path: Where to.
        frontier: What was reached within several bounds with agent and level chosen together, and at one
            level for all: a line for each.

    Returns:
        The path.

    Raises:
        MissingExtraError: matplotlib is not installed.
        InputError: The path has an ending that is no picture, or cannot be written.
    """
    check_picture(path)
    from matplotlib import ticker
    from matplotlib.figure import Figure  # not pyplot: it would open a backend and keep every figure

    points = {name: policy for name, policy in policies.items() if policy is not None}
    usd = priced_in_usd(points)

    def price(policy: PolicyScore) -> float:
        return (policy.cost_usd or 0.0) if usd else policy.calls

    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    for name, policy in points.items():
        own = name.startswith("agentroute")
        axes.errorbar(
            price(policy),
            policy.score,
            yerr=[[policy.score - policy.score_low], [policy.score_high - policy.score]],
            fmt="*" if name == "oracle" else "o" if own else "s",
            markersize=9 if name in ("agentroute", "oracle") else 6,
            color=_ORACLE if name == "oracle" else _OWN if own else _OTHER,
            elinewidth=0.8,
            alpha=0.9,
        )
    front = _frontier([(price(p), p.score) for name, p in points.items() if name != "oracle"])
    axes.step([x for x, _ in front], [y for _, y in front], where="post", color=_OWN, alpha=0.35, zorder=0)
    for label, colour, reached in (
        ("agent and level together", _OWN, [pair.joint for pair in frontier]),
        ("one level for all", _OTHER, [pair.fixed for pair in frontier]),
    ):
        if reached:
            xy = sorted((price(policy), policy.score) for policy in reached)
            axes.plot(*zip(*xy, strict=True), "--.", color=colour, linewidth=1.2, label=label, zorder=1)
    if frontier:
        axes.legend(loc="lower right", fontsize=8)
    prices = [price(policy) for policy in points.values()]
    if min(prices) > 0 and max(prices) > 8 * min(prices):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    axes.margins(x=0.16, y=0.10)
    axes.set_xlabel("US dollars a query" if usd else "agents asked a query")
    axes.set_ylabel("score")
    axes.set_title(title)
    axes.grid(alpha=0.2)
    figure.draw_without_rendering()  # limits and scales are final now, and labels can be kept apart
    _label(axes, {name: (price(policy), policy.score) for name, policy in points.items()})
    return saved(figure, path)


def draw_reliability(parts: Sequence[tuple[float, float, int]], title: str, path: Path) -> Path:
    """Draw how often answers of one confidence were right, beside the line on which they should be.

    Args:
        parts: Mean confidence, mean score, and how many answers.
        title: What stands above.
        path: Where to.

    Returns:
        The path.

    Raises:
        MissingExtraError: matplotlib is not installed.
        InputError: The path has an ending that is no picture, or cannot be written; or there is nothing to
            draw.
    """
    if not parts:
        raise InputError("this router does not judge answers, so there is no confidence to draw")
    check_picture(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0, 5.0), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=_OTHER, linewidth=0.8, linestyle="--")
    most = max(count for _, _, count in parts)
    said, came, count = zip(*parts, strict=True)
    axes.scatter(said, came, s=[20 + 180 * n / most for n in count], color=_OWN, alpha=0.8)
    for x, y, n in parts:
        axes.annotate(f"{n:,}", (x, y), xytext=(0, -14), textcoords="offset points", fontsize=7, ha="center")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("confidence in the answer")
    axes.set_ylabel("mean score of such answers (below: how many)")
    axes.set_title(title)
    axes.grid(alpha=0.2)
    return saved(figure, path)


def saved(figure: Any, path: Path) -> Path:
    """Write a figure to a file, and return the path."""
    try:
        figure.savefig(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}; give another path") from error
    return path


def _frontier(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Keep the points that score more than every cheaper one."""
    front: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or y > front[-1][1]:
            front.append((x, y))
    return front


def _label(axes: Any, points: dict[str, tuple[float, float]]) -> None:
    """Name the points, each name where it covers the fewest others; equal points share one name."""
    names: dict[tuple[float, float], list[str]] = {}
    for name, point in points.items():
        names.setdefault(point, []).append(name)
    frame = [edge * 72 / DPI for edge in axes.bbox.extents]  # typographic points, as font sizes are
    spots = {point: axes.transData.transform(point) * 72 / DPI for point in names}
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in spots.values()]
    for point, here in sorted(names.items(), key=lambda item: -item[0][1]):
        shown = sorted(here, key=lambda name: name != "agentroute")
        rest = f" and {len(shown) - NAMED} more" if len(shown) > NAMED else ""
        text = ", ".join(shown[:NAMED]) + rest
        boxes = [_box(place, spots[point], CHARACTER * len(text)) for place in _PLACES]
        covered = [_covered(box, taken, frame) for box in boxes]
        best = covered.index(min(covered))
        taken.append(boxes[best])
        right, up, side = _PLACES[best]
        axes.annotate(
            text,
            point,
            xytext=(right, up),
            textcoords="offset points",
            fontsize=8,
            ha=side,
            va="center",
            fontweight="bold" if "agentroute" in here else "normal",
        )


def _box(place: _Place, spot: Any, width: float) -> _Box:
    right, up, side = place
    left = spot[0] + right - {"left": 0.0, "center": width / 2, "right": width}[side]
    return left, spot[1] + up - 5, left + width, spot[1] + up + 5


def _covered(box: _Box, taken: list[_Box], frame: list[float]) -> float:
    """Return the area that a label would share with others; standing outside the frame counts more."""
    left, low, right, high = box
    outside = max(0.0, frame[0] - left) + max(0.0, right - frame[2])
    shared = (
        max(0.0, min(right, r) - max(left, x)) * max(0.0, min(high, h) - max(low, y)) for x, y, r, h in taken
    )
    return 10 * outside + sum(shared)
