"""Judging effort: every call on the bill, hindsight above all, chance found out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from effort.conftest import QUICK
from effort.ladder import TOKENS, make_ladder

from agentroute.effort.ladders import find_ladders
from agentroute.effort.step_router import StepRouter
from agentroute.effort.training import train_effort
from agentroute.errors import InputError
from agentroute.evaluation.effort import decide_effort, evaluate_effort, judge
from agentroute.evaluation.effort_report import EffortPolicy, EffortReport, Saving
from agentroute.outcomes import OutcomeFolder


@pytest.fixture(scope="module")
def sums(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ladder(tmp_path_factory.mktemp("sums"))


@pytest.fixture(scope="module")
def router(sums: Path) -> StepRouter:
    return train_effort(sums, config=QUICK)


@pytest.fixture(scope="module")
def report(router: StepRouter, sums: Path) -> EffortReport:
    return evaluate_effort(router, sums)


def test_it_saves_where_a_look_tells_and_loses_nothing(report: EffortReport) -> None:
    assert report.verdict == "deploy"
    assert report.saving.saved > 0.3
    assert report.saving.loss <= 0.01


def test_the_report_has_the_names_that_were_promised(report: EffortReport) -> None:
    found = json.loads(json.dumps(report.to_json(), allow_nan=False))
    names = ["fixed_low", "fixed_medium", "fixed_high", "random", "oracle", "agentroute"]
    assert list(found["policies"]) == names
    for policy in found["policies"].values():
        assert {"score", "tokens", "cost_usd", "score_low", "score_high"} <= set(policy)
        assert policy["score_low"] <= policy["score"] <= policy["score_high"]


def test_fixed_levels_are_plain_means_and_nobody_beats_hindsight(report: EffortReport) -> None:
    policies = report.policies
    assert TOKENS["low"] <= (policies["fixed_low"].tokens or 0) <= TOKENS["low"] + 20
    assert all(policy.score <= policies["oracle"].score + 1e-9 for policy in policies.values())
    fixed = [policies[f"fixed_{level}"].score for level in TOKENS]
    assert policies["random"].score == pytest.approx(sum(fixed) / 3)


def test_every_call_of_a_step_is_on_the_bill(router: StepRouter, sums: Path, report: EffortReport) -> None:
    (part,) = judge(router, OutcomeFolder.open(sums))
    own = part.walks["agentroute"]
    assert (own.asked.sum(axis=1) > 1).any()
    bill = (own.asked * part.ladder.tokens).sum(axis=1).mean()
    assert report.policies["agentroute"].tokens == pytest.approx(bill)


def test_only_what_training_left_out_is_judged(router: StepRouter, sums: Path, report: EffortReport) -> None:
    held = set(router.manifest["test_ids"])
    (part,) = judge(router, OutcomeFolder.open(sums))
    assert {record.query.id for record in part.ladder.records} == held
    assert report.steps == len(held)


def test_a_router_of_scores_dealt_out_anew_does_no_better_than_a_coin(tmp_path: Path) -> None:
    folder = make_ladder(tmp_path, 300, visible=False)
    found = evaluate_effort(train_effort(folder, config=QUICK), folder)
    assert found.control is not None
    assert found.control.above_mix is None or found.control.above_mix < 0.08


def test_an_episode_is_right_when_all_its_steps_are(tmp_path: Path) -> None:
    folder = make_ladder(tmp_path, 300, episodes=3)
    router = train_effort(folder, config=QUICK)
    assert router.plans[0].by_episode
    (part,) = judge(router, OutcomeFolder.open(folder))
    assert part.episodes is not None
    found = evaluate_effort(router, folder, control=False)
    assert found.episodes == len(part.ladder) // 3
    low = part.ladder.score[:, 0].reshape(-1, 3)  # the steps of an episode stand together
    assert found.policies["fixed_low"].score == pytest.approx(low.prod(axis=1).mean())
    assert found.policies["fixed_low"].tokens == pytest.approx(3 * part.ladder.tokens[:, 0].mean())
    episodes = {record.meta["episode"] for record in part.ladder.records}
    ladder = find_ladders(OutcomeFolder.open(folder))[0]
    whole = [record for record in ladder.records if record.meta["episode"] in episodes]
    assert len(whole) == len(part.ladder)  # no episode is half in training


def test_unknown_tokens_are_null_and_never_0(tmp_path: Path) -> None:
    folder = make_ladder(tmp_path, 120)
    rows = [json.loads(line) for line in (folder / "outcomes.jsonl").read_text().splitlines()]
    bare = [{key: row[key] for key in ("query", "agent", "score", "answer")} for row in rows]
    (folder / "outcomes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in bare))
    router = train_effort(folder, config=QUICK)
    found = evaluate_effort(router, folder, control=False)
    assert found.currency == "weight"
    assert found.policies["agentroute"].tokens is None
    assert found.policies["agentroute"].cost_usd is None


def test_another_folder_is_judged_whole(router: StepRouter, tmp_path: Path) -> None:
    other = make_ladder(tmp_path, 50, seed=5)
    text = (other / "queries.jsonl").read_text().replace('"q', '"other')
    (other / "queries.jsonl").write_text(text)
    outcomes = (other / "outcomes.jsonl").read_text().replace('"query": "q', '"query": "other')
    (other / "outcomes.jsonl").write_text(outcomes)
    assert evaluate_effort(router, other, control=False).steps == 50


def test_a_folder_without_its_ladders_is_refused(router: StepRouter, tmp_path: Path) -> None:
    other = make_ladder(tmp_path, 50)
    text = (other / "agents.yaml").read_text().replace("adder", "other")
    (other / "agents.yaml").write_text(text)
    rows = (other / "outcomes.jsonl").read_text().replace("adder", "other")
    (other / "outcomes.jsonl").write_text(rows)
    with pytest.raises(InputError, match="nothing to judge"):
        evaluate_effort(router, other, control=False)


def policy(score: float, price: float) -> EffortPolicy:
    return EffortPolicy(
        score=score,
        score_low=score,
        score_high=score,
        tokens=price,
        cost_usd=None,
        price=price,
        top_share=0.0,
    )


def saving(saved: float, low: float, loss: float, mix: float | None = 0.1) -> Saving:
    return Saving(
        saved=saved, saved_low=low, saved_high=saved, loss=loss, loss_low=0, loss_high=0, above_mix=mix
    )


@pytest.mark.parametrize(
    ("fixed", "found", "verdict"),
    [
        (policy(0.5, 10), saving(0.4, 0.3, 0.0), "deploy"),
        (policy(0.8, 10), saving(0.4, 0.3, 0.0), "no gain: keep fixed_low"),
        (policy(0.5, 10), saving(0.4, -0.1, 0.0), "no gain: keep fixed_high"),
        (policy(0.5, 10), saving(0.4, 0.3, 0.02), "no gain: keep fixed_high"),
        (policy(0.5, 10), saving(0.4, 0.3, 0.0, -0.01), "no gain: keep fixed_high"),
    ],
)
def test_the_verdict_follows_one_rule(fixed: EffortPolicy, found: Saving, verdict: str) -> None:
    policies = {"fixed_low": fixed, "fixed_high": policy(0.8, 100), "agentroute": policy(0.8, 60)}
    assert decide_effort(policies, found, 0.01, "high")[0] == verdict


def test_a_picture_is_drawn(report: EffortReport, tmp_path: Path) -> None:
    assert report.plot(tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")


def test_runs_of_one_step_that_disagree_are_no_trouble(tmp_path: Path) -> None:
    folder = make_ladder(tmp_path, 80)
    rows = (folder / "outcomes.jsonl").read_text()
    flipped = [json.loads(line) for line in rows.splitlines()]
    for row in flipped[::7]:
        row["score"] = 1.0 - row["score"]
    (folder / "outcomes.jsonl").write_text(rows + "".join(json.dumps(row) + "\n" for row in flipped))
    found = evaluate_effort(train_effort(folder, config=QUICK), folder, control=False)
    assert np.isfinite(found.saving.saved)
