"""Training: bit for bit the same, better than one agent where there is something to learn, and honest."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from routing.folders import EMBEDDER, TOPICS, held_out, make_folder, shared_folder, spec, trained

from agentroute.errors import OutcomeError
from agentroute.outcomes import Outcome, OutcomeFolder, OutcomeWriter, QueryRecord, create_folder
from agentroute.registry import AgentRegistry
from agentroute.routing.fit import TrainConfig
from agentroute.routing.router import GraphRouter
from agentroute.routing.train import train
from agentroute.types import Query

QUICK = TrainConfig(epochs=3)


def quick(folder, **more):
    return train(folder, embedder=EMBEDDER, **({"config": QUICK} | more))


def bits(router):
    return {
        name: np.asarray(w).tobytes()
        for part in (router.weights, router.baseline)
        for name, w in part.items()
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("small") / "folder", queries=60)


def test_the_same_seed_gives_the_same_router_bit_for_bit(small, tmp_path):
    torch.manual_seed(99)
    one = quick(small, out=tmp_path / "one")
    torch.manual_seed(7)
    torch.rand(5)
    two = quick(small)
    assert bits(one) == bits(two) == bits(GraphRouter.load(tmp_path / "one", embedder=EMBEDDER))
    assert one.setting == two.setting
    assert one.manifest["losses"] == two.manifest["losses"]


def test_another_seed_gives_another(small):
    one, two = quick(small), quick(small, config=TrainConfig(epochs=3, seed=1))
    assert bits(one) != bits(two)
    assert one.manifest["test_ids"] != two.manifest["test_ids"]


def test_training_leaves_the_callers_random_numbers_alone(small):
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    quick(small)
    assert torch.equal(torch.rand(4), expected)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("preset", ["top1", "vote"])
def test_it_beats_the_best_single_agent_where_questions_tell_whom_to_ask(preset):
    router = trained()
    table = held_out(router)
    assert len(table) == router.manifest["queries"]["test"] > 30
    best_single = table.score[:, int(np.nanmean(router.record.score, axis=0).argmax())].mean()
    assert router.with_preset(preset).replay(table).score.mean() > best_single + 0.15


def test_from_shuffled_labels_there_is_nothing_to_learn():
    honest, control = trained(), trained(shuffled=True)
    table = held_out(control)
    assert control.manifest["test_ids"] == honest.manifest["test_ids"]
    single = table.score.mean(axis=0).max()
    scores = {r: r.with_preset("top1").replay(table).score.mean() for r in (honest, control)}
    assert scores[control] < single + 0.1
    assert scores[control] < scores[honest] - 0.15


def test_shuffled_labels_are_the_same_labels_elsewhere():
    honest, control = trained(), trained(shuffled=True)
    assert not np.array_equal(honest.record.score, control.record.score)
    assert np.array_equal(honest.record.vectors, control.record.vectors)
    # Rows move whole, so who is right together stays right together.
    assert {tuple(row) for row in control.record.score.tolist()} <= {
        tuple(row) for row in np.concatenate([honest.record.score, honest.record.score * 0]).tolist()
    } | {tuple(row) for row in OutcomeFolder.open(shared_folder()).table().score.tolist()}


def test_the_router_remembers_where_it_comes_from():
    manifest = trained().manifest
    table = OutcomeFolder.open(shared_folder()).table()
    ids = {row.query.id for row in table.queries}
    test, validation = set(manifest["test_ids"]), set(manifest["validation_ids"])
    assert not test & validation
    assert test | validation < ids
    assert manifest["queries"] == {
        "train": len(ids - test - validation),
        "validation": len(validation),
        "test": len(test),
    }
    assert len(trained().record.vectors) == manifest["queries"]["train"]
    assert manifest["data"] == shared_folder().name
    assert manifest["losses"][0].keys() == {"train", "validation"}


def test_the_test_part_does_not_touch_the_router(small, tmp_path):
    """Another outcome for every held-out question, and not a bit of the router changes."""
    router = quick(small)
    held, folder = set(router.manifest["test_ids"]), OutcomeFolder.open(small)
    create_folder(tmp_path / "folder", folder.registry, folder.queries.values())
    with OutcomeWriter(tmp_path / "folder") as writer:
        for outcome in folder.read():
            score = 1.0 - outcome.score if outcome.query in held else outcome.score
            writer.append(
                Outcome(query=outcome.query, agent=outcome.agent, score=score, answer=outcome.answer)
            )
    again = quick(tmp_path / "folder")
    assert bits(again) == bits(router)
    assert np.array_equal(again.record.score, router.record.score)


def test_without_a_test_part_every_query_is_learned_from(small):
    router = quick(small, held_out=False)
    assert router.manifest["test_ids"] == []
    assert sum(router.manifest["queries"].values()) == 60


def test_agents_can_be_left_out_and_those_that_hardly_ran_are(tmp_path):
    agents = [spec(name) for name in (*TOPICS, "seldom")]
    records = [QueryRecord(query=Query(text=f"question {i}", id=f"q{i}")) for i in range(60)]
    folder = create_folder(tmp_path / "folder", AgentRegistry.from_specs(agents), records)
    with OutcomeWriter(folder) as writer:
        writer.append(
            *(
                Outcome(query=f"q{i}", agent=agent.id, score=float(i % 2), answer="x")
                for i in range(60)
                for agent in agents
                if agent.id != "seldom" or i < 10
            )
        )
    router = quick(folder, without=["poems"])
    assert router.record.agents == ("rivers", "primes", "engines")
    assert (router.manifest["without"], router.manifest["sparse"]) == (["poems"], ["seldom"])
    assert len(router.score([Query(text="x")], agents)[0]) == 5


def test_outcomes_that_are_missing_are_not_zeros(tmp_path):
    """An agent that is always right when it runs is not punished for the times when it did not."""
    agents = [spec("often"), spec("right")]
    records = [QueryRecord(query=Query(text=f"question {i}", id=f"q{i}")) for i in range(120)]
    folder = create_folder(tmp_path / "folder", AgentRegistry.from_specs(agents), records)
    with OutcomeWriter(folder) as writer:
        for i in range(120):
            writer.append(Outcome(query=f"q{i}", agent="often", score=0.7, answer="x"))
            ran = i % 5 < 3
            writer.append(
                Outcome(query=f"q{i}", agent="right", score=1.0, answer="y")
                if ran
                else Outcome(query=f"q{i}", agent="right", error="down")
            )
    router = quick(folder, config=TrainConfig(epochs=10))
    assert np.isfinite(router.manifest["losses"][-1]["train"])
    scores = router.score([Query(text=f"question {i}") for i in range(120, 140)], agents)
    assert (scores[:, 1] > scores[:, 0]).all()


def test_progress_is_told_to_the_end(small):
    told = []
    quick(small, progress=lambda *step: told.append(step))
    assert told[0] == ("reading queries", 0, 1)
    assert told[-1] == ("training", 3, 3)


def test_too_little_to_learn_from_is_said(tmp_path):
    few = make_folder(tmp_path / "few", queries=12)
    with pytest.raises(OutcomeError, match="12 queries; training needs at least 20"):
        quick(few)
    with pytest.raises(OutcomeError, match="no agent ran on half of the queries"):
        quick(make_folder(tmp_path / "none", queries=30), without=list(TOPICS))
    with pytest.raises(OutcomeError, match="is not a folder"):
        quick(tmp_path / "nowhere")
