"""Planted secrets stay where they were put: no log, error, trace, file or result shows one."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentroute import AgentRoute
from agentroute.errors import AgentRouteError, RegistryError
from agentroute.evaluation.collect import collect
from agentroute.outcomes import QueryRecord
from agentroute.registry import AgentRegistry
from agentroute.running.calling.client import LiteLLMClient
from agentroute.running.keeping.journal import Journal
from agentroute.testing import LoopbackServer, StaticRouter
from agentroute.types import Query

# Each a word of its own, so that a hit says where it came from.
CANARY = {
    name: f"canary-{name}-8d2f5a1c"
    for name in (
        "key", "unused", "inline", "header", "password", "token", "exception", "proxy", "system", "query",
        "answer", "tool",
    )
}  # fmt: skip


TEAM = """
version: 1
defaults: {{api_base: "{base}", timeout_s: 5, api_key_env: CANARY_API_KEY}}
agents:
  - {{id: good, kind: llm, description: Good., model: "openai/say:{answer}", system: "{system}"}}
  - {{id: refused, kind: llm, description: Refused., model: openai/echokey401}}
  - {{id: broken, kind: llm, description: Broken., model: openai/500}}
  - {{id: odd, kind: llm, description: Odd., model: openai/html}}
  - {{id: tooled, kind: llm, description: Tooled., model: 'openai/tool:fetch:{{"word":"x"}}',
     strategy: react, tools: ["faults.planted:fetch"]}}
  - {{id: careless, kind: function, description: Careless., function: "faults.planted:fails"}}
refiner: {{kind: llm, model: openai/500, api_base: "{base}", api_key_env: CANARY_API_KEY}}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("CANARY_API_KEY", CANARY["key"])
    monkeypatch.setenv("OTHER_SECRET", CANARY["unused"])
    monkeypatch.setenv("DB_PASSWORD", CANARY["exception"])
    monkeypatch.setenv("TOOL_TOKEN", CANARY["tool"])
    monkeypatch.setenv("HTTPS_PROXY", f"http://u:{CANARY['proxy']}@127.0.0.1:9")
    return tmp_path


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that anybody logs, as with ``logging.basicConfig(level=DEBUG)``."""
    with caplog.at_level(logging.DEBUG):
        yield caplog


def written(folder: Path) -> str:
    return "\n".join(
        path.read_bytes().decode("utf-8", "replace") for path in folder.rglob("*") if path.is_file()
    )


def hits(text: str, *but: str) -> set[str]:
    return {name for name, canary in CANARY.items() if canary in text and name not in but}


def team_of(server: LoopbackServer, home: Path) -> Path:
    path = home / "team.yaml"
    path.write_text(TEAM.format(base=server.url, answer=CANARY["answer"], system=CANARY["system"]))
    return path


@pytest.mark.fault(
    "T09", "`[redacted]`, or the name of the variable", "no secret anywhere but where it was put"
)
def test_a_run_in_which_everything_fails_shows_no_secret(
    home: Path, logs: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with LoopbackServer() as server:
        path = team_of(server, home)
        path.rename(home.parent / f"{home.name}.yaml")  # the registry holds what it holds
        client = LiteLLMClient(backoff_s=0.0)
        crew = AgentRoute.from_yaml(
            home.parent / f"{home.name}.yaml",
            StaticRouter(["good", "refused", "broken", "odd", "tooled", "careless"]),
            allow=["faults"],
            client=client,
            journal=home / "runs.db",
        )
        seen: list[str] = []

        async def follow() -> Any:
            result: Any = None
            async for event in crew.astream(CANARY["query"]):
                seen.append(repr(event))
                result = event.data
            await client.aclose()
            return result

        result = asyncio.run(follow())
        assert {r.headers["authorization"] for r in server.requests} == {f"Bearer {CANARY['key']}"}
    assert [answer.status for answer in result.answers].count("failed") >= 4
    Journal(home / "runs.db").close()
    assert {"query", "answer"} <= hits(written(home)), "the journal is for questions and answers"
    # What a run is for holds the answer, and nothing else that was planted.
    assert result.answer == CANARY["answer"]
    assert hits(repr(result) + "".join(seen), "answer") == set()
    out, err = capfd.readouterr()
    assert hits(out + err) == set()
    assert hits(logs.text, "query") == set(), "the query is in other packages' logs at level DEBUG"
    assert not [
        r for r in logs.records if CANARY["query"] in r.getMessage() and r.name.startswith("agentroute")
    ]
    assert hits(written(home), "query", "answer") == set()


@pytest.mark.fault("T09", "`the key in CANARY_API_KEY was refused`", "the key")
@pytest.mark.control("T09", "the key is in the error, the question in the log")
def test_without_us_the_key_is_in_the_error_and_the_question_in_the_log(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The negative control: the same request, and a log that was asked for by its name."""
    import litellm

    asked = {"messages": [{"role": "user", "content": CANARY["query"]}], "api_key": CANARY["key"]}
    with LoopbackServer() as server, pytest.raises(litellm.AuthenticationError, match=CANARY["key"]):
        with caplog.at_level(logging.DEBUG, logger="openai"):
            litellm.completion(model="openai/echokey401", api_base=server.url, max_retries=0, **asked)
    assert "query" in hits(caplog.text)


@pytest.mark.fault("T09", "the exact error, without the secret", "outcomes: questions and answers, no key")
def test_outcomes_hold_questions_and_answers_and_no_secret(
    home: Path, logs: pytest.LogCaptureFixture
) -> None:
    with LoopbackServer() as server:
        path = team_of(server, home)
        collect(
            path,
            [QueryRecord(query=Query(text=CANARY["query"], id="q1"), gold=("x",))],
            home / "outcomes",
            allow=["faults"],
        )
    found = written(home / "outcomes")
    assert {"query", "answer", "system"} <= hits(found)
    assert hits(found, "query", "answer", "system") == set()
    assert hits(logs.text, "query", "system") == set()


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("inline", "api_key: {}"),
        ("inline", "headers: {{authorization: {}}}"),
        ("password", "api_base: http://user:{}@example.org/v1"),
        ("token", "api_base: https://example.org/v1?token={}"),
        ("token", "secret_token: {}"),
        ("header", "api_key_env: '{}'"),
        ("password", "timeout_s: {}"),
    ],
)
@pytest.mark.fault("T09", "exit 2: name an environment variable instead", "the secret, unseen")
def test_a_registry_that_holds_a_secret_is_refused_without_showing_it(
    home: Path, name: str, row: str
) -> None:
    path = home / "team.yaml"
    text = "version: 1\nagents:\n  - id: a\n    kind: llm\n    description: x\n    model: openai/x\n    "
    path.write_text(text + row.format(CANARY[name]) + "\n")
    with pytest.raises(RegistryError) as caught:
        AgentRegistry.from_yaml(path)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    if name != "password" or "timeout" not in row:  # a value in a wrong place is shown, to be found
        assert hits(shown) == set()


@pytest.mark.fault("T09", "exit 2, the rule", "the question, out of errors")
@pytest.mark.parametrize("spoil", ["\ud800", "x" * 200_001])
def test_a_question_that_is_refused_is_not_shown(home: Path, spoil: str) -> None:
    path = home / "team.yaml"
    path.write_text(TEAM.format(base="http://127.0.0.1:9", answer="x", system="y"))
    crew = AgentRoute.from_yaml(path, StaticRouter(["good"]), allow=["faults"])
    with pytest.raises(AgentRouteError) as caught:
        crew.run(CANARY["query"] + spoil)
    assert hits("".join(traceback.format_exception(caught.value))) == set()
