"""Registries: what is refused and how it is said, what is accepted and what becomes of it."""

from __future__ import annotations

import json
import os
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agentroute.errors import RegistryError
from agentroute.registry import AgentRegistry, json_schema
from agentroute.types import EFFORTS, AgentSpec, EffortRange, Price, RefinerSpec

HERE = Path(__file__).parent / "registries"
BAD = sorted((HERE / "bad").iterdir())
GOOD = sorted((HERE / "good").iterdir())
EXPECTED: dict[str, list[str]] = yaml.safe_load((HERE / "expected.yaml").read_text(encoding="utf-8"))
TEAM = (
    "version: 1\nagents:\n  - id: coder\n    kind: llm\n    description: Writes.\n    model: openai/gpt-5\n"
)


def problems_of(path: Path | str, text: str | bytes | None = None, **how: Any) -> tuple[str, ...]:
    if text is not None:
        Path(path).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(RegistryError) as caught:
        AgentRegistry.from_yaml(path, **how)
    return caught.value.problems


# --------------------------------------------------------------------------------------------------- refused


def test_there_are_enough_bad_files_and_each_has_its_messages() -> None:
    assert len(BAD) >= 70
    assert {path.name for path in BAD} == set(EXPECTED)


@pytest.mark.fault("F52", "exit 2, `file:line`, the rule and the remedy", "the registry in use")
@pytest.mark.fault("F51", "`agent id is taken, first on line 12`", "the registry in use")
@pytest.mark.fault("T06", "exit 2, `file:line`, the rule", "the process")
@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_file_is_refused_with_the_exact_message(path: Path) -> None:
    assert problems_of(path) == tuple(f"{path}:{line}" for line in EXPECTED[path.name])


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_message_is_one_short_line_that_never_holds_a_secret(path: Path) -> None:
    for problem in problems_of(path):
        message = problem.removeprefix(f"{path}:")
        assert message.split(":")[0].isdigit()
        assert message.isprintable()
        assert len(message) < 400
        assert "CANARY" not in message


@pytest.mark.parametrize("path", BAD + GOOD, ids=lambda path: path.stem)
def test_no_file_cut_short_or_turned_over_raises_anything_else(path: Path, tmp_path: Path) -> None:
    data, there = path.read_bytes(), tmp_path / "team.yaml"
    for variant in (data[: len(data) // 2], data[1:], data[::-1], data + b"\xff", data.replace(b": ", b":")):
        there.write_bytes(variant)
        try:
            AgentRegistry.from_yaml(there)
        except RegistryError as error:
            assert all(problem.startswith(f"{there}:") for problem in error.problems)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(alphabet="[]{}:,-?&*!|>'\"%@` \t\nab1~#<.", max_size=120)))
def test_noise_raises_nothing_else(tmp_path_factory: pytest.TempPathFactory, noise: bytes | str) -> None:
    there = tmp_path_factory.getbasetemp() / "noise.yaml"
    problems_of(there, noise)
    problems_of(there, TEAM.encode() + (noise if isinstance(noise, bytes) else noise.encode()) + b"\n]")


@pytest.mark.fault("T07", "exit 2, `give the path of a registry file`", "pipes and devices, unread")
def test_what_is_no_readable_file_is_refused(tmp_path: Path) -> None:
    loop, pipe = tmp_path / "loop.yaml", tmp_path / "pipe.yaml"
    loop.symlink_to(loop)
    os.mkfifo(pipe)
    missing = tmp_path / "missing.yaml"
    for path in (loop, pipe, missing, "/dev/null", "a\0b", "x" * 5_000, ""):
        (problem,) = problems_of(path)
        assert problem.startswith(f"{path}:1: ")
        assert "give the path of a registry file" in problem
    assert problems_of(tmp_path) == (
        f"{tmp_path}:1: is a folder; give the path of a registry file, such as team.yaml",
    )
    assert "No such file" in problems_of(missing)[0]


def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "team.yaml"
    path.write_text(TEAM)
    path.chmod(0)
    if os.access(path, os.R_OK):  # the superuser reads everything
        assert len(AgentRegistry.from_yaml(path)) == 1
    else:
        assert problems_of(path) == (
            f"{path}:1: cannot be read (Permission denied); give the path of a registry file",
        )


@pytest.mark.fault("T06", "`nested deeper than 20 levels`, in no time", "memory and time")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            TEAM + "# " + "x" * 5_000_000,
            "1: is over 5,000,000 bytes, the most a registry may have; split the team",
        ),
        ("a: " + "[" * 100_000, "1: nested deeper than 20 levels; a registry needs five"),
        ("- " * 100_000, "1: nested deeper than 20 levels; a registry needs five"),
        ("? " * 100_000, "1: nested deeper than 20 levels; a registry needs five"),
        (TEAM + "    tags: [" + "a," * 1_000_000 + "]", "7: more than 1,000,000 parts; split the team"),
        (
            TEAM.replace("Writes.", "x" * 1_000_000),
            "5: agent 'coder': description has 1,000,000 characters, but at most 8,000 are allowed;"
            " shorten it",
        ),
    ],
    ids=["6 MB", "brackets", "dashes", "questions", "nodes", "1 MB of description"],
)
def test_what_is_too_large_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "team.yaml"
    assert problems_of(path, text)[-1] == f"{path}:{message}"


def test_a_flood_of_problems_is_cut_off(tmp_path: Path) -> None:
    rows = "".join(f"  - {{id: A{number}, colour{number}: red}}\n" for number in range(5_000))
    problems = problems_of(tmp_path / "team.yaml", f"version: 1\nagents:\n{rows}")
    assert len(problems) == 101
    assert problems[-1].endswith(":1: reading stopped at 100 problems; mend these first")


def test_problems_stand_in_the_order_of_the_lines() -> None:
    for path in BAD:
        lines = [int(problem.removeprefix(f"{path}:").split(":")[0]) for problem in problems_of(path)]
        assert lines == sorted(lines)


# -------------------------------------------------------------------------------------------------- accepted


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_file_loads_and_survives_being_written(path: Path, tmp_path: Path) -> None:
    registry = AgentRegistry.from_yaml(path)
    copy = tmp_path / "copy.yaml"
    copy.write_text(registry.to_yaml(), encoding="utf-8")
    again = AgentRegistry.from_yaml(copy)
    assert again == registry
    assert again.hash == registry.hash
    assert again.to_yaml() == registry.to_yaml()
    specs = AgentRegistry.from_specs(registry.agents, registry.refiner, default_agent=registry.default_agent)
    assert specs == registry


def test_every_key_is_read_and_defaults_go_where_they_mean_something() -> None:
    registry = AgentRegistry.from_yaml(HERE / "good" / "every_key.yaml")
    shared = Price(input=1.0, output=2.0)
    assert registry.agents == (
        AgentSpec(
            id="thinker",
            kind="llm",
            description="Thinks: then answers.",
            examples=("What is 7 times 8?", "Who wrote it?"),
            tags=("math", "logic"),
            model="ollama_chat/qwen3:8b",
            system="You are careful.\nAnswer in one line.\n",
            strategy="react",
            prompt="Question: {question}",
            tools=("my_app.tools:search",),
            effort=EffortRange(levels=("low", "high"), default="high"),
            price=Price(input=0.25, output=2.0, call=0.0),
            api_key_env="MY_KEY",
            api_base="http://localhost:11434",
            temperature=0.7,
            max_tokens=1000,
            samples=3,
            timeout_s=10.0,
            max_steps=4,
        ),
        AgentSpec(
            id="adder",
            kind="function",
            description="Adds.",
            model="openai/gpt-5-mini",
            function="my_app.adder:answer",
            effort=EffortRange(levels=("low",), default="low"),
            price=shared,
            timeout_s=12.0,
            max_steps=4,
        ),
        AgentSpec(
            id="chain",
            kind="runnable",
            description="Chains.",
            model="openai/gpt-5-mini",
            runnable="my_app.chains:chain",
            price=shared,
            timeout_s=12.0,
            max_steps=4,
        ),
        AgentSpec(
            id="replay",
            kind="recorded",
            description="Repeats.",
            outcomes="../runs/monday",
            model="openai/gpt-5",
            strategy="any words at all",
            system="What it was told.",
            price=Price(call=0.5),
            samples=3,
            timeout_s=12.0,
            max_steps=4,
        ),
    )
    assert registry.refiner == RefinerSpec(
        kind="llm",
        model="anthropic/claude-haiku-4-5",
        effort=EffortRange(levels=("none",), default="none"),
        timeout_s=20.0,
    )
    assert registry.default_agent == "adder"
    assert registry.folder == HERE / "good"


def test_words_that_old_yaml_takes_for_truth_values_are_text() -> None:
    (spec,) = AgentRegistry.from_yaml(HERE / "good" / "norway.yaml").agents
    assert (spec.id, spec.tags) == ("no", ("yes", "on", "7", "2024-01-01"))


@pytest.mark.fault("T08", "exit 2: private addresses are for the caller to allow", "the network")
def test_private_addresses_are_for_the_caller_to_allow(tmp_path: Path) -> None:
    path = tmp_path / "team.yaml"
    path.write_text(TEAM + "    api_base: http://192.168.1.20:8000/v1\n")
    assert "only the caller may allow" in problems_of(path)[0]
    registry = AgentRegistry.from_yaml(path, allow_private=True)
    assert registry["coder"].api_base == "http://192.168.1.20:8000/v1"


@pytest.mark.fault("F57", "a team; who is asked at once is capped", "all rows")
def test_ten_thousand_agents_load(tmp_path: Path) -> None:
    path = tmp_path / "team.yaml"
    row = (
        "  - {{id: agent-{0}, kind: llm, description: Does thing number {0}., model: openai/gpt-5-mini,"
        " tags: [one, two], effort: {{levels: [low, high], default: low}},"
        " price: {{input: 1, output: {0}}}}}\n"
    )
    rows = "".join(row.format(number) for number in range(10_000))
    path.write_text(f"version: 1\nagents:\n{rows}")
    registry = AgentRegistry.from_yaml(path)
    assert registry.ids == tuple(f"agent-{number}" for number in range(10_000))
    assert registry["agent-9999"].price == Price(input=1.0, output=9999.0)
    assert registry.check() == (
        "agent-0, agent-1, agent-2, agent-3, agent-4 and 9,995 more: no examples;"
        " two or three questions help a router to place them",
    )


# ------------------------------------------------------------------------------------------- specs and teams

CODER = AgentSpec(id="coder", kind="llm", description="Writes programs.", model="openai/gpt-5")
ADDER = AgentSpec(id="adder", kind="function", description="Adds.", function="my_app:add")

words = st.text(
    st.characters(exclude_categories=("Cc", "Cf", "Cn", "Cs", "Zl", "Zp")) | st.sampled_from("\n\t"),
    min_size=1,
    max_size=40,
).filter(str.strip)
specs = st.builds(
    AgentSpec,
    id=st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True),
    kind=st.just("recorded"),
    description=words,
    examples=st.lists(words, max_size=3).map(tuple),
    tags=st.lists(words, max_size=3).map(tuple),
    model=st.none() | words,
    system=st.none() | words,
    effort=st.none()
    | st.sampled_from(EFFORTS).map(lambda level: EffortRange(levels=(level,), default=level)),
    price=st.none() | st.builds(Price, input=st.none() | st.floats(0, 1e6), call=st.floats(0, 1e6)),
    max_tokens=st.none() | st.integers(1, 10_000_000),
    timeout_s=st.floats(0, 86_400, exclude_min=True),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(specs, min_size=1, max_size=4, unique_by=lambda spec: spec.id), st.randoms())
def test_any_team_is_written_and_read_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, team: list[AgentSpec], random: Any
) -> None:
    default = random.choice([None, *team])
    registry = AgentRegistry.from_specs(team, default_agent=default and default.id)
    assert registry.agents == tuple(team)
    assert registry.default_agent == (default and default.id)
    path = tmp_path_factory.getbasetemp() / "written.yaml"
    path.write_text(registry.to_yaml(), encoding="utf-8")
    assert AgentRegistry.from_yaml(path) == registry
    assert yaml.safe_load(registry.to_yaml())["agents"][0]["id"] == team[0].id
    random.shuffle(team)
    assert AgentRegistry.from_specs(team, default_agent=default and default.id).hash == registry.hash


def test_the_hash_changes_with_every_change_of_content_and_with_nothing_else(tmp_path: Path) -> None:
    registry = AgentRegistry.from_specs([CODER, ADDER])
    changed = [
        AgentRegistry.from_specs([CODER]),
        AgentRegistry.from_specs([CODER, replace(ADDER, description="Adds up.")]),
        AgentRegistry.from_specs([CODER, replace(ADDER, price=Price(call=0))]),
        AgentRegistry.from_specs([CODER, replace(ADDER, timeout_s=31)]),
        AgentRegistry.from_specs([CODER, ADDER], RefinerSpec(kind="llm", model="openai/gpt-5")),
        AgentRegistry.from_specs([CODER, ADDER], default_agent="coder"),
        AgentRegistry.from_specs([CODER, ADDER], default_agent="adder"),
    ]
    assert len({registry.hash, *(each.hash for each in changed)}) == len(changed) + 1
    path = tmp_path / "team.yaml"
    path.write_text(TEAM)
    plain = AgentRegistry.from_yaml(path).hash
    path.write_text("# a comment\n" + TEAM + "    timeout_s: 30\n    samples: 5\n")
    assert AgentRegistry.from_yaml(path).hash == plain


def test_a_team_is_looked_into_by_id() -> None:
    registry = AgentRegistry.from_specs([CODER, ADDER])
    assert registry["adder"] is not None
    assert [spec.id for spec in registry] == list(registry.ids) == ["coder", "adder"]
    assert len(registry) == 2
    assert "coder" in registry and "Coder" not in registry and 7 not in registry
    with pytest.raises(KeyError, match="did you mean 'coder'"):
        registry["codar"]


def test_a_team_does_not_change_but_gives_other_teams() -> None:
    registry = AgentRegistry.from_specs([CODER])
    larger = registry.add(ADDER)
    assert larger.ids == ("coder", "adder")
    assert larger.without("adder") == registry
    assert registry.ids == ("coder",)
    with pytest.raises(FrozenInstanceError):
        registry.agents = ()  # type: ignore[misc]
    with pytest.raises(RegistryError, match="no agent 'nobody' to leave out; the team has coder"):
        registry.without("nobody")
    with pytest.raises(RegistryError, match="keep at least one"):
        registry.without("coder")


def test_what_is_removed_is_what_was_added() -> None:
    registry = AgentRegistry.from_specs([CODER], RefinerSpec(kind="llm", model="m"), default_agent="coder")
    larger = registry.add(ADDER)
    assert larger.default_agent == "coder"
    assert larger.remove("adder") == registry == larger.without("adder")
    assert larger.remove("coder").default_agent is None  # who leaves cannot be asked
    assert larger.remove("coder").refiner == registry.refiner
    with pytest.raises(RegistryError, match="agent id 'coder' is taken"):
        registry.add(CODER)
    with pytest.raises(RegistryError, match="no agent 'nobody'"):
        registry.remove("nobody")


def test_a_default_agent_from_python_meets_the_rules_too() -> None:
    with pytest.raises(RegistryError, match="spec 2: default_agent is 'codre', but no agent has that id"):
        AgentRegistry.from_specs([CODER], default_agent="codre")


@pytest.mark.parametrize(
    ("team", "problem"),
    [
        ([], "spec 1: agents is an empty list, but must list at least one row; begin it with '- id: name'"),
        ([CODER, CODER], 
         "spec 2: agent id 'coder' is taken, first on spec 1; give each agent its own, whatever the case"),
        ([CODER, replace(ADDER, function=None)],
         "spec 2: agent 'adder': kind function needs function; add function: my_app.agents:answer"),
        ([replace(CODER, timeout_s=float("nan"))],
         "spec 1: agent 'coder': timeout_s is 'nan', but must be a number above 0 and at most 86,400,"
         " in plain digits"),
        ([replace(CODER, samples=True)],
         "spec 1: agent 'coder': samples is 'true', but must be a whole number from 1 to 100,"
         " in plain digits"),
        ([replace(CODER, description=" ")],
         "spec 1: agent 'coder': description is empty text; give it a value, or leave it out"),
        ([replace(CODER, system="a\0b")],
         "spec 1: agent 'coder': system is 'a\\x00b': character U+0000 cannot be seen and is not allowed;"
         " remove it"),
        ([replace(CODER, effort=EffortRange(levels=("low",), default="high"))],
         "spec 1: agent 'coder': effort.default is 'high', but must be one of its levels: low"),
        ([replace(CODER, api_base="http://example.com")],
         "spec 1: agent 'coder': api_base is http to example.com, off this machine, where a key could"
         " be read on the way; write https"),
        ([replace(CODER, description=b"bytes")],
         "spec 1: holds a bytes; use texts, numbers, tuples and the classes"),
    ],
)  # fmt: skip
def test_specs_meet_the_rules_of_files(team: list[AgentSpec], problem: str) -> None:
    with pytest.raises(RegistryError) as caught:
        AgentRegistry.from_specs(team)
    assert caught.value.problems == (problem,)


def test_a_refiner_from_python_meets_the_rules_too() -> None:
    with pytest.raises(RegistryError, match="spec 2: refiner: kind llm needs model"):
        AgentRegistry.from_specs([CODER], RefinerSpec(kind="llm"))


# ---------------------------------------------------------------------------------------------------- advice


def test_advice_names_what_is_seldom_meant(tmp_path: Path) -> None:
    text = "Reads long passages with care, weighs what they say and explains its own reasons for {} too."
    team = [
        replace(
            CODER,
            api_key_env="AGENTROUTE_TESTS_HAVE_NO_SUCH_KEY",
            examples=("Why?",),
            description=text.format("it"),
        ),
        replace(CODER, id="writer", strategy="react", examples=("Why?",), description=text.format("that")),
        replace(CODER, id="critic", tools=("my_app:search",), examples=("Why?",)),
        replace(ADDER, examples=()),
        AgentSpec(id="replay", kind="recorded", description="Repeats.", outcomes="nowhere"),
    ]
    assert AgentRegistry.from_specs(team, folder=tmp_path).check() == (
        "AGENTROUTE_TESTS_HAVE_NO_SUCH_KEY is not set in the environment, but needed by coder;"
        " set it before asking them",
        "coder and writer have almost the same description; say what sets them apart",
        "coder, writer, critic give the same example, 'Why?'; leave it to the one it fits best",
        "critic: tools are called by strategy react only; set it, or drop the tools",
        "writer: strategy react has no tools to call; add some, or use cot",
        "adder: no examples; two or three questions help a router to place them",
        f"outcomes folder nowhere is not there; paths begin at {tmp_path}",
    )


def test_a_team_without_faults_gets_no_advice() -> None:
    spec = replace(CODER, api_key_env="PATH", examples=("Why?",))
    assert AgentRegistry.from_specs([spec, replace(ADDER, examples=("1 + 1?",))]).check() == ()


# ------------------------------------------------------------------------------------------- the JSON Schema


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(json_schema())
    assert json.loads(json.dumps(json_schema())) == json_schema()


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_the_schema_accepts_what_the_loader_accepts(path: Path) -> None:
    text = AgentRegistry.from_yaml(path).to_yaml()
    jsonschema.Draft7Validator(json_schema()).validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    "name",
    ["17", "18", "22", "24", "25", "45", "47", "48", "53", "59", "61", "62", "63", "65", "66", "67", "68",
     "69", "70", "74", "75", "76", "77", "85", "88", "89", "91", "92", "93", "94", "95", "96", "97",
     "99", "105", "107", "113", "114", "115", "116"],
)  # fmt: skip
def test_the_schema_refuses_what_an_editor_can_see(name: str) -> None:
    (path,) = [path for path in BAD if path.name.startswith(f"{name}_")]
    assert not jsonschema.Draft7Validator(json_schema()).is_valid(yaml.safe_load(path.read_bytes()))
