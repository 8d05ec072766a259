"""The network in PyG: its laws hold for any weights, and untrained it is the record itself."""

from __future__ import annotations

import pytest
import torch
from routing.folders import EMBEDDER, random_graphs, random_weights, spec

from agentroute.knowledge.build import GraphBuilder
from agentroute.knowledge.extract import RuleExtractor
from agentroute.knowledge.grow import grow
from agentroute.knowledge.hetero import to_hetero
from agentroute.knowledge.team import Team
from agentroute.routing.gnn import GNNConfig, RouterGNN
from agentroute.types import Answer, Query

CONFIG = GNNConfig(embedding=EMBEDDER.dim, hidden_channels=24)


def network(seed: int, **changes: int) -> RouterGNN:
    torch.manual_seed(seed)
    made = RouterGNN(GNNConfig(embedding=EMBEDDER.dim, hidden_channels=24, **changes)).eval()
    random_weights(made, seed)
    return made


@torch.no_grad()
def scores(model, graphs):
    gain, right = model(to_hetero(graphs))
    return gain, right


def test_untrained_it_is_the_record():
    torch.set_num_threads(1)
    model = RouterGNN(CONFIG).eval()
    data = to_hetero(random_graphs(0, answers=4))
    with torch.no_grad():
        gain, right = model(data)
    suits = data["agent"].suits
    assert torch.allclose(gain, suits[:, 0] + suits[:, 1] + 0.3 * suits[:, 2], atol=1e-6)
    assert torch.equal(right, gain[data["answer"].gave])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_batch_equals_its_singles(seed, layers):
    model, graphs = (
        network(seed, num_layers=layers),
        random_graphs(seed, agents=1 + seed * 2, answers=seed * 4),
    )
    gain, right = scores(model, graphs)
    singles = [scores(model, graph) for graph in graphs]
    assert torch.allclose(gain, torch.cat([one[0] for one in singles]), atol=1e-5)
    assert torch.allclose(right, torch.cat([one[1] for one in singles]), atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_permuting_agents_permutes_their_scores(seed):
    model, graph = network(seed), random_graphs(seed, agents=6)[1]
    gain, _ = scores(model, graph)
    assert gain.std() > 0.05  # the law would hold for a constant as well
    order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    data = to_hetero(graph)
    moved = data.subgraph({"agent": order})
    place = torch.argsort(order)
    for edge_type in data.edge_types:
        index = data[edge_type].edge_index.clone()
        for row, kind in enumerate((edge_type[0], edge_type[2])):
            if kind == "agent":
                index[row] = place[index[row]]
        moved[edge_type].edge_index = index
        moved[edge_type].edge_weight = data[edge_type].edge_weight
    with torch.no_grad():
        assert torch.allclose(model(moved)[0], gain[order], atol=1e-5)


def test_every_part_of_the_graph_is_heard():
    """A change of any feature, edge weight or tie reaches the scores."""
    model, graph = network(3), random_graphs(3, agents=5, answers=12)[2]
    assert graph.count("answer") > 2
    data = to_hetero(graph)
    for kind in data.node_types:
        data[kind].x.requires_grad_()
    for edge_type in data.edge_types:
        data[edge_type].edge_weight.requires_grad_()
    data["agent"].suits.requires_grad_()
    gain, right = model(data)
    (gain.square().sum() + right.square().sum()).backward()
    for kind in data.node_types:
        assert (data[kind].x.grad.abs().sum(1) > 0).all(), kind
    assert (data["agent"].suits.grad.abs().sum(1) > 0).all()
    for edge_type in data.edge_types:
        if data[edge_type].edge_index.shape[1]:
            assert data[edge_type].edge_weight.grad.abs().sum() > 0, edge_type


def test_every_parameter_learns():
    model, graphs = network(1).train(), random_graphs(1, agents=6, answers=14)
    gain, right = model(to_hetero(graphs))
    (gain.square().sum() + right.square().sum()).backward()
    used = {e for g in graphs for e, (index, _) in g.both_ways().items() if index.shape[1]}
    idle = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()}
    # The last layer's answers to entities and queries have nobody left to tell.
    relations = {f"relation.{'__'.join(e)}.weight" for e in used}
    assert not {name for name in idle if name.startswith("conv.0") and name[7:] in relations}
    assert not {name for name in idle if name.split(".")[0] in ("lin", "suits", "gain", "right", "belief")}


def test_answers_change_what_is_expected_of_those_not_yet_asked():
    model = network(2)
    team = Team.build([spec(name) for name in "abc"], EMBEDDER)
    builder = GraphBuilder(team, EMBEDDER, RuleExtractor())
    graph = builder.build([Query(text="Which old river is in London?")])[0]
    grown = grow(graph, [Answer(agent="a", text="the Thames")], EMBEDDER.embed(["the Thames"]))
    before, after = scores(model, graph)[0], scores(model, grown)[0]
    assert (before - after).abs().min() > 1e-6
