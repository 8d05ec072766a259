"""Onboarding: a new agent is tried on a few known queries, then chosen where it did well, nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation import mechanic
from routing.folders import EMBEDDER, FILLERS, TOPICS, make_folder, spec, team
from routing.labelled import make_labelled

from agentroute.errors import AllAgentsFailedError, InputError
from agentroute.evaluation.compare import evaluate
from agentroute.evaluation.onboard import Onboarding, aonboard, onboard
from agentroute.knowledge.foresight import TunedForesight
from agentroute.knowledge.minilm import MiniLMEmbedder
from agentroute.outcomes import Outcome, OutcomeFolder, OutcomeWriter, QueryRecord, create_folder
from agentroute.registry import AgentRegistry
from agentroute.routing.calibration import VIEWS
from agentroute.routing.config import TrainConfig
from agentroute.routing.policy import TopK
from agentroute.routing.router import GraphRouter
from agentroute.routing.train import train
from agentroute.types import AgentSpec, Limits, Price, Query

ALLOW = ("evaluation.mechanic",)
KINDS = tuple(TOPICS)
NOBODY_S = "engines"
"""The kind of question that nobody of the team is good at."""


def asked(rng: np.random.Generator, topic: str, number: int) -> Query:
    """A question of a kind: three of its words, and one that says nothing."""
    words = [*rng.choice(TOPICS[topic], 3, replace=False), str(rng.choice(FILLERS))]
    return Query(text=f"Which {' '.join(rng.permutation(words))} is number {number}?", id=f"q{number}")


def agent(name: str, **more: object) -> AgentSpec:
    given = {"function": f"evaluation.mechanic:{name}", "description": "Repairs things."}
    return spec(name, **{**given, **more})


def alone(name: str, **more: object) -> AgentRegistry:
    return AgentRegistry.from_specs([agent(name, **more)])


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    mechanic.asked.clear()
    mechanic.moods["broken"] = False
    yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each agent is right on its own kind, one time in twenty wrong; on engines, all are wrong."""
    rng = np.random.default_rng(0)
    there, records, outcomes = team()[:3], [], []
    for number in range(240):
        topic = str(rng.choice(KINDS))
        query = asked(rng, topic, number)
        records.append(QueryRecord(query=query, gold=(f"gold {number}",)))
        for member in there:
            right = (member.id == topic) != (rng.random() < 0.05)
            said = f"gold {number}" if right else f"{member.id} thinks so"
            outcomes.append(
                Outcome(query=f"q{number}", agent=member.id, score=float(right), answer=said, cost_usd=0.001)
            )
    path = create_folder(
        tmp_path_factory.mktemp("onboard") / "kinds", AgentRegistry.from_specs(there), records
    )
    with OutcomeWriter(path) as writer:
        writer.append(*outcomes)
    return path


@pytest.fixture(scope="module")
def router(folder: Path) -> GraphRouter:
    import torch

    torch.set_num_threads(1)
    config = TrainConfig(seed=1, epochs=12, batch_size=64, learning_rate=5e-3)
    return train(folder, config=config, embedder=EMBEDDER)


@pytest.fixture(scope="module")
def joined(router: GraphRouter, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Onboarding:
    return onboard(alone("mechanic"), router, folder, tmp_path_factory.mktemp("p") / "probed", allow=ALLOW)


def seen_by(router: GraphRouter | None, view: int) -> GraphRouter:
    assert router is not None
    calibration = replace(router.setting.calibration, trust=view)
    return router.using(replace(router.setting, policy=TopK(k=1), calibration=calibration, rounds=1))


MEMBERS = (*team()[:3], agent("mechanic"))
HELD = [asked(np.random.default_rng(100 + i), KINDS[i % 4], 9_000 + i) for i in range(60)]


@pytest.mark.parametrize("view", range(1, VIEWS))
def test_an_agent_that_is_right_on_one_kind_is_chosen_there_and_nowhere_else(
    joined: Onboarding, view: int
) -> None:
    """Whatever the router goes by; means alone, the first view, know no kinds where there are no tasks."""
    two = seen_by(joined.router, view)
    for i, query in enumerate(HELD):
        wanted = "mechanic" if KINDS[i % 4] == NOBODY_S else KINDS[i % 4]
        assert two.route(query, MEMBERS).ranking[0].agent == wanted, query.text


@pytest.mark.parametrize("view", range(VIEWS))
def test_the_scores_of_the_others_are_the_same_bits(
    router: GraphRouter, joined: Onboarding, view: int
) -> None:
    one, two = seen_by(router, view), seen_by(joined.router, view)
    for query in HELD[:12]:
        before, after = one.score([query], MEMBERS)[0], two.score([query], MEMBERS)[0]
        assert np.array_equal(before[:3], after[:3]) and before[3] != after[3]
        without = seen_by(joined.router, view).score([query], MEMBERS[:3])[0]
        np.testing.assert_allclose(without, before[:3], atol=1e-5)


def test_it_is_tried_on_queries_of_the_training_of_every_kind(
    router: GraphRouter, joined: Onboarding, folder: Path
) -> None:
    probes = joined.probes
    assert joined.router is not None and len(set(probes)) == 20 == joined.report.recorded
    assert not set(probes) & set(router.manifest["test_ids"])
    texts = [OutcomeFolder.open(folder).queries[name].query.text for name in probes]
    kinds = [next(kind for kind in KINDS if any(w in text for w in TOPICS[kind])) for text in texts]
    assert set(kinds) == set(KINDS)
    assert joined.score == pytest.approx(kinds.count(NOBODY_S) / 20)
    assert joined.expected == joined.router.record.mean[-1] and joined.usual == router.record.pool_mean


def test_a_router_that_somebody_joined_is_saved_loaded_and_evaluated(
    router: GraphRouter, joined: Onboarding, folder: Path, tmp_path: Path
) -> None:
    assert joined.router is not None
    joined.router.save(tmp_path / "r2")
    again = GraphRouter.load(tmp_path / "r2", embedder=EMBEDDER)
    assert again.manifest["onboarded"] == [{"agent": "mechanic", "probes": 20}]
    assert np.array_equal(again.score(HELD, MEMBERS), joined.router.score(HELD, MEMBERS))
    assert "onboarded" not in router.manifest
    report = evaluate(again, folder, control=False)  # a folder that has never heard of the agent
    assert report.policies["agentroute"].score == pytest.approx(
        evaluate(router, folder, control=False).policies["agentroute"].score
    )


def test_a_folder_with_the_agent_in_it_can_judge_the_router(
    joined: Onboarding, folder: Path, tmp_path: Path
) -> None:
    assert joined.router is not None
    opened = OutcomeFolder.open(folder)
    path = create_folder(tmp_path / "kinds", opened.registry.add(agent("mechanic")), opened.queries.values())
    with OutcomeWriter(path) as writer:
        writer.append(*opened.read())
        for name, record in opened.queries.items():
            said = mechanic.mechanic(record.query.text)
            outcome = Outcome(query=name, agent="mechanic", score=float(said in record.gold), answer=said)
            writer.append(replace(outcome, cost_usd=0.001))
    report = evaluate(joined.router, path, control=False)
    assert report.policies["agentroute"].score > report.policies["best_single"].score
    assert {"knn", "words", "query_only"} <= set(report.policies)


def test_the_same_call_again_asks_nobody_and_says_the_same(
    router: GraphRouter, folder: Path, tmp_path: Path
) -> None:
    first = onboard(alone("mechanic"), router, folder, tmp_path / "p", probes=8, allow=ALLOW)
    mechanic.asked.clear()
    again = onboard(alone("mechanic"), router, folder, tmp_path / "p", probes=8, allow=ALLOW)
    assert not mechanic.asked and (again.report.kept, again.report.recorded) == (8, 0)
    assert first.router is not None and again.router is not None
    assert np.array_equal(first.router.score(HELD[:4], MEMBERS), again.router.score(HELD[:4], MEMBERS))
    assert first.probes == again.probes


def test_a_tuned_encoder_stays_and_foresees_nothing_of_who_joined(
    router: GraphRouter, folder: Path, tmp_path: Path
) -> None:
    agents = len(router.record.agents)
    tuned = router.using(router.setting)
    tuned.foresight = TunedForesight(
        MiniLMEmbedder(), np.zeros((384, agents), np.float32), np.zeros(agents, np.float32)
    )
    joined = onboard(alone("mechanic"), tuned, folder, tmp_path / "p", probes=8, allow=ALLOW).router
    assert joined is not None and joined.foresight is tuned.foresight
    plain = joined.using(joined.setting)
    plain.foresight = None
    with_it, without = (one.builder(MEMBERS).build(HELD[:1])[0].suits[:, 3] for one in (joined, plain))
    assert with_it[3] == without[3] and (with_it[:3] != without[:3]).all()


def test_a_budget_stops_it_and_more_room_lets_it_go_on(
    router: GraphRouter, folder: Path, tmp_path: Path
) -> None:
    dear = alone("mechanic", price=Price(call=1.0))
    options = {"probes": 8, "allow": ALLOW, "concurrency": 1}
    found = onboard(dear, router, folder, tmp_path / "p", limits=Limits(max_cost_usd=3.0), **options)
    assert found.router is None and found.score is None and str(found.report.stopped).startswith("budget")
    assert mechanic.asked["mechanic"] == 3
    found = onboard(dear, router, folder, tmp_path / "p", **options)
    assert found.router is not None and mechanic.asked["mechanic"] == 8
    assert found.router.record.cost_usd[-1] == 1.0 and found.router.record.latency_s[-1] > 0


def test_an_agent_that_fails_everywhere_does_not_join(
    router: GraphRouter, folder: Path, tmp_path: Path
) -> None:
    mechanic.moods["broken"] = True
    with pytest.raises(AllAgentsFailedError, match=r"oracle came to no score on any of 5.*retry") as caught:
        onboard(alone("oracle"), router, folder, tmp_path / "p", probes=5, allow=ALLOW)
    assert "out of steam" in caught.value.problems[0]
    mechanic.moods["broken"] = False
    found = onboard(alone("oracle"), router, folder, tmp_path / "p", probes=5, allow=ALLOW, retry=True)
    assert found.router is not None and found.score == 1.0


def test_better_agents_are_expected_to_do_better(router: GraphRouter, folder: Path, tmp_path: Path) -> None:
    expected = {}
    for name in ("oracle", "mechanic", "dunce"):
        found = onboard(alone(name), router, folder, tmp_path / name, allow=ALLOW)
        assert found.router is not None and found.expected is not None
        expected[name] = found.expected
        members = (*team()[:3], agent(name))
        two = seen_by(found.router, 1)
        engines = [two.route(query, members).ranking[0].agent == name for query in HELD[3::4]]
        assert not any(engines) if name == "dunce" else all(engines)
    usual = router.record.pool_mean
    assert 1.0 > expected["oracle"] > usual > expected["dunce"] > 0.0  # all of them shrunk
    assert expected["oracle"] > expected["mechanic"] > expected["dunce"]


def test_several_may_join_one_after_the_other(joined: Onboarding, folder: Path, tmp_path: Path) -> None:
    assert joined.router is not None
    both = onboard(alone("dunce"), joined.router, folder, tmp_path / "p", allow=ALLOW).router
    assert both is not None and both.record.agents[-2:] == ("mechanic", "dunce") and both.record.joined == 2
    assert [one["agent"] for one in both.manifest["onboarded"]] == ["mechanic", "dunce"]
    before = seen_by(joined.router, 3).score(HELD[:4], MEMBERS)
    np.testing.assert_allclose(seen_by(both, 3).score(HELD[:4], MEMBERS), before, atol=1e-5)


def test_what_cannot_be_onboarded_is_refused(router: GraphRouter, folder: Path, tmp_path: Path) -> None:
    def refused(message: str, registry: AgentRegistry, where: Path = folder, **options: object) -> None:
        with pytest.raises(InputError, match=message):
            onboard(registry, router, where, tmp_path / "p", allow=ALLOW, **options)
        assert not (tmp_path / "p").exists()

    refused("the router knows 'rivers' already", AgentRegistry.from_specs([team()[0]]))
    refused("there are 2 rows: a, b", AgentRegistry.from_specs([spec("a"), spec("b")]))
    refused("probes is 0", alone("mechanic"), probes=0)
    other = make_folder(tmp_path / "other", 30, seed=5)
    refused(
        r"none of the queries of .*other is among those.*give the folder 'kinds'", alone("mechanic"), other
    )
    refused("holds utterances", alone("mechanic"), make_labelled(tmp_path / "labels"))
    opened = OutcomeFolder.open(folder)
    blank = [replace(record, gold=()) for record in opened.queries.values()]
    path = create_folder(tmp_path / "kinds", opened.registry, blank)
    refused("no right answer is known", alone("mechanic"), path)


async def test_in_an_event_loop_it_is_awaited(router: GraphRouter, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"await aonboard"):
        onboard(alone("mechanic"), router, folder, tmp_path / "p")
    found = await aonboard(alone("mechanic"), router, folder, tmp_path / "p", probes=2, allow=ALLOW)
    assert found.router is not None and len(found.probes) == 2
