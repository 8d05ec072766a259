"""What choosing agent and level together brings, shown beside the same router at one level."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation.rungs import PRICE, make_rungs

from agentroute.errors import InputError, RouterFileError
from agentroute.evaluation.compare import evaluate
from agentroute.evaluation.joint import LACKING, Joint
from agentroute.evaluation.report import Report
from agentroute.knowledge import files
from agentroute.knowledge.hashing import HashingEmbedder
from agentroute.outcomes import OutcomeFolder
from agentroute.routing.config import TrainConfig
from agentroute.routing.replay import answer_groups
from agentroute.routing.router import GraphRouter
from agentroute.routing.train import train


@pytest.fixture(scope="module")
def rungs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_rungs(tmp_path_factory.mktemp("joint") / "rungs")


@pytest.fixture(scope="module")
def climber(rungs: Path) -> GraphRouter:
    torch.set_num_threads(1)
    return train(rungs, config=TrainConfig(epochs=5), embedder=HashingEmbedder(64))


@pytest.fixture(scope="module")
def shown(climber: GraphRouter, rungs: Path) -> Report:
    return evaluate(climber, rungs, control=False)


def joint_of(report: Report) -> Joint:
    assert report.joint is not None
    return report.joint


def test_both_sides_keep_each_bound_of_the_frontier(shown: Report) -> None:
    joint = joint_of(shown)
    assert len(joint.frontier) > 1
    for pair in joint.frontier:
        (bound,) = pair.bound.values()
        for side in (pair.joint, pair.fixed):
            assert side.cost_usd is not None and side.cost_usd <= bound * (1 + 1e-9)
        assert pair.joint.gain == pytest.approx(pair.joint.score - pair.fixed.score)
        assert pair.joint.gain_low <= pair.joint.gain <= pair.joint.gain_high


def test_the_other_levels_are_never_asked_and_the_judged_scores_choose_nothing(
    climber: GraphRouter, rungs: Path, shown: Report, tmp_path: Path
) -> None:
    copy, held = tmp_path / "rungs", set(climber.manifest["test_ids"])
    shutil.copytree(rungs, copy)
    rows = [json.loads(line) for line in (rungs / "outcomes.jsonl").read_text().splitlines()]
    for row in rows:
        if row["query"] in held and row["agent"].endswith("-low"):
            row["score"], row["answer"] = 1.0 - row["score"], "otherwise"
    (copy / "outcomes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = evaluate(climber, copy, control=False)
    name = "agentroute_fixed_high"
    assert other.policies[name] is not None and shown.policies["agentroute_fixed_low"] is not None
    before, after = shown.policies[name], other.policies[name]
    assert before is not None and after is not None
    assert (after.score, after.cost_usd, after.calls) == (before.score, before.cost_usd, before.calls)
    assert other.policies["agentroute_fixed_low"] != shown.policies["agentroute_fixed_low"]
    old, new = joint_of(shown).frontier, joint_of(other).frontier
    assert {pair.level for pair in old if pair in new} <= {"high"}
    levels = [{max(p.bound.values()): p.level for p in side} for side in (old, new)]
    assert all(levels[1].get(bound, level) == level for bound, level in levels[0].items())


def test_validation_gives_a_level_the_settings_that_a_team_without_the_others_has(
    climber: GraphRouter, rungs: Path
) -> None:
    low, high = climber.one_level
    assert (low.level, high.level) == ("low", "high")
    assert low.left_out == {"sums-high", "rhymes-high"} and high.left_out == {"sums-low", "rhymes-low"}
    table = OutcomeFolder.open(rungs).table().without(high.left_out)
    router = climber.at(high)
    assert router.setting in high.tried and router.tried == high.tried
    came = router.replay(table, answer_groups(table))
    # The levels left out were cheap: nobody costs as little as they do, but the guesser.
    assert set(np.round(came.cost_usd[came.calls == 1], 6)) <= {PRICE["high"], 0.0005}
    # What counts as one price is the same for all, so that a cheap level looks cheap.
    assert min(one.price for one in low.tried) < 0.5 * high.tried[0].price


def test_looking_among_fewer_agents_says_what_the_whole_graph_says(climber: GraphRouter, rungs: Path) -> None:
    table = OutcomeFolder.open(rungs).table().take(range(20))
    growth = climber.growth(table)
    assert growth is not None
    columns, rows = np.array([1, 3, 4]), np.arange(20)
    asked = np.random.default_rng(0).random((20, 3)) < 0.5
    whole = np.zeros((20, 5), bool)
    whole[:, columns] = asked
    for few, all_ in zip(growth.among(columns).look(rows, asked), growth.look(rows, whole), strict=True):
        np.testing.assert_array_equal(few, all_[:, columns])
    np.testing.assert_array_equal(growth.among(columns).expected, growth.expected[:, columns])


def test_it_is_on_the_page_in_the_json_and_in_the_picture(shown: Report, tmp_path: Path) -> None:
    page = str(shown)
    assert "  fixed_low" in page and "  fixed_high" in page and "agent and level chosen together" in page
    assert max(map(len, page.splitlines())) <= 100
    found = json.loads(json.dumps(shown.to_json(), allow_nan=False))["joint_choice"]
    assert len(found["frontier"]) == len(joint_of(shown).frontier)
    asked, own = found["asked"], shown.policies["agentroute"]
    assert own is not None and asked["joint"]["score"] == own.score and asked["bound"] == {}
    assert asked["fixed"]["score"] in [
        policy.score for name, policy in shown.policies.items() if "_fixed_" in name and policy is not None
    ]
    drawn = [
        report.plot(tmp_path / f"{name}.svg").read_text().count("stroke-dasharray")
        for name, report in (("with", shown), ("without", replace(shown, joint=None)))
    ]
    assert drawn[0] > drawn[1], "a line for each side"


def test_a_bound_holds_for_fixed_levels_too_and_the_joint_choice_makes_more_of_it(
    climber: GraphRouter, rungs: Path
) -> None:
    cap = PRICE["high"] * 0.9
    report = evaluate(climber, rungs, control=False, max_cost_usd=cap)
    asked = joint_of(report).asked
    assert asked is not None and asked.bound == {"max_cost_usd": cap}
    for name in ("agentroute", "agentroute_fixed_low", "agentroute_fixed_high"):
        policy = report.policies.get(name)
        assert policy is None or (policy.cost_usd is not None and policy.cost_usd <= cap * (1 + 1e-9))
    # Who may tell easy questions apart has room for high on the others; low alone does for none of those.
    assert asked.level == "low" and asked.joint.gain_low > 0.3


def test_a_folder_without_answers_or_prices_is_compared_by_calls(tmp_path: Path) -> None:
    folder = make_rungs(tmp_path / "bare", count=80, texts=False)
    lines = (folder / "outcomes.jsonl").read_text().splitlines()
    rows = [{k: v for k, v in json.loads(line).items() if k != "cost_usd"} for line in lines]
    (folder / "outcomes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    router = train(folder, config=TrainConfig(epochs=2), embedder=HashingEmbedder(64))
    joint = joint_of(evaluate(router, folder, control=False))
    assert joint.frontier and all(set(pair.bound) == {"max_calls"} for pair in joint.frontier)
    assert all(pair.plain()["joint"]["cost_usd"] is None for pair in joint.frontier)


def test_a_team_that_is_not_the_one_tried_is_not_compared_and_it_says_so(
    climber: GraphRouter, rungs: Path, tmp_path: Path
) -> None:
    fewer = evaluate(climber, rungs, control=False, without=["sums-low"])
    assert fewer.joint is None and LACKING in fewer.notes and "joint_choice" not in fewer.to_json()
    # Somebody who is no level of another may be left out.
    assert evaluate(climber, rungs, control=False, without=["guesser"]).joint is not None
    climber.save(tmp_path / "router")
    read = GraphRouter.load(tmp_path / "router", embedder=climber.embedder)
    assert [one.plain() for one in read.one_level] == [one.plain() for one in climber.one_level] != []
    manifest, tensors = files.load(tmp_path / "router")
    old = {name: value for name, value in manifest.items() if name != "one_level"}
    files.save(tmp_path / "old", old, tensors)
    earlier = GraphRouter.load(tmp_path / "old", embedder=climber.embedder)
    assert LACKING in evaluate(earlier, rungs, control=False).notes
    for damaged in ([{**manifest["one_level"][0], "level": "utmost"}], [{"level": "low"}], "low"):
        files.save(tmp_path / "bad", {**manifest, "one_level": damaged}, tensors)
        with pytest.raises(RouterFileError, match="train it again"):
            GraphRouter.load(tmp_path / "bad", embedder=climber.embedder)


def test_without_ladders_nothing_is_said_of_levels(router: GraphRouter, folder: Path) -> None:
    report = evaluate(router, folder, control=False)
    assert router.one_level == () and report.joint is None and LACKING not in report.notes
    with pytest.raises(InputError):
        evaluate(router, folder, control=False, max_calls=0.5)
