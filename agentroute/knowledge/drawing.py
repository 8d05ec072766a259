"""A picture of a knowledge graph as it grows: the question on the left, the answers on the right."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agentroute.errors import InputError, MissingExtraError
from agentroute.knowledge.graph import NODE_TYPES, KnowledgeGraph, to_networkx
from agentroute.knowledge.grow import SLIGHT
from agentroute.knowledge.scene import (
    COLUMNS,
    FONT,
    FONT_POINTS,
    FOOTER,
    HEADER,
    LINE,
    PADDING,
    ROW,
    WIDTH,
    Box,
    Node,
    Scene,
    bottom,
    place,
    plain,
)

FORMATS = (".png", ".svg", ".pdf")
DPI = 110
LEGEND = 0.72
"""Inches below the last scene."""
BACK = 6.88
"""Where the way back from the answers to the question turns down, in inches."""

_INK, _PALE, _NEXT, _BEST = "#334155", "#f8fafc", "#c2410c", "#15803d"
_FILL = {"query": "#fde68a", "entity": "#e2e8f0", "agent": "#dbeafe", "answer": "#dcfce7"}
_HEADS = {"query": "question", "entity": "entities", "agent": "agents", "answer": "answers"}


class _Tie(NamedTuple):
    """How the ties of one relation look, and what the legend says of them."""

    color: str
    style: str | tuple[int, tuple[float, ...]]
    width: float
    says: str
    arrow: bool = False


_TIES: Mapping[str, _Tie] = {
    "suits": _Tie("#cbd5e1", "-", 0.9, "suits"),
    "mentions": _Tie("#64748b", "-", 1.0, "mentions"),
    "related": _Tie("#64748b", ":", 1.0, "related"),
    "knows": _Tie("#2563eb", "-", 0.7, "knows (does better there)"),
    "knows less": _Tie("#dc2626", (0, (4, 2)), 0.7, "knows (does worse there)"),
    "gave": _Tie(_INK, "-", 1.1, "gave", arrow=True),
    "answers": _Tie("#94a3b8", (0, (6, 2)), 0.9, "answers", arrow=True),
    "agrees": _Tie("#15803d", "-", 1.8, "agrees"),
    "resembles": _Tie("#0891b2", (0, (5, 2)), 1.1, "resembles"),
    "within": _Tie("#7c3aed", (0, (7, 2, 1, 2)), 1.2, "within", arrow=True),
    "differs": _Tie("#dc2626", ":", 1.0, "differs"),
}


def draw(
    graph: KnowledgeGraph,
    path: Path,
    *,
    title: str = "",
    gain: Sequence[float | None] = (),
    right: Sequence[float | None] = (),
    chosen: Collection[str] = (),
) -> Path:
    """Draw a knowledge graph; see ``draw_scenes``.

    Args:
        graph: The graph.
        path: Where to; the ending decides the format.
        title: What stands above it.
        gain: What each agent should add, 0 to 1.
        right: The chance of each answer to be right; the best one is marked.
        chosen: Ids of the agents that are asked next.

    Returns:
        The path.

    Raises:
        MissingExtraError: matplotlib is not installed.
        InputError: The path has an ending that is no picture, or cannot be written; or there are too many
            numbers, or too few.
    """
    return draw_scenes([Scene(graph=graph, title=title, gain=gain, right=right, chosen=chosen)], path)


def draw_scenes(scenes: Sequence[Scene], path: Path) -> Path:
    """Draw a graph at several moments, one below the other, with one legend.

    What follows from a tie that is drawn is left out: answers that agree also resemble and hold each other;
    ``within`` is drawn where it says more than ``resembles``; and ``holds`` is ``within`` read backwards.

    Args:
        scenes: The moments; at least one.
        path: Where to; the ending decides the format.

    Returns:
        The path; the same scenes give the same bytes.

    Raises:
        MissingExtraError: matplotlib is not installed.
        InputError: There is no scene, or the path has an ending that is no picture, or cannot be written.
    """
    if not scenes:
        raise InputError("there is no scene to draw; give at least one")
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path} does not end in {', '.join(FORMATS)}; the ending decides the format")
    try:
        import matplotlib
        from matplotlib.figure import Figure  # not pyplot: it would open a backend and keep every figure
    except ImportError:
        raise MissingExtraError("plots", "plot") from None

    tops: list[float] = []
    height = LEGEND
    for scene in reversed(scenes):
        height -= bottom(place(scene, 0.0))
        tops.append(height)
    # Fixed names and no date, so that a picture under version control changes only when its content does.
    fonts: Any = {"font.family": ["sans-serif"], "font.sans-serif": [FONT]}
    dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with matplotlib.rc_context({**fonts, "svg.hashsalt": "agentroute", "svg.fonttype": "none"}):
        figure = Figure(figsize=(WIDTH, height), dpi=DPI)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, WIDTH), ylim=(0, height))
        axes.set_axis_off()
        drawn: set[str] = set()
        for scene, top in zip(scenes, reversed(tops), strict=True):
            drawn |= _Canvas(axes, scene, top).draw()
        _legend(axes, drawn, scenes)
        try:
            figure.savefig(path, metadata=dates.get(path.suffix.lower()))
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}; give another path") from error
    return path


class _Canvas:
    """One scene on the page.

    Args:
        axes: A page in inches.
        scene: What to draw.
        top: The scene's upper edge.
    """

    def __init__(self, axes: Any, scene: Scene, top: float) -> None:
        self.axes, self.scene, self.top = axes, scene, top
        self.boxes = place(scene, top)
        self.drawn: set[str] = set()

    def draw(self) -> set[str]:
        """Draw everything, and return the relations that were."""
        self._ties()
        for node, box in self.boxes.items():
            self._box(node, box)
        heads = dict(_HEADS)
        if self.scene.gain:
            heads["agent"] += ": points each should add"
        if self.scene.right:
            heads["answer"] += ": chance to be right"
        for kind in NODE_TYPES:
            if self.scene.graph.count(kind):
                self._text(COLUMNS[kind][0], self.top - HEADER + 0.12, heads[kind], color="#64748b")
        large = {"fontsize": FONT_POINTS + 2, "weight": "bold"}
        self._text(COLUMNS["query"][0], self.top - 0.2, plain(self.scene.title), **large)
        return self.drawn

    def _text(self, x: float, y: float, text: str, **style: Any) -> None:
        given = {"fontsize": FONT_POINTS, "color": _INK, "va": "center", **style}
        # A question may hold dollar signs; they begin no formula.
        self.axes.text(x, y, text, parse_math=False, zorder=5, **given)

    def _box(self, node: Node, box: Box) -> None:
        from matplotlib.patches import FancyBboxPatch

        kind, position = node
        scene = self.scene
        fill, edge, line, weight = _FILL[kind], _INK, 0.6, "normal"
        if kind == "agent" and scene.graph.names["agent"][position] in scene.chosen:
            edge, line, weight = _NEXT, 1.8, "bold"
        elif kind == "agent" and scene.givers and position not in scene.givers:
            fill = _PALE
        elif kind == "answer" and position == scene.held:
            edge, line, weight = _BEST, 2.2, "bold"
        elif kind == "answer" and not scene.said[position]:
            fill = _PALE
        corner, size = (box.left, box.middle - box.half), (box.width, 2 * box.half)
        round_ = "round,pad=0,rounding_size=0.05"
        self.axes.add_patch(
            FancyBboxPatch(corner, *size, boxstyle=round_, fc=fill, ec=edge, lw=line, zorder=4)
        )
        for i, text in enumerate(box.lines):
            up = LINE * ((len(box.lines) - 1) / 2 - i)
            self._text(box.left + PADDING, box.middle + up, text, weight=weight)
        if box.note:
            self._text(box.left + box.width - PADDING, box.middle, box.note, ha="right", weight=weight)

    def _ties(self) -> None:
        ties = [
            (data["relation"], head, tail, float(data["weight"]))
            for head, tail, data in to_networkx(self.scene.graph).edges(data=True)
        ]
        agree = {(head, tail) for relation, head, tail, _ in ties if relation == "agrees"}
        alike = {(head, tail): weight for relation, head, tail, weight in ties if relation == "resembles"}
        drawn: dict[tuple[Node, Node], int] = {}
        for relation, head, tail, weight in ties:
            pair = head, tail
            if relation == "holds" or (relation != "agrees" and pair in agree):
                continue
            if relation == "within":
                if weight > alike.get(pair, 0.0) + SLIGHT:
                    self._beside(relation, head, tail)
            elif head[0] == tail[0]:
                if head < tail:  # these run both ways
                    self._beside(relation, head, tail)
            elif relation != "answers":
                drawn[pair] = drawn.get(pair, 0) + 1
                self._across(relation, head, tail, weight, 0.08 * (drawn[pair] - 1))
        self._back([head for relation, head, _, _ in ties if relation == "answers"])

    def _across(self, relation: str, head: Node, tail: Node, weight: float, bend: float) -> None:
        """Draw a tie from one column to another; the higher its weight, the thicker."""
        if relation == "knows" and weight < 0:
            relation = "knows less"
        right = COLUMNS[head[0]][0] < COLUMNS[tail[0]][0]
        start, end = self.boxes[head].side(right), self.boxes[tail].side(not right)
        more = 2.2 * min(abs(weight), 1.0) if relation in ("suits", "knows", "knows less") else 0.0
        self._line(relation, more, posA=start, posB=end, connectionstyle=f"arc3,rad={bend}")

    def _beside(self, relation: str, head: Node, tail: Node) -> None:
        """Draw a tie within a column as a bow beside it; the farther apart, the wider."""
        from matplotlib.path import Path as Curve

        right = head[0] == "answer"
        (x, y), (_, to) = self.boxes[head].side(right), self.boxes[tail].side(right)
        apart = abs(y - to) / ROW
        if not right:
            bow = -min(0.12 + 0.06 * apart, 0.8)
        elif relation == "agrees":
            bow = min(0.2 + 0.17 * apart, 1.45)
        else:
            lane = ("resembles", "within", "differs").index(relation)
            bow = min(0.27 + 0.11 * apart, 1.1) + 0.09 * lane
        corners = [(x, y), (x + bow, y), (x + bow, to), (x, to)]
        self._line(relation, path=Curve(corners, [Curve.MOVETO, *[Curve.CURVE4] * 3]))

    def _back(self, answers: Sequence[Node]) -> None:
        """Draw the way from the answers to the question, below everything else."""
        if not answers:
            return
        query, floor = self.boxes["query", 0], bottom(self.boxes) + FOOTER / 2
        lanes = [self.boxes[answer].middle - 0.07 for answer in answers]
        middle, tie = query.left + query.width / 2, _TIES["answers"]
        ways = [[(COLUMNS["answer"][0], lane), (BACK, lane)] for lane in lanes]
        for way in (*ways, [(BACK, max(lanes)), (BACK, floor), (middle, floor)]):
            self.axes.plot(*zip(*way, strict=True), c=tie.color, ls=tie.style, lw=tie.width, zorder=1)
        self._line("answers", posA=(middle, floor), posB=(middle, query.middle - query.half))

    def _line(self, relation: str, more: float = 0.0, **where: Any) -> None:
        from matplotlib.patches import FancyArrowPatch

        tie = _TIES[relation]
        where |= {"arrowstyle": "-|>" if tie.arrow else "-", "mutation_scale": 7, "shrinkA": 0, "shrinkB": 0}
        level = 1 if relation == "suits" else 2
        self.axes.add_patch(
            FancyArrowPatch(**where, color=tie.color, ls=tie.style, lw=tie.width + more, zorder=level)
        )
        self.drawn.add(relation)


def _legend(axes: Any, drawn: Collection[str], scenes: Sequence[Scene]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    ties = [tie for relation, tie in _TIES.items() if relation in drawn]
    signs: list[Any] = [
        Line2D([], [], c=t.color, ls=t.style, lw=max(t.width, 1.2), label=t.says) for t in ties
    ]
    if any(scene.chosen for scene in scenes):
        signs.append(Patch(fc=_FILL["agent"], ec=_NEXT, lw=1.8, label="asked next"))
    if any(scene.held is not None for scene in scenes):
        signs.append(Patch(fc=_FILL["answer"], ec=_BEST, lw=2.2, label="best answer so far"))
    where = {"loc": "lower center", "ncols": 5, "handlelength": 3.0, "borderpad": 0.8}
    axes.legend(handles=signs, fontsize=FONT_POINTS, frameon=False, **where)
