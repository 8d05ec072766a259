"""Training: bit for bit the same, better than one agent where there is something to learn, and honest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from routing.folders import EMBEDDER, TOPICS, held_out, make_folder, shared_folder, spec, trained

from agentroute.errors import InputError, OutcomeError, RouterFileError
from agentroute.knowledge.build import GraphBuilder, query_text
from agentroute.knowledge.extract import NoExtractor, RuleExtractor
from agentroute.knowledge.graph import KNOWS
from agentroute.knowledge.team import Team
from agentroute.outcomes import Outcome, OutcomeFolder, OutcomeWriter, QueryRecord, create_folder
from agentroute.outcomes.split import folds
from agentroute.registry import AgentRegistry
from agentroute.routing import crossfit
from agentroute.routing import lesson as lessons
from agentroute.routing.choose import ROUNDS
from agentroute.routing.config import TrainConfig
from agentroute.routing.router import GraphRouter
from agentroute.routing.train import train
from agentroute.types import Answer, Entity, Extraction, Query

QUICK = TrainConfig(epochs=3)


def quick(folder, **more):
    return train(folder, embedder=EMBEDDER, **({"config": QUICK} | more))


def bits(router):
    return {
        name: np.asarray(w).tobytes()
        for part in (router.weights, router.baseline, router.record.arrays())
        for name, w in part.items()
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("small") / "folder", queries=60)


@pytest.fixture(scope="module")
def first(small):
    """A router of the small folder, for all who only compare with it."""
    return quick(small)


@pytest.fixture(params=["in parts", "at once"])
def way(request, monkeypatch):
    """Small folders are judged part by part; for a large one validation queries are set aside."""
    if request.param == "at once":
        monkeypatch.setattr(lessons, "SMALL", 0)
    return request.param


def test_the_same_seed_gives_the_same_router_bit_for_bit(small, tmp_path, way):
    torch.manual_seed(99)
    one = quick(small, out=tmp_path / "one")
    torch.manual_seed(7)
    torch.rand(5)
    two = quick(small)
    assert bits(one) == bits(two) == bits(GraphRouter.load(tmp_path / "one", embedder=EMBEDDER))
    assert one.setting == two.setting
    assert one.tried == two.tried
    assert {"voice", "by_term", "by_vector", "by_task"} < bits(one).keys()
    assert one.manifest["losses"] == two.manifest["losses"]


def test_a_committee_is_trained_where_it_is_worth_it(small, first, tmp_path, monkeypatch):
    """Each member from a seed of its own, the first as if it were alone; and it is saved and loaded whole."""
    config = replace(QUICK, committee=2)
    assert bits(quick(small, config=config)) == bits(first)  # few queries: one network is enough
    monkeypatch.setattr(crossfit, "WORTH_SEVERAL", 0)
    several = quick(small, out=tmp_path / "several", config=config)
    assert bits(GraphRouter.load(tmp_path / "several", embedder=EMBEDDER)) == bits(several)
    for name, weights in several.weights.items():
        assert weights.shape == (2, *first.weights[name].shape[1:])
    kept = several.weights["belief"]
    assert not np.array_equal(kept[0], kept[1])


def test_another_seed_gives_another(small, first):
    two = quick(small, config=replace(QUICK, seed=1))
    assert bits(first) != bits(two)
    assert first.manifest["test_ids"] != two.manifest["test_ids"]


def test_training_leaves_the_callers_random_numbers_alone_and_is_told_to_the_end(small):
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    told = []
    quick(small, progress=lambda *step: told.append(step))
    assert torch.equal(torch.rand(4), expected)
    assert torch.get_num_threads() == threads
    assert [told[0], told[-1]] == [("reading queries", 0, 1), ("choosing a policy", 1, 1)]
    assert ("training", 3, 3) in told
    assert all(0 <= done <= total for _, done, total in told)


@pytest.mark.parametrize("preset", ["top1", "one_round", "all", "growing", "cascade"])
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
    # What was asked and said and what it cost stay where they were.
    for name in ("vectors", "cost_usd", "latency_s", "length"):
        same = getattr(honest.record, name), getattr(control.record, name)
        assert np.array_equal(*same, equal_nan=True), name
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
    # Of a small folder the record holds the validation part as well.
    assert len(trained().record.vectors) == len(ids - test)
    assert manifest["data"] == shared_folder().name
    assert manifest["losses"][0].keys() == {"train", "validation"}


def test_once_settings_are_chosen_all_but_the_test_part_is_experience(small, way):
    router = quick(small)
    manifest, table = router.manifest, OutcomeFolder.open(small).table()
    place = {row.query.id: i for i, row in enumerate(table.queries)}
    assert set(manifest["record_ids"]) == set(place) - set(manifest["test_ids"])
    rows = [place[name] for name in manifest["record_ids"]]
    vectors = EMBEDDER.embed([query_text(table.queries[row].query) for row in rows])
    np.testing.assert_allclose(router.record.vectors, vectors, atol=1e-6)
    assert np.array_equal(router.record.score, table.score[rows].astype(np.float32), equal_nan=True)
    assert router.record.regression is not None


def test_the_test_part_does_not_touch_the_router(small, first, tmp_path):
    """Another outcome for every held-out question, and not a bit of the router changes."""
    held, folder = set(first.manifest["test_ids"]), OutcomeFolder.open(small)
    create_folder(tmp_path / "folder", folder.registry, folder.queries.values())
    with OutcomeWriter(tmp_path / "folder") as writer:
        for outcome in folder.read():
            if outcome.query in held:
                outcome = replace(outcome, score=1.0 - outcome.score, answer="something else", cost_usd=9.0)
            writer.append(outcome)
    again = quick(tmp_path / "folder")
    assert bits(again) == bits(first)
    assert np.array_equal(again.record.score, first.record.score)
    assert again.tried == first.tried


def cross_fitted(table):
    """The graphs that a network is trained on, with what is known of the agents in each."""
    finder = RuleExtractor()
    record = crossfit.remember(table, EMBEDDER, finder)
    builder = GraphBuilder(Team.build(table.agents, EMBEDDER), EMBEDDER, finder, record)
    return crossfit.cross_fitted(builder, table, crossfit.examples_of(record, table), 0, 1.0)


def told(graph):
    return graph.suits.tobytes(), graph.edge_index[KNOWS].tobytes(), graph.edge_weight[KNOWS].tobytes()


@pytest.mark.parametrize("share", ["one query", "a whole part"])
def test_no_query_is_learned_from_with_its_own_outcome_in_sight(small, share):
    table = OutcomeFolder.open(small).table()
    part = folds(table.queries, 0, crossfit.FOLDS)[2]
    assert 1 < len(part) < len(table) / 4
    changed = part[:1] if share == "one query" else part
    score = table.score.copy()
    score[changed] = 1.0 - score[changed]
    one, two = cross_fitted(table), cross_fitted(replace(table, score=score))
    by_words = np.stack([graph.suits[:, 3] for graph in one])
    assert np.abs(by_words).max() > 0.1
    for row in range(len(table)):
        # Its own part is left out as a whole; all the others learn from it, by its words as well.
        assert (told(one[row]) == told(two[row])) == (row in part), row
        moved = np.abs(one[row].suits[:, 3] - two[row].suits[:, 3]).max()
        assert (moved == 0.0) == (row in part), row


def test_what_words_say_is_learned_from_all_that_the_record_holds(first):
    learned = first.record.regression
    assert learned.by_term.shape == (len(learned.terms), 4)
    assert len(learned.terms) > 20
    blind, none = np.zeros((2, EMBEDDER.dim), np.float32), np.array([-1, -1])
    river, prime = learned(["river delta", "prime divisor"], blind, none)
    names = list(TOPICS)
    assert names[int(river.argmax())] == "rivers"
    assert names[int(prime.argmax())] == "primes"


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


def plain_folder(path, agents, outcomes, queries=60):
    """A folder of questions that tell nothing, and what an agent made of each."""
    records = [QueryRecord(query=Query(text=f"question {i}", id=f"q{i}")) for i in range(queries)]
    folder = create_folder(path, AgentRegistry.from_specs(agents), records)
    with OutcomeWriter(folder) as writer:
        writer.append(*(outcomes(i, agent.id) for i in range(queries) for agent in agents))
    return folder


def test_without_the_answers_texts_one_round_is_all_there_is(tmp_path):
    team = [spec(name) for name in TOPICS]
    folder = plain_folder(
        tmp_path / "folder",
        team,
        lambda i, agent: Outcome(query=f"q{i}", agent=agent, score=float((i + len(agent)) % 2)),
    )
    with pytest.raises(InputError, match="has no answers as text"):
        quick(folder, config=replace(QUICK, answer_vectors=True), out=tmp_path / "router")
    assert not (tmp_path / "router").exists()
    router = quick(folder, out=tmp_path / "router")
    assert not any(one.policy.looks for one in router.tried)
    assert {one.rounds for one in router.tried} <= {1, ROUNDS}
    assert not router.record.voice.any()
    for name in ("acar", "cascade", "growing"):
        with pytest.raises(InputError, match=f"no setting for '{name}'.*without the answers' texts"):
            router.with_preset(name)
    with pytest.raises(InputError, match="cannot promise 90% right answers"):
        router.assuring(0.9)
    for preset in ("top1", "one_round", "all"):
        again = GraphRouter.load(tmp_path / "router", embedder=EMBEDDER).with_preset(preset)
        assert again.route(Query(text="question 3"), team).selected
    table = OutcomeFolder.open(folder).table()
    assert router.growth(table) is None
    assert router.replay(table).asked.any(axis=1).all()


@pytest.mark.fault("F58", "one agent: it is asked, and nothing is refined", "its answer")
@pytest.mark.parametrize("text", ["x", None])
def test_a_folder_with_one_agent_trains(tmp_path, text):
    team = [spec("alone")]
    folder = plain_folder(
        tmp_path / "folder",
        team,
        lambda i, agent: Outcome(query=f"q{i}", agent=agent, score=float(i % 3 > 0), answer=text),
    )
    router = quick(folder)
    assert router.route(Query(text="question 3"), team).selected == (("alone", 1.0),)
    assert len(router.with_preset("one_round").route(Query(text="question 3"), team).selected) == 1
    answered = router.route(
        Query(text="question 3"), team, answers=[Answer(agent="alone", text="x")], round=2
    )
    assert answered.stop


def test_what_is_learned_by_heart_earns_no_credit(tmp_path):
    """Right and wrong are drawn by lot, and every answer tells its question: a network remembers them all."""
    team, rng = [spec(name) for name in TOPICS], np.random.default_rng(0)
    right, words = rng.random((60, 4)) < 0.5, rng.choice(sorted(sum(TOPICS.values(), ())), (60, 4))
    place = {agent.id: column for column, agent in enumerate(team)}
    folder = plain_folder(
        tmp_path / "folder",
        team,
        lambda i, agent: Outcome(
            query=f"q{i}",
            agent=agent,
            score=float(right[i, place[agent]]),
            answer=f"{words[i, place[agent]]} {i}",
        ),
    )
    router = quick(folder, config=TrainConfig(epochs=20, batch_size=16, learning_rate=1e-2, patience=10**6))
    assert max(one.score for one in router.tried) < 0.68


def test_a_query_that_nobody_ran_on_is_no_obstacle(tmp_path):
    team = [spec(name) for name in TOPICS]
    folder = plain_folder(
        tmp_path / "folder",
        team,
        lambda i, agent: (
            Outcome(query=f"q{i}", agent=agent, error="down")
            if i % 7 == 0
            else Outcome(query=f"q{i}", agent=agent, score=float(i % 2), answer=f"{i % 2}")
        ),
    )
    router = quick(folder)
    assert all(np.isfinite(loss["train"]) for loss in router.manifest["losses"])
    assert np.isfinite(router.score([Query(text="question 3")], team)).all()


def test_too_little_to_learn_from_is_said(tmp_path):
    few = make_folder(tmp_path / "few", queries=12)
    with pytest.raises(OutcomeError, match="12 queries; training needs at least 20"):
        quick(few)
    with pytest.raises(OutcomeError, match="no agent ran on half of the queries"):
        quick(make_folder(tmp_path / "none", queries=30), without=list(TOPICS))
    with pytest.raises(OutcomeError, match="is not a folder"):
        quick(tmp_path / "nowhere")


def test_a_router_is_read_with_the_extractor_that_it_was_trained_with(small, tmp_path):
    class Own:
        def extract(self, query: Query) -> Extraction:
            return Extraction(entities=(Entity(name="river", kind="name"),))

    agents = [spec(name) for name in TOPICS]
    named = Query(text="Which northern River Rhine is number 3?")
    found = {}
    for name in ("rules", "none"):
        quick(small, extractor=name, out=tmp_path / name)
        again = GraphRouter.load(tmp_path / name, embedder=EMBEDDER)
        found[name] = again.builder(agents).build([named])[0].names["entity"]
    assert "River Rhine" in found["rules"] and found["none"] == ()
    quick(small, extractor=Own(), out=tmp_path / "own")
    with pytest.raises(RouterFileError, match=r"an extractor of your own; give it as extractor="):
        GraphRouter.load(tmp_path / "own", embedder=EMBEDDER)
    again = GraphRouter.load(tmp_path / "own", embedder=EMBEDDER, extractor=Own())
    assert again.builder(agents).build([named])[0].names["entity"] == ("river",)
    for built_in, name in ((RuleExtractor(), "rules"), (NoExtractor(), "none")):
        assert quick(small, extractor=built_in).manifest["extractor"] == name
    with pytest.raises(InputError, match="there is no extractor 'rule'"):
        quick(small, extractor="rule")
    gone = quick(small, out=tmp_path / "gone")
    gone.manifest["extractor"] = "spacy:nowhere"
    gone.save(tmp_path / "gone")
    with pytest.raises(RouterFileError, match="trained with the extractor spacy:nowhere"):
        GraphRouter.load(tmp_path / "gone", embedder=EMBEDDER)
