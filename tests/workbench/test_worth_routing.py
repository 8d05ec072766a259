"""Choosing among the agents must matter: no agent is good at everything, together they nearly are."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

from agentroute.registry import AgentRegistry
from agentroute.scoring import score
from agentroute.workbench.questions import records

REGISTRY = Path(__file__).parents[2] / "agents" / "workbench.yaml"


def functions():
    return {
        spec.id: getattr(import_module(spec.function.split(":")[0]), spec.function.split(":")[1])
        for spec in AgentRegistry.from_yaml(REGISTRY).agents
    }


@pytest.fixture(scope="module")
def matrix():
    """(family, {agent: score}) for every test question."""
    agents, found = functions(), []
    for query, gold, meta in records():
        if meta["split"] == "test":
            scores = {
                agent: score(said, gold, meta["metric"]) if (said := ask(query.text)) else 0.0
                for agent, ask in agents.items()
            }
            found.append((meta["family"], scores))
    return found


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def test_the_registry_names_at_least_eight_real_functions_that_cost_nothing():
    specs = AgentRegistry.from_yaml(REGISTRY).agents
    assert len(specs) >= 8
    assert len({spec.function for spec in specs}) == len(specs)
    for spec in specs:
        assert spec.kind == "function" and spec.price.call == 0 and spec.examples


def test_best_single_is_below_045_and_the_oracle_above_090(matrix):
    agents = matrix[0][1]
    singles = {agent: mean(scores[agent] for _, scores in matrix) for agent in agents}
    assert max(singles.values()) < 0.45, singles
    assert min(singles.values()) > 0.03, singles
    assert mean(max(scores.values()) for _, scores in matrix) > 0.90


def test_every_family_has_a_good_agent_and_most_families_have_several_that_can(matrix):
    families = {family for family, _ in matrix}
    overlapping = 0
    for family in families:
        rows = [scores for task, scores in matrix if task == family]
        means = sorted((mean(row[agent] for row in rows) for agent in rows[0]), reverse=True)
        assert means[0] >= 0.5, (family, means)
        overlapping += means[1] >= 0.15
    assert overlapping >= 6


def test_no_agent_reads_the_questions_or_their_gold():
    code = """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from importlib import import_module
names = "arithmetic units dates facts keyword_reader dense_reader two_hop_reader comparison reverse"
for name in (names + " figures generalist").split():
    import_module("agentroute.workbench." + name).answer("Where was the captain of the Grey Petrel born?")
read = [path for path in opened if "workbench" in path and not path.endswith((".py", ".pyc"))]
assert any(path.endswith("passages.jsonl") for path in read), read
assert not [path for path in opened if path.endswith(("gold.csv", "wordings.toml"))], read
loaded = {name.rpartition(".")[2] for name in sys.modules if name.startswith("agentroute.workbench")}
assert not loaded & {"questions", "items", "exercises", "passage_questions", "fact_questions"}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_answers_follow_the_passages_and_not_a_list():
    """Change what a passage says, and the readers say the new thing."""
    from agentroute.types import Passage
    from agentroute.workbench.reading import best_span

    told = (
        "Zembla Fort began as a camp. The town was founded in {year} by {who}, and is known for its {what}."
    )
    for year, who, what in (("1204", "Ada Quill", "pear jam"), ("1777", "Jon Marsh", "goat bells")):
        passage = Passage(title="Zembla Fort", text=told.format(year=year, who=who, what=what))
        assert best_span("When was Zembla Fort founded?", passage).text == year
        assert best_span("Who founded Zembla Fort?", passage).text == who
        assert best_span("What is Zembla Fort known for?", passage).text == what


STRANGE = [
    "",
    " ",
    "?",
    "\x00",
    "how many",
    "1/0",
    "9" * 300,
    "9**9**9",
    "x" * 200_000,
    "((((",
    "Δ δ 数 🙂",
    "0/0 of 0%",
]


@pytest.mark.parametrize("text", STRANGE, ids=range(len(STRANGE)))
def test_every_agent_survives_any_text_and_answers_or_declines(text):
    for agent, ask in functions().items():
        started = time.monotonic()
        said = ask(text)
        assert said is None or (isinstance(said, str) and said), agent
        assert time.monotonic() - started < 10, agent
