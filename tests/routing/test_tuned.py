"""A router whose encoder was tuned on scores: what is foreseen counts, and belongs to its folder."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from routing.folders import EMBEDDER, TOPICS, question, shared_folder, spec, team

from agentroute.errors import RouterFileError
from agentroute.evaluation.compare import evaluate
from agentroute.explaining import explain
from agentroute.knowledge.build import GraphBuilder
from agentroute.knowledge.extract import NoExtractor
from agentroute.knowledge.foresight import SHARE
from agentroute.knowledge.record import logit, with_agent
from agentroute.knowledge.team import Team
from agentroute.knowledge.tuning import scores
from agentroute.outcomes import OutcomeFolder
from agentroute.routing.config import TrainConfig
from agentroute.routing.crossfit import cross_fitted, examples_of, parts_of, remember
from agentroute.routing.policy import TopK
from agentroute.routing.router import GraphRouter
from agentroute.routing.train import train

TEAM = team()
QUERIES = [question(np.random.default_rng(i), list(TOPICS)[i % 4], 1000 + i) for i in range(12)]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folder of a router that was trained with few steps."""
    out = tmp_path_factory.mktemp("tuned") / "router"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "STEPS", 6)
        config = TrainConfig(epochs=6, batch_size=64, learning_rate=5e-3)
        train(shared_folder(), out, config=config, embedder=EMBEDDER, tune_encoder=True)
    return out


@pytest.fixture
def router(home) -> GraphRouter:
    return GraphRouter.load(home, embedder=EMBEDDER)


def test_half_of_what_a_question_says_is_what_was_foreseen(router):
    graph = router.builder(TEAM).build(QUERIES[:1])[0]
    text, record = QUERIES[0].text, router.record
    vectors, task = EMBEDDER.embed([text]), np.array([-1])
    words = record.regression([text], vectors, task)[0]
    foreseen = router.foresight([text])[0]
    both = record.mean + (1 - SHARE) * words + SHARE * (foreseen - record.mean)
    # The third shift leads from what is usual to what the question says.
    np.testing.assert_allclose(graph.suits[:, [0, 1, 3]].sum(1), logit(both), atol=1e-4)


def test_a_router_is_read_as_it_was_written_and_writes_itself_again(router, home, tmp_path):
    assert len(list(home.glob("foresight-*"))) == 1
    again = tmp_path / "again"
    router.save(again)
    router.save(again)  # over itself
    read = GraphRouter.load(again, embedder=EMBEDDER)
    read.save(again)  # from where it is read
    np.testing.assert_array_equal(
        GraphRouter.load(again, embedder=EMBEDDER).score(QUERIES, TEAM), router.score(QUERIES, TEAM)
    )
    # Another router in its place takes its encoder away, and nothing else.
    mine = again / "foresight-notes"
    mine.mkdir()
    bare = GraphRouter.load(again, embedder=EMBEDDER)
    bare.foresight = None
    bare.save(again)
    assert sorted(path.name for path in again.iterdir()) == ["foresight-notes", "router.safetensors"]
    np.testing.assert_array_equal(read.score(QUERIES, TEAM), router.score(QUERIES, TEAM))  # it was open
    assert GraphRouter.load(again, embedder=EMBEDDER).foresight is None


def test_a_router_without_its_encoder_is_refused(home, tmp_path):
    shutil.copytree(home, tmp_path / "torn")
    shutil.rmtree(next((tmp_path / "torn").glob("foresight-*")))
    with pytest.raises(RouterFileError, match="copy the router's whole folder, or train it again"):
        GraphRouter.load(tmp_path / "torn", embedder=EMBEDDER)


def test_a_damaged_encoder_is_refused_and_saving_once_more_mends_it(router, home, tmp_path):
    shutil.copytree(home, tmp_path / "torn")
    network = next((tmp_path / "torn").glob("foresight-*/*.onnx"))
    network.write_bytes(network.read_bytes()[:-1])
    with pytest.raises(RouterFileError, match="damaged or another file"):
        GraphRouter.load(tmp_path / "torn", embedder=EMBEDDER)
    router.save(tmp_path / "torn")
    mended = GraphRouter.load(tmp_path / "torn", embedder=EMBEDDER)
    np.testing.assert_array_equal(mended.score(QUERIES, TEAM), router.score(QUERIES, TEAM))


def test_weights_of_another_team_are_refused(router, tmp_path):
    router.foresight = replace(router.foresight, weight=router.foresight.weight[:, 1:])
    router.save(tmp_path / "other")
    with pytest.raises(RouterFileError, match="foresight has shapes"):
        GraphRouter.load(tmp_path / "other", embedder=EMBEDDER)


def test_equal_questions_that_belong_to_different_episodes_are_foreseen_each_without_its_own():
    """What one encoder foresaw of a question is not shown where its own outcome was learned from."""
    seen: list[float] = []
    opened = OutcomeFolder.open(shared_folder())
    table = opened.table().take(np.arange(40))
    rows = [
        replace(row, query=replace(row.query, text="go on"), meta={"episode": i})
        for i, row in enumerate(table.queries)
    ]
    table = replace(table, queries=tuple(rows))
    record = remember(table, EMBEDDER, NoExtractor())
    builder = GraphBuilder(Team.build(table.agents, EMBEDDER), EMBEDDER, NoExtractor(), record)
    foreseen = np.zeros(table.score.shape, np.float32)
    parts = parts_of(rows, 0)
    for i, part in enumerate(parts):
        foreseen[part] = 0.1 * (i + 1)
    examples = examples_of(record, table)
    bare = cross_fitted(builder, table, examples, 0, 4.0)
    graphs = cross_fitted(builder, table, examples, 0, 4.0, foreseen)
    for i, part in enumerate(parts):
        for row in part.tolist():
            words = 1 / (1 + np.exp(-bare[row].suits[:, [0, 1, 3]].sum(1)))
            both = 1 / (1 + np.exp(-graphs[row].suits[:, [0, 1, 3]].sum(1)))
            seen.append(float(np.abs(both - (0.5 * words + 0.05 * (i + 1))).max()))
    assert len(parts) == 8 and max(seen) < 1e-3


def test_of_an_agent_that_joins_nothing_is_foreseen(router):
    table_rows = np.arange(8)
    record = with_agent(router.record, "new", table_rows, np.ones(8, np.float32))
    said = record.estimates([QUERIES[0].text], EMBEDDER.embed([QUERIES[0].text]), np.array([-1]))
    foreseen = router.foresight([QUERIES[0].text])
    also = record.estimates([QUERIES[0].text], EMBEDDER.embed([QUERIES[0].text]), np.array([-1]), foreseen)
    assert (also[:, -1] == said[:, -1]).all() and (also[:, :-1, 3] != said[:, :-1, 3]).all()
    both = (*TEAM, spec("stranger", description="A newcomer."))
    assert np.isfinite(router.score(QUERIES, both)).all()


def test_an_explanation_counts_what_was_foreseen(router):
    found = explain(router, QUERIES[0], TEAM)
    for reason in found.reasons:
        points = reason.points
        column = router.record.agents.index(reason.agent)
        foreseen = float(router.foresight([QUERIES[0].text])[0, column])
        assert points.foresight == pytest.approx(SHARE * (foreseen - points.mean), abs=1e-5)
        words = router.record.regression([QUERIES[0].text], EMBEDDER.embed([QUERIES[0].text]), np.array([-1]))
        total = points.words + points.earlier + points.vector + points.task
        assert total == pytest.approx((1 - SHARE) * float(words[0, column]), abs=1e-4)
    assert "the tuned encoder" in str(found)


def test_the_control_is_tuned_as_well(router, monkeypatch):
    monkeypatch.setattr(scores, "STEPS", 2)
    told = []
    router.manifest = {**router.manifest, "train": {**router.manifest["train"], "epochs": 1}}
    evaluate(router, shared_folder(), progress=lambda what, done, total: told.append(what))
    assert "control: tuning the encoder" in told


def test_a_setting_chosen_anew_shares_what_was_foreseen(router):
    other = router.using(replace(router.setting, policy=TopK(k=3)))
    assert other.foresight is router.foresight
    np.testing.assert_array_equal(other.score(QUERIES, TEAM), router.score(QUERIES, TEAM))
