"""Pictures of graphs: everything is on the page, nothing lies on anything else, the same bytes every day."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html import unescape
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from knowledge.crafted import Given, answered, graph_of
from routing.folders import random_grown, spec

from agentroute.errors import InputError
from agentroute.knowledge.drawing import draw, draw_scenes
from agentroute.knowledge.graph import KNOWS
from agentroute.knowledge.scene import HEADER, WIDTH, Scene, bottom, place
from agentroute.types import Entity

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE, PICTURE = ROOT / "docs" / "growing-graph.md", ROOT / "docs" / "growing-graph.svg"
BOLD = "font-weight: 700"


def texts(path: Path) -> list[tuple[str, str]]:
    """Style and words of each text of an SVG."""
    found = re.findall(r"<text style=\"(.*?)\".*?>(.*?)</text>", path.read_text(encoding="utf-8"), re.S)
    return [(style, unescape(words)) for style, words in found]


def words(path: Path) -> list[str]:
    return [text for _, text in texts(path)]


def grown(seed: int) -> list[Scene]:
    """Random scenes: some without answers, some with several of one agent, all with their numbers."""
    made = random_grown(seed, agents=1 + seed % 7, answers=9)
    rng = np.random.default_rng(seed)
    graphs = [made.grow(row) for row in range(len(made.graphs))]
    return [
        Scene(
            graph=graph,
            title=f"scene {i}",
            gain=rng.random(graph.count("agent")).tolist(),
            right=rng.random(graph.count("answer")).tolist(),
            chosen=graph.names["agent"][:1],
        )
        for i, graph in enumerate(graphs)
    ]


def test_every_node_is_named_and_every_number_stands_once(tmp_path):
    found = Given(Entity(name="London", kind="name"), Entity(name="1815", kind="number"))
    graph = answered(graph_of("Born where?", extractor=found), "in London", "Rome", "")
    path = draw(graph, tmp_path / "g.svg", title="a title", gain=[None, 0.251, 0.0], right=[0.1, 0.876, 0.3])
    shown = words(path)
    expected = ["a title", "Born where?", "London", "1815", "geo", "sums", "poet", "in London", "Rome"]
    expected += ["25.1", "0.0", "10%", "88%", "(no answer)"]
    assert [shown.count(text) for text in expected] == [1] * len(expected)
    assert "30%" not in shown  # no chance is shown of what was not said


def test_the_best_answer_and_those_asked_next_are_bold_and_nothing_else(tmp_path):
    graph = answered(graph_of("x"), "Rome", "Paris", "", agents=["geo", "sums", "poet"])
    path = draw(graph, tmp_path / "g.svg", right=[0.4, 0.6, 0.9], chosen=["poet"])
    bold = [text for style, text in texts(path) if BOLD in style and "font-size: 7.5px" in style]
    assert bold == ["poet", "Paris", "60%"]
    assert {"asked next", "best answer so far"} <= set(words(path))


def test_without_chances_no_answer_is_held(tmp_path):
    graph = answered(graph_of("x"), "Rome", "Paris")
    assert Scene(graph=graph).held is None
    assert Scene(graph=graph, right=[None, 0.2]).held == 1
    assert Scene(graph=answered(graph_of("x"), "", ""), right=[0.9, 0.8]).held is None
    assert "best answer so far" not in words(draw(graph, tmp_path / "g.svg"))


def test_the_legend_names_the_ties_that_are_drawn(tmp_path):
    ties = {"suits", "mentions", "related", "gave", "answers", "agrees", "resembles", "within", "differs"}
    found = Given(Entity(name="London", kind="name"), Entity(name="x", kind="term"))
    before = graph_of("London x", extractor=found)
    assert ties & set(words(draw(before, tmp_path / "a.svg"))) == {"suits", "mentions", "related"}
    after = answered(before, "Ada", "Countess Ada of London", "ada")
    shown = set(words(draw(after, tmp_path / "b.svg")))
    assert ties <= shown
    same = set(words(draw(answered(graph_of("x"), "Ada", "ada"), tmp_path / "c.svg")))
    # What agrees also resembles and lies within: that is not drawn again.
    assert {"gave", "answers", "agrees"} <= same and not same & {"resembles", "within", "differs"}


def test_who_does_better_and_who_does_worse_look_different(tmp_path):
    graph = graph_of("London", extractor=Given(Entity(name="London", kind="name")))
    agents, entities = graph.edge_index[KNOWS]
    assert agents.tolist() == [0] and entities.tolist() == [0]  # the card of the first names it
    shown = words(draw(graph, tmp_path / "a.svg"))
    assert "knows (does better there)" in shown and "knows (does worse there)" not in shown
    worse = replace(graph, edge_weight={**graph.edge_weight, KNOWS: -graph.edge_weight[KNOWS]})
    shown = words(draw(worse, tmp_path / "b.svg"))
    assert "knows (does worse there)" in shown and "knows (does better there)" not in shown


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_no_box_lies_on_another_and_none_leaves_the_page(seed):
    for scene in grown(seed):
        boxes = place(scene, 0.0)
        assert Counter(kind for kind, _ in boxes) == Counter(
            {kind: len(names) for kind, names in scene.graph.names.items() if names}
        )
        for one, other in combinations(boxes.values(), 2):
            aside = one.left + one.width <= other.left or other.left + other.width <= one.left
            assert aside or abs(one.middle - other.middle) >= one.half + other.half
        assert all(0 <= box.left and box.left + box.width <= WIDTH for box in boxes.values())
        # Above them is room for the title and the heads.
        assert max(box.middle + box.half for box in boxes.values()) <= -HEADER + 1e-9


def test_a_long_question_and_long_names_keep_to_theirplace(tmp_path):
    long = "Why, if " + "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch " * 30 + "?"
    graph = graph_of(long, (spec("W" * 60), spec("b")))
    boxes = place(Scene(graph=graph, gain=[0.5, 0.5]), 0.0)
    assert len(boxes["query", 0].lines) == 6 and boxes["query", 0].lines[-1].endswith("\u2026")
    (name,) = boxes["agent", 0].lines
    assert name.endswith("\u2026") and 5 < len(name) < 20
    assert boxes["agent", 1].lines == ("b",)
    # Two agents are less tall than this question; it stays below the heads all the same.
    assert boxes["query", 0].middle + boxes["query", 0].half <= -HEADER + 1e-9
    draw(graph, tmp_path / "g.png")


def test_scenes_stand_below_one_another(tmp_path):
    scenes = grown(3)[:3]
    path = draw_scenes(scenes, tmp_path / "g.svg")
    titles = re.findall(r"y=\"([\d.]+)\"[^>]*>scene (\d)<", path.read_text())
    heights = {int(number): float(y) for y, number in titles}
    assert sorted(heights) == [0, 1, 2] and heights[0] < heights[1] < heights[2]
    for i in range(2):
        assert heights[i + 1] - heights[i] == pytest.approx(-72 * bottom(place(scenes[i], 0.0)), abs=0.01)


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_the_same_graph_gives_the_same_bytes(ending, tmp_path):
    # In a process of its own: names that count up would differ only there.
    code = (
        "import sys; from pathlib import Path; from knowledge.test_drawing import grown\n"
        "from agentroute.knowledge.drawing import draw_scenes\n"
        "draw_scenes(grown(4), Path(sys.argv[1]))"
    )
    one = draw_scenes(grown(4), tmp_path / f"one.{ending}")
    other = tmp_path / f"other.{ending}"
    subprocess.run([sys.executable, "-c", code, other], check=True, cwd=ROOT / "tests", timeout=120)
    assert one.read_bytes() == other.read_bytes()


def test_dollar_signs_and_markup_are_plain_text(tmp_path):
    graph = answered(graph_of("Is $5 < $6 & a_1?"), "$x^2$ costs <b>$5</b>")
    shown = words(draw(graph, tmp_path / "g.svg", title="$a$ < $b$"))
    assert {"Is $5 < $6 & a_1?", "$x^2$ costs <b>$5</b>", "$a$ < $b$"} <= set(shown)


def test_numbers_must_fit_the_nodes():
    graph = answered(graph_of("x"), "Rome")
    with pytest.raises(InputError, match="gain has 2 numbers, and the graph has 3 nodes of type agent"):
        Scene(graph=graph, gain=[0.1, 0.2])
    with pytest.raises(InputError, match="right has 3 numbers, and the graph has 1 nodes of type answer"):
        Scene(graph=graph, right=[0.1, 0.2, 0.3])


def test_a_picture_that_cannot_be_drawn_says_why(tmp_path):
    graph = graph_of("x")
    with pytest.raises(InputError, match=r"does not end in \.png, \.svg, \.pdf"):
        draw(graph, tmp_path / "g.txt")
    with pytest.raises(InputError, match="cannot be written"):
        draw(graph, tmp_path / "nowhere" / "g.svg")
    with pytest.raises(InputError, match="at least one"):
        draw_scenes([], tmp_path / "g.svg")
    assert list(tmp_path.iterdir()) == []


def test_matplotlib_is_loaded_only_to_draw_and_its_lack_names_the_extra():
    code = (
        "import sys; from pathlib import Path\n"
        "from agentroute.knowledge import drawing\n"
        "print(any(name in sys.modules for name in ('matplotlib', 'networkx')))\n"
        "from knowledge.crafted import graph_of\n"
        "sys.modules['matplotlib'] = None\n"  # the documented way to make an import fail
        "try: drawing.draw(graph_of('x'), Path('g.svg'))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "tests"
    )
    loaded, error = ran.stdout.splitlines()
    assert loaded == "False"
    assert error.startswith("MissingExtraError plots needs") and "agentroute-graph[plot]" in error


def test_the_page_is_short_and_its_picture_light():
    page = PAGE.read_text(encoding="utf-8")
    assert page.count("\n") <= 150
    assert PICTURE.name in page and PICTURE.stat().st_size < 200_000
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page)
    assert len(links) >= 4
    assert [link for link in links if "://" not in link and not (PAGE.parent / link).exists()] == []


def test_the_numbers_of_the_page_are_those_of_the_picture():
    page = PAGE.read_text(encoding="utf-8")
    (told,) = re.findall(r"^```text\n(What town.*?)^```$", page, re.S | re.M)
    shown = words(PICTURE)
    # The picture shows the first two decisions and the last one; the block shows them all.
    first, second, *_, stop = re.split(r"^(?=round \d|stop)", told, flags=re.M)[1:]
    for part in (first, second, stop):
        numbers = re.findall(r"should add ([\d.]+)", part)
        assert len(numbers) >= 2 and set(numbers) <= set(shown)
    chances = re.findall(r"best so far: (.*), (\d+%)$", told, re.M)
    assert len(chances) >= 2
    assert {chances[0], chances[-1]} <= {*pairwise(shown)}
    # Whatever else the page quotes of it is in that block, or in the picture.
    prose = page.replace(told, "")
    quoted = re.findall(r"\b(\d+\.\d) points|(?:chance of |: )(\d+%)", prose)
    assert len(quoted) >= 5
    assert {points or chance for points, chance in quoted} <= {*re.findall(r"\d+\.\d|\d+%", told)}
