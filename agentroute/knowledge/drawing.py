"""A picture of a knowledge graph as it grows: the question on the left, the answers on the right."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple

from agentroute.errors import InputError, MissingExtraError
from agentroute.knowledge.graph import GAVE, NODE_TYPES, KnowledgeGraph, to_networkx
from agentroute.knowledge.grow import SLIGHT

FORMATS = (".png", ".svg", ".pdf")
DPI = 110
FONT = "DejaVu Sans"
"""It comes with matplotlib, and is wider than most that a browser may show instead."""
FONT_POINTS = 7.5

WIDTH = 10.0
"""Of the page, in inches, as all lengths below."""
COLUMNS = {"query": (0.1, 1.6), "entity": (2.45, 1.3), "agent": (4.75, 1.6), "answer": (7.05, 1.75)}
"""Left edge and width of each type's boxes."""
ROW, BOX, LINE, PADDING, NOTE = 0.3, 0.23, 0.13, 0.06, 0.42
"""From row to row; height of a box, of a further line in it; room at its sides, and for its number."""
HEADER, FOOTER, LEGEND = 0.62, 0.34, 0.72
"""Room above a graph, for title and heads; below it, for the way back to the question; below them all."""
BACK = 6.88
"""Where the way back from the answers to the question turns down."""
QUERY_CHARS, QUERY_LINES = 21, 6

_Node = tuple[str, int]
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """A graph at one moment, and what the network says of it.

    Args:
        graph: The graph.
        title: What stands above it.
        gain: What each agent should add, 0 to 1, in the order of the agents; ``None`` leaves one out.
        right: The chance of each answer to be right, in the order of the answers; ``None`` leaves one out.
        chosen: Ids of the agents that are asked next.

    Raises:
        InputError: There are too many numbers, or too few.
    """

    graph: KnowledgeGraph
    title: str = ""
    gain: Sequence[float | None] = ()
    right: Sequence[float | None] = ()
    chosen: Collection[str] = ()

    def __post_init__(self) -> None:
        for name, kind, given in (("gain", "agent", self.gain), ("right", "answer", self.right)):
            if len(given) not in (0, self.graph.count(kind)):
                raise InputError(
                    f"{name} has {len(given)} numbers, and the graph has {self.graph.count(kind)} nodes of "
                    f"type {kind}; give one number for each, or none at all"
                )

    @property
    def givers(self) -> list[int]:
        """The position of the agent behind each answer."""
        if not self.graph.count("answer"):
            return []
        agents, answers = self.graph.edge_index[GAVE].tolist()
        return [agent for _, agent in sorted(zip(answers, agents, strict=True))]

    @property
    def said(self) -> list[str]:
        """The text of each answer; empty for an agent that failed or declined."""
        agents, answers = self.graph.names["agent"], self.graph.names["answer"]
        return [
            name.removeprefix(f"{agents[giver]}: ") for name, giver in zip(answers, self.givers, strict=True)
        ]

    @property
    def held(self) -> int | None:
        """The answer that is most likely right, of those with a text; ``None`` without chances."""
        chances = [
            (-chance, i)
            for i, (chance, text) in enumerate(zip(self.right, self.said, strict=False))
            if chance is not None and text
        ]
        return min(chances)[1] if chances else None


class _Box(NamedTuple):
    """A node on the page."""

    left: float
    middle: float
    width: float
    lines: tuple[str, ...]
    note: str = ""

    @property
    def half(self) -> float:
        return BOX / 2 + LINE * (len(self.lines) - 1) / 2

    def side(self, right: bool) -> tuple[float, float]:
        return self.left + (self.width if right else 0.0), self.middle


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
        height -= _bottom(_boxes(scene, 0.0))
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


def _boxes(scene: Scene, top: float) -> dict[_Node, _Box]:
    """Place the nodes: agents from the top down, answers beside their agents, the rest around the middle."""
    graph = scene.graph
    rows: dict[_Node, float] = {("agent", i): float(i) for i in range(graph.count("agent"))}
    taken: set[int] = set()
    for i, place in enumerate(scene.givers):
        while place in taken:  # an agent may have answered twice
            place += 1
        taken.add(place)
        rows["answer", i] = float(place)
    entities = graph.count("entity")
    question = wrap(graph.names["query"][0], QUERY_CHARS, max_lines=QUERY_LINES, placeholder="\u2026") or [""]
    tall = (BOX + LINE * (len(question) - 1)) / ROW
    last = max(*rows.values(), entities - 1.0, tall - 1.0)
    step = min(2.0, last / max(entities - 1, 1))
    rows |= {("entity", i): last / 2 + (i - (entities - 1) / 2) * step for i in range(entities)}
    rows["query", 0] = last / 2
    boxes = {}
    for (kind, i), row in rows.items():
        left, width = COLUMNS[kind]
        name, note = _plain(graph.names[kind][i]), ""
        if kind == "agent":
            note = _number(scene.gain, i, "{:.1f}")
        elif kind == "answer":
            name = _plain(scene.said[i]) or "(no answer)"
            note = _number(scene.right, i, "{:.0f}%") if scene.said[i] else ""
        room = width - 2 * PADDING - (NOTE if note else 0.0)
        lines = tuple(_fitted(text, room) for text in (question if kind == "query" else [name]))
        boxes[kind, i] = _Box(left, top - HEADER - (row + 0.5) * ROW, width, lines, note)
    return boxes


def _bottom(boxes: Mapping[_Node, _Box]) -> float:
    return min(box.middle - box.half for box in boxes.values()) - FOOTER


class _Canvas:
    """One scene on the page.

    Args:
        axes: A page in inches.
        scene: What to draw.
        top: The scene's upper edge.
    """

    def __init__(self, axes: Any, scene: Scene, top: float) -> None:
        self.axes, self.scene, self.top = axes, scene, top
        self.boxes = _boxes(scene, top)
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
        self._text(COLUMNS["query"][0], self.top - 0.2, _plain(self.scene.title), **large)
        return self.drawn

    def _text(self, x: float, y: float, text: str, **style: Any) -> None:
        given = {"fontsize": FONT_POINTS, "color": _INK, "va": "center", **style}
        # A question may hold dollar signs; they begin no formula.
        self.axes.text(x, y, text, parse_math=False, zorder=5, **given)

    def _box(self, node: _Node, box: _Box) -> None:
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
        drawn: dict[tuple[_Node, _Node], int] = {}
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

    def _across(self, relation: str, head: _Node, tail: _Node, weight: float, bend: float) -> None:
        """Draw a tie from one column to another; the higher its weight, the thicker."""
        if relation == "knows" and weight < 0:
            relation = "knows less"
        right = COLUMNS[head[0]][0] < COLUMNS[tail[0]][0]
        start, end = self.boxes[head].side(right), self.boxes[tail].side(not right)
        more = 2.2 * min(abs(weight), 1.0) if relation in ("suits", "knows", "knows less") else 0.0
        self._line(relation, more, posA=start, posB=end, connectionstyle=f"arc3,rad={bend}")

    def _beside(self, relation: str, head: _Node, tail: _Node) -> None:
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

    def _back(self, answers: Sequence[_Node]) -> None:
        """Draw the way from the answers to the question, below everything else."""
        if not answers:
            return
        query, floor = self.boxes["query", 0], _bottom(self.boxes) + FOOTER / 2
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
        place = 1 if relation == "suits" else 2
        self.axes.add_patch(
            FancyArrowPatch(**where, color=tie.color, ls=tie.style, lw=tie.width + more, zorder=place)
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


def _plain(text: str) -> str:
    return " ".join(text.split())


def _number(values: Sequence[float | None], position: int, form: str) -> str:
    value = values[position] if values else None
    return "" if value is None else form.format(100 * value)


def _fitted(text: str, room: float) -> str:
    """Shorten a text until it fits into so many inches, even when it is bold."""
    kept = text
    while len(kept) > 1 and _inches(kept) > room:
        kept = kept.removesuffix("\u2026")[:-1].rstrip() + "\u2026"
    return kept


@cache
def _measure() -> tuple[Any, Any]:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    return TextToPath(), FontProperties(family=FONT, weight="bold", size=FONT_POINTS)


def _inches(text: str) -> float:
    measure, font = _measure()
    return float(measure.get_text_width_height_descent(text, font, ismath=False)[0]) / 72
