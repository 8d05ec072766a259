"""Each benchmark runs on little data and writes its figures; how fast it was is nobody's business here."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from benching import BENCHMARKS, modules, read, run
from hypothesis import given
from hypothesis import strategies as st
from routing.folders import EMBEDDER, make_folder, random_graphs, random_weights, spec

from agentroute.evaluation.verdict import SIMPLE, PolicyScore
from agentroute.knowledge.build import GraphBuilder
from agentroute.knowledge.extract import NoExtractor
from agentroute.knowledge.graph import COMPARED, GAVE
from agentroute.knowledge.hetero import collate, to_hetero
from agentroute.knowledge.team import Team
from agentroute.outcomes import OutcomeFolder
from agentroute.types import Answer, Passage, Query

QUICK = ("--embedder", "hashing", "--epochs", "1")


def test_the_pipeline_scores_what_evaluate_says(tmp_path: Path) -> None:
    folder, out = make_folder(tmp_path / "topics"), tmp_path / "replay.json"
    said = run(
        "replay.py",
        "--data",
        folder,
        "--queries",
        "30",
        "--embedder",
        "hashing",
        "--epochs",
        "2",
        "--json",
        out,
    )
    found = json.loads(out.read_text())
    assert "the pipeline and evaluate agree" in said
    assert (found["data"], found["agents"], found["queries"]) == ("topics", 4, 30)
    assert found["pipeline_score"] == pytest.approx(found["evaluate_score"])
    assert 0.0 < found["pipeline_score"] <= 1.0
    assert found["pipeline_calls"] == found["evaluate_calls"] >= 1.0
    assert found["differs"] == found["asked_differently"] == []


def test_every_figure_stands_beside_its_budget(tmp_path: Path) -> None:
    out = tmp_path / "speed.json"
    said = run("speed.py", "--quick", "--embedder", "hashing", "--json", out)
    figures = {figure["name"]: figure for figure in json.loads(out.read_text())["figures"]}
    budgets = {name: figure["budget"] for name, figure in figures.items() if figure["budget"] is not None}
    assert len(budgets) == 10
    assert budgets["import agentroute"] == 0.3
    assert all(figure["value"] > 0 for figure in figures.values())
    for name, figure in figures.items():
        assert name in said
        assert (figure["kept"] is None) == (figure["budget"] is None)
    assert figures["agentroute route, fresh process"]["note"].endswith("heavy: none")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two outcome folders, and one that is too small to be trained on."""
    home = tmp_path_factory.mktemp("sets")
    make_folder(home / "topics", queries=80)
    small = make_folder(home / "small", queries=90, seed=1)
    kept = (small / "queries.jsonl").read_text().splitlines()[:12]
    (small / "queries.jsonl").write_text("\n".join(kept))
    return home


def test_quality_beside_its_baselines_and_ablations(sets: Path, tmp_path: Path) -> None:
    out, page, drawn = tmp_path / "quality.json", tmp_path / "quality.md", tmp_path / "pictures"
    asked = ("--data", sets, "--json", out, *QUICK, "--markdown", page, "--pictures", drawn)
    said = run("quality.py", *asked, "--seeds", "0", "--ablations", code=1)
    found = read(out)
    assert found["command"].startswith("python benchmarks/quality.py --data")
    # One set failed, which is said, and the other went on.
    (failure,) = found["failed"]
    assert (failure["set"], failure["seed"]) == ("small", 0)
    assert "training needs at least 20" in failure["error"]
    assert {run["set"] for run in found["runs"]} == {"topics"}

    one = found["summary"]["topics"]
    whole = next(run for run in found["runs"] if run["change"] == "agentroute")
    policies = whole["report"]["policies"]
    single = policies["best_single"]
    assert list(one["bounds"]) == ["unbounded", "cost <= 1x"]
    for way, ends in one["bounds"].items():
        figures = whole["ways"][way]["figures"]
        assert ends["points"]["mean"] == pytest.approx(100 * (figures["score"] - single["score"]), abs=1e-3)
        assert ends["above_best_single"]["mean"] == pytest.approx(ends["points"]["mean"], abs=1e-2)
        best = max(policies[name]["score"] for name in SIMPLE)
        assert ends["strongest"]["points"] == pytest.approx(100 * (best - single["score"]), abs=1e-3)
        assert np.mean(whole["per_query"]["score"][way]) == pytest.approx(figures["score"])
    assert whole["ways"]["unbounded"]["figures"] == policies["agentroute"]
    assert whole["ways"]["cost <= 1x"]["figures"]["cost_usd"] <= single["cost_usd"] * (1 + 1e-9)
    assert one["bounds"]["cost <= 1x"]["cost_ratio"] <= 1 + 1e-9
    assert one["presets"]["agentroute_top1"]["calls"] >= 1.0

    changes = one["ablations"]
    assert changes.pop("no_context") == {"skipped": "no query has passages"}
    assert {
        "no_entities",
        "no_words",
        "answer_vectors",
        "no_agreement",
        "deep_sets",
        "hgt",
        "one_round",
    } < set(changes)
    assert {"query_only", "matrix_factorisation", "graph_router", "growing"} < set(changes)
    assert all(change["own"]["low"] <= change["own"]["high"] for change in changes.values())
    judged = {name for name, change in changes.items() if change["everybody"] is not None}
    assert {"agentroute", "no_entities", "hgt", "deep_sets"} <= judged
    assert not judged & {"matrix_factorisation", "graph_router"}

    text = page.read_text()
    assert said == text
    assert text.count("```bash\npython benchmarks/quality.py --data") == text.count("## ") - 1 == 5
    assert text.count("--ablations") == 2
    assert "| topics | cost <= 1x |" in text
    assert "| HGT in place of the relational layers |" in text
    assert "- small, seed 0, agentroute: " in text
    assert [path.name for path in drawn.iterdir()] == ["topics.png"]
    assert (drawn / "topics.png").read_bytes().startswith(b"\x89PNG")

    # What was measured stays as it is, to the second that it took; what is missing is added.
    again = run("quality.py", *asked, "--sets", "topics", "--seeds", "0,1")
    after = read(out)
    assert after["runs"][: len(found["runs"])] == found["runs"]
    assert [(run["seed"], run["change"]) for run in after["runs"][len(found["runs"]) :]] == [
        (1, "agentroute")
    ]
    assert after["summary"]["topics"]["seeds"] == [0, 1]
    assert after["failed"] == []
    assert "| topics | 4 | " in again
    points = after["summary"]["topics"]["bounds"]["unbounded"]["points"]
    assert points["low"] <= points["mean"] <= points["high"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a terminal")
def test_quality_keeps_what_was_finished_when_it_is_stopped(sets: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    seeds = ",".join(map(str, range(200)))  # more than anybody waits for
    command = [sys.executable, BENCHMARKS / "quality.py", "--data", sets / "topics", "--json", out]
    process = subprocess.Popen(
        [*command, "--seeds", seeds, *QUICK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 120
        while not out.exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    found = read(out)
    assert 1 <= len(found["runs"]) < 200
    assert found["runs"][0]["seed"] == 0
    assert "| topics | unbounded |" in said
    assert "keeps what was finished" in errors


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[type]:
    """The benchmarks' modules, by name."""
    yield from modules(monkeypatch)


def test_quality_refuses_what_it_cannot_use(
    bench: type,
    sets: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused(*arguments: str | Path) -> str:
        monkeypatch.setattr(sys, "argv", ["quality.py", *map(str, arguments)])
        assert bench["quality"].main() == 2
        return capsys.readouterr().err

    out = tmp_path / "out.json"
    assert "no set rivers; there are small, topics" in refused(
        "--data", sets, "--json", out, "--sets", "rivers"
    )
    assert "is not a folder" in refused("--data", sets / "nowhere", "--json", out)
    assert not out.exists()
    out.write_text('{"options": {"embedder": "minilm", "epochs": 7}, "runs": []}')
    assert "was made with {'embedder': 'minilm', 'epochs': 7}" in refused("--data", sets, "--json", out)
    out.write_text('{"figures": []}')
    assert "holds no results of this benchmark" in refused("--data", sets, "--json", out)
    assert out.read_text() == '{"figures": []}'


def measured(seed: int, shift: float = 0.0) -> dict:
    """What one seed left behind, query by query."""
    rng = np.random.default_rng(seed)
    rival = rng.random(40)
    clusters = rng.choice(200, 40, replace=False)
    own = rival + shift if shift else rng.random(40)
    return {
        "per_query": {"cluster": clusters.tolist(), "score": {"own": own.tolist(), "knn": rival.tolist()}}
    }


def test_a_pooled_interval_counts_a_query_once(bench: type) -> None:
    pooled = bench["measuring"].pooled
    steady = pooled([measured(0, 0.02), measured(1, 0.02)], "own", ["knn", "knn"])
    assert steady == pytest.approx({"mean": 2.0, "low": 2.0, "high": 2.0})
    once = pooled([measured(3)], "own", ["knn"])
    assert once["low"] < once["mean"] < once["high"]
    # The same queries again are no new evidence.
    assert pooled([measured(3)] * 3, "own", ["knn"] * 3) == pytest.approx(once)
    more = pooled([measured(seed) for seed in range(3, 9)], "own", ["knn"] * 6)
    assert more["high"] - more["low"] < once["high"] - once["low"]


def policy(score: float, cost: float | None, calls: float = 1.0) -> PolicyScore:
    known = {name: 0.0 for name in ("score_low", "score_high", "latency_s", "gain", "gain_low", "gain_high")}
    return PolicyScore(score=score, cost_usd=cost, calls=calls, **known)


@given(
    scores=st.lists(st.floats(0, 1), min_size=4, max_size=4),
    costs=st.lists(st.floats(0.001, 1), min_size=4, max_size=4),
)
def test_a_rival_at_the_same_price_is_never_dearer_nor_stronger_than_the_strongest(
    scores: list[float], costs: list[float]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        rivals_of = import_module("measuring").rivals_of
    names = ("best_single", "knn", "majority", "agentroute")
    policies = {n: policy(s, c) for n, s, c in zip(names, scores, costs, strict=True)}
    oracle = {"oracle": policy(1.0, 0.0001)}  # knows the answers: no rival
    strongest, same = rivals_of({**policies, **oracle, "cheapest": None})
    assert policies[strongest["name"]].score == max(scores[:3])
    affordable = [name for name in names[:3] if policies[name].cost_usd <= costs[3] * (1 + 1e-9)]
    assert (same is None) == (not affordable)
    if same is not None:
        assert same["name"] in affordable
        assert policies[same["name"]].score == max(policies[name].score for name in affordable)
        assert same["points"] <= strongest["points"]


def test_where_dollars_are_unknown_a_call_is_the_price(bench: type) -> None:
    bound, rivals_of = bench["measuring"].Bound(cost=1), bench["measuring"].rivals_of
    assert bound.limits(policy(0.5, None)) == bound.limits(policy(0.5, 0.0)) == {"max_calls": 1}
    assert bound.name(policy(0.5, None)) == "calls <= 1"
    assert bound.limits(policy(0.5, 0.02)) == {"max_cost_usd": 0.02}
    found = {
        "best_single": policy(0.5, None),
        "majority": policy(0.9, None, 7),
        "agentroute": policy(0.7, None, 3),
    }
    assert [rival["name"] for rival in rivals_of(found)] == ["majority", "best_single"]


@pytest.mark.parametrize("answers", [0, 4])
@pytest.mark.parametrize("graphs", [slice(1), slice(None)], ids=["no entities", "several"])
def test_hgt_decides_as_it_was_trained(bench: type, answers: int, graphs: slice) -> None:
    import torch

    from agentroute.routing.gnn import GNNConfig

    some = random_graphs(2, answers=answers)[graphs]
    network = bench["hgt"].HGTRouterGNN(GNNConfig(embedding=EMBEDDER.dim, hidden_channels=16))
    random_weights(network, 5)
    network.eval()
    with torch.no_grad():
        trained = network(to_hetero(some))
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    for there, here in zip(trained, bench["hgt"].NumpyHGT(weights).forward(collate(some)), strict=True):
        np.testing.assert_allclose(here, there.numpy(), rtol=1e-5, atol=1e-5)


def test_a_change_lasts_as_long_as_its_training(bench: type) -> None:
    ablations = bench["ablations"]
    agents = [spec("rivers"), spec("primes")]
    builder = GraphBuilder(Team.build(agents, EMBEDDER), EMBEDDER, NoExtractor())
    query = Query(text="Is the Rhine in Basel?", task="rivers")
    given_ = [Answer(agent=one.id, text="It is in Basel", status="ok") for one in agents]

    def grown() -> dict:
        return builder.grow(builder.build([query])[0], query, given_).edge_index

    whole = grown()
    with (
        pytest.raises(RuntimeError, match="stop"),
        ablations.swapped(*ablations.ABLATIONS["no_agreement"].swaps),
    ):
        cut = grown()
        raise RuntimeError("stop")
    assert set(whole) - set(cut) == set(COMPARED)
    np.testing.assert_array_equal(cut[GAVE], whole[GAVE])
    assert set(grown()) == set(whole)
    assert any(whole[kind].shape[1] for kind in COMPARED)
    # Without entities, what is left of them is the task label.
    assert builder.build([query])[0].names["entity"] == ("rivers",)


def test_passages_are_left_out_of_a_view_alone(bench: type, sets: Path) -> None:
    ablations, folder = bench["ablations"], OutcomeFolder.open(sets / "topics")
    assert ablations.has_passages(folder) == "no query has passages"
    assert ablations.has_answers(folder) is None
    passages = (Passage(title="Rivers", text="The Rhine flows through Basel."),)
    for name, record in folder.queries.items():
        folder.queries[name] = replace(record, query=replace(record.query, context=passages))
    assert ablations.has_passages(folder) is None
    view = ablations.without_passages(folder)
    assert not any(row.query.context for row in view.table().queries)
    assert all(row.query.context for row in folder.table().queries)
    np.testing.assert_array_equal(view.table().score, folder.table().score)


@pytest.mark.parametrize("name", ["matrix_factorisation", "graph_router"])
def test_rivals_learn_and_see_nothing_of_what_they_are_judged_on(
    bench: type, name: str, tmp_path: Path
) -> None:
    from agentroute.routing.config import TrainConfig

    rivals = bench["rivals"]
    folder = OutcomeFolder.open(make_folder(tmp_path / "topics", queries=240))
    task = rivals.Task.of(folder, (), TrainConfig(epochs=40), EMBEDDER)
    fit = getattr(rivals, name)
    told: list[tuple[str, int, int]] = []
    logits = fit(task, lambda *step: told.append(step))
    assert told[-1][1] == told[-1][2] > 1

    learned, test = task.split.train, task.split.test
    assert logits.shape == (len(test), 4)
    best = int(task.table.score[learned].mean(axis=0).argmax())
    alone = task.table.score[test][:, best].mean()
    assert rivals.judge(lambda task, tell: logits, task, print) > alone + 0.1

    score, cost = task.table.score.copy(), task.table.cost_usd.copy()
    score[test], cost[test] = 1.0 - score[test], 7.0
    other = replace(task, table=replace(task.table, score=score, cost_usd=cost))
    np.testing.assert_array_equal(fit(other, lambda *step: None), logits)


def test_composed_episodes_of_training_and_of_judging_share_no_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from effort.ladder import make_ladder

    monkeypatch.syspath_prepend(BENCHMARKS)
    compose = import_module("effort_episodes").compose
    out = compose(make_ladder(tmp_path / "sums", 60), tmp_path / "episodes", 5, 0)
    rows = [json.loads(line) for line in (out / "queries.jsonl").read_text().splitlines()]
    texts: dict[str, set[str]] = {"train": set(), "test": set()}
    sizes: dict[str, int] = {}
    for row in rows:
        texts[row["meta"]["split"]].add(row["text"])
        sizes[row["meta"]["episode"]] = sizes.get(row["meta"]["episode"], 0) + 1
    assert texts["train"] and texts["test"]
    assert not texts["train"] & texts["test"]
    assert set(sizes.values()) == {5}


def test_with_perfect_foresight_nothing_is_lost_and_every_call_is_counted(bench: type) -> None:
    walked = bench["reaching"].walked
    rng = np.random.default_rng(0)
    score = (rng.random((400, 3)) < (0.4, 0.6, 0.7)).astype(float)
    price = rng.uniform(0.5, 1.5, (400, 3)) * (0.1, 0.4, 1.0)
    whole, units = price[:, 2].mean(), np.array([1e-6, 0.1, 50.0])
    free, fair, dear = walked(score, price, units, lambda answers, aim: aim)
    assert free[1] == pytest.approx((score[:, 2] - score.max(axis=1)).mean())
    assert 0 < free[0] <= fair[0] < dear[0] and free[1] <= fair[1] < dear[1]
    # Where a unit counts for more than any answer, everybody is asked the cheapest, and nobody goes on.
    assert dear[0] == pytest.approx(1.0 - price[:, 0].mean() / whole, abs=0.05)

    # Who believes at the start that the lowest does, and then that only the highest does, pays both.
    def fooled(answers: int, aim: np.ndarray) -> np.ndarray:
        many = aim.ndim == 2
        return np.full(aim.shape, 9.0 if many and not answers else 5.0 if answers and not many else -9.0)

    ((saved, lost),) = walked(score, price, units[1:2], fooled)
    assert saved == pytest.approx(-price[:, 0].mean() / whole) and lost == 0


def test_what_shows_in_the_answers_is_within_reach(tmp_path: Path) -> None:
    from effort.ladder import make_ladder

    make_ladder(tmp_path / "data" / "chemiq_effort", 120)
    out = tmp_path / "reach.json"
    text = run("reach.py", "--data", tmp_path / "data", "--json", out, "--seeds", "0")
    (found,) = read(out)["runs"]
    assert found["steps"] == 120 and found["saved"] > 0.3
    assert f"| 120 | {found['saved']:.0%} | 30% |" in text


def test_learners_choose_among_recorded_answers_where_questions_tell_whom_to_believe(tmp_path: Path) -> None:
    folder, out = make_folder(tmp_path / "topics"), tmp_path / "picks.json"
    text = run("picks.py", "--data", folder, "--json", out, "--seeds", "0")
    (found,) = read(out)["runs"]
    table = OutcomeFolder.open(folder).table()
    score = table.take(np.flatnonzero(table.ran.all(axis=1))).score
    assert found["questions"] == len(score)
    assert found["single"] == pytest.approx(score.mean(axis=0).max())
    assert found["oracle"] == pytest.approx(score.max(axis=1).mean())
    assert found["single"] + 0.1 < found["learned"] <= found["oracle"] + 1e-9
    assert f"| {found['single']:.3f} | {100 * (found['learned'] - found['single']):+.1f} |" in text


def test_of_a_longer_ladder_every_rung_is_tried_below_the_highest(tmp_path: Path) -> None:
    from effort.ladder import make_ladder

    from agentroute.effort.ladders import find_ladders

    (whole,) = find_ladders(OutcomeFolder.open(make_ladder(tmp_path / "sums", 60)))
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from reach import parts; "
        "from agentroute.effort.ladders import find_ladders; from agentroute.outcomes import OutcomeFolder; "
        "(whole,) = find_ladders(OutcomeFolder.open(sys.argv[2])); print([p.named for p in parts(whole)]); "
        "print([p.named for p in parts(whole.only([0, 1, 1, 1, 2]))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, BENCHMARKS, tmp_path / "sums"],
        capture_output=True,
        text=True,
        check=True,
    )
    short, long = done.stdout.splitlines()
    low, middle, high = whole.named
    assert short == str([whole.named])
    pairs = [(low, high), *[(middle, high)] * 3]
    assert long == str([*pairs, (low, middle, high), *[(middle, middle, high)] * 2])


def test_answer_vectors_reach_the_training_and_are_on_record(tmp_path: Path) -> None:
    folder, out = make_folder(tmp_path / "topics", queries=60), tmp_path / "quality.json"
    rows = [json.loads(line) for line in (folder / "outcomes.jsonl").read_text().splitlines()]
    bare = [{key: value for key, value in row.items() if key != "answer"} for row in rows]
    (folder / "outcomes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in bare))
    asked = ("--data", folder, "--json", out, "--seeds", "0", "--answer-vectors", *QUICK)
    run("quality.py", *asked, code=1)
    found = read(out)
    assert found["options"]["answer_vectors"] is True
    assert "has no answers as text" in found["failed"][0]["error"]
