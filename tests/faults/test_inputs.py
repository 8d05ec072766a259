"""Whatever is given to the command line or the library: an error of ours, never a foreign one."""

from __future__ import annotations

import gzip
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults.planted import PLANTED
from routing.folders import make_folder
from typer.testing import CliRunner

from agentroute import AgentRoute
from agentroute.cli.app import app
from agentroute.errors import AgentRouteError, InputError, QueryError
from agentroute.evaluation.collect import collect
from agentroute.evaluation.compare import evaluate
from agentroute.knowledge import files
from agentroute.knowledge.embed import make_embedder
from agentroute.outcomes import OutcomeFolder, OutcomeWriter
from agentroute.outcomes.folder import read_queries
from agentroute.pipeline import load_router
from agentroute.registry import AgentRegistry
from agentroute.routing.router import GraphRouter
from agentroute.testing import StaticRouter
from agentroute.types import AgentSpec, Limits, Query

ROOT = Path(__file__).parents[2]
WORKBENCH = ROOT / "agents" / "workbench.yaml"


def made(home: Path, name: str) -> str:
    """Make something that is not what was asked for, and return its path."""
    path = home / "thing"
    contents: dict[str, bytes] = {
        "empty": b"",
        "binary": bytes(range(256)) * 40,
        "words": b"just a few words\n",
        "not UTF-8": b"version: 1\nagents: [caf\xe9]\n",
        "JSON": json.dumps({"version": 1, "agents": None}).encode(),
        "NULs": b"\0" * 5_000,
        "archive": gzip.compress(b"words"),
        "half an archive": gzip.compress(os.urandom(900))[:300],
        "one long line": b"x" * 3_000_000,
        "brackets": b"[" * 100_000,
    }
    if name in contents:
        path.write_bytes(contents[name])
    elif name == "folder":
        path.mkdir()
        (path / "queries.jsonl").write_text("{}\n")
    elif name == "loop":
        path.symlink_to(path)
    elif name == "pipe":
        os.mkfifo(path)
    elif name == "device":
        return "/dev/null"
    elif name == "odd name":
        path = home / "größe 三\u202e\n\x1b[31m.yaml"
        path.write_bytes(b"agents: 7")
    elif name == "NUL name":
        return f"{home}/a\0b"
    elif name == "long name":
        return f"{home}/{'x' * 5_000}"
    elif name == "nothing":
        return ""
    elif name == "below a file":
        path.write_bytes(b"x")
        return f"{path}/below"
    return str(path)


THINGS = [
    "missing", "empty", "binary", "words", "not UTF-8", "JSON", "NULs", "archive", "half an archive",
    "one long line", "brackets", "folder", "loop", "pipe", "device", "odd name", "NUL name", "long name",
    "nothing", "below a file",
]  # fmt: skip


def refused(*args: str, code: int = 2) -> str:
    """Run a command that must end with one message and an exit code."""
    result = CliRunner().invoke(app, [*args], prog_name="agentroute")
    assert isinstance(result.exception, SystemExit), (args, result.exception)
    assert result.exit_code == code, (args, result.stderr)
    assert "Traceback" not in result.stderr and result.stderr.strip()
    assert all(character.isprintable() or character == "\n" for character in result.stderr), result.stderr
    return result.stderr


@pytest.mark.fault("F52", "exit 2, one message, no traceback", "everything")
@pytest.mark.parametrize("thing", THINGS)
def test_commands_refuse_what_is_not_what_they_were_promised(
    tmp_path: Path, thing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path, out = made(tmp_path, thing), str(tmp_path / "out")
    for args in (
        ["check", path],
        ["ask", "why?", "-r", path],
        ["route", "why?", "-r", path],
        ["route", "why?", "-r", str(WORKBENCH), "--router", path],
        ["explain", "why?", "-r", str(WORKBENCH), "--router", path],
        ["explain", "why?", "-r", str(WORKBENCH), "--data", path],
        ["train", path, "--out", out],
        ["evaluate", path, path],
        ["collect", path, "workbench", "--out", out],
        ["collect", str(WORKBENCH), path, "--out", out],
        ["onboard", path, path, "--out", out],
    ):
        refused(*args)
    assert not Path(out).exists()


QUERIES = ["", " \t\n", "\0", "\0 \0", "x" * 200_001, "half \ud800", "\u3000\u2003"]


@pytest.mark.fault("F53", "exit 2, `the question is empty`", "everything")
@pytest.mark.fault("F56", "exit 2 for half characters; NUL is removed, and that is said", "the question")
@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_questions_that_are_none_are_refused(query: str) -> None:
    for command in ("ask", "route", "explain"):
        assert "question" in refused(command, query, "-r", str(WORKBENCH))
    team = AgentRoute(AgentRegistry.from_yaml(WORKBENCH), StaticRouter(["reverse"]))
    for given in (query, Query(text=query)):
        with pytest.raises(QueryError):
            team.run(given)
        with pytest.raises(QueryError):
            team.route(given)


GOOD = [
    "مرحبا بالعالم",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "你好世界",
    "👩\u200d👩\u200d👧\u200d👦",
    "שלום\u200f עולם",
    "e\u0301 and é are one",
    "--help me",
    "tab\tand\nlines",
    "x" * 200_000,
]


@pytest.mark.fault("F54", "an answer, up to 200,000 characters", "the question, stored once")
@pytest.mark.fault("F55", "an answer in any script", "the question, byte for byte")
@pytest.mark.parametrize("query", GOOD, ids=range(len(GOOD)))
async def test_any_script_and_any_length_goes_in_and_comes_back(query: str) -> None:
    echo = AgentSpec(
        id="echo", kind="function", description="Echoes.", function="faults.planted:echo", timeout_s=20
    )
    team = AgentRoute(AgentRegistry.from_specs([echo]), StaticRouter(["echo"]), allow=["faults"])
    result = await team.arun(query)
    assert (result.answer, result.status) == (query, "complete")
    assert team.route(query).selected == (("echo", 1.0),)


@pytest.mark.fault("F14", "the answer, without what could command a terminal", "words in any script")
@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]52;c;aGk=\x07copied", "copied"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("safe\rEVIL", "safe\nEVIL"),
        ("a\0b\x07\x08\x7f\x9bc", "abc"),
        ("abc\u202edef\u202c \ud800", "abcdef "),
        ("👩\u200d👧 नमस्ते\u200c!", "👩\u200d👧 नमस्ते\u200c!"),
    ],
)
async def test_answers_are_cleaned_at_the_door(
    said: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PLANTED, "", said)
    row = AgentSpec(id="a", kind="function", description="A.", function="faults.planted:speak")
    team = AgentRoute(AgentRegistry.from_specs([row]), StaticRouter(["a"]), allow=["faults"])
    result = await team.arun("?")
    assert result.answer == shown == result.answers[0].text


@pytest.mark.fault("T18", "the words, with markup as it stands and escapes as U+FFFD", "the answer")
def test_what_is_printed_commands_no_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "team.yaml"
    row = "{id: a, kind: function, description: A., function: 'faults.planted:speak'}"
    path.write_text(f"version: 1\nagents:\n  - {row}\n")
    monkeypatch.setitem(PLANTED, "", "[bold]b[/bold] [/] :boom: \u2066\u200b\x1b[2Jé👩\u200d👧\u202e")
    for more in ([], ["--json"], ["--verbose"]):
        result = CliRunner().invoke(app, ["ask", "hi\x1b[2J", "-r", str(path), "--allow", "faults", *more])
        assert result.exit_code == 0, result.output
        assert "[bold]b[/bold] [/] :boom: " in result.stdout and "é👩\u200d👧" in result.stdout
        assert not set("\x1b\u202e\u2066\u200b") & set(result.output)
    monkeypatch.setitem(PLANTED, "", "\u202e \u2066")
    shown = CliRunner().invoke(app, ["ask", "hi", "-r", str(path), "--allow", "faults"]).output
    assert not set("\x1b\u202e\u2066") & set(shown)


# ----------------------------------------------------------------------------- the library


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("inputs") / "folder", queries=24)


DOORS: dict[str, Callable[[Any], Any]] = {
    "registry": AgentRegistry.from_yaml,
    "team": AgentRoute.from_yaml,
    "router": load_router,
    "GraphRouter": GraphRouter.load,
    "files": files.load,
    "outcomes": OutcomeFolder.open,
    "queries": read_queries,
    "writer": OutcomeWriter,
    "questions": lambda path: collect(WORKBENCH, path, "never"),
    "collect": lambda path: collect(path, [], "never"),
}


@pytest.mark.fault("F42", "an error of ours that names the path", "everything")
@pytest.mark.parametrize("door", DOORS)
def test_paths_that_lead_nowhere_are_errors_of_ours(tmp_path: Path, door: str) -> None:
    begins = {"folder", "nothing"} if door == "writer" else set()  # a folder without outcomes; this one
    for number, thing in enumerate(set(THINGS) - begins):
        home = tmp_path / str(number)
        home.mkdir()
        path = made(home, thing)
        for given in (path, Path(path)):
            with pytest.raises(AgentRouteError) as caught:
                DOORS[door](given)
            assert caught.value.exit_code in (2, 23), (thing, caught.value)
    assert not Path("never").exists()


@pytest.mark.fault("F56", "`the question is int, not text`", "everything")
@pytest.mark.parametrize("given", [None, 3, b"why?", ["why?"], {"text": 3}, {"txt": "why?"}, object()])
def test_questions_of_other_types_are_refused(given: Any) -> None:
    team = AgentRoute(AgentRegistry.from_yaml(WORKBENCH), StaticRouter(["reverse"]))
    for ask in (team.run, team.route):
        with pytest.raises(QueryError):
            ask(given)


@pytest.mark.parametrize(
    "call",
    [
        lambda: Limits(max_cost_usd="1"),  # type: ignore[arg-type]
        lambda: Limits(max_rounds=0),
        lambda: Limits(deadline_s=float("nan")),
        lambda: Limits(effort_ceiling="banana"),  # type: ignore[arg-type]
        lambda: AgentRoute("agents.yaml"),  # type: ignore[arg-type]
        lambda: AgentRoute(AgentRegistry.from_yaml(WORKBENCH), "router"),  # type: ignore[arg-type]
        lambda: AgentRoute(AgentRegistry.from_yaml(WORKBENCH), limits=3),  # type: ignore[arg-type]
        lambda: AgentRoute(AgentRegistry.from_yaml(WORKBENCH), preset="growing"),
        lambda: AgentRegistry.from_specs([]),
        lambda: make_embedder("nobody"),
    ],
    ids=range(10),
)
def test_arguments_that_break_a_rule_are_input_errors(call: Callable[[], Any]) -> None:
    with pytest.raises(InputError):
        call()


@pytest.mark.fault("F35", "`trained by another version`, or what is missing", "everything")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: m.update(setting=None),
        lambda m: m.update(tried=7),
        lambda m: m["setting"].update(policy={"name": "nobody"}),
        lambda m: m["setting"].update(policy=3),
        lambda m: m.update(record=[]),
        lambda m: m["record"].update(agents="x"),
        lambda m: m.update(embedder={"dim": "many"}),
        lambda m: m.update(train=None),
        lambda m: m.pop("tried"),
        lambda m: m.pop("embedder"),
    ],
    ids=range(10),
)
def test_a_router_file_that_is_signed_but_wrong_is_refused(
    tmp_path: Path, router: Path, spoil: Callable[[Any], Any]
) -> None:
    manifest, tensors = files.load(router)
    manifest.pop("format")
    spoil(manifest)
    files.save(tmp_path, manifest, tensors)
    with pytest.raises(AgentRouteError) as caught:
        GraphRouter.load(tmp_path)
    assert caught.value.exit_code == 2


@pytest.fixture(scope="module")
def router(outcomes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from agentroute.routing.config import TrainConfig
    from agentroute.routing.train import train

    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("inputs-router") / "router"
    train(outcomes, home, config=TrainConfig(epochs=1), embedder="hashing")
    return home


@pytest.mark.fault("F32", "`trained on vectors of N numbers, this embedder gives M`", "everything")
@pytest.mark.fault("F33", "`trained with the embedder A, this one is B`", "everything")
def test_a_router_of_another_embedder_is_refused(tmp_path: Path, router: Path) -> None:
    manifest, tensors = files.load(router)
    manifest.pop("format")
    for change, message in (
        ({"dim": 7}, "this embedder gives"),
        ({"fingerprint": "another"}, "trained with the embedder another"),
    ):
        files.save(tmp_path, {**manifest, "embedder": {**manifest["embedder"], **change}}, tensors)
        with pytest.raises(AgentRouteError, match=message):
            GraphRouter.load(tmp_path)
    with warnings.catch_warnings():
        assert GraphRouter.load(router)


def test_evaluating_other_things_is_refused(outcomes: Path, router: Path, tmp_path: Path) -> None:
    for bad in (tmp_path, tmp_path / "nowhere", router):
        with pytest.raises(AgentRouteError):
            evaluate(GraphRouter.load(router), bad)
