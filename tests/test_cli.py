from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from routing.folders import make_folder
from typer.testing import CliRunner

from agentroute.cli.app import app
from agentroute.outcomes import OutcomeFolder

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
    env = {**os.environ, "PYTHONPATH": str(TESTS)}
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
    out, err = run(*args, "--allow", "crew", "--json")
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
    assert (tmp_path / "file").read_text() == "mine" and not (tmp_path / "r").exists()


def test_a_router_with_its_encoder_beside_it_decides_with_that(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "topics", queries=60)
    run("train", folder, "--out", tmp_path / "r", "--epochs", 1, "--bundle-encoder", "--all")
    assert (tmp_path / "r" / "encoder").is_dir()
    args = ("route", "Which river?", "-r", folder / "agents.yaml", "--router", tmp_path / "r")
    assert len(json.loads(run(*args, "--allow", "crew", "--json")[0])["ranking"]) == 4
    out, _ = run("evaluate", tmp_path / "r", folder, "--no-control")
    assert "THE ROUTER WAS TRAINED ON THESE QUERIES" in out


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
