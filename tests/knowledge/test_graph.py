"""The schema never changes, and a person can print and export any graph."""

from __future__ import annotations

import json

import networkx as nx
import numpy as np
import pytest
from routing.folders import random_graphs

from agentroute.knowledge.graph import (
    BASE_TYPES,
    EDGE_TYPES,
    FORWARD,
    GROWN_TYPES,
    HOLDS,
    KNOWS,
    METADATA,
    NODE_TYPES,
    WITHIN,
    KnowledgeGraph,
    export,
    reverse,
    to_networkx,
)
from agentroute.knowledge.hetero import collate

GRAPHS = [*random_graphs(0, answers=6), *random_graphs(1, agents=1), *random_graphs(2, record=False)]


def test_the_schema_is_fixed():
    assert METADATA == (
        ["query", "entity", "agent", "answer"],
        [
            ("query", "mentions", "entity"),
            ("entity", "rev_mentions", "query"),
            ("entity", "related", "entity"),
            ("agent", "suits", "query"),
            ("query", "rev_suits", "agent"),
            ("agent", "knows", "entity"),
            ("entity", "rev_knows", "agent"),
            ("agent", "gave", "answer"),
            ("answer", "rev_gave", "agent"),
            ("answer", "answers", "query"),
            ("query", "rev_answers", "answer"),
            ("answer", "mentions", "entity"),
            ("entity", "rev_mentions", "answer"),
            ("answer", "agrees", "answer"),
            ("answer", "resembles", "answer"),
            ("answer", "within", "answer"),
            ("answer", "holds", "answer"),
            ("answer", "differs", "answer"),
        ],
    )


def test_every_edge_type_runs_back_and_every_node_type_receives():
    for edge_type in FORWARD:
        assert reverse(edge_type) in EDGE_TYPES
        assert reverse(edge_type)[::2] == edge_type[::-2]
    assert {target for _, _, target in EDGE_TYPES} == set(NODE_TYPES)


def test_what_is_read_before_any_answer_names_none_and_both_stages_read_all_there_is():
    assert not any("answer" in (source, target) for source, _, target in BASE_TYPES)
    # Who is in the team says nothing about the others: before any answer, nobody hears an agent.
    assert not any(source == "agent" for source, _, _ in BASE_TYPES)
    assert set(EDGE_TYPES) - set(BASE_TYPES) - set(GROWN_TYPES) == {KNOWS}
    assert {target for _, _, target in GROWN_TYPES} == set(NODE_TYPES)


def edges_of(graph):
    """Every edge type of one graph as (source, target, weight) triples, as a network gets them."""
    return {
        kind: list(zip(*edges.index.tolist(), edges.weight.tolist(), strict=True))
        for kind, edges in collate([graph]).edges.items()
    }


@pytest.mark.parametrize("graph", GRAPHS)
def test_edges_join_nodes_that_are_there(graph):
    for kind in NODE_TYPES:
        assert len(graph.x[kind]) == len(graph.names[kind]) == graph.count(kind)
        assert np.isfinite(graph.x[kind]).all()
    assert set(edges_of(graph)) == set(EDGE_TYPES)
    for (source, _, target), ties in edges_of(graph).items():
        for head, tail, weight in ties:
            assert 0 <= head < graph.count(source)
            assert 0 <= tail < graph.count(target)
            assert np.isfinite(weight)


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_reverse_edge_is_its_edge_turned_round(graph):
    edges = edges_of(graph)
    for forward in FORWARD:
        turned = [(tail, head, weight) for head, tail, weight in edges[forward]]
        if forward in (WITHIN, HOLDS):  # each is the other turned round
            assert sorted(turned) == sorted(edges[HOLDS if forward == WITHIN else WITHIN])
        elif reverse(forward) == forward:  # a tie within one node type runs both ways itself
            assert sorted(turned) == sorted(edges[forward])
        else:
            assert turned == edges[reverse(forward)]


@pytest.mark.parametrize("graph", GRAPHS)
def test_networkx_shows_every_node_and_every_edge(graph):
    view = to_networkx(graph)
    assert view.number_of_nodes() == sum(graph.count(kind) for kind in NODE_TYPES)
    assert {view.nodes[node]["name"] for node in view} == {n for names in graph.names.values() for n in names}
    shown: dict[str, list[float]] = {}
    for (source, _), (target, _), data in view.edges(data=True):
        shown.setdefault(f"{source} {data['relation']} {target}", []).append(data["weight"])
    kept = {" ".join(kind): weight.tolist() for kind, weight in graph.edge_weight.items() if len(weight)}
    assert {kind: sorted(weights) for kind, weights in shown.items()} == {
        kind: sorted(weights) for kind, weights in kept.items()
    }


@pytest.mark.parametrize("graph", GRAPHS)
def test_an_export_is_json_that_networkx_reads_back(graph):
    data = json.loads(json.dumps(export(graph), allow_nan=False))
    view, again = to_networkx(graph), nx.node_link_graph(data, edges="edges")
    assert again.number_of_nodes() == view.number_of_nodes()
    assert again.number_of_edges() == view.number_of_edges()
    assert again.nodes["query/0"] == {"type": "query", "name": graph.names["query"][0]}


def test_printing_names_nodes_and_counts_edges(capsys):
    graph = random_graphs(0, agents=12)[1]
    print(graph)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"query (1): {graph.names['query'][0]}"
    assert lines[2].startswith("agent (12): agent-0, agent-1,")
    assert lines[2].endswith("agent-7, ...")
    assert "answer (0): " in lines
    assert "agent -suits-> query: 12" in lines


def test_printing_cuts_long_names():
    graph = random_graphs(0)[0]
    long = KnowledgeGraph(
        names={**graph.names, "query": ("x" * 10_000,)},
        x=graph.x,
        edge_index=graph.edge_index,
        edge_weight=graph.edge_weight,
        suits=graph.suits,
    )
    assert str(long).splitlines()[0] == f"query (1): {'x' * 57}..."
