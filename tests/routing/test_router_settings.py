"""What a router may be told: a way of asking, bounds, a promise; and its file gives all of it back."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from routing.folders import EMBEDDER, TOPICS, held_out, question, shared_folder, team, trained
from routing.judged import drawn_table, live_answer, random_router, setting

from agentroute.errors import InputError, RouterFileError
from agentroute.knowledge import files
from agentroute.knowledge.embed import HashingEmbedder
from agentroute.outcomes import OutcomeFolder
from agentroute.routing.assurance import TARGETS
from agentroute.routing.policy import TopK
from agentroute.routing.presets import PRESETS
from agentroute.routing.rounds import Agreement, Cascade, Growing
from agentroute.routing.router import GraphRouter
from agentroute.types import Answer, Query

TEAM = team()
QUERIES = [question(np.random.default_rng(i), list(TOPICS)[i % 4], 1000 + i) for i in range(8)]


@pytest.fixture(scope="module")
def router() -> GraphRouter:
    return trained()


# ---------------------------------------------------------------------------- presets and bounds


def test_every_preset_is_the_method_that_it_is_called(router):
    policies = {name: router.with_preset(name).policy for name in PRESETS}
    assert policies["top1"] == TopK(k=1)
    assert len(router.with_preset("top1").route(QUERIES[0], TEAM).selected) == 1
    assert isinstance(policies["acar"], Agreement)
    assert isinstance(policies["cascade"], Cascade)
    assert policies["growing"].judged and not isinstance(policies["growing"], Cascade)
    assert not policies["one_round"].looks and policies["one_round"] != TopK(k=1)
    assert len(router.with_preset("all").route(QUERIES[0], TEAM).selected) == len(TEAM)


def test_a_preset_takes_its_best_setting(router):
    for name in PRESETS:
        chosen = router.with_preset(name).setting
        fits = [one for one in router.tried if PRESETS[name](one.policy, 4) and one.rounds > 1]
        assert chosen.worth(0.001) == max(one.worth(0.001) for one in fits)


def test_bounds_hold_on_validation(router):
    assert router.within(max_calls=1.0).setting.calls <= 1.0
    assert router.within(max_calls=2.0, max_cost_usd=0.004).setting.cost_usd <= 0.004
    assert router.within() is router
    with pytest.raises(
        InputError, match="no preset 'best'; choose growing, top1, one_round, acar, cascade, all"
    ):
        router.with_preset("best")
    with pytest.raises(InputError, match=r"max_calls=0\.5"):
        router.within(max_calls=0.5)
    with pytest.raises(InputError, match=r"the lowest are 1 call and 0\.00\d+ USD"):
        router.within(max_cost_usd=1e-9)


def test_one_agent_is_one_round_and_cannot_agree_with_others():
    small = random_router(0, agents=1)
    one = small.with_preset("one_round").route(QUERIES[0], TEAM[:1])
    assert one.weights == {"rivers": 1.0}
    with pytest.raises(InputError, match="no setting for 'acar': it was trained on too few agents"):
        small.with_preset("acar")


# ---------------------------------------------------------------------------- promises


def assured(seed, sure):
    policy = Growing(price_weight=0.02)
    made = random_router(seed, policies=[policy, TopK(k=2, judged=True)])
    return made.using(replace(setting(policy), sure=sure))


def test_an_answer_is_assured_when_its_confidence_is_high_enough():
    table = drawn_table(3, queries=30)
    given = [[live_answer(table, row, agent) for agent in table.agent_ids] for row in range(30)]
    queries = [row.query for row in table.queries]

    def decide(router):
        pairs = zip(queries, given, strict=True)
        return [router.route(query, table.agents, answers=answers, round=2) for query, answers in pairs]

    made = assured(1, ())
    plain = decide(made)
    middle = float(np.median([one.confidence for one in plain if one.confidence is not None]))
    promising = assured(1, tuple(middle if target <= 0.8 else None for target in TARGETS)).assuring(0.75)
    for one, two in zip(plain, decide(promising), strict=True):
        assert one.assured is None
        assert two == replace(one, assured=None if one.confidence is None else one.confidence >= middle)
    assert {two.assured for two in decide(promising)} >= {True, False}
    assert promising.route(queries[0], table.agents).assured is None  # nothing is answered yet


def test_what_validation_could_not_show_is_not_promised():
    made = assured(2, tuple(0.4 if target <= 0.8 else None for target in TARGETS))
    with pytest.raises(InputError, match=r"cannot promise 81% right answers.*promise less"):
        made.assuring(0.81)
    for share in (0.0, 1.0, -0.5, 90.0, float("nan")):
        with pytest.raises(InputError, match=r"target_coverage is .*a share above 0 and below 1"):
            made.assuring(share)


def test_a_promise_belongs_to_its_setting():
    """Another way of asking is sure of other answers."""
    made = assured(3, (0.4,) * len(TARGETS)).assuring(0.9)
    assert made.sure_from == 0.4
    for other in (made.with_preset("growing"), made.within(max_calls=2), made.using(made.tried[1])):
        assert other.sure_from is None


def test_a_trained_routers_promise_is_kept_on_its_own_test_part(router):
    growing = router.with_preset("growing")
    found = growing.replay(held_out(router))
    made = 0
    for target in (0.6, 0.7, 0.8):
        if growing.setting.sure[TARGETS.index(target)] is not None:
            sure = found.share >= growing.assuring(target).sure_from
            made += 1
            assert found.score[sure].mean() >= target
    assert made


# ---------------------------------------------------------------------------- files


@pytest.fixture(scope="module")
def saved(router, tmp_path_factory):
    folder = tmp_path_factory.mktemp("router")
    router.save(folder)
    return folder


def test_a_loaded_router_decides_as_the_saved_one(router, saved):
    again = GraphRouter.load(saved, embedder=EMBEDDER)
    assert np.array_equal(again.score(QUERIES, TEAM), router.score(QUERIES, TEAM))
    answers = [Answer(agent="rivers", text="gold 1000"), Answer(agent="primes", text="primes thinks so")]
    for said in ((), answers[:1], answers):
        one, two = (
            made.route(QUERIES[0], TEAM, answers=said, round=1 + len(said)) for made in (again, router)
        )
        assert one == two
    assert again.setting.policy == router.setting.policy
    assert again.setting.sure == router.setting.sure
    assert [one.policy for one in again.tried] == [one.policy for one in router.tried]
    assert again.manifest["test_ids"] == router.manifest["test_ids"]
    assert np.array_equal(again.record.score, router.record.score, equal_nan=True)


def test_saving_a_loaded_router_loses_nothing(saved, tmp_path):
    GraphRouter.load(saved, embedder=EMBEDDER).save(tmp_path)
    (manifest, tensors), (again, copied) = files.load(saved), files.load(tmp_path)
    assert again == manifest
    assert {name: value.tobytes() for name, value in copied.items()} == {
        name: value.tobytes() for name, value in tensors.items()
    }


class OtherScheme(HashingEmbedder):
    fingerprint = "other-scheme/dim=48"


@pytest.mark.parametrize(
    ("embedder", "message"),
    [
        (
            HashingEmbedder(64),
            r"trained on vectors of 48 numbers, this embedder gives 64; use .*hashing-1/dim=48",
        ),
        (OtherScheme(48), "trained with the embedder hashing-1/dim=48, this one is other-scheme/dim=48"),
    ],
)
def test_another_embedder_is_refused_and_both_are_named(saved, embedder, message):
    with pytest.raises(RouterFileError, match=message):
        GraphRouter.load(saved, embedder=embedder)


def test_a_router_in_a_fresh_process_decides_without_torch(router, saved):
    script = (
        "import sys\n"
        "from agentroute.knowledge.embed import HashingEmbedder\n"
        "from agentroute.outcomes import OutcomeFolder\n"
        "from agentroute.routing.router import GraphRouter\n"
        "from agentroute.types import Query\n"
        "router = GraphRouter.load(sys.argv[1], embedder=HashingEmbedder(48))\n"
        "team = OutcomeFolder.open(sys.argv[2]).registry.agents\n"
        "print(router.route(Query(text='Which river?'), team).ranking[0].score)\n"
        "print([name for name in ('torch', 'torch_geometric', 'networkx') if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script, saved, shared_folder()], capture_output=True, text=True, timeout=60
    )
    score, heavy = found.stdout.splitlines() or [found.stderr, ""]
    mine = router.route(Query(text="Which river?"), OutcomeFolder.open(shared_folder()).registry.agents)
    assert float(score) == pytest.approx(mine.ranking[0].score, abs=1e-6)
    assert heavy == "[]"
