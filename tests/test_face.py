"""The face of the package: what `import agentroute` shows, and what it leaves alone."""

from __future__ import annotations

import ast
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import agentroute
from agentroute import errors

ROOT = Path(__file__).resolve().parent.parent
FACE = ROOT / "agentroute" / "__init__.py"
HEAVY = (
    "torch",
    "litellm",
    "langgraph",
    "langchain_core",
    "torch_geometric",
    "networkx",
    "pydantic",
    "numpy",
)
WORDS = (
    "graph",
    "workflow",
    "round",
    "outcome",
    "wrong",
    "did not run",
    "router",
    "policy",
    "effort",
    "refiner",
)


def loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def for_type_checkers() -> list[tuple[str, str]]:
    (block,) = (node for node in ast.parse(FACE.read_text()).body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert len(imports) == len(block.body)
    assert all(alias.name == alias.asname for node in imports for alias in node.names)
    return [(alias.name, str(node.module)) for node in imports for alias in node.names]


def test_importing_loads_nothing_heavy() -> None:
    assert loaded_after("import agentroute") == set()


def test_the_names_that_everybody_needs_first_load_nothing_heavy() -> None:
    names = (
        "AgentRouteError, AgentSpec, Answer, InputError, Limits, Query, RoutingDecision, RunError, RunResult"
    )
    assert loaded_after(f"from agentroute import {names}") == set()


def test_the_public_names_are_sorted_and_listed() -> None:
    assert agentroute.__all__ == sorted(set(agentroute.__all__))
    assert dir(agentroute) == sorted((*agentroute.__all__, "__version__"))


def test_every_public_name_is_what_type_checkers_are_told() -> None:
    told = for_type_checkers()
    assert sorted(name for name, _ in told) == agentroute.__all__
    # In a process of its own: training brings in torch, which the tests beside this one do without.
    script = (
        "import agentroute, importlib\n"
        f"for name, home in {told!r}:\n"
        "    assert getattr(agentroute, name) is getattr(importlib.import_module(home), name), name"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_an_unknown_name_is_an_ordinary_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'agentroute' has no attribute 'AgentRouter'"):
        agentroute.AgentRouter  # noqa: B018


def test_the_version_is_the_one_that_is_built_and_the_types_are_shipped() -> None:
    assert f'version = "{agentroute.__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert f"## {agentroute.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert (ROOT / "agentroute" / "py.typed").read_text() == ""


@pytest.mark.parametrize("word", WORDS)
def test_the_glossary_has_an_entry_for(word: str) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    glossary = text.partition("## Glossary")[2].partition("\n## ")[0]
    assert re.search(rf"^\| \*\*{word}\*\* \| \S.{{15,}} \|$", glossary, re.M)


def test_contributing_lists_the_floors_as_they_are_checked() -> None:
    config = (ROOT / "pyproject.toml").read_text()
    (layers,) = re.findall(r"^layers = \[(.*?)\]", config, re.S | re.M)
    checked = [re.findall(r"\w+", line) for line in re.findall(r'"(.*?)"', layers)]
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("| floor |")[2].partition("\n\n")[0]
    told = [re.findall(r"`(\w+)`", line.split("|")[1]) for line in table.splitlines()[2:]]
    assert told == checked


def test_errors_survive_being_sent_to_another_process() -> None:
    for error in (
        errors.MissingExtraError("plots", "plot"),
        errors.RegistryError(["a.yaml:1: x", "a.yaml:2: y"]),
        errors.AllAgentsFailedError("nobody", run_id="r", problems=["a: failed"]),
    ):
        twin = pickle.loads(pickle.dumps(error))
        assert (type(twin), str(twin), vars(twin)) == (type(error), str(error), vars(error))
