"""A graph at one moment, with what the network says of it, and where its nodes stand on a page."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from textwrap import wrap
from typing import Any, NamedTuple

from agentroute.errors import InputError
from agentroute.knowledge.graph import GAVE, KnowledgeGraph

FONT = "DejaVu Sans"
"""It comes with matplotlib, and is wider than most that a browser may show instead."""
FONT_POINTS = 7.5

WIDTH = 10.0
"""Of the page, in inches, as all lengths below."""
COLUMNS = {"query": (0.1, 1.6), "entity": (2.45, 1.3), "agent": (4.75, 1.6), "answer": (7.05, 1.75)}
"""Left edge and width of each type's boxes."""
ROW, BOX, LINE, PADDING, NOTE = 0.3, 0.23, 0.13, 0.06, 0.42
"""From row to row; height of a box, of a further line in it; room at its sides, and for its number."""
HEADER, FOOTER = 0.62, 0.34
"""Room above a graph, for title and heads; below it, for the way back to the question."""
QUERY_CHARS, QUERY_LINES = 21, 6

Node = tuple[str, int]
"""Type and position, as ``to_networkx`` names nodes."""


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


class Box(NamedTuple):
    """A node on the page.

    Args:
        left: Its left edge.
        middle: Its middle, from the bottom.
        width: Its width.
        lines: Its name.
        note: The number beside it; empty for none.
    """

    left: float
    middle: float
    width: float
    lines: tuple[str, ...]
    note: str = ""

    @property
    def half(self) -> float:
        """Half its height."""
        return BOX / 2 + LINE * (len(self.lines) - 1) / 2

    def side(self, right: bool) -> tuple[float, float]:
        """Return the middle of its right or left edge."""
        return self.left + (self.width if right else 0.0), self.middle


def place(scene: Scene, top: float) -> dict[Node, Box]:
    """Place the nodes: agents from the top down, answers beside their agents, the rest around the middle.

    Args:
        scene: What is to be drawn; matplotlib measures its texts.
        top: The scene's upper edge.

    Returns:
        The boxes; none lies on another.
    """
    graph = scene.graph
    rows: dict[Node, float] = {("agent", i): float(i) for i in range(graph.count("agent"))}
    taken: set[int] = set()
    for i, row in enumerate(scene.givers):
        while row in taken:  # an agent may have answered twice
            row += 1
        taken.add(row)
        rows["answer", i] = float(row)
    entities = graph.count("entity")
    question = wrap(graph.names["query"][0], QUERY_CHARS, max_lines=QUERY_LINES, placeholder="\u2026") or [""]
    tall = (BOX + LINE * (len(question) - 1)) / ROW
    last = max(*rows.values(), entities - 1.0, tall - 1.0)
    step = min(2.0, last / max(entities - 1, 1))
    rows |= {("entity", i): last / 2 + (i - (entities - 1) / 2) * step for i in range(entities)}
    rows["query", 0] = last / 2
    boxes = {}
    for (kind, i), height in rows.items():
        left, width = COLUMNS[kind]
        name, note = plain(graph.names[kind][i]), ""
        if kind == "agent":
            note = _number(scene.gain, i, "{:.1f}")
        elif kind == "answer":
            name = plain(scene.said[i]) or "(no answer)"
            note = _number(scene.right, i, "{:.0f}%") if scene.said[i] else ""
        room = width - 2 * PADDING - (NOTE if note else 0.0)
        lines = tuple(_fitted(text, room) for text in (question if kind == "query" else [name]))
        boxes[kind, i] = Box(left, top - HEADER - (height + 0.5) * ROW, width, lines, note)
    return boxes


def bottom(boxes: Mapping[Node, Box]) -> float:
    """Return the lower edge of a scene, the way back to the question included."""
    return min(box.middle - box.half for box in boxes.values()) - FOOTER


def plain(text: str) -> str:
    """Return a text on one line."""
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
