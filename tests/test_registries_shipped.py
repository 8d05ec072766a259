"""The registries that come with the project: they load, and what stands beside them is current."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from agentroute.effort.levels import applied, levels_for
from agentroute.registry import AgentRegistry, json_schema
from agentroute.registry.keys import TOP_KEYS, fields_of, shared_keys
from agentroute.types import EFFORTS, AgentSpec, EffortRange, Price, RefinerSpec

AGENTS = Path(__file__).parent.parent / "agents"
SHIPPED = sorted(AGENTS.glob("*.yaml"))
README = (AGENTS / "README.md").read_text(encoding="utf-8")


def test_a_team_of_models_is_shipped() -> None:
    assert "llm.yaml" in [path.name for path in SHIPPED]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_registry_loads_and_tells_its_agents_apart(path: Path) -> None:
    registry = AgentRegistry.from_yaml(path)
    advice = [line for line in registry.check() if "is not set in the environment" not in line]
    assert advice == []
    assert all(spec.examples and spec.price for spec in registry)


def test_the_team_of_models_covers_providers_and_strategies() -> None:
    registry = AgentRegistry.from_yaml(AGENTS / "llm.yaml")
    assert {str(spec.model).split("/")[0] for spec in registry} >= {
        "openai",
        "anthropic",
        "gemini",
        "ollama_chat",
    }
    assert {spec.strategy for spec in registry} == {"direct", "cot", "self-consistency", "react"}
    assert registry.refiner.kind == "llm"


def test_every_effort_level_of_the_team_of_models_does_something() -> None:
    for spec in AgentRegistry.from_yaml(AGENTS / "llm.yaml"):
        if spec.effort is not None:
            assert set(levels_for(spec)) == set(spec.effort.levels), spec.id
            assert [applied(str(spec.model), level) for level in spec.effort.levels] == list(
                spec.effort.levels
            )


def test_the_schema_for_editors_is_current() -> None:
    written = (AGENTS / "schema.json").read_text(encoding="utf-8")
    current = json.dumps(json_schema(), indent=2) + "\n"
    assert written == current, (
        "agents/schema.json is not current: write json.dumps(json_schema(), indent=2) and a line end into it;"
        " json_schema is in agentroute.registry"
    )


@pytest.mark.parametrize("cls", [AgentSpec, RefinerSpec, EffortRange, Price])
def test_the_readme_explains_every_key_as_the_library_does(cls: type[object]) -> None:
    for name, field in fields_of(cls).items():
        rows = [line for line in README.splitlines() if line.startswith(f"| `{name}` |")]
        assert any(line.endswith(f"| {field.key.doc} |") for line in rows), (name, field.key.doc)


def test_the_readme_names_the_keys_at_the_top_the_shared_keys_and_the_levels() -> None:
    for name, doc in TOP_KEYS.items():
        assert re.search(
            rf"^\| `{name}` \| {re.escape(doc.split('.')[0].split(';')[0].split(':')[0])}", README, re.M
        )
    listed = re.search(r"`defaults` may hold (.*)\. A default", README)
    assert listed is not None
    assert listed.group(1).split(", ") == [f"`{name}`" for name in shared_keys()]
    assert all(f"`{level}`" in README for level in EFFORTS)


@pytest.mark.parametrize("number", range(4))
def test_the_examples_of_the_readme_load(number: int, tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", README, re.S)
    assert len(examples) == 4
    path = tmp_path / "team.yaml"
    path.write_text(examples[number], encoding="utf-8")
    assert len(AgentRegistry.from_yaml(path)) == len(yaml.safe_load(examples[number])["agents"])
