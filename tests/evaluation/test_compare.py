from __future__ import annotations

import json
import shutil
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from agentroute.errors import InputError, OutcomeError
from agentroute.evaluation.compare import evaluate
from agentroute.evaluation.report import BASELINES, EXTRA, Report
from agentroute.outcomes import Outcome, OutcomeFolder, OutcomeWriter
from agentroute.registry import AgentRegistry
from agentroute.routing.router import GraphRouter
from agentroute.types import AgentSpec


@pytest.fixture(scope="module")
def report(router: GraphRouter, folder: Path) -> Report:
    return evaluate(router, folder)


def test_only_the_queries_that_training_left_out_are_judged(
    report: Report, router: GraphRouter, folder: Path
) -> None:
    held = router.manifest["test_ids"]
    assert report.n_queries == len(held) < 240
    assert any("training left out" in note for note in report.notes)
    table = OutcomeFolder.open(folder).table()
    rows = [i for i, row in enumerate(table.queries) if row.query.id in held]
    oracle = report.policies["oracle"]
    assert oracle is not None and oracle.score == pytest.approx(table.score[rows].max(axis=1).mean())


def test_every_policy_is_there_with_its_interval(report: Report) -> None:
    assert set(report.policies) == {*BASELINES, "agentroute", *EXTRA}
    for policy in report.policies.values():
        assert policy is not None
        assert 0 <= policy.score_low <= policy.score <= policy.score_high <= 1
        assert policy.gain_low <= policy.gain <= policy.gain_high
        assert policy.calls >= 1 and policy.cost_usd is not None and policy.latency_s is not None
    single = report.policies["best_single"]
    assert single is not None and (single.gain_low, single.gain, single.gain_high) == (0, 0, 0)
    majority = report.policies["majority"]
    assert majority is not None and majority.calls == 4


def test_confidence_is_held_against_what_answers_scored(
    router: GraphRouter, folder: Path, tmp_path: Path
) -> None:
    report = evaluate(router.with_preset("growing"), folder, control=False)
    assert sum(count for _, _, count in report.reliability) == report.n_queries
    for said, came, count in report.reliability:
        assert 0 <= said <= 1 and 0 <= came <= 1 and count > 0
    assert report.answer_error is not None and 0 <= report.answer_error < 0.5
    assert report.plot_reliability(tmp_path / "r.png").stat().st_size > 1000
    with pytest.raises(InputError, match="does not judge"):
        replace(report, reliability=()).plot_reliability(tmp_path / "r.png")


def test_a_promise_is_measured_and_one_that_nobody_can_keep_is_refused(
    router: GraphRouter, folder: Path
) -> None:
    with pytest.raises(InputError, match="share above 0"):
        evaluate(router, folder, control=False, target_coverage=1.5)
    found = evaluate(router.with_preset("growing"), folder, control=False, target_coverage=0.5)
    kept = found.promise
    assert kept is not None and kept.target == 0.5 and 0 <= kept.share <= 1
    assert (kept.right is None) == (kept.share == 0)
    assert any("promise: 50% right" in line for line in found.lines())


def test_a_learned_router_is_deployed_and_the_control_has_learned_nothing(report: Report) -> None:
    own, single, control = report.policies["agentroute"], report.policies["best_single"], report.control
    assert own is not None and single is not None and control is not None
    assert own.score > single.score + 0.2 and own.gain_low > 0
    assert report.verdict == "deploy"
    assert control.top1.score < own.score - 0.2
    assert not control.leaks
    assert report.headroom > 0.3
    assert 0 <= report.calibration_error < 0.3


def test_json_has_the_fixed_form_and_survives_a_round_trip(report: Report) -> None:
    data = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert set(data) == {"data", "n_queries", "seed", "verdict", "policies"}
    assert list(data["policies"]) == [*BASELINES, "agentroute"]
    keys = {"score", "score_low", "score_high", "cost_usd", "calls", "latency_s"}
    assert all(set(policy) == keys for policy in data["policies"].values())
    assert data["data"] == "topics"
    details = json.loads(json.dumps(report.to_json(details=True), allow_nan=False))
    assert details["control"]["top1"]["gain"] < 0.1 and "agentroute_top1" in details["policies"]


def test_the_page_fits_a_terminal_and_ends_with_the_verdict(report: Report) -> None:
    lines = str(report).splitlines()
    assert max(map(len, lines[: 4 + len(report.policies)])) <= 78
    shown = [name.replace("agentroute_", "  ") for name in report.policies]
    assert all(any(line.startswith(name) for line in lines) for name in shown)
    assert lines[-1].startswith("verdict: deploy")
    console = Console(file=StringIO(), width=100)
    console.print(report)
    assert "  one_round" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["picture.png", "picture.svg"])
def test_the_picture_is_drawn(report: Report, tmp_path: Path, name: str) -> None:
    path = report.plot(tmp_path / name)
    data = path.read_bytes()
    if name.endswith("png"):
        assert data.startswith(b"\x89PNG") and len(data) > 10_000
    else:
        assert b"<svg" in data


def test_a_picture_that_cannot_be_is_refused(report: Report, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not end in"):
        report.plot(tmp_path / "picture.txt")
    with pytest.raises(InputError, match="not a folder"):
        report.plot(tmp_path / "nowhere" / "picture.png")


def test_bounds_hold_in_the_mean(router: GraphRouter, folder: Path) -> None:
    free = evaluate(router, folder, control=False).policies["agentroute"]
    one = evaluate(router, folder, control=False, max_calls=1).policies["agentroute"]
    assert free is not None and one is not None and free.cost_usd is not None and one.calls == 1
    cap = free.cost_usd * 1.01
    capped = evaluate(router, folder, control=False, max_cost_usd=cap).policies["agentroute"]
    assert capped is not None and capped.cost_usd is not None and capped.cost_usd <= cap
    with pytest.raises(InputError, match=r"max_calls=0\.5"):
        evaluate(router, folder, control=False, max_calls=0.5)


def test_an_agent_can_be_left_out(router: GraphRouter, folder: Path) -> None:
    report = evaluate(router, folder, control=False, without=["rivers"])
    assert report.agents == ("primes", "poems", "engines")
    with pytest.raises(InputError, match="did you mean 'rivers'"):
        evaluate(router, folder, control=False, without=["river"])


def test_the_same_seed_gives_the_same_report(router: GraphRouter, folder: Path) -> None:
    first, second = (evaluate(router, folder, control=False, seed=7) for _ in range(2))
    assert first.to_json(details=True) == second.to_json(details=True)
    assert first.to_json() != evaluate(router, folder, control=False, seed=8).to_json()


def test_queries_that_some_agent_missed_are_left_out_and_counted(
    router: GraphRouter, folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "topics"
    shutil.copytree(folder, copy)
    lines = (copy / "outcomes.jsonl").read_text().splitlines()
    gone = router.manifest["test_ids"][:3]
    kept = [line for line in lines if not ('"primes"' in line and json.loads(line)["query"] in gone)]
    (copy / "outcomes.jsonl").write_text("\n".join(kept) + "\n")
    report = evaluate(router, copy, control=False)
    assert report.left_out == 3
    assert any("3 more were left out" in note for note in report.notes)


def test_unknown_costs_are_unknown_and_calls_take_their_place(
    router: GraphRouter, folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "topics"
    shutil.copytree(folder, copy)
    (copy / "outcomes.jsonl").unlink()
    with OutcomeWriter(copy) as writer:
        writer.append(
            *(
                Outcome(query=o.query, agent=o.agent, score=o.score, answer=o.answer)
                for o in OutcomeFolder.open(folder).read()
            )
        )
    report = evaluate(router, copy, control=False)
    own = report.to_json()["policies"]["agentroute"]
    assert own["cost_usd"] is None and own["latency_s"] is None and own["calls"] >= 1
    assert report.plot(tmp_path / "calls.png").stat().st_size > 10_000


def test_another_folder_is_judged_whole_and_said_so(router: GraphRouter, tmp_path: Path) -> None:
    from routing.folders import make_folder

    other = make_folder(tmp_path / "elsewhere", queries=60, seed=5)
    lines = (other / "queries.jsonl").read_text().replace('"q', '"other-q')
    (other / "queries.jsonl").write_text(lines)
    outcomes = (other / "outcomes.jsonl").read_text().replace('"query": "q', '"query": "other-q')
    (other / "outcomes.jsonl").write_text(outcomes)
    report = evaluate(router, other)
    assert report.n_queries == 60 and report.control is None
    assert any("judged on all 60" in note for note in report.notes)
    assert any("no shuffled-label control" in note for note in report.notes)


def test_an_agent_that_the_router_does_not_know_is_left_out_and_named(
    router: GraphRouter, folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "topics"
    shutil.copytree(folder, copy)
    team = AgentRegistry.from_yaml(copy / "agents.yaml")
    stranger = AgentSpec(id="stranger", kind="recorded", description="New here.")
    (copy / "agents.yaml").write_text(team.add(stranger).to_yaml())
    report = evaluate(router, copy, control=False)
    assert "stranger" not in report.agents
    assert any("no record of them: stranger" in note for note in report.notes)


def test_nothing_to_compare_is_an_error_that_names_the_missing(router: GraphRouter, tmp_path: Path) -> None:
    from routing.folders import make_folder

    bare = make_folder(tmp_path / "bare", queries=30)
    lines = (bare / "outcomes.jsonl").read_text().splitlines()
    (bare / "outcomes.jsonl").write_text("\n".join(line for line in lines if '"primes"' not in line) + "\n")
    with pytest.raises(OutcomeError, match=r"primes \(0%\).*--without"):
        evaluate(router, bare, control=False)


def test_figures_are_finite(report: Report) -> None:
    for policy in report.policies.values():
        assert policy is not None
        assert all(np.isfinite(v) for v in (policy.score, policy.gain, policy.calls, policy.gain_low))
