"""From queries, agents and answers to graphs: any input will do, and every tie is where it should be."""

from __future__ import annotations

import json

import numpy as np
import pytest
from routing.folders import EMBEDDER, random_record, spec

from agentroute.knowledge.build import GraphBuilder, dims, query_text
from agentroute.knowledge.extract import RuleExtractor
from agentroute.knowledge.graph import (
    AGREES,
    ANSWER_MENTIONS,
    DIFFERS,
    GAVE,
    KNOWS,
    MENTIONS,
    RELATED,
    RESEMBLES,
    SUITS,
    export,
    to_networkx,
)
from agentroute.knowledge.grow import grow
from agentroute.knowledge.team import Team
from agentroute.types import (
    AgentSpec,
    Answer,
    EffortRange,
    Entity,
    Extraction,
    Message,
    Passage,
    Price,
    Query,
    Relation,
)

SPECS = (
    spec("geo", description="Knows rivers and London.", tags=("geography",), examples=("Where is London?",)),
    spec("sums", description="Adds integers.", price=Price(input=1.0, output=2.0)),
    spec("poet", description="Writes poems.", effort=EffortRange(levels=("low", "high"), default="high")),
)


class Given:
    """An extractor that finds what it is told."""

    def __init__(self, *entities: Entity, relations: tuple[Relation, ...] = ()) -> None:
        self.found = Extraction(entities=entities, relations=relations)

    def extract(self, query: Query) -> Extraction:
        return self.found


def builder(specs=SPECS, record=None, extractor=None):
    return GraphBuilder(Team.build(specs, EMBEDDER), EMBEDDER, extractor or RuleExtractor(), record)


def graph_of(text, specs=SPECS, **more):
    return builder(specs, **more).build([Query(text=text)])[0]


def ties(graph, edge_type):
    """Edges by the names at their ends."""
    (heads, tails), weights = graph.edge_index[edge_type], graph.edge_weight[edge_type]
    source, target = graph.names[edge_type[0]], graph.names[edge_type[2]]
    return [(source[h], target[t], float(w)) for h, t, w in zip(heads, tails, weights, strict=True)]


def answered(graph, *texts, agents=None, statuses=None):
    given = [
        Answer(agent=(agents or graph.names["agent"])[i], text=text, status=(statuses or ["ok"] * 99)[i])
        for i, text in enumerate(texts)
    ]
    return grow(graph, given, EMBEDDER.embed([a.text for a in given]).reshape(-1, EMBEDDER.dim))


STRANGE = {
    "empty": "",
    "spaces": " \n\t ",
    "nothing to find": "???",
    "one word": "why",
    "NUL": "What is \0 in London\0?",
    "surrogate": "What is \ud800 in London?",
    "1 MB": "Which river flows through London, and which through Paris? " * 17_000,
    "1 MB in one word": "x" * 1_000_000,
    "1 MB of lines": "\n" * 1_000_000,
    "other scripts": "東京の川は何ですか؟ Кто написал «Войну и мир»?",
}


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE.keys())
@pytest.mark.parametrize("specs", [SPECS, SPECS[:1]], ids=["three agents", "one agent"])
def test_any_text_becomes_a_graph(text, specs):
    query = Query(text=text, context=(Passage(text=text[:5000]),), history=(Message(role="user", text=text),))
    graph = builder(specs, random_record(np.random.default_rng(0), ("geo", "sums"))).build([query])[0]
    graph = answered(graph, text[:5000], agents=["geo"])
    for kind, width in dims(EMBEDDER.dim).items():
        assert graph.x[kind].shape == (graph.count(kind), width)
        assert graph.x[kind].dtype == np.float32
        assert np.isfinite(graph.x[kind]).all()
    assert np.isfinite(graph.suits).all()
    assert all(np.isfinite(weight).all() for weight in graph.edge_weight.values())
    assert graph.count("entity") <= 32 + 32
    assert len(str(graph)) < 5_000
    assert json.loads(json.dumps(export(graph)))["nodes"]


def test_edges_are_what_the_extractor_found():
    found = Given(
        Entity(name="London", kind="name", count=3),
        Entity(name="Thames", kind="name"),
        Entity(name="Danube", kind="name"),
        relations=(
            Relation(head="london", label="on", tail="Danube"),
            Relation(head="x", label="y", tail="z"),
        ),
    )
    query = Query(text="Is London on the Thames?", task="maps")
    graph = builder(extractor=found).build([query])[0]
    assert graph.names["entity"] == ("maps", "London", "Thames", "Danube")
    mentioned = dict((b, w) for _, b, w in ties(graph, MENTIONS))
    assert mentioned["London"] == pytest.approx(np.log1p(3))
    together = {(a, b) for a, b, _ in ties(graph, RELATED)}
    assert ("London", "Thames") in together  # both in the question
    assert ("London", "Danube") in together  # by the relation alone
    assert ("Thames", "Danube") not in together
    assert together == {(b, a) for a, b in together}
    assert not any(a == b for a, b in together)
    assert [a for a, _, _ in ties(graph, SUITS)] == ["geo", "sums", "poet"]


def test_a_card_that_names_a_word_ties_its_agent_to_it():
    graph = graph_of(
        "x", extractor=Given(Entity(name="London", kind="name"), Entity(name="Rome", kind="name"))
    )
    assert ties(graph, KNOWS) == [("geo", "London", 1.0)]


def test_a_word_that_a_card_repeats_is_one_tie():
    specs = (spec("geo", description="London, London and London!", examples=("Where is London?",)),)
    graph = graph_of("x", specs, extractor=Given(Entity(name="London", kind="name")))
    assert ties(graph, KNOWS) == [("geo", "London", 1.0)]


def test_a_tie_by_card_and_one_by_record_are_both_shown():
    score = [[1.0, 0.0]] * 5 + [[0.0, 1.0]] * 15
    record = random_record(np.random.default_rng(0), ("geo", "sums"), 20)
    record = type(record).build(
        ("geo", "sums"),
        record.vectors,
        np.array(score),
        [None] * 20,
        [["London"]] * 5 + [["Rome"]] * 15,
        np.full((20, 2), np.nan),
        np.full((20, 2), np.nan),
    )
    graph = graph_of("x", record=record, extractor=Given(Entity(name="London", kind="name")))
    assert len(ties(graph, KNOWS)) == 3  # geo by card and by record, sums by record
    shown = [data["relation"] for _, _, data in to_networkx(graph).edges(data=True)]
    assert shown.count("knows") == 3


@pytest.mark.parametrize("seed", range(5))
def test_permuting_agents_permutes_everything_that_is_theirs(seed):
    rng = np.random.default_rng(seed)
    specs = (*SPECS, spec("new", description="A newcomer to London."))
    record = random_record(rng, ("geo", "sums", "poet", "gone"))
    order = rng.permutation(len(specs))
    queries = [Query(text="Which old river is in London?"), Query(text="prime 7", task="primes")]
    one = builder(specs, record).build(queries)
    two = builder(tuple(specs[i] for i in order), record).build(queries)
    for a, b in zip(one, two, strict=True):
        assert b.names["agent"] == tuple(a.names["agent"][i] for i in order)
        np.testing.assert_allclose(b.x["agent"], a.x["agent"][order], atol=1e-6)
        np.testing.assert_allclose(b.suits, a.suits[order], atol=1e-5)
        for edge_type in (SUITS, KNOWS):
            # The two differ in rounding, so edges are matched by their ends and weights compared loosely.
            left, right = sorted(ties(a, edge_type)), sorted(ties(b, edge_type))
            assert [tie[:2] for tie in left] == [tie[:2] for tie in right]
            np.testing.assert_allclose([t[2] for t in left], [t[2] for t in right], atol=1e-5)
        assert np.array_equal(a.x["entity"], b.x["entity"])
        assert np.array_equal(a.x["query"], b.x["query"])


def test_a_batch_of_graphs_equals_its_singles():
    built = builder(record=random_record(np.random.default_rng(4), ("geo", "sums")))
    queries = [Query(text=f"Which old river is number {i}?", task="rivers") for i in range(6)]
    for query, graph in zip(queries, built.build(queries), strict=True):
        alone = built.build([query])[0]
        assert alone.names == graph.names
        np.testing.assert_allclose(alone.suits, graph.suits, atol=1e-5)
        for kind in alone.x:
            np.testing.assert_allclose(alone.x[kind], graph.x[kind], atol=1e-6)


def test_newcomers_start_where_the_pool_stands_and_say_so():
    record = random_record(np.random.default_rng(1), ("geo", "sums"))
    graph = graph_of("Which old river is in London?", record=record)
    assert graph.suits[:2, 4].tolist() == [1.0, 1.0]
    assert graph.suits[2, 4] == 0.0
    np.testing.assert_allclose(graph.suits[2, :4], graph.suits[:2, :4].mean(axis=0), atol=1e-6)


def test_agents_of_the_record_who_left_leave_no_ties():
    record = random_record(np.random.default_rng(1), ("gone", "sums", "away"))
    graph = graph_of("Which old river is number 7?", record=record)
    assert {agent for agent, _, _ in ties(graph, KNOWS)} <= {"geo", "sums", "poet"}


def test_likeness_is_the_nearest_of_card_and_examples():
    team = Team.build(SPECS, EMBEDDER)
    card, nearest = team.likeness(EMBEDDER.embed(["Where is London?"]))
    assert nearest[0, 0] == pytest.approx(1.0, abs=1e-5)
    assert nearest[0, 1:].tolist() == card[0, 1:].tolist()


def test_a_team_is_named_by_all_that_its_cards_say():
    names = {Team.build(specs, EMBEDDER).hash for specs in (SPECS, SPECS[:2], SPECS[::-1])}
    assert len(names) == 2  # the order of the rows does not count
    changed = (spec("geo", description="Knows rivers and Rome."), *SPECS[1:])
    assert Team.build(changed, EMBEDDER).hash not in names


def test_price_effort_and_kind_are_features():
    rows = (
        spec("a"),
        AgentSpec(id="b", kind="llm", description="Knows about a.", model="m"),
        SPECS[1],
        SPECS[2],
    )
    plain = Team.build(rows, EMBEDDER).x[:, EMBEDDER.dim :]
    assert len({tuple(row) for row in plain.tolist()}) == 4


# ---------------------------------------------------------------------------- answers


def test_equal_answers_agree_and_others_differ():
    graph = answered(graph_of("Capital?"), "Paris", "paris.", "Rome")
    assert {(a, b) for a, b, _ in ties(graph, AGREES)} == {
        ("geo: Paris", "sums: paris."),
        ("sums: paris.", "geo: Paris"),
    }
    different = {(a, b) for a, b, _ in ties(graph, DIFFERS)}
    assert len(different) == 4
    assert all("poet: Rome" in pair for pair in different)
    assert {(a, b) for a, b, _ in ties(graph, RESEMBLES)} <= different


def test_an_answer_is_tied_to_its_agent_and_to_what_it_mentions():
    found = Given(Entity(name="London", kind="name"), Entity(name="Rome", kind="name"))
    graph = answered(graph_of("x", extractor=found), "not in london", "no", agents=["poet", "geo"])
    assert ties(graph, GAVE) == [("poet", "poet: not in london", 1.0), ("geo", "geo: no", 1.0)]
    assert ties(graph, ANSWER_MENTIONS) == [("poet: not in london", "London", 1.0)]


def test_answers_of_strangers_are_left_out_and_failures_stay():
    graph = answered(
        graph_of("x"), "Rome", "", "Rome", agents=["stranger", "geo", "sums"], statuses=["ok", "failed", "ok"]
    )
    assert graph.names["answer"] == ("geo: ", "sums: Rome")
    assert [agent for agent, _, _ in ties(graph, GAVE)] == ["geo", "sums"]
    assert not ties(graph, AGREES) and not ties(graph, DIFFERS) and not ties(graph, RESEMBLES)


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


def test_earlier_turns_stand_in_a_querys_text():
    turns = tuple(Message(role="user", text=f"turn {i}") for i in range(4))
    assert query_text(Query(text="now", history=turns)) == "turn 2\nturn 3\nnow"
