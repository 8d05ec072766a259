"""The network without torch says what the network with torch says."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from routing.folders import EMBEDDER, SAID, random_graphs, random_grown, random_weights

from agentroute.knowledge.graph import BASE
from agentroute.knowledge.hetero import PackedGraphs, collate, to_hetero
from agentroute.routing.base import Base
from agentroute.routing.committee import stack
from agentroute.routing.gnn import GNNConfig, RouterGNN
from agentroute.routing.growth import GROWN
from agentroute.routing.runtime import NumpyGNN, Scores


def pair(seed, **changes):
    torch.manual_seed(seed)
    model = RouterGNN(GNNConfig(embedding=EMBEDDER.dim, **changes)).eval()
    random_weights(model, seed)
    return model, NumpyGNN({name: value.numpy() for name, value in model.state_dict().items()})


def committee(seed, members=3):
    pairs = [pair(seed + i) for i in range(members)]
    weights = [{n: v.numpy() for n, v in model.state_dict().items()} for model, _ in pairs]
    return [runtime for _, runtime in pairs], NumpyGNN(stack(weights))


def assert_close(found, expected, atol=1e-5):
    for name, one, two in zip(Scores._fields, found, expected, strict=True):
        assert one.shape == two.shape, name
        assert one.dtype == np.float32, name
        np.testing.assert_allclose(one, two, atol=atol, rtol=1e-5, err_msg=name)


def assert_alike(model, runtime, graphs):
    with torch.no_grad():
        expected = [part.numpy() for part in model(to_hetero(graphs))]
    assert_close(runtime.forward(collate(graphs)), expected)


def joined(scores):
    return Scores(*map(np.concatenate, zip(*scores, strict=True)))


@pytest.mark.parametrize("agents", [1, 2, 30])
@pytest.mark.parametrize("answers", [0, 1, 60])
@pytest.mark.parametrize("record", [True, False])
def test_it_equals_the_network_in_torch(agents, answers, record):
    model, runtime = pair(agents + answers)
    graphs = random_graphs(agents * 7 + answers, agents, answers, record)
    for some in ([graphs[0]], [graphs[-1]], graphs):  # the first has no entity
        assert_alike(model, runtime, some)


@pytest.mark.parametrize("said", [("",), ("yes",), ("", "yes"), SAID], ids=["none", "same", "some", "mixed"])
@pytest.mark.parametrize("seed", range(3))
def test_it_equals_the_network_in_torch_whatever_was_said(said, seed):
    model, runtime = pair(seed)
    graphs = random_graphs(seed, 6, 6, said=said)
    assert_alike(model, runtime, graphs)
    for graph in graphs:
        assert_alike(model, runtime, [graph])
    # Graphs without answers beside others with some, and with other teams.
    assert_alike(model, runtime, [*random_graphs(seed, 3), *graphs, *random_graphs(seed, 1, 1)])


@pytest.mark.parametrize("changes", [{"num_layers": 4}, {"grown_layers": 1}, {"hidden_channels": 7}])
def test_it_equals_networks_of_other_shapes(changes):
    assert_alike(*pair(5, **changes), random_graphs(11, 4, 9))


@pytest.mark.parametrize("changes", [{"num_layers": 0}, {"grown_layers": 0}])
def test_a_network_may_do_without_messages(changes):
    assert_alike(*pair(5, **changes), random_graphs(11, 4, 9))


@pytest.mark.parametrize("answers", [0, 1, 9])
def test_a_committee_is_the_mean_of_its_members(answers):
    members, together = committee(6)
    graphs = [*random_graphs(3, 5, answers), *random_graphs(4, 2, answers)]
    for some in (graphs[:1], graphs):
        batch = collate(some)
        said = [member.forward(batch) for member in members]
        assert_close(together.forward(batch), Scores(*(np.mean(p, axis=0) for p in zip(*said, strict=True))))


def test_the_members_of_a_committee_do_not_disturb_each_other():
    """Three times the same network says what one says."""
    model, runtime = pair(8)
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    batch = collate(random_graphs(5, 6, 12))
    assert_close(NumpyGNN(stack([weights] * 3)).forward(batch), runtime.forward(batch))


def test_a_mixed_union_equals_its_singles():
    _, runtime = pair(2)
    graphs = [*random_graphs(1, 3, 5), *random_graphs(2, 8), *random_graphs(3, 1, 2)]
    assert_close(runtime.forward(collate(graphs)), joined(runtime.forward(collate([g])) for g in graphs))


def test_the_first_stage_is_the_same_whoever_answers_later():
    """What a question came to before any answer is kept, and the answers are read from there on."""
    _, runtime = pair(4)
    grown = random_grown(4, agents=6, answers=6)
    before, after = PackedGraphs(grown.graphs), PackedGraphs([grown.grow(i) for i in range(6)])
    whole = runtime.base(before.batch(kinds=BASE))
    assert_close(runtime.grow(whole, after.batch(kinds=GROWN)), runtime.forward(after.batch()))
    rows = np.array([4, 1, 4])
    part = whole.take(before.nodes(rows))
    assert_close(runtime.grow(part, after.batch(rows, kinds=GROWN)), runtime.forward(after.batch(rows)))
    one_by_one = Base.join([runtime.base(before.batch(np.array([i]), kinds=BASE)) for i in range(6)])
    for one, two in zip(one_by_one[1:], whole[1:], strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_it_reads_every_parameter_that_was_trained():
    model, runtime = pair(0, num_layers=2)
    # What the entities made of the last round nobody hears, but a file holds all the same.
    assert set(runtime.needs()) == set(model.state_dict())


def test_another_team_never_sees_the_last_ones_agents():
    _, runtime = pair(3)
    small, large = collate(random_graphs(1, 2)[:1]), collate(random_graphs(1, 40)[:1])
    alone = {len(batch.suits): pair(3)[1].forward(batch)[0] for batch in (small, large)}
    with ThreadPoolExecutor(8) as pool:
        for scores in pool.map(runtime.forward, [small, large] * 60):
            assert np.array_equal(scores.expected, alone[len(scores.expected)])


def test_it_runs_where_torch_cannot_be_imported():
    script = (
        "import sys; sys.modules['torch'] = None; sys.modules['torch_geometric'] = None\n"
        "import agentroute.routing.router, agentroute.routing.cards, agentroute.routing.baselines\n"
        "from agentroute.knowledge.embed import HashingEmbedder\n"
        "from agentroute.routing.cards import CardRouter\n"
        "from agentroute.types import AgentSpec, Query\n"
        "team = [AgentSpec(id='a', kind='function', description='Knows rivers.', function='m:f')]\n"
        "print(CardRouter(HashingEmbedder()).route(Query(text='rivers?'), team).selected)"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert found.stdout == "(('a', 1.0),)\n", found.stderr
