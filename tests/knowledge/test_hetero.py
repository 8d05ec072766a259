"""Graphs as tensors: the schema is whole however little a graph holds, and a union is its parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from routing.folders import EMBEDDER, random_graphs
from torch_geometric.nn import HGTConv

from agentroute.knowledge.build import SUITS_DIM, dims
from agentroute.knowledge.graph import EDGE_TYPES, METADATA, NODE_TYPES
from agentroute.knowledge.hetero import collate, to_hetero

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
        for (source, name, target), (index, weight) in part.edges.items():
            moved = index + np.array([[start[source]], [start[target]]])
            found[source, name, target] += zip(*moved.tolist(), weight.tolist(), strict=True)
        for kind in NODE_TYPES:
            start[kind] += len(part.x[kind])
    for edge_type, (index, weight) in union.edges.items():
        assert list(zip(*index.tolist(), weight.tolist(), strict=True)) == found[edge_type]
    assert union.gave.tolist() == givers


def test_every_answer_knows_who_gave_it():
    for graph in random_graphs(7, answers=12):
        givers = [graph.names["agent"][i] for i in collate([graph]).gave]
        assert givers == [name.split(":")[0] for name in graph.names["answer"]]
