from __future__ import annotations

import asyncio
import copy
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from routing import folders, labelled

from agentroute.errors import (
    AllAgentsFailedError,
    BudgetError,
    DeadlineError,
    InputError,
    QueryError,
    RegistryError,
    RouterFileError,
    RunError,
)
from agentroute.pipeline import NO_ROUTER, AgentRoute, Event, load_router
from agentroute.registry import AgentRegistry
from agentroute.routing.presets import PRESETS
from agentroute.running.calling.client import ClientError
from agentroute.testing import FakeClient, LoopbackServer, StaticRouter
from agentroute.types import AgentSpec, Answer, Limits, Passage, Query, Refined, RoutingDecision, RunResult

APP = """
import asyncio, time

def red(text): return "red"
def blue(text): return "blue"
async def red_too(text): return "Red."
def echo(text): return text
def fails(text): raise ValueError("broken")
async def hangs(text): await asyncio.sleep(60)
def hangs_in_thread(text): time.sleep(20)
"""

YAML = """
version: 1
defaults: {timeout_s: 5, price: {call: 0}}
agents:
  - {id: red, kind: function, description: Says red., function: "pipeline_app:red"}
  - {id: blue, kind: function, description: Says blue., function: "pipeline_app:blue"}
  - {id: red-too, kind: function, description: Says red as well., function: "pipeline_app:red_too"}
  - {id: echo, kind: function, description: Says it again., function: "pipeline_app:echo"}
  - {id: fails, kind: function, description: Fails., function: "pipeline_app:fails"}
  - {id: hangs, kind: function, description: Hangs., function: "pipeline_app:hangs"}
  - {id: hangs-in-thread, kind: function, description: Hangs., function: "pipeline_app:hangs_in_thread"}
"""

LLM = """
  - {id: model, kind: llm, description: A model., model: openai/gpt-5-mini, price: {input: 1, output: 1}}
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("app")
    (folder / "pipeline_app.py").write_text(APP)
    (folder / "agents.yaml").write_text(YAML)
    (folder / "models.yaml").write_text(YAML + LLM)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


def team(folder: Path, *waves: Any, file: str = "agents.yaml", **keys: Any) -> AgentRoute:
    return AgentRoute.from_yaml(folder / file, router=StaticRouter(*waves), allow=["pipeline_app"], **keys)


def test_five_lines_to_an_answer(registry: Path) -> None:
    result = team(registry, {"red": 0.3, "blue": 0.4, "red-too": 0.3}).run("colour?")
    assert (result.answer, result.status, result.problems) == ("red", "complete", ())
    assert result.sources == ("red", "red-too") and result.confidence == pytest.approx(0.6)
    assert [answer.agent for answer in result.answers] == ["red", "blue", "red-too"]
    assert result.decisions[0].weights == {"red": 0.3, "blue": 0.4, "red-too": 0.3}
    assert result.decisions[-1].stop and result.run_id
    assert (result.usage.requests, result.usage.cost_usd) == (0, 0.0)


async def test_arun_and_astream_come_to_the_same(registry: Path) -> None:
    group = team(registry, ["red", "fails"], ["blue"])
    result = await group.arun(Query(text="colour?", context=(Passage(text="p"),)))
    events = [event async for event in group.astream("colour?")]
    assert all(isinstance(event, Event) for event in events)
    kinds = [event.kind for event in events]
    assert kinds[0] == "route" and kinds[-2:] == ["refine", "result"]
    assert kinds.count("agent_start") == kinds.count("agent_end") == 3 and kinds.count("route") == 3
    data = {event.kind: event.data for event in events}
    assert isinstance(data["route"], RoutingDecision) and isinstance(data["agent_end"], Answer)
    assert isinstance(data["refine"], Refined) and isinstance(data["agent_start"], str)
    streamed = data["result"]
    assert isinstance(streamed, RunResult)
    assert (streamed.answer, streamed.status, streamed.problems) == (
        result.answer,
        "degraded",
        result.problems,
    )
    assert result.problems == ("fails: failed (ValueError: broken)",)
    assert streamed.decisions == result.decisions and streamed.run_id != result.run_id


async def test_leaving_a_stream_ends_the_run(registry: Path) -> None:
    before = asyncio.all_tasks()
    stream = team(registry, ["hangs"]).astream("colour?")
    async for event in stream:
        if event.kind == "agent_start":
            break
    await stream.aclose()  # type: ignore[attr-defined]
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() <= before


async def test_run_inside_an_event_loop_says_what_to_write(registry: Path) -> None:
    with pytest.raises(InputError, match=r"await team\.arun"):
        team(registry, ["red"]).run("colour?")


def test_one_team_runs_again_and_again_in_new_event_loops(registry: Path) -> None:
    group = team(registry, ["echo"])
    assert [group.run(text).answer for text in ("a", "b", "c")] == ["a", "b", "c"]


# ---------------------------------------------------------------------------- questions


@pytest.mark.parametrize(
    "question", ["", "  \n\t", "\0", " \0 ", 5, None, b"bytes", ["list"], Query(text="")]
)
def test_what_is_no_question_is_refused(registry: Path, question: Any) -> None:
    group = team(registry, ["echo"])
    for ask in (group.run, group.route):
        with pytest.raises(QueryError, match="the question is"):
            ask(question)


def test_a_question_that_is_too_long_is_refused_with_the_remedy(registry: Path) -> None:
    with pytest.raises(QueryError, match=r"200,001 characters, the most is 200,000.*Query\(context=\.\.\.\)"):
        team(registry, ["echo"]).run("x" * 200_001)
    assert len(team(registry, ["echo"]).run("x" * 200_000).answer) == 200_000


@pytest.mark.parametrize("where", ["text", "context"])
def test_half_a_character_is_refused_with_the_remedy(registry: Path, where: str) -> None:
    bad = "ab\ud800"
    query = Query(text=bad) if where == "text" else Query(text="x", context=(Passage(text=bad),))
    with pytest.raises(QueryError, match=r"lone surrogate U\+D800 at 2.*errors='replace'"):
        team(registry, ["echo"]).run(query)


def test_nuls_are_taken_out_and_noted(registry: Path) -> None:
    result = team(registry, ["echo"]).run("a\0b")
    assert (result.answer, result.status) == ("ab", "complete")
    assert result.problems == ("the question held NUL characters; they were removed",)


@pytest.mark.parametrize("text", ["<script>", "{question} {context}", "日本語", "🎉🎈", "-"])
def test_any_other_text_goes_through_as_it_is(registry: Path, text: str) -> None:
    assert team(registry, ["echo"]).run(text).answer == text


# ---------------------------------------------------------------------------- ends without an answer


def test_when_nobody_answers_the_error_names_everybody(registry: Path) -> None:
    with pytest.raises(AllAgentsFailedError) as failed:
        team(registry, ["fails"]).run("colour?")
    assert failed.value.problems == ("fails: failed (ValueError: broken)",)
    assert failed.value.run_id and failed.value.exit_code == 20
    assert str(failed.value).startswith("none of 1 agents answered")


def test_a_router_that_abstains_fails_the_run(registry: Path) -> None:
    with pytest.raises(AllAgentsFailedError, match="no agent fits"):
        team(registry).run("colour?")


@pytest.mark.parametrize("agent", ["hangs", "hangs-in-thread"])
def test_the_deadline_ends_the_run_and_the_process_is_free(registry: Path, agent: str) -> None:
    began = time.monotonic()
    with pytest.raises(DeadlineError, match="timed out"):
        team(registry, [agent], limits=Limits(deadline_s=0.3)).run("colour?")
    assert time.monotonic() - began < 2.5


def test_the_budget_ends_the_run(registry: Path) -> None:
    group = team(registry, ["model"], file="models.yaml", limits=Limits(max_requests=0), client=FakeClient())
    with pytest.raises(BudgetError, match="budget of 0 requests"):
        group.run("colour?")


async def test_only_our_errors_come_out(registry: Path) -> None:
    class Broken(StaticRouter):
        def route(self, *given: Any, **named: Any) -> RoutingDecision:
            raise KeyError("inside")

    group = AgentRoute.from_yaml(registry / "agents.yaml", router=Broken(["red"]), allow=["pipeline_app"])
    with pytest.raises(RunError, match="the router failed: KeyError"):
        await group.arun("colour?")
    with pytest.raises(RunError, match="the router failed: KeyError"):
        _ = [event async for event in group.astream("colour?")]


async def test_cancellation_passes_through(registry: Path) -> None:
    task = asyncio.create_task(team(registry, ["hangs"]).arun("colour?"))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# ---------------------------------------------------------------------------- models


def test_a_given_client_is_used_and_every_call_is_on_the_bill(registry: Path) -> None:
    client = FakeClient(["blue"])
    result = team(registry, ["model", "blue"], file="models.yaml", client=client).run("colour?")
    assert (result.answer, result.status) == ("blue", "complete")
    assert (result.usage.requests, result.usage.cost_usd) == (1, 0.001) and len(client.requests) == 1


def test_a_model_that_fails_does_not_lose_the_answer_of_a_function(registry: Path) -> None:
    client = FakeClient([ClientError("no_key", "variable OPENAI_API_KEY is not set")])
    result = team(registry, ["model", "blue"], file="models.yaml", client=client).run("colour?")
    assert (result.answer, result.status) == ("blue", "degraded")
    assert result.problems == ("model: failed (variable OPENAI_API_KEY is not set)",)


# ---------------------------------------------------------------------------- what it is made of


def test_route_decides_and_asks_nobody(registry: Path) -> None:
    decision = team(registry, {"fails": 1.0}).route("colour?")
    assert decision.weights == {"fails": 1.0} and decision.round == 1


def test_without_a_router_the_descriptions_rank_and_the_result_says_so(registry: Path) -> None:
    group = AgentRoute.from_yaml(registry / "agents.yaml", allow=["pipeline_app"])
    result = group.run("Says blue.")
    assert NO_ROUTER in result.problems and result.status == "degraded"
    assert "blue" in group.route("Says blue.").weights


def test_the_agents_are_the_registry_s_rows(registry: Path) -> None:
    group = team(registry, ["red"])
    assert group.agents == AgentRegistry.from_yaml(registry / "agents.yaml").agents


def test_code_that_is_not_allowed_is_refused_when_the_team_is_built(registry: Path) -> None:
    with pytest.raises(RegistryError, match="--allow pipeline_app"):
        AgentRoute.from_yaml(registry / "agents.yaml", router=StaticRouter(["red"]))


def test_a_router_that_is_not_there_is_an_error_of_ours(tmp_path: Path, registry: Path) -> None:
    with pytest.raises(RouterFileError):
        load_router(tmp_path / "nothing")
    with pytest.raises(RouterFileError):
        AgentRoute.from_yaml(registry / "agents.yaml", router=tmp_path / "nothing", allow=["pipeline_app"])


async def test_the_workflow_can_be_compiled_by_its_user(registry: Path) -> None:
    graph = team(registry, ["red", "blue", "red-too"]).workflow().compile()
    state = await graph.ainvoke({"question": "colour?"})
    assert (state["answer"], state["status"]) == ("red", "complete")


def test_nothing_heavy_is_loaded_before_it_is_needed(registry: Path) -> None:
    script = f"""
import sys
sys.path.insert(0, {str(registry)!r})
from agentroute.pipeline import AgentRoute
from agentroute.testing import StaticRouter
team = AgentRoute.from_yaml({str(registry / "models.yaml")!r}, StaticRouter(["red"]), allow=["pipeline_app"])
team.route("colour?")
assert not {{"torch", "litellm", "langgraph", "langchain_core", "pipeline_app"}} & set(sys.modules)
print(team.run("colour?").answer)
assert not {{"torch", "litellm"}} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "red", "")


# ---------------------------------------------------------------------------- presets and promises


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"preset": "growing"}, r"preset='growing' needs a router made by `agentroute train`; there is none"),
        ({"target_coverage": 0.9}, r"target_coverage=0\.9 needs a router .*; there is none"),
        (
            {"preset": "top1", "router": StaticRouter(["red"])},
            r"preset='top1' needs a router .*; StaticRouter has no with_preset\(\)",
        ),
        ({"target_coverage": 0.9, "router": StaticRouter(["red"])}, r"StaticRouter has no assuring\(\)"),
        ({"preset": 5, "router": StaticRouter(["red"])}, "preset is 5; it takes a name"),
        ({"target_coverage": "90%"}, "target_coverage is '90%'; it takes a share above 0 and below 1"),
        ({"target_coverage": True}, "target_coverage is True; it takes a share"),
    ],
)
def test_only_a_trained_router_can_be_held_to_something(
    registry: Path, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        AgentRoute.from_yaml(registry / "agents.yaml", allow=["pipeline_app"], **keys)


def test_a_trained_router_is_held_to_a_preset_and_a_promise() -> None:
    plain = folders.trained()
    registry = AgentRegistry.from_specs(folders.team())
    for preset in PRESETS:
        group = AgentRoute(registry, plain, preset=preset, allow=["crew"])
        assert group.router.policy == plain.with_preset(preset).policy
        assert PRESETS[preset](group.router.policy, 4)
    group = AgentRoute(registry, plain, preset="growing", target_coverage=0.6, allow=["crew"])
    growing = plain.with_preset("growing")
    assert group.router.policy == growing.policy
    # The promise is that of the preset, not of the setting that was in use before.
    assert group.router.sure_from == growing.assuring(0.6).sure_from is not None
    assert plain.sure_from is None
    for keys, message in (
        ({"preset": "best"}, "there is no preset 'best'; choose growing"),
        ({"target_coverage": 1.0}, "it is a share above 0 and below 1"),
        ({"target_coverage": float("nan")}, "it is a share above 0 and below 1"),
        ({"preset": "top1", "target_coverage": 0.6}, "cannot promise"),
    ):
        with pytest.raises(InputError, match=message):
            AgentRoute(registry, plain, allow=["crew"], **keys)


@pytest.mark.parametrize(
    "cap",
    [
        {"concurrency": 0},
        {"max_rounds": 0},
        {"max_agents": None},
        {"max_cost_usd": float("nan")},
        {"max_requests": -1},
        {"deadline_s": "3"},
        {"effort_floor": "huge"},
    ],
)
def test_a_cap_that_would_be_none_or_hang_is_refused(cap: dict[str, Any]) -> None:
    (name,) = cap
    with pytest.raises(InputError, match=f"{name} is "):
        Limits(**cap)


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [({"registry": "a.yaml"}, "from_yaml"), ({"router": "r"}, "load_router"), ({"limits": {}}, "Limits")],
)
def test_an_argument_of_another_type_is_refused(registry: Path, wrong: Any, remedy: str) -> None:
    rows = AgentRegistry.from_yaml(registry / "agents.yaml")
    with pytest.raises(InputError, match=remedy):
        AgentRoute(**{"registry": rows, "allow": ["pipeline_app"], **wrong})


def test_one_module_may_be_allowed_without_a_list(registry: Path) -> None:
    one = AgentRoute.from_yaml(registry / "agents.yaml", StaticRouter(["red"]), allow="pipeline_app")
    assert one.run("colour?").answer == "red"


def test_a_team_that_has_run_can_be_copied(registry: Path) -> None:
    one = team(registry, ["red"])
    assert one.run("colour?").answer == "red"
    assert copy.deepcopy(one).run("colour?").answer == "red"


def test_a_router_that_cannot_work_as_given_is_the_caller_s_fault(registry: Path) -> None:
    class Foreign(StaticRouter):
        def route(self, *args: Any, **keys: Any) -> RoutingDecision:
            raise InputError("the cache folder cannot be written")

    with pytest.raises(InputError, match="cache folder"):
        AgentRoute.from_yaml(registry / "agents.yaml", Foreign(["red"]), allow=["pipeline_app"]).run(
            "colour?"
        )


# ---------------------------------------------------------------------------- a file that changes meanwhile

ROW = '  - {{id: {0}, kind: function, description: Says {0}., function: "pipeline_app:{1}"}}\n'


def write_team(path: Path, *rows: tuple[str, str], more: str = "") -> Path:
    """Replace a registry file whole, as an editor does."""
    text = "version: 1\nagents:\n" + "".join(ROW.format(*row) for row in rows) + more
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)
    return path


RED, BLUE, ECHO = ("red", "red"), ("blue", "blue"), ("echo", "echo")


@pytest.fixture
def live(registry: Path, tmp_path: Path) -> tuple[Path, AgentRoute]:
    path = write_team(tmp_path / "live.yaml", RED)
    return path, AgentRoute.from_yaml(path, router=Everybody(), allow=["pipeline_app"], reload=True)


class Everybody(StaticRouter):
    """Sends the whole team at once."""

    def route(self, query: Query, agents: Any, **given: Any) -> RoutingDecision:
        return StaticRouter([spec.id for spec in agents]).route(query, agents, **given)


def test_an_edited_file_is_the_team_of_the_next_run(live: tuple[Path, AgentRoute]) -> None:
    path, group = live
    assert [answer.agent for answer in group.run("?").answers] == ["red"]
    write_team(path, RED, BLUE, ECHO)
    result = group.run("?")
    assert [answer.agent for answer in result.answers] == ["red", "blue", "echo"]
    assert (result.status, result.problems) == ("complete", ())
    write_team(path, BLUE)
    assert [answer.agent for answer in group.run("?").answers] == ["blue"]
    assert group.agents == AgentRegistry.from_yaml(path).agents
    write_team(path, RED, BLUE)
    assert set(group.route("?").weights) == {"red", "blue"}


def test_without_reload_a_file_is_read_once(registry: Path, tmp_path: Path) -> None:
    path = write_team(tmp_path / "still.yaml", RED)
    group = AgentRoute.from_yaml(path, router=Everybody(), allow=["pipeline_app"])
    write_team(path, BLUE)
    assert group.run("?").answer == "red"


@pytest.mark.parametrize(
    ("more", "line", "why"),
    [
        ("  - id: broken\n", 4, "agent 'broken': kind is missing"),
        ("  - {id: [\n", 5, "not YAML"),
        ("default_agent: rde\n", 4, "default_agent is 'rde', but no agent has that id; did you mean 'red'?"),
        ("nonsense: 1\n", 4, "registry: unknown key 'nonsense'"),
    ],
)
def test_a_file_that_breaks_a_rule_changes_nothing_and_is_told_of_once(
    live: tuple[Path, AgentRoute], more: str, line: int, why: str
) -> None:
    path, group = live
    write_team(path, RED, more=more)
    first, second = group.run("?"), group.run("?")
    assert first.answer == second.answer == "red"
    assert first.status == "complete"  # nobody failed at what was asked
    (told,) = first.problems
    assert told.startswith(f"{path}:{line}: {why}") and told.endswith("; the team from before stays")
    assert second.problems == ()
    write_team(path, RED, more=more + "# still broken\n")
    assert len(group.run("?").problems) == 1
    write_team(path, BLUE)
    assert (group.run("?").answer, group.run("?").problems) == ("blue", ())


def test_a_file_that_names_code_which_is_not_allowed_changes_nothing(
    live: tuple[Path, AgentRoute],
) -> None:
    path, group = live
    more = '  - {id: spy, kind: function, description: Spies., function: "os:getcwd"}\n'
    write_team(path, RED, more=more)
    result = group.run("?")
    assert result.answer == "red" and "os" in result.problems[0] and "allow" in result.problems[0]
    assert group.run("?").problems == ()


def test_a_file_that_is_gone_for_a_while_changes_nothing(live: tuple[Path, AgentRoute]) -> None:
    path, group = live
    path.rename(path.with_suffix(".away"))
    (told,) = group.run("?").problems
    assert "No such file" in told and str(path) in told
    assert group.run("?").problems == ()
    path.with_suffix(".away").rename(path)
    assert (group.run("?").answer, group.run("?").problems) == ("red", ())
    write_team(path, BLUE)
    assert group.run("?").answer == "blue"


def test_a_decision_warns_of_a_broken_file_and_no_result_repeats_it(
    live: tuple[Path, AgentRoute],
) -> None:
    path, group = live
    write_team(path, RED, more="nonsense: 1\n")
    with pytest.warns(UserWarning, match=r"live\.yaml:4: registry: unknown key 'nonsense'"):
        assert group.route("?").weights == {"red": 1.0}
    assert group.route("?").weights == {"red": 1.0}
    assert group.run("?").problems == ()


async def test_a_run_keeps_the_team_it_began_with(registry: Path, tmp_path: Path) -> None:
    """The agent that leaves is the one at work: it finishes, and its answer counts."""
    path = write_team(tmp_path / "live.yaml", RED, BLUE)
    group = AgentRoute.from_yaml(path, router=Everybody(), allow=["pipeline_app"], reload=True)
    answers: list[str] = []
    async for event in group.astream("?"):
        if event.kind == "route":  # decided, and nobody has answered
            write_team(path, ECHO)
            inner = await group.arun("!")
            assert (inner.answer, [answer.agent for answer in inner.answers]) == ("!", ["echo"])
        elif isinstance(event.data, Answer):
            answers.append(event.data.agent)
    assert isinstance(event.data, RunResult)
    assert sorted(answers) == ["blue", "red"] and event.data.status == "complete"
    assert (await group.arun("!")).answer == "!"


async def test_runs_side_by_side_see_whole_teams(registry: Path, tmp_path: Path) -> None:
    teams = [(RED,), (RED, BLUE), (BLUE, ECHO), (ECHO,)]
    path = write_team(tmp_path / "live.yaml", *teams[0])
    group = AgentRoute.from_yaml(path, router=Everybody(), allow=["pipeline_app"], reload=True)
    runs = []
    for i in range(24):
        write_team(path, *teams[i % 4])
        runs.append(asyncio.create_task(group.arun("?")))
        await asyncio.sleep(0)
    seen = {tuple(sorted(answer.agent for answer in (await run).answers)) for run in runs}
    assert seen <= {tuple(sorted(name for name, _ in rows)) for rows in teams}
    assert [answer.agent for answer in (await group.arun("?")).answers] == ["echo"]


# pydantic says this whenever litellm builds the schema of one more provider's messages
@pytest.mark.filterwarnings("ignore:Items? '.*' on TypedDict class:UserWarning")
def test_a_team_of_functions_may_come_to_need_a_model(
    live: tuple[Path, AgentRoute], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, group = live
    monkeypatch.setenv("PIPELINE_KEY", "k")
    assert group.run("?").answer == "red"
    with LoopbackServer() as server:
        row = f"""  - id: model
    kind: llm
    description: A model.
    model: openai/echo
    api_base: {server.url}
    api_key_env: PIPELINE_KEY
"""
        write_team(path, more=row + "default_agent: model\n")
        assert group.run("say this").answer == "say this"
        assert group.registry.default_agent == "model"


def test_a_team_that_reloads_can_be_copied(live: tuple[Path, AgentRoute]) -> None:
    path, group = live
    assert group.run("?").answer == "red"
    twin = copy.deepcopy(group)
    write_team(path, BLUE)
    assert (twin.run("?").answer, group.run("?").answer) == ("blue", "blue")


def test_the_default_agent_of_the_registry_answers_what_fits_nobody(registry: Path, tmp_path: Path) -> None:
    path = write_team(tmp_path / "d.yaml", RED, ECHO, more="default_agent: echo\n")
    group = AgentRoute.from_yaml(path, router=StaticRouter(), allow=["pipeline_app"])
    result = group.run("nothing of the kind")
    assert (result.answer, result.status) == ("nothing of the kind", "complete")
    assert result.problems == ("no agent fits; the default agent echo was asked",)
    (decision,) = result.decisions
    assert decision.abstained and decision.weights == {"echo": 1.0}
    assert group.route("x").abstained and not group.route("x").selected  # the router's own word


def test_a_trained_router_that_refuses_leaves_it_to_the_default_agent(registry: Path) -> None:
    team = AgentRegistry.from_specs(
        [replace(spec, kind="function", function="pipeline_app:red") for spec in labelled.agents()]
        + [AgentSpec(id="desk", kind="function", description="Says it again.", function="pipeline_app:echo")],
        default_agent="desk",
    )
    group = AgentRoute(team, labelled.trained_on_labels(), allow=["pipeline_app"])
    result = group.run("the tax visa invoice dentist please")
    assert (result.answer, result.status) == ("the tax visa invoice dentist please", "complete")
    assert result.problems[0].startswith("no agent fits: the best, ")
    assert result.problems[0].endswith("; the default agent desk was asked")
    assert result.decisions[-1].abstained and [answer.agent for answer in result.answers] == ["desk"]
    fits = group.run("the river delta old please")
    assert fits.answer == "red" and not fits.problems and "desk" not in [a.agent for a in fits.answers]
    with pytest.raises(AllAgentsFailedError, match="no agent fits: the best, "):
        AgentRoute(team.remove("desk"), labelled.trained_on_labels(), allow=["pipeline_app"]).run(
            "the tax visa invoice dentist please"
        )
