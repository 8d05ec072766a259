"""The network in PyG: its laws hold for any weights, and untrained it is the record itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from routing.folders import EMBEDDER, random_graphs, random_grown, random_weights

from agentroute.knowledge.build import VOICE
from agentroute.knowledge.graph import AGREES, EDGE_TYPES, GAVE, KNOWS
from agentroute.knowledge.hetero import to_hetero
from agentroute.knowledge.team import Team
from agentroute.routing.gnn import HELD, GNNConfig, RouterGNN, Scores

CONFIG = GNNConfig(embedding=EMBEDDER.dim, hidden_channels=24)


def network(seed: int, **changes: int) -> RouterGNN:
    torch.manual_seed(seed)
    made = RouterGNN(GNNConfig(embedding=EMBEDDER.dim, hidden_channels=24, **changes)).eval()
    random_weights(made, seed)
    return made


@torch.no_grad()
def scores(model, graphs) -> Scores:
    return model(to_hetero(graphs))


def close(one: Scores, two: Scores, atol: float = 1e-5) -> bool:
    return all(torch.allclose(a, b, atol=atol) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_untrained_it_is_the_record_and_every_answer_has_the_voices_of_those_that_agree(seed):
    torch.set_num_threads(1)
    model = RouterGNN(CONFIG).eval()
    for graph in random_graphs(seed, agents=8, answers=8):
        expected, gain, right = scores(model, graph)
        suits = torch.from_numpy(graph.suits)
        known = suits[:, 0] + suits[:, 1] + 0.1 * suits[:, 2] + 0.8 * suits[:, 3]
        assert torch.allclose(expected, known, atol=1e-5)
        agents, answers = graph.edge_index[GAVE].tolist()
        giver = dict(zip(answers, agents, strict=True))
        agree = graph.edge_index[AGREES].T.tolist()
        for answer in answers:
            backers = [giver[answer], *(giver[one] for one, other in agree if other == answer)]
            backed = known[giver[answer]] + suits[backers, VOICE].sum()
            assert right[answer] == pytest.approx(float(backed), abs=1e-4)
        said = any(name.split(": ", 1)[1] for name in graph.names["answer"])
        assert torch.allclose(gain, known - HELD * said, atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_batch_equals_its_singles(seed, layers):
    model = network(seed, num_layers=layers, grown_layers=layers)
    graphs = random_graphs(seed, agents=1 + seed * 2, answers=seed * 4)
    singles = [scores(model, graph) for graph in graphs]
    assert close(scores(model, graphs), Scores(*map(torch.cat, zip(*singles, strict=True))), 2e-5)


@pytest.mark.parametrize("seed", range(4))
def test_permuting_agents_permutes_their_scores_and_leaves_the_answers_theirs(seed):
    model, grown = network(seed), random_grown(seed, agents=6, answers=6)
    order = np.random.default_rng(seed).permutation(6)
    team = Team.build([grown.builder.team.specs[i] for i in order], EMBEDDER)
    other = replace(grown, builder=replace(grown.builder, team=team))
    other = replace(other, graphs=other.builder.build(grown.queries))
    for row in range(len(grown.graphs)):
        one, two = scores(model, grown.grow(row)), scores(model, other.grow(row))
        assert one.gain.std() > 0.01  # the law would hold for a constant as well
        moved = Scores(one.expected[order], one.gain[order], one.right)
        assert close(two, moved, 1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_permuting_answers_permutes_their_scores_and_nobody_elses(seed):
    model, grown = network(seed), random_grown(seed, agents=7, answers=7)
    for row, answers in enumerate(grown.answers):
        order = torch.randperm(len(answers), generator=torch.Generator().manual_seed(seed))
        moved = [*grown.answers]
        moved[row] = [answers[i] for i in order]
        one, two = scores(model, grown.grow(row)), scores(model, replace(grown, answers=moved).grow(row))
        assert close(two, Scores(one.expected, one.gain, one.right[order]))


def test_answers_change_what_agents_add_and_not_what_was_expected_of_them():
    model, grown = network(2), random_grown(2, agents=6, answers=6)
    for row, graph in enumerate(grown.graphs):
        before, after = scores(model, graph), scores(model, grown.grow(row))
        assert torch.equal(before.expected, after.expected)
        assert torch.equal(before.gain, before.expected)
        if any(answer.text for answer in grown.answers[row]):
            assert (before.gain - after.gain).abs().min() > 1e-6


def test_where_nobody_has_said_anything_an_agent_adds_what_is_expected_of_it():
    for graph in random_graphs(3, agents=5, answers=5, said=("",)):
        expected, gain, right = scores(network(3), graph)
        assert torch.equal(gain, expected)
        assert len(right) == graph.count("answer")


@pytest.mark.parametrize("teams", [1, 2])
def test_every_feature_is_heard(teams):
    """A change of any feature of any node reaches the scores."""
    model, graphs = network(3, num_layers=2), random_graphs(3, agents=9, answers=30)[2:3]
    graphs += random_graphs(4, agents=4, answers=9)[2:3] * (teams - 1)
    assert all(graph.count("answer") > 2 for graph in graphs)
    data = to_hetero(graphs)
    leaves = {kind: data[kind].x for kind in data.node_types} | {"suits": data["agent"].suits}
    if teams == 1:  # then the agents are read once
        leaves["agent"] = data["agent"].team
    for leaf in leaves.values():
        leaf.requires_grad_()
    sum(part.square().sum() for part in model(data)).backward()
    for kind, leaf in leaves.items():
        assert (leaf.grad.abs().sum(1) > 0).all(), kind


def test_every_tie_is_heard():
    model, graphs = network(3, num_layers=2), random_graphs(1, agents=9, answers=30)
    before = scores(model, graphs)
    for kind in EDGE_TYPES:
        data = to_hetero(graphs)
        data[kind].edge_weight = data[kind].edge_weight * 1.5
        with torch.no_grad():
            # What an agent knows reaches nobody but itself; see BASE_TYPES.
            assert close(model(data), before, 1e-6) == (kind == KNOWS), kind


def test_every_parameter_learns():
    model = network(1, num_layers=2, grown_layers=2).train()
    graphs = random_graphs(1, agents=9, answers=14)
    sum(part.square().sum() for part in model(to_hetero(graphs))).backward()
    idle = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()}
    # Nobody is left to hear what the entities made of the last round.
    assert all(name.startswith(("conv.1", "grown.1")) and "entity" in name.split("__")[-1] for name in idle)
