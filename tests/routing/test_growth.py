"""What the network says of recorded queries, whoever has answered: always what a fresh look would say."""

from __future__ import annotations

import numpy as np
import pytest
from routing.folders import EMBEDDER, random_grown, random_weights, table_of

from agentroute.knowledge.build import GraphBuilder
from agentroute.knowledge.extract import RuleExtractor
from agentroute.knowledge.graph import GAVE
from agentroute.knowledge.hetero import PackedGraphs, collate
from agentroute.knowledge.team import Team
from agentroute.routing.gnn import GNNConfig, RouterGNN
from agentroute.routing.growth import BATCH, Growth, calibrated, grow_all, recorded_answers
from agentroute.routing.runtime import NumpyGNN
from agentroute.types import Usage

AGENTS = 6


def network(seed: int) -> NumpyGNN:
    model = RouterGNN(GNNConfig(embedding=EMBEDDER.dim, hidden_channels=16))
    random_weights(model, seed)
    return NumpyGNN({name: value.numpy() for name, value in model.state_dict().items()})


def packed(grown):
    return PackedGraphs([grown.grow(row) for row in range(len(grown.graphs))])


def draw(rng, queries, count):
    """Some queries in any order, many of them twice, and who has been asked of each."""
    return rng.integers(queries, size=count), rng.random((count, AGENTS)) < rng.random((count, 1)) ** 2


def fresh(net, grown, row, asked):
    """Gains and chances of one query's graph, grown anew by those who were asked."""
    names = [spec.id for spec in grown.builder.team.specs]
    graph = grown.grow(row, {names[i] for i in np.flatnonzero(asked)})
    scores, right = net.forward(collate([graph])), np.full(AGENTS, -np.inf)
    agents, answers = graph.edge_index[GAVE]
    right[agents] = scores.right[answers]
    return scores.gain, right


@pytest.mark.parametrize("seed", range(4))
def test_a_look_is_a_fresh_look(seed):
    rng, net, grown = np.random.default_rng(seed), network(seed), random_grown(seed, AGENTS, AGENTS)
    growth = Growth(net, packed(grown))
    assert growth.expected.shape == (len(grown.graphs), AGENTS)
    for count in (1, 3, 40):
        rows, asked = draw(rng, len(grown.graphs), count)
        gain, right = growth.look(rows, asked)
        for i, row in enumerate(rows.tolist()):
            expected_gain, expected_right = fresh(net, grown, row, asked[i])
            np.testing.assert_allclose(gain[i], expected_gain, atol=1e-5, rtol=1e-5)
            np.testing.assert_allclose(right[i], expected_right, atol=1e-5, rtol=1e-5)


def test_what_was_seen_before_changes_nothing():
    grown, net = random_grown(1, AGENTS, AGENTS), network(1)
    graphs, rng = packed(grown), np.random.default_rng(0)
    rows, asked = draw(rng, len(graphs), 30)
    one = Growth(net, graphs)
    first = one.look(rows, asked)
    kept = [part.copy() for part in first]
    for part in first:
        part[:] = 7.0  # what was handed out is the caller's
    one.look(*draw(rng, len(graphs), 50))
    order = rng.permutation(30)
    for part, again, anew in zip(
        kept,
        one.look(rows[order], asked[order]),
        Growth(net, graphs).look(rows[order], asked[order]),
        strict=True,
    ):
        assert np.array_equal(again, part[order])
        np.testing.assert_allclose(anew, part[order], atol=1e-5)


def test_nobody_asked_is_nobody_heard_and_what_is_added_is_what_was_expected():
    growth = Growth(network(2), packed(random_grown(2, AGENTS, AGENTS)))
    rows = np.arange(6)
    gain, right = growth.look(rows, np.zeros((6, AGENTS), bool))
    np.testing.assert_allclose(gain, growth.expected, atol=1e-6)
    assert np.isneginf(right).all()
    assert [part.shape for part in growth.look(rows[:0], np.zeros((0, AGENTS), bool))] == [(0, AGENTS)] * 2


def test_who_did_not_run_was_asked_in_vain():
    grown = random_grown(3, AGENTS, 3)
    growth = Growth(network(3), packed(grown))
    _, right = growth.look(np.arange(6), np.ones((6, AGENTS), bool))
    gave = [{answer.agent for answer in answers} for answers in grown.answers]
    names = [spec.id for spec in grown.builder.team.specs]
    assert [{names[i] for i in np.flatnonzero(np.isfinite(row))} for row in right] == gave


@pytest.mark.parametrize("seed", range(3))
def test_each_part_is_judged_by_the_network_that_has_not_seen_it(seed):
    grown, networks = random_grown(seed, AGENTS, AGENTS), [network(10 + i) for i in range(3)]
    graphs, rng = packed(grown), np.random.default_rng(seed)
    part = rng.integers(3, size=len(graphs))
    together, alone = Growth(networks, graphs, part), [Growth(net, graphs) for net in networks]
    rows, asked = draw(rng, len(graphs), 40)
    looks = [one.look(rows, asked) for one in alone]
    for i in range(len(graphs)):
        np.testing.assert_allclose(together.expected[i], alone[part[i]].expected[i], atol=1e-5)
    for i, row in enumerate(rows.tolist()):
        for mine, its in zip(together.look(rows, asked), looks[part[row]], strict=True):
            np.testing.assert_allclose(mine[i], its[i], atol=1e-5)


def test_more_queries_than_one_pass_takes_are_looked_at_alike():
    grown = random_grown(4, AGENTS, AGENTS)
    graphs = [grown.grow(row % 6) for row in range(BATCH + 40)]
    growth = Growth(network(4), PackedGraphs(graphs))
    asked = np.broadcast_to(np.arange(AGENTS) < 3, (len(graphs), AGENTS))
    gain, right = growth.look(np.arange(len(graphs)), asked)
    for row in range(6, len(graphs)):
        np.testing.assert_allclose(gain[row], gain[row % 6], atol=1e-5)
        np.testing.assert_allclose(right[row], right[row % 6], atol=1e-5)


# ---------------------------------------------------------------------------- recorded answers


def recorded():
    return table_of(
        np.array([[1.0, 0.0, np.nan, 0.0], [np.nan] * 4]),
        [["Paris", "", "Rome", " \n"], [None] * 4],
        output_tokens=np.array([[12.0, np.nan, 5.0, 0.0], [np.nan] * 4]),
    )


def test_who_ran_is_in_the_graph_and_who_did_not_is_not():
    answers = recorded_answers(recorded(), 0)
    assert [answer.agent for answer in answers] == ["agent-0", "agent-1", "agent-3"]
    assert [answer.status for answer in answers] == ["ok", "skipped", "skipped"]
    assert [answer.usage for answer in answers] == [Usage(output_tokens=n) for n in (12, None, 0)]
    assert recorded_answers(recorded(), 1) == []


def test_graphs_grow_by_what_was_recorded_and_stay_without_texts():
    table = recorded()
    builder = GraphBuilder(Team.build(table.agents, EMBEDDER), EMBEDDER, RuleExtractor())
    graphs = builder.build([row.query for row in table.queries])
    grown = grow_all(builder, graphs, table)
    assert [graph.count("answer") for graph in grown] == [3, 0]
    silent = table_of(table.score, [[None] * 4] * 2)
    assert all(a is b for a, b in zip(grow_all(builder, graphs, silent), graphs, strict=True))


def test_chances_follow_log_odds_and_no_answer_is_no_chance():
    logits = np.array([[-np.inf, 0.0, 2.0, -1e30, 1e30]], np.float32)
    chance = calibrated(logits, 0.5, 1.0)[0]
    assert chance[0] == -1.0
    assert chance[1:3] == pytest.approx(1 / (1 + np.exp([-1.0, -2.0])))
    assert chance[3:] == pytest.approx([0.0, 1.0])
