from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from routing.folders import make_folder
from routing.labelled import make_labelled
from typer.testing import CliRunner

from agentroute.cli.app import app
from agentroute.cli.options import Preset
from agentroute.knowledge.tuning import scores
from agentroute.outcomes import OutcomeFolder
from agentroute.pipeline import load_router
from agentroute.registry import AgentRegistry
from agentroute.routing.assurance import TARGETS
from agentroute.routing.presets import PRESETS
from agentroute.routing.router import GraphRouter

TESTS = Path(__file__).parent
WORKBENCH = TESTS.parent / "agents" / "workbench.yaml"


def team(path: Path, *names: str, price: str = "{call: 0.01}") -> Path:
    """Write a registry of the functions in ``evaluation.pupils``."""
    rows = [
        "version: 1",
        f"defaults: {{price: {price}}}",
        "agents:",
        *(
            f"  - {{id: {name}, kind: function, description: {name}, function: 'evaluation.pupils:{name}'}}"
            for name in names
        ),
    ]
    path.write_text("\n".join([*rows, ""]))
    return path


def run(*args: object, code: int = 0) -> tuple[str, str]:
    """Run a command in this process; a failure is one message, never a traceback."""
    result = CliRunner().invoke(app, [str(arg) for arg in args], prog_name="agentroute")
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    assert "Traceback" not in result.stderr
    assert isinstance(result.exception, SystemExit | None)
    return result.stdout, result.stderr


def start(*args: object, **options: Any) -> subprocess.Popen[str]:
    """Start a command in a process of its own."""
    path = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    command = [sys.executable, "-c", "from agentroute.cli import main; main()", *map(str, args)]
    return subprocess.Popen(
        command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An outcome folder, and the router that the command trained on it."""
    torch.set_num_threads(1)  # for graphs this small, threads only wait for each other
    home = tmp_path_factory.mktemp("cli")
    folder = make_folder(home / "topics")
    out, _ = run("train", folder, "--out", home / "router", "--embedder", "hashing", "--epochs", 4, "--json")
    facts = json.loads(out)
    assert facts["agents"] == ["rivers", "primes", "poems", "engines"]
    assert sum(facts["queries"].values()) == 240
    return home / "router", folder


@pytest.fixture(scope="module")
def recorded(trained: tuple[Path, Path]) -> Path:
    """The same team as a registry whose agents say what they said when it was recorded."""
    specs = [
        replace(spec, kind="recorded", function=None, outcomes=str(trained[1]))
        for spec in OutcomeFolder.open(trained[1]).registry.agents
    ]
    path = trained[1].parent / "recorded.yaml"
    path.write_text(AgentRegistry.from_specs(specs).to_yaml())
    return path


# ---------------------------------------------------------------------------- check


def test_check_lists_the_team() -> None:
    out, err = run("check", WORKBENCH)
    assert "two-hop-reader" in out and "no errors" in out and not err
    data = json.loads(run("check", WORKBENCH, "--json")[0])
    assert "arithmetic" in data["agents"] and data["warnings"] == []
    assert json.loads(run("check", "--schema")[0])["type"] == "object"


def test_check_names_file_and_line(tmp_path: Path) -> None:
    path = team(tmp_path / "a.yaml", "knows")
    path.write_text(path.read_text().replace("kind:", "kindd:"))
    out, err = run("check", path, code=2)
    assert not out and f"{path}:4:" in err and "kind" in err


def test_code_that_is_not_allowed_is_refused_until_it_is(tmp_path: Path) -> None:
    path = team(tmp_path / "a.yaml", "knows")
    assert "--allow evaluation" in run("check", path, code=2)[1]
    run("check", path, "--allow", "evaluation")


# ---------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["route", "hello"], "no registry: give --registry"),
        (["ask", " ", "-r", WORKBENCH], "empty"),
        (["route", "hello", "-r", "/nowhere/a.yaml"], "/nowhere/a.yaml"),
        (["route", "hello", "-r", WORKBENCH, "--router", "/nowhere/r"], "no router to read there"),
        (["ask", "hello", "-r", WORKBENCH, "--max-cost-usd", "nan"], "not a finite number"),
        (["ask", "hello", "-r", WORKBENCH, "--deadline", "0"], "not a finite number above 0"),
        (["ask", "hello", "-r", WORKBENCH, "--deadline", "inf"], "not a finite number above 0"),
        (["train", "/nowhere", "--out", "r"], "/nowhere is not a folder"),
        (["evaluate", "/nowhere", "/nowhere"], "no router to read there"),
        (["collect", WORKBENCH, "/nowhere/q.jsonl", "--out", "o"], "/nowhere/q.jsonl"),
        (["train", ".", "--out", "r", "--seed", "-1"], "'--seed'"),
        (
            ["ask", "hello", "-r", WORKBENCH, "--preset", "growing"],
            "needs a router made by `agentroute train`",
        ),
        (["route", "hello", "-r", WORKBENCH, "--target-coverage", "0.9"], "needs a router made by"),
        (["ask", "hello", "-r", WORKBENCH, "--target-coverage", "90"], "not a share above"),
        (["evaluate", "/nowhere", "/nowhere", "--target-coverage", "nan"], "not a share"),
        (["sing"], "No such command"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(
    args: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out, err = run(*args, code=2)
    assert message in " ".join(err.split()) and not out
    assert not list(tmp_path.iterdir())


def test_the_registry_of_the_working_folder_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: tuple[Path, Path]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "agents.yaml").write_text((trained[1] / "agents.yaml").read_text())
    out, _ = run("route", "Which old river is number 3?", "--router", trained[0], "--allow", "crew")
    assert {line.split()[0] for line in out.splitlines()[2:]} == {"rivers", "primes", "poems", "engines"}


# ---------------------------------------------------------------------------- route and ask


def test_route_as_json_is_the_whole_decision(trained: tuple[Path, Path]) -> None:
    router, folder = trained
    args = ("route", "Which plain sonnet is number 7?", "-r", folder / "agents.yaml", "--router", router)
    out, err = run(*args, "--allow", "crew", "--preset", "top1", "--json")
    decision = json.loads(out)
    assert not err and decision["round"] == 1 and len(decision["ranking"]) == 4
    scores = [row["score"] for row in decision["ranking"]]
    assert scores == sorted(scores, reverse=True)
    assert decision["ranking"][0]["agent"] in dict(decision["selected"])
    assert sum(weight for _, weight in decision["selected"]) == pytest.approx(1.0)


def test_deciding_in_a_fresh_process_loads_nothing_heavy(trained: tuple[Path, Path]) -> None:
    router, folder = trained
    code = (
        "import sys, agentroute.cli as cli\n"
        "try: cli.main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = 'torch torch_geometric litellm langgraph langchain_core matplotlib transformers'.split()\n"
        "sys.exit(' '.join(name for name in heavy if name in sys.modules) or 0)"
    )
    args = ["route", "Which river?", "-r", folder / "agents.yaml", "--router", router, "--allow", "crew"]
    env = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS / 'running'}"}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)], env=env, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "rivers" in done.stdout


def test_ask_answers_and_says_who_was_asked(tmp_path: Path) -> None:
    path = team(tmp_path / "a.yaml", "knows", "guesses")
    out, err = run("ask", "What is the capital of France?", "-r", path, "--allow", "evaluation")
    assert out.splitlines()[0].casefold().startswith("paris") and "knows" in out and "$0.02" in out
    assert "no trained router" in err
    result = json.loads(
        run("ask", "What is the capital of France?", "-r", path, "--allow", "evaluation", "--json")[0]
    )
    assert result["status"] == "degraded" and {a["agent"] for a in result["answers"]} == {"knows", "guesses"}


@pytest.mark.parametrize(
    ("names", "more", "code", "message"),
    [
        (["fails"], [], 20, "fails"),
        (["knows"], ["--max-cost-usd", "0.5"], 21, "price of asking knows is unknown"),
        (["sleeps"], ["--deadline", "0.3"], 22, "time"),
        (["knows", "fails"], ["--strict"], 10, "no pencil"),
    ],
)
def test_how_a_run_ends_is_its_exit_code(
    tmp_path: Path, names: list[str], more: list[str], code: int, message: str
) -> None:
    path = team(tmp_path / "a.yaml", *names, price="{input: 1}")
    args = ("ask", "What is the capital of Kenya?", "-r", path, "--allow", "evaluation", *more)
    out, err = run(*args, code=code)
    assert message in err
    assert ("Nairobi" in out) == (code == 10)


def test_a_cap_below_every_price_ends_as_a_budget_does(tmp_path: Path) -> None:
    path = team(tmp_path / "a.yaml", "knows", "guesses")
    args = ("ask", "What is the capital of Kenya?", "-r", path, "--allow", "evaluation")
    out, err = run(*args, "--max-cost-usd", "0.001", code=21)
    assert not out and "nobody who is left fits the budget" in err


# ---------------------------------------------------------------------------- round by round


def hardest(router: Path, folder: Path, registry: Path, preset: str) -> tuple[str, GraphRouter, Any]:
    """The held-out question whose answer is least likely right, with the router and what it comes to."""
    loaded = load_router(router, preset)
    assert isinstance(loaded, GraphRouter)
    table, held = OutcomeFolder.open(folder).table(), set(loaded.manifest["test_ids"])
    table = replace(table, agents=AgentRegistry.from_yaml(registry).agents)
    table = table.take([i for i, row in enumerate(table.queries) if row.query.id in held])
    found = loaded.replay(table)
    row = int(found.share.argmin())
    assert found.calls[row] > 1
    return table.queries[row].query.text, loaded, found.share[row]


def test_ask_tells_every_round_and_why(trained: tuple[Path, Path], recorded: Path) -> None:
    question, _, chance = hardest(*trained, recorded, "cascade")
    args = ("ask", question, "-r", recorded, "--router", trained[0], "--preset", "cascade")
    out, err = run(*args)
    told = [line for line in out.splitlines() if line.startswith(("round ", "stopped"))]
    assert told[0] == "round 1: asked rivers: the first round"  # the cheapest
    assert re.match(
        r"round 2: asked \w+: the best answer so far is right with a chance of 0\.\d\d, and", told[1]
    )
    assert told[-1].startswith(f"stopped: the best answer so far is right with a chance of {chance:.2f}; ")
    assert f"complete, confidence {chance:.2f}, cost $" in out and not err
    # As it happens, on stderr; then it is not told again.
    live, err = run(*args, "--verbose")
    assert [line for line in err.splitlines() if not line.startswith(" ")] == told
    said = [line.split(":")[0].strip() for line in err.splitlines() if line.startswith("  ")]
    assert said == [line.split()[3].rstrip(":") for line in told[:-1]]
    assert not set(told) & set(live.splitlines()) and live.splitlines()[0] == out.splitlines()[0]
    result = json.loads(run(*args, "--json", "--verbose")[0])
    assert [d["reason"] for d in result["decisions"]] == [
        line.split(": ", 2 - (line == told[-1]))[-1] for line in told
    ]
    assert result["confidence"] == pytest.approx(chance, abs=1e-5)
    one = run(*args, "--max-rounds", 1)[0]
    assert "the rounds are over" in one and "round 2" not in one


def test_a_promise_that_is_not_kept_is_told(trained: tuple[Path, Path], recorded: Path) -> None:
    question, router, chance = hardest(*trained, recorded, "growing")
    target = max(t for t, s in zip(TARGETS, router.setting.sure, strict=True) if s is not None and s > chance)
    args = ("ask", question, "-r", recorded, "--router", trained[0], "--preset", "growing")
    out, err = run(*args, "--target-coverage", target, "--strict", code=10)
    assert "degraded, confidence" in out
    promised = f"is below what {100 * target:g}% right answers take"
    assert err.strip() == f"problem: not assured: confidence {chance:.2f} {promised}"
    run(*args, "--strict")
    assert "cannot promise" in run(*args, "--target-coverage", 0.9999, code=2)[1]


def test_route_is_held_to_a_preset(trained: tuple[Path, Path], recorded: Path) -> None:
    args = ("route", "Which old river is number 3?", "-r", recorded, "--router", trained[0], "--json")
    for preset, most in (("top1", 1), ("cascade", 1), ("all", 4)):
        assert len(json.loads(run(*args, "--preset", preset)[0])["selected"]) == most
    assert json.loads(run(*args, "--preset", "cascade")[0])["selected"] == [["rivers", 1.0]]
    assert "there is no preset 'best'; choose growing" in run(*args, "--preset", "best", code=2)[1]


def test_every_preset_is_named_where_it_can_be_given() -> None:
    (option,) = (part for part in get_args(Preset) if hasattr(part, "help"))
    assert all(re.search(rf"\b{name}\b", option.help) for name in PRESETS)


def test_an_interrupt_shows_what_had_come(tmp_path: Path) -> None:
    path = team(tmp_path / "a.yaml", "knows", "sleeps")
    question = "What is the capital of France?"
    process = start("ask", question, "-r", path, "--allow", "evaluation", "--verbose")
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if "knows: Paris" in line:
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, (seen, out, err)
    *lines, how = err.splitlines()
    assert lines == ["interrupted; these answers had come, and are not refined:", "  knows: Paris"]
    assert re.fullmatch(r"to go on with it: agentroute runs resume [0-9a-f]{32} --allow evaluation", how)
    assert not out


def test_an_agent_that_raises_an_interrupt_ends_nothing(tmp_path: Path) -> None:
    code = "async def answer(text):\n    raise KeyboardInterrupt\n\n\ndef other(text):\n    return 'blue'\n"
    (tmp_path / "my_pupil.py").write_text(code)
    rows = [
        f"  - {{id: {name}, kind: function, description: colours, function: 'my_pupil:{name}'}}"
        for name in ("answer", "other")
    ]
    (tmp_path / "agents.yaml").write_text("\n".join(["version: 1", "agents:", *rows, ""]))
    process = start("ask", "What colour is the sky?", "--allow", "my_pupil", cwd=tmp_path)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and out.startswith("blue"), err
    assert "answer: failed (KeyboardInterrupt)" in err


def test_the_second_interrupt_stops_an_agent_that_blocks(tmp_path: Path) -> None:
    """The first asks the run to end, which an agent that holds the event loop does not notice."""
    code = (
        "import sys, time\nasync def answer(text):\n    for _ in range(1200):\n        time.sleep(0.05)\n"
        "        print('blocking', file=sys.stderr, flush=True)\n"
    )
    (tmp_path / "my_pupil.py").write_text(code)
    row = "{id: p, kind: function, description: colours, function: 'my_pupil:answer'}"
    (tmp_path / "agents.yaml").write_text(f"version: 1\nagents:\n  - {row}\n")
    process = start("ask", "What colour is the sky?", "--allow", "my_pupil", cwd=tmp_path)
    assert process.stderr is not None
    for _ in range(2):
        for _ in range(20):  # it went on
            assert process.stderr.readline() == "blocking\n"
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    first, how = err.replace("blocking\n", "").splitlines()
    assert first == "interrupted; nobody had answered yet" and how.startswith(
        "to go on with it: agentroute runs"
    )


def test_allow_finds_the_code_of_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "my_pupil.py").write_text("def answer(text: str) -> str:\n    return 'blue'\n")
    row = "{id: p, kind: function, description: colours, function: 'my_pupil:answer'}"
    rows = f"version: 1\nagents:\n  - {row}\n"
    (tmp_path / "agents.yaml").write_text(rows)
    process = start("ask", "What colour is the sky?", "--allow", "my_pupil", cwd=tmp_path)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and out.startswith("blue"), err


def test_an_answer_cannot_command_the_terminal(tmp_path: Path) -> None:
    from agentroute.cli.output import dollars, plain

    assert plain("a\x1b[2Jb\u202ec\nd\te") == "a\ufffd[2Jb\ufffdc\nd\te"
    assert (dollars(None), dollars(0.0), dollars(0.0015)) == ("unknown", "$0", "$0.0015")


# ---------------------------------------------------------------------------- collect


def questions(path: Path, count: int = 3) -> Path:
    lines = [
        {"id": f"q{i}", "text": f"{i}: what is the capital of Italy?", "gold": ["Rome"]} for i in range(count)
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def test_collect_reports_and_goes_on(tmp_path: Path) -> None:
    args = ("collect", team(tmp_path / "a.yaml", "knows", "fails"), questions(tmp_path / "q.jsonl"))
    more = ("--out", tmp_path / "o", "--allow", "evaluation")
    out, err = run(*args, *more)
    assert "6 recorded" in out and "fails: failed 3 times" in err and "collecting: 6 of 6" in err
    report = json.loads(run(*args, *more, "--json")[0])
    assert (report["kept"], report["recorded"]) == (6, 0)
    assert json.loads(run(*args, *more, "--json", "--retry", code=20)[0])["failed"] == 3


def test_collect_stops_at_its_budget_and_says_how_to_go_on(tmp_path: Path) -> None:
    args = ("collect", team(tmp_path / "a.yaml", "knows"), questions(tmp_path / "q.jsonl"), "--out")
    out, err = run(*args, tmp_path / "o", "--allow", "evaluation", "--max-cost-usd", 0.015, code=21)
    assert "1 recorded" in out and "run the same command again" in err


def test_the_shipped_questions_have_a_name(tmp_path: Path) -> None:
    args = ("collect", team(tmp_path / "a.yaml", "guesses"), "workbench", "--out", tmp_path / "o")
    report = json.loads(run(*args, "--allow", "evaluation", "--json", "--concurrency", 32)[0])
    assert report["recorded"] == report["total"] >= 600


def test_an_interrupt_keeps_what_was_done_and_says_how_to_go_on(tmp_path: Path) -> None:
    path, asked = team(tmp_path / "a.yaml", "slow"), questions(tmp_path / "q.jsonl", 60)
    args = ("collect", path, asked, "--out", tmp_path / "o", "--allow", "evaluation", "--concurrency", 2)
    process = start(*args)
    outcomes = tmp_path / "o" / "outcomes.jsonl"
    for _ in range(1_000):
        if outcomes.exists() and outcomes.stat().st_size > 0:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again" in err and "Traceback" not in err and not out
    kept = len(list(OutcomeFolder.open(tmp_path / "o").read()))
    assert 0 < kept < 60
    report = json.loads(run(*args[:-1], 30, "--json")[0])
    assert (report["kept"], report["recorded"]) == (kept, 60 - kept)


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    process = start("check", "--schema")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) in (0, 1) and "Traceback" not in err


# ---------------------------------------------------------------------------- train and evaluate


def test_evaluate_prints_and_writes(trained: tuple[Path, Path], tmp_path: Path) -> None:
    router, folder = trained
    files = ("--json", tmp_path / "r.json", "--plot", tmp_path / "r.png")
    out, err = run("evaluate", router, folder, *files, "--no-control", "--seed", 3)
    assert "best_single" in out and "verdict: " in out and "evaluating: 5 of 5" in err
    data = json.loads((tmp_path / "r.json").read_text())
    assert data["seed"] == 3 and data["policies"]["agentroute"]["calls"] >= 1
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    out, _ = run("evaluate", router, folder, "--json", "-", "--no-control", "--without", "poems")
    assert json.loads(out)["policies"]["majority"]["calls"] == 3


def test_evaluate_says_whether_a_promise_was_kept(trained: tuple[Path, Path], tmp_path: Path) -> None:
    _, folder = trained
    judging = load_router(trained[0], "growing")
    assert isinstance(judging, GraphRouter)
    judging.save(tmp_path / "r")
    out, _ = run("evaluate", tmp_path / "r", folder, "--no-control", "--target-coverage", 0.6)
    assert re.search(r"promise: 60% right; called sure: \d+% of the answers, \d+\.\d% of them right", out)
    load_router(trained[0], "top1").save(tmp_path / "r")  # type: ignore[attr-defined]
    err = run("evaluate", tmp_path / "r", folder, "--no-control", "--target-coverage", 0.6, code=2)[1]
    assert "cannot promise 60% right answers" in err


def test_evaluate_refuses_before_it_works(trained: tuple[Path, Path], tmp_path: Path) -> None:
    router, folder = trained
    for flag, path, message in (
        ("--json", tmp_path / "no" / "r.json", "is not a folder"),
        ("--plot", tmp_path / "r.doc", "does not end in"),
        ("--json", tmp_path, "is a folder"),
        ("--without", "poem", "did you mean 'poems'"),
        ("--max-calls", "nan", "not a finite number"),
    ):
        assert message in " ".join(run("evaluate", router, folder, flag, path, code=2)[1].split())


def test_train_refuses_before_it_works(trained: tuple[Path, Path], tmp_path: Path) -> None:
    _, folder = trained
    (tmp_path / "file").write_text("mine")
    assert "is a file" in run("train", folder, "--out", tmp_path / "file", code=2)[1]
    args = ("train", folder, "--out", tmp_path / "r", "--embedder")
    assert "no embedder 'bert'" in run(*args, "bert", code=2)[1]
    assert "--bundle-encoder" in run(*args, "hashing", "--bundle-encoder", code=2)[1]
    assert "no extractor 'noun'" in run(*args, "hashing", "--extractor", "noun", code=2)[1]
    assert (tmp_path / "file").read_text() == "mine" and not (tmp_path / "r").exists()


def test_a_router_with_its_encoder_beside_it_decides_with_that(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "topics", queries=60)
    run("train", folder, "--out", tmp_path / "r", "--epochs", 1, "--bundle-encoder", "--all")
    assert (tmp_path / "r" / "encoder").is_dir()
    args = ("route", "Which river?", "-r", folder / "agents.yaml", "--router", tmp_path / "r")
    assert len(json.loads(run(*args, "--allow", "crew", "--json")[0])["ranking"]) == 4
    out, _ = run("evaluate", tmp_path / "r", folder, "--no-control")
    assert "THE ROUTER WAS TRAINED ON THESE QUERIES" in out


def test_an_encoder_tuned_on_scores_lies_beside_its_router(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "STEPS", 1)
    folder, home = make_folder(tmp_path / "topics", queries=60), tmp_path / "r"
    run("train", folder, "--out", home, "--epochs", 1, "--tune-encoder", "--bundle-encoder", "--all")
    names = sorted(path.name for path in home.iterdir())
    assert names[0] == "encoder" and names[1].startswith("foresight-") and names[2] == "router.safetensors"
    args = ("route", "Which river?", "-r", folder / "agents.yaml", "--router", home, "--allow", "crew")
    assert len(json.loads(run(*args, "--json")[0])["ranking"]) == 4
    moved = tmp_path / "moved"
    moved.mkdir()
    (home / "router.safetensors").rename(moved / "router.safetensors")
    refused = run(*args[:5], moved, *args[6:], code=2)[1]
    assert "lacks the encoder that was tuned for it" in " ".join(refused.split())


def test_a_router_reads_what_answers_mean_where_that_is_asked_for(
    trained: tuple[Path, Path], tmp_path: Path
) -> None:
    router, folder = trained
    args = ("train", folder, "--out", tmp_path / "r", "--embedder", "hashing", "--epochs", 4)
    run(*args, "--answer-vectors")
    plain, reading = (GraphRouter.load(path) for path in (router, tmp_path / "r"))
    assert (plain.reads_answers, reading.reads_answers) == (False, True)
    team = OutcomeFolder.open(folder).table().agents
    assert (plain.builder(team).read_answers, reading.builder(team).read_answers) == (False, True)
    assert "judged" in run("evaluate", tmp_path / "r", folder, "--no-control")[0]


@pytest.fixture(scope="module")
def trained_on_labels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of utterances, and the router that the command trained on it."""
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("labels")
    folder = make_labelled(home / "errands")
    out, _ = run("train", folder, "--out", home / "router", "--embedder", "hashing", "--epochs", 4)
    assert re.search(
        r"router: 5 agents, queries .*; validation recall 0\.\d{3} with 1\.\d\d agents a set; ", out
    )
    return home / "router", folder


def test_evaluate_says_how_good_sets_are(trained_on_labels: tuple[Path, Path], tmp_path: Path) -> None:
    router, folder = trained_on_labels
    out, err = run("evaluate", router, folder, "--json", tmp_path / "r.json", "--seed", 3)
    assert "set recall" in out and "none-fits recall" in out and "verdict: " in out and "evaluating:" in err
    data = json.loads((tmp_path / "r.json").read_text())
    assert (
        data["seed"] == 3 and 0.5 < data["set_recall"] <= 1.0 and set(data["baselines"]) >= {"words", "knn"}
    )
    small = json.loads(run("evaluate", router, folder, "--json", "-", "--max-set-size", 1)[0])
    assert small["mean_set_size"] == 1.0 and small["top1"] == data["top1"]
    fewer = json.loads(run("evaluate", router, folder, "--json", "-", "--without", "poems")[0])
    assert fewer["n_queries"] < data["n_queries"]


def test_evaluate_names_the_option_for_this_kind_of_folder(
    trained: tuple[Path, Path], trained_on_labels: tuple[Path, Path], tmp_path: Path
) -> None:
    for given, message in (
        (("--max-calls", 2), "--max-calls is for outcomes"),
        (("--max-cost-usd", 0), "--max-cost-usd is for outcomes"),
        (("--target-coverage", 0.9), "--target-coverage is for outcomes"),
        (("--plot", tmp_path / "r.png"), "--plot is for outcomes"),
    ):
        err = " ".join(run("evaluate", *trained_on_labels, *given, code=2)[1].split())
        assert message in err and ("use --json" if given[0] == "--plot" else "--max-set-size") in err
    for value in (0.5, "nan", "inf"):
        assert "of 1 or more" in run("evaluate", *trained_on_labels, "--max-set-size", value, code=2)[1]
    err = " ".join(run("evaluate", *trained, "--max-set-size", 2, code=2)[1].split())
    assert "--max-set-size is for utterances" in err and "use --max-calls" in err
    assert not list(tmp_path.iterdir())


def test_route_says_that_nobody_fits(trained_on_labels: tuple[Path, Path]) -> None:
    router, folder = trained_on_labels
    args = ("-r", folder / "agents.yaml", "--router", router, "--json")
    decision = json.loads(run("route", "the tax visa invoice dentist please", *args)[0])
    assert decision["abstained"] and not decision["selected"]
    assert decision["reason"].startswith("no agent fits: the best, ")
    decision = json.loads(run("route", "the river delta old please", *args)[0])
    assert dict(decision["selected"]).keys() >= {"rivers"}


def test_the_version_is_told() -> None:
    from agentroute import __version__

    assert run("--version")[0] == f"agentroute {__version__}\n"
    assert "collect" in run("--help")[0]


def test_what_an_agent_prints_does_not_get_into_the_json(tmp_path: Path) -> None:
    path = team(tmp_path / "a.yaml", "chatters")
    out, err = run("ask", "Of Italy?", "-r", path, "--allow", "evaluation", "--json")
    assert json.loads(out)["answer"] == "Rome" and "thinking aloud" in err
    (tmp_path / "q.jsonl").write_text('{"id": "q", "text": "Of Italy?", "gold": ["Rome"]}\n')
    args = ("collect", path, tmp_path / "q.jsonl", "--out", tmp_path / "o", "--allow", "evaluation", "--json")
    assert json.loads(run(*args)[0])["recorded"] == 1


def test_evaluate_without_everybody_is_refused(trained: tuple[Path, Path]) -> None:
    router, folder = trained
    names = ("rivers", "primes", "poems", "engines")
    args = [part for name in names for part in ("--without", name)]
    assert "no agent is left" in run("evaluate", router, folder, *args, code=2)[1]


def test_train_takes_an_extractor_by_its_name(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "topics", queries=60)
    args = ("train", folder, "--embedder", "hashing", "--epochs", 1)
    for name in ("rules", "none"):
        run(*args, "--out", tmp_path / name, "--extractor", name)
        assert GraphRouter.load(tmp_path / name).manifest["extractor"] == name


def test_train_names_the_records_it_could_not_use(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "topics", queries=60)
    with (folder / "outcomes.jsonl").open("a") as file:
        file.write('{"query": "nobody knows", "agent": "rivers", "score": 1}\n')
    args = ("train", folder, "--out", tmp_path / "r", "--embedder", "hashing", "--epochs", 1)
    assert "nobody knows" in run(*args)[1]
    (folder / "outcomes.jsonl").write_text('{"query": "nobody knows", "agent": "rivers", "score": 1}\n')
    err = run(*args, code=2)[1]
    assert "no agent ran" in err and "nobody knows" in err


def test_a_closed_stdout_is_no_fault() -> None:
    script = 'exec "$0" -c "from agentroute.cli import main; main()" check "$1" >&-'
    done = subprocess.run(
        ["sh", "-c", script, sys.executable, str(WORKBENCH)], stderr=subprocess.PIPE, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
