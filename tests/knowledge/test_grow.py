"""Answers become nodes: tied to who gave them, to what they name, and to each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from knowledge.crafted import Given, answered, builder, graph_of, ties
from routing.folders import EMBEDDER, random_answers, random_grown, random_record

from agentroute.knowledge.embed import HashingEmbedder
from agentroute.knowledge.graph import (
    AGREES,
    ANSWER_MENTIONS,
    ANSWERS,
    COMPARED,
    DIFFERS,
    GAVE,
    HOLDS,
    RESEMBLES,
    WITHIN,
)
from agentroute.knowledge.grow import ANSWER_EXTRA, ANSWER_KINDS
from agentroute.types import Answer, Entity, Passage, Query, Usage


def plain(graph, kind):
    """Whether each answer is of a kind, as the network reads it."""
    return graph.x["answer"][:, ANSWER_KINDS.index(kind) - ANSWER_EXTRA].tolist()


def test_equal_answers_agree_and_others_differ():
    graph = answered(graph_of("Capital?"), "Paris", "paris.", "Rome")
    assert {(a, b) for a, b, _ in ties(graph, AGREES)} == {
        ("geo: Paris", "sums: paris."),
        ("sums: paris.", "geo: Paris"),
    }
    different = {(a, b) for a, b, _ in ties(graph, DIFFERS)}
    assert len(different) == 4
    assert all("poet: Rome" in pair for pair in different)


def test_answers_in_part_alike_resemble_and_the_shorter_is_within_the_longer():
    graph = answered(graph_of("Who?"), "Ada Lovelace", "Countess Ada Lovelace of London", "Babbage")
    short, long = "geo: Ada Lovelace", "sums: Countess Ada Lovelace of London"
    assert {(a, b): w for a, b, w in ties(graph, WITHIN)} == {
        (short, long): 1.0,
        (long, short): pytest.approx(0.4),
    }
    assert {(a, b): w for a, b, w in ties(graph, HOLDS)} == {
        (long, short): 1.0,
        (short, long): pytest.approx(0.4),
    }
    alike = pytest.approx(2 * 2 / (2 + 5))
    assert {(a, b): w for a, b, w in ties(graph, RESEMBLES)} == {(short, long): alike, (long, short): alike}
    # What is alike differs by less.
    differ = {(a, b): w for a, b, w in ties(graph, DIFFERS)}
    assert differ[short, long] == differ[long, short] == pytest.approx(1 - 4 / 7)
    assert differ[short, "poet: Babbage"] == 1.0


def test_a_word_in_a_long_answer_is_a_tie_one_way_only():
    long = "river " + " ".join(f"word{i}" for i in range(30))
    graph = answered(graph_of("Who?"), "river", long)
    assert ties(graph, WITHIN) == [("geo: river", f"sums: {long[:60]}", 1.0)]
    assert ties(graph, HOLDS) == [(f"sums: {long[:60]}", "geo: river", 1.0)]


def test_an_answer_is_tied_to_its_agent_to_the_question_and_to_what_it_mentions():
    found = Given(Entity(name="London", kind="name"), Entity(name="Rome", kind="name"))
    graph = answered(graph_of("x", extractor=found), "not in london", "no", agents=["poet", "geo"])
    assert ties(graph, GAVE) == [("poet", "poet: not in london", 1.0), ("geo", "geo: no", 1.0)]
    assert ties(graph, ANSWERS) == [("poet: not in london", "x", 1.0), ("geo: no", "x", 1.0)]
    assert ties(graph, ANSWER_MENTIONS) == [("poet: not in london", "London", 1.0)]


def test_answers_of_strangers_are_left_out_and_failures_stay_alone():
    graph = answered(
        graph_of("x"), "Rome", "", "Rome", agents=["stranger", "geo", "sums"], statuses=["ok", "failed", "ok"]
    )
    assert graph.names["answer"] == ("geo: ", "sums: Rome")
    assert [agent for agent, _, _ in ties(graph, GAVE)] == ["geo", "sums"]
    assert not any(ties(graph, kind) for kind in COMPARED)
    assert plain(graph, "empty") == [1.0, 0.0]


def test_what_a_failed_agent_left_behind_is_no_answer():
    graph = answered(graph_of("x"), "Rome", "Rome", statuses=["timed_out", "ok"])
    assert plain(graph, "empty") == [1.0, 0.0]
    assert not any(ties(graph, kind) for kind in COMPARED)


def test_no_answer_leaves_the_graph_as_it_was():
    graph = graph_of("Which river is in London?")
    for same in (answered(graph), answered(graph, "x", agents=["stranger"])):
        assert str(same) == str(graph)
        assert same.x["answer"].shape == graph.x["answer"].shape


def test_growing_changes_nothing_in_place():
    graph = graph_of("Which river is in London?")
    before = str(graph), {kind: x.copy() for kind, x in graph.x.items()}
    answered(graph, "London", "Rome")
    assert str(graph) == before[0]
    assert all(np.array_equal(graph.x[kind], x) for kind, x in before[1].items())


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_answers_does_not_count(seed):
    grown = random_grown(seed, agents=7)
    answers = random_answers(np.random.default_rng(seed), grown.builder.team.specs, 7)
    order = np.random.default_rng(seed + 50).permutation(7)
    for graph, query in zip(grown.graphs, grown.queries, strict=True):
        one = grown.builder.grow(graph, query, answers)
        two = grown.builder.grow(graph, query, [answers[i] for i in order])
        np.testing.assert_allclose(two.x["answer"], one.x["answer"][order], atol=1e-6)
        for kind in (GAVE, ANSWERS, ANSWER_MENTIONS, *COMPARED):
            assert sorted(ties(one, kind)) == sorted(ties(two, kind))


def test_an_answer_is_looked_for_in_the_passages_that_came_along():
    passages = (Passage(title="Thames", text="It is 346 km long and ends at Southend."),)
    said = ("346 km", "400 km", "Southend", "Dover")
    agents = ["geo", "sums", "poet", "geo"]
    with_, without = (
        answered(graph_of("How long?"), *said, agents=agents, context=context).x["answer"]
        for context in (passages, ())
    )
    # The columns that the passages change: there are some, a literal match, figures found.
    columns = np.flatnonzero((with_ != without).any(axis=0))
    seen = with_[:, columns]
    assert len(columns) >= 3
    assert (without[:, columns] == 0).all()
    literal = seen[:, 1].tolist()
    assert literal == [1.0, 0.0, 1.0, 0.0]
    assert (seen[0] != seen[1]).any()


def test_taking_longer_than_usual_shows_and_an_unknown_length_says_so():
    record = random_record(np.random.default_rng(0), ("geo", "sums"))
    record = replace(record, length=np.array([[np.log1p(100), np.nan], [0.5, np.nan]], np.float32))
    given = [
        Answer(agent="geo", text="x", usage=Usage(output_tokens=tokens)) for tokens in (100, 300, 30, 10**9)
    ]
    given += [
        Answer(agent="geo", text="x", usage=Usage(output_tokens=0)),  # code that runs here writes none
        Answer(agent="geo", text="x", usage=Usage(output_tokens=None)),
        Answer(agent="sums", text="x", usage=Usage(output_tokens=100)),  # nobody knows what is usual for it
        Answer(agent="poet", text="x", usage=Usage(output_tokens=100)),  # a newcomer
    ]
    graph = builder(record=record).grow(graph_of("x", record=record), Query(text="x"), given)
    effort, known = graph.x["answer"][:, -2:].T
    assert effort[0] == pytest.approx(0.0, abs=1e-5)
    assert effort[1] == pytest.approx(np.log(301 / 101) / 0.5, abs=1e-4)
    assert effort[2] < 0
    assert effort[3] == 4.0  # cut off
    assert effort[4:].tolist() == [0.0] * 4
    assert known.tolist() == [1.0] * 4 + [0.0] * 4


class Counting(HashingEmbedder):
    """An embedder that notes what it read."""

    def __init__(self) -> None:
        super().__init__(EMBEDDER.dim)
        self.texts: list[str] = []

    def embed(self, texts):
        self.texts += texts
        return super().embed(texts)


def test_unless_answers_are_read_they_cost_no_call_of_the_embedder():
    graph, query = graph_of("Capital?"), Query(text="Capital?")
    for read in (False, True):
        embedder = Counting()
        made = replace(builder(read_answers=read), embedder=embedder)
        grown = made.grow(graph, query, [Answer(agent="geo", text="Paris " * 1000)])
        vector = grown.x["answer"][0, : EMBEDDER.dim]
        assert len(embedder.texts) == int(read)
        assert np.linalg.norm(vector) == pytest.approx(float(read), abs=1e-5)
    assert len(embedder.texts[0]) < 1000  # of long answers the beginning
