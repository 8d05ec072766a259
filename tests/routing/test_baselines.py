"""The baselines are what their names say, each against the same rule written slowly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from routing.folders import EMBEDDER, held_out, trained

from agentroute.answers import vote
from agentroute.routing.baselines import KNN, NAMES, query_only_scores, run_baselines
from agentroute.routing.replay import answer_groups
from agentroute.routing.router import GraphRouter


@pytest.fixture(scope="module")
def router() -> GraphRouter:
    return trained()


@pytest.fixture(scope="module")
def table(router):
    return held_out(router)


@pytest.fixture(scope="module")
def found(router, table):
    return run_baselines(router, table, answer_groups(table))


def test_all_are_there_in_order(found):
    assert tuple(found) == NAMES
    assert all(found[name] is not None for name in NAMES)


def test_those_that_ask_one_ask_one_and_those_that_ask_all_ask_all(found, table):
    everyone = {"majority", "weighted_vote", "all_agents"}
    for name in NAMES:
        assert (found[name].calls == (len(table.agents) if name in everyone else 1)).all(), name


def test_the_oracle_is_the_best_recorded_score_and_nobody_beats_it(found, table):
    assert found["oracle"].score.tolist() == table.score.max(axis=1).tolist()
    for name in NAMES:
        assert (found[name].score <= found["oracle"].score).all()


def test_the_best_single_is_the_one_with_the_best_training_mean(found, router, table):
    column = int(np.nanmean(router.record.score, axis=0).argmax())
    assert found["best_single"].score.tolist() == table.score[:, column].tolist()
    assert found["cheapest"].score.tolist() == table.score[:, 0].tolist()
    # Without task labels there is only one task.
    assert found["best_per_task"].score.tolist() == found["best_single"].score.tolist()


def test_the_best_per_task_follows_the_tasks_of_training(router, table):
    tasks = ("x", "y")
    labels = np.arange(len(router.record.score)) % 2
    record = replace(router.record, tasks=tasks, task=labels, regression=None)
    other = GraphRouter(
        embedder=router.embedder,
        extractor=router.extractor,
        record=record,
        weights=router.weights,
        tried=router.tried,
        setting=router.setting,
        baseline=router.baseline,
        manifest=router.manifest,
    )
    labels = ["x", "y", "never seen", None]
    queries = tuple(
        replace(row, query=replace(row.query, task=labels[i % 4])) for i, row in enumerate(table.queries)
    )
    score = run_baselines(other, replace(table, queries=queries), answer_groups(table))["best_per_task"].score
    mean = record.score.mean(axis=0)
    for i in range(len(table)):
        rows = record.score[i % 4 :: 2] if i % 4 < 2 else record.score
        assert score[i] == table.score[i, int(rows.mean(axis=0).argmax() if i % 4 < 2 else mean.argmax())]


def test_knn_asks_who_did_best_on_the_nearest(found, router, table):
    vectors = EMBEDDER.embed([row.query.text for row in table.queries])
    for i, vector in enumerate(vectors):
        cosines = router.record.vectors @ vector
        order = np.sort(cosines)[::-1]
        if order[KNN - 1] - order[KNN] < 1e-6:
            continue  # two are equally near, and either may count
        means = router.record.score[np.argsort(-cosines)[:KNN]].mean(axis=0)
        top = np.sort(means)[::-1]
        if top[0] - top[1] > 1e-6:
            assert found["knn"].score[i] == table.score[i, means.argmax()]


def test_words_ask_who_is_furthest_up_on_such_words(found, router, table):
    means = router.record.score.mean(axis=0)
    for i, row in enumerate(table.queries):
        text = [row.query.text]
        lead = means + router.record.regression(text, EMBEDDER.embed(text), np.array([-1]))[0]
        top = np.sort(lead)[::-1]
        if top[0] - top[1] > 1e-5:
            assert found["words"].score[i] == table.score[i, lead.argmax()]
    # Here the words of a question tell whom to ask.
    assert found["words"].score.mean() > found["best_single"].score.mean() + 0.15


def test_the_majority_counts_heads(found, table):
    for i, row in enumerate(table.answers):
        ballot = vote([text or "" for text in row], [1.0] * len(row))
        assert found["majority"].leader[i] == ballot.leader
        assert found["majority"].share[i] == pytest.approx(ballot.share)


def test_the_query_only_network_is_the_one_that_was_trained(router):
    import torch

    model = torch.nn.Sequential(
        torch.nn.Linear(EMBEDDER.dim, 96), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(96, 4)
    )
    model.load_state_dict({name: torch.from_numpy(np.array(w)) for name, w in router.baseline.items()})
    vectors = EMBEDDER.embed(["Which river?", "a prime"])
    with torch.no_grad():
        expected = model.eval()(torch.from_numpy(vectors)).numpy()
    np.testing.assert_allclose(query_only_scores(router.baseline, vectors), expected, atol=1e-5)


def test_what_cannot_be_computed_is_none(router, table):
    record = replace(router.record, cost_usd=np.full(4, np.nan, np.float32), regression=None)
    agents = tuple(replace(agent, price=None) for agent in table.agents)
    other = GraphRouter(
        embedder=router.embedder,
        extractor=router.extractor,
        record=record,
        weights=router.weights,
        tried=router.tried,
        setting=router.setting,
        baseline={},
        manifest=router.manifest,
    )
    found = run_baselines(other, replace(table, agents=agents), answer_groups(table))
    unknown = {name for name, one in found.items() if one is None}
    assert unknown == {"cheapest", "words", "query_only", "weighted_vote"}


def test_fewer_agents_and_another_order_keep_their_own_columns(found, router, table):
    order = [3, 1, 0]
    some = table.only([table.agent_ids[i] for i in order])
    fewer = run_baselines(router, some, answer_groups(some))
    means = router.record.score.mean(axis=0)[order]
    assert fewer["best_single"].score.tolist() == some.score[:, means.argmax()].tolist()
    full = query_only_scores(router.baseline, EMBEDDER.embed([row.query.text for row in table.queries]))
    best = full[:, order].argmax(axis=1)
    assert fewer["query_only"].score.tolist() == some.score[np.arange(len(some)), best].tolist()


def test_the_seed_decides_the_random_choice(router, table):
    groups = answer_groups(table)
    one, two, three = (run_baselines(router, table, groups, seed)["random"].leader for seed in (1, 1, 2))
    assert one.tolist() == two.tolist() != three.tolist()
