"""Graphs as tensors: the schema is whole however little a graph holds, and a union is its parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from routing.folders import EMBEDDER, random_graphs, random_grown
from torch_geometric.nn import HGTConv

from agentroute.knowledge.build import QUERY_EXTRA, SUITS_DIM, dims
from agentroute.knowledge.graph import AGREES, COMPARED, EDGE_TYPES, GAVE, METADATA, NODE_TYPES, reverse
from agentroute.knowledge.hetero import PackedGraphs, collate, to_hetero
from agentroute.routing.gnn import GNNConfig, RouterGNN

BARE = random_graphs(3, agents=1, record=False)[0]  # no entities, no answers, one agent
CASES = {"bare": [BARE], "plain": random_graphs(4), "grown": random_graphs(5, answers=9), "mixed": None}
CASES["mixed"] = [BARE, *random_graphs(6, agents=7, answers=3)]


@pytest.fixture(params=CASES)
def graphs(request):
    return CASES[request.param]


def test_every_type_is_there_with_its_own_width(graphs):
    data = to_hetero(graphs)
    assert data.metadata() == METADATA
    assert data.validate()
    for kind, width in dims(EMBEDDER.dim).items():
        assert data[kind].x.dtype == torch.float32
        assert data[kind].x.shape == (sum(graph.count(kind) for graph in graphs), width)
        assert data[kind].batch.tolist() == [i for i, g in enumerate(graphs) for _ in range(g.count(kind))]
    for edge_type in EDGE_TYPES:
        assert data[edge_type].edge_index.dtype == torch.int64
        assert data[edge_type].edge_index.shape == (2, len(data[edge_type].edge_weight))
    assert data["agent"].suits.shape == (data["agent"].num_nodes, SUITS_DIM)


def test_one_graph_need_not_be_in_a_list():
    assert torch.equal(to_hetero(BARE)["query"].x, to_hetero([BARE])["query"].x)


def test_two_layers_of_pygs_own_transformer_run_on_it(graphs):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = to_hetero(graphs)
    first = HGTConv({kind: width for kind, width in dims(EMBEDDER.dim).items()}, 8, METADATA, heads=2)
    second = HGTConv(8, 8, METADATA, heads=2)
    hidden = second(first(data.x_dict, data.edge_index_dict), data.edge_index_dict)
    for kind in NODE_TYPES:
        assert hidden[kind].shape == (data[kind].num_nodes, 8)
        assert hidden[kind].isfinite().all()


def listed(edges, starts=(0, 0)):
    """Edges as (source, target, weight, share), as they stand behind so many other nodes."""
    ends = edges.index + np.array(starts, np.int64)[:, None]
    return list(zip(*ends.tolist(), edges.weight.tolist(), edges.share.tolist(), strict=True))


def test_a_union_is_its_parts(graphs):
    union, parts = collate(graphs), [collate([graph]) for graph in graphs]
    for kind in NODE_TYPES:
        assert np.array_equal(union.x[kind], np.concatenate([part.x[kind] for part in parts]))
    assert np.array_equal(union.suits, np.concatenate([part.suits for part in parts]))
    start = dict.fromkeys(NODE_TYPES, 0)
    found = {edge_type: [] for edge_type in EDGE_TYPES}
    givers = []
    for part in parts:
        givers += (part.gave + start["agent"]).tolist()
        for (source, name, target), edges in part.edges.items():
            found[source, name, target] += listed(edges, (start[source], start[target]))
        for kind in NODE_TYPES:
            start[kind] += len(part.x[kind])
    assert {edge_type: listed(edges) for edge_type, edges in union.edges.items()} == found
    assert union.gave.tolist() == givers


def test_every_answer_knows_who_gave_it():
    for graph in random_graphs(7, answers=12):
        givers = [graph.names["agent"][i] for i in collate([graph]).gave]
        assert givers == [name.split(":")[0] for name in graph.names["answer"]]


def test_what_reaches_a_node_is_a_mean_and_among_answers_being_alone_shows(graphs):
    union = collate(graphs)
    there = np.bincount(union.batch["answer"], minlength=union.size)
    for kind, edges in union.edges.items():
        target = edges.index[1]
        if kind in COMPARED:
            np.testing.assert_allclose(edges.share, 1 / there[union.batch["answer"][target]])
        else:
            reached = np.bincount(target, weights=edges.share)
            np.testing.assert_allclose(reached[np.unique(target)], 1.0, atol=1e-6)


# ---------------------------------------------------------------------------- packed once, taken in part


def assert_same(one, two):
    """Two batches are alike, but for rounding."""
    one, two = one.whole(), two.whole()
    for kind in NODE_TYPES:
        np.testing.assert_allclose(one.x[kind], two.x[kind], atol=1e-6)
        assert one.batch[kind].tolist() == two.batch[kind].tolist()
    np.testing.assert_allclose(one.suits, two.suits, atol=1e-6)
    assert one.gave.tolist() == two.gave.tolist()
    for kind in EDGE_TYPES:
        assert one.edges[kind].index.tolist() == two.edges[kind].index.tolist(), kind
        np.testing.assert_allclose(one.edges[kind].weight, two.edges[kind].weight, atol=1e-6)
        np.testing.assert_allclose(one.edges[kind].share, two.edges[kind].share, atol=1e-6)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("agents", [1, 4, 9])
def test_a_grown_graph_holds_every_graph_on_the_way(seed, agents):
    """What is left without some answers is the graph that grew without them."""
    rng = np.random.default_rng(seed)
    grown = random_grown(seed, agents, answers=agents)
    packed = PackedGraphs([grown.grow(row) for row in range(len(grown.graphs))])
    names = grown.builder.team.specs
    for share in (0.0, 0.3, 0.7, 1.0):
        rows = rng.integers(len(packed), size=int(rng.integers(1, 9)))  # any order, some twice
        answered = rng.random((len(rows), agents)) < share
        some = [{names[i].id for i in np.flatnonzero(mask)} for mask in answered]
        alone = [grown.grow(row, given) for row, given in zip(rows.tolist(), some, strict=True)]
        assert_same(packed.batch(rows, answered), collate(alone))


@pytest.mark.parametrize("seed", range(3))
def test_rows_are_taken_in_any_order_whoever_the_agents_are(seed):
    graphs = [*random_graphs(seed, 3, 3), BARE, *random_graphs(seed + 10, 6, 6)]
    rows = np.random.default_rng(seed).permutation(len(graphs))[: len(graphs) - seed]
    assert_same(PackedGraphs(graphs).batch(rows), collate([graphs[row] for row in rows]))


def test_ties_that_are_not_wanted_are_left_out_and_the_others_stay():
    packed = PackedGraphs(random_graphs(8, answers=5))
    answered = np.random.default_rng(0).random((len(packed), 5)) < 0.6
    rows = np.arange(len(packed))
    whole, part = packed.batch(rows, answered), packed.batch(rows, answered, (GAVE, AGREES))
    for kind in EDGE_TYPES:
        wanted = kind in (GAVE, reverse(GAVE), AGREES)
        assert listed(part.edges[kind]) == (listed(whole.edges[kind]) if wanted else [])
    assert np.array_equal(part.x["answer"], whole.x["answer"])


def test_nodes_are_where_they_stand_among_all():
    graphs = random_graphs(9, answers=4)
    packed, rows = PackedGraphs(graphs), np.array([3, 0, 3])
    whole, part = packed.batch().whole(), packed.batch(rows).whole()
    for kind, places in packed.nodes(rows).items():
        assert np.array_equal(whole.x[kind][places], part.x[kind])


def test_agents_of_one_team_are_not_repeated_where_nobody_asks_for_it():
    graphs = random_graphs(5, answers=3)[:1] * 3
    lean = PackedGraphs(graphs).batch(np.array([0, 2, 1]))
    assert "agent" not in lean.x and lean.team is not None
    assert np.array_equal(lean.whole().x["agent"], np.tile(graphs[0].x["agent"], (3, 1)))
    data, full = to_hetero(lean), to_hetero(lean.whole())
    assert (
        "x" not in data["agent"]
        and data["agent"].num_nodes == full["agent"].num_nodes == full["agent"].x.shape[0]
    )
    assert data.validate()
    torch.manual_seed(0)
    model = RouterGNN(GNNConfig(embedding=graphs[0].x["query"].shape[1] - QUERY_EXTRA)).eval()
    for one, other in zip(model(data), model(full), strict=True):
        assert torch.equal(one, other)
