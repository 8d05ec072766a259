"""The network without torch says what the network with torch says."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from routing.folders import EMBEDDER, random_graphs, random_weights

from agentroute.knowledge.hetero import collate, to_hetero
from agentroute.routing.gnn import GNNConfig, RouterGNN
from agentroute.routing.runtime import NumpyGNN


def pair(seed, **changes):
    torch.manual_seed(seed)
    model = RouterGNN(GNNConfig(embedding=EMBEDDER.dim, **changes)).eval()
    random_weights(model, seed)
    return model, NumpyGNN({name: value.numpy() for name, value in model.state_dict().items()})


def both(model, runtime, graphs):
    with torch.no_grad():
        expected = [part.numpy() for part in model(to_hetero(graphs))]
    return expected, runtime.forward(collate(graphs))


@pytest.mark.parametrize("agents", [1, 2, 30])
@pytest.mark.parametrize("answers", [0, 1, 60])
@pytest.mark.parametrize("record", [True, False])
def test_it_equals_the_network_in_torch(agents, answers, record):
    model, runtime = pair(agents + answers)
    graphs = random_graphs(agents * 7 + answers, agents, answers, record)
    for some in ([graphs[0]], [graphs[-1]], graphs):  # the first has no entity
        (gain, right), (fast_gain, fast_right) = both(model, runtime, some)
        assert fast_gain.shape == gain.shape
        assert fast_right.shape == right.shape
        np.testing.assert_allclose(fast_gain, gain, atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(fast_right, right, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("changes", [{"num_layers": 1}, {"num_layers": 4}, {"hidden_channels": 7}])
def test_it_equals_networks_of_other_shapes(changes):
    model, runtime = pair(5, **changes)
    (gain, right), found = both(model, runtime, random_graphs(11, 4, 9))
    np.testing.assert_allclose(found[0], gain, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(found[1], right, atol=1e-5, rtol=1e-5)


def test_a_mixed_union_equals_its_singles():
    _, runtime = pair(2)
    graphs = [*random_graphs(1, 3, 5), *random_graphs(2, 8), *random_graphs(3, 1, 2)]
    gain, right = runtime.forward(collate(graphs))
    singles = [runtime.forward(collate([graph])) for graph in graphs]
    np.testing.assert_allclose(gain, np.concatenate([one[0] for one in singles]), atol=1e-5)
    np.testing.assert_allclose(right, np.concatenate([one[1] for one in singles]), atol=1e-5)


def test_another_team_never_sees_the_last_ones_agents():
    _, runtime = pair(3)
    small, large = collate(random_graphs(1, 2)[:1]), collate(random_graphs(1, 40)[:1])
    alone = {len(batch.suits): pair(3)[1].forward(batch)[0] for batch in (small, large)}
    with ThreadPoolExecutor(8) as pool:
        for gain, _ in pool.map(runtime.forward, [small, large] * 60):
            assert np.array_equal(gain, alone[len(gain)])


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
