"""A reader with levels: what each hop opens, what it costs, and who chooses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agentroute import AgentRegistry, collect
from agentroute.effort.rungs import rungs
from agentroute.outcomes import OutcomeFolder, QueryRecord
from agentroute.types import AgentSpec, Effort, Limits, Passage, Query
from agentroute.workbench.ladder_reader import TIERS, answer
from agentroute.workbench.ladders import READER, record, shipped_questions, summary
from agentroute.workbench.open_book import tokens

SHIP = Passage(title="Grey Petrel", text="The Grey Petrel is a survey ship. Its captain is Ilse Roark.")
CAPTAIN = Passage(title="Ilse Roark", text="Ilse Roark is a sailor. She was born in Dunmarsh in 1911.")
OTHERS = tuple(
    Passage(title=f"Gull Island {n}", text=f"Gull Island {n} is an island with {n} trees.") for n in range(6)
)
CONTEXT = (*OTHERS[:3], CAPTAIN, *OTHERS[3:], SHIP)
TWO_HOPS = Query(text="Where was the captain of the Grey Petrel born?", context=CONTEXT)


def at(*levels: Effort | None) -> Callable[..., Effort | None]:
    """Say these levels, hop by hop."""
    said = iter(levels)
    return lambda **about: next(said)


@pytest.mark.parametrize(
    ("levels", "opens"),
    [(["low"], 1), (["medium", "medium"], 2), (["high", "high"], 4), (["high", "low"], 3)],
)
def test_a_level_is_how_much_is_read_and_that_is_what_it_costs(levels: list[Effort], opens: int) -> None:
    found = answer(TWO_HOPS, at(*levels))
    assert [(step.requested, step.applied) for step in found.steps] == [(one, one) for one in levels]
    read = [step.usage.input_tokens or 0 for step in found.steps]
    assert sum(read) == found.usage.input_tokens
    assert sum(read) <= sum(sorted(tokens(passage) for passage in CONTEXT)[-opens:])
    assert found.usage.cost_usd == 0.0


def test_one_hop_names_the_ship_or_so_and_two_hops_reach_the_answer() -> None:
    assert answer(TWO_HOPS, at("low")).text != "Dunmarsh"
    assert answer(TWO_HOPS, at("medium", "medium")).text == "Dunmarsh"
    assert answer(TWO_HOPS, at("high", "high")).text == "Dunmarsh"


def test_each_hop_is_asked_for_with_what_is_known_by_then() -> None:
    heard: list[dict[str, object]] = []

    def level(**about: object) -> Effort:
        heard.append({**about, "history": list(about["history"])})  # type: ignore[call-overload]
        return "medium"

    answer(TWO_HOPS, level)
    first, second = heard
    assert first["observation"] == TWO_HOPS.text
    assert "Grey Petrel" in str(second["observation"])
    assert len(second["history"]) == len(first["history"]) + 1  # type: ignore[arg-type]


def test_a_level_that_it_does_not_have_is_told_from_the_one_it_ran_at() -> None:
    steps = answer(TWO_HOPS, at("xhigh", None)).steps
    assert [(step.requested, step.applied) for step in steps] == [("xhigh", "high"), (None, "high")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Which was founded first, Orrin Hall or Marsh House?", "Marsh House"),
        ("Which was founded later, Orrin Hall or Marsh House?", "Orrin Hall"),
        ("Was Orrin Hall or Marsh House founded first?", "Marsh House"),
        ("Are Orrin Hall and Marsh House both inns?", "no"),
        ("Are Orrin Hall and Marsh House both hotels?", "yes"),
        ("In what year was Orrin Hall founded?", "1903"),
        ("How many beds does Orrin Hall have?", "41"),
        ("Who founded Orrin Hall?", "Bela Strand"),
    ],
)
def test_it_answers_what_the_words_say(text: str, said: str) -> None:
    context = (
        Passage(
            title="Orrin Hall",
            text="Orrin Hall is a hotel founded in 1903 by Bela Strand. It has 41 beds.",
        ),
        Passage(title="Marsh House", text="Marsh House is one of the oldest hotels, an inn founded in 1871."),
    )
    assert answer(Query(text=text, context=context), at("high", "high")).text == said


def test_without_passages_it_reads_the_shipped_ones_and_too_long_a_question_is_declined() -> None:
    assert answer(Query(text="Who founded Halden Ferry?"), at("medium", "medium")).text == "Ysra Molde"
    found = answer(Query(text="why " * 300), at())
    assert (found.status, found.error, found.steps) == ("skipped", "declined", ())


def test_the_rungs_of_a_ladder_share_everything_but_the_level() -> None:
    made = rungs(READER)
    assert [spec.id for spec in made] == [f"reader@{level}" for level in TIERS]
    assert {(spec.model, spec.function, spec.description) for spec in made} == {
        ("reader", READER.function, READER.description)
    }
    assert rungs(AgentSpec(id="plain", kind="function", description="Adds.", function="m:f")) == ()


def test_the_shipped_registry_has_the_same_reader() -> None:
    (row,) = AgentRegistry.from_yaml(Path(__file__).parents[2] / "agents" / "reader.yaml")
    assert row == READER


def test_recording_a_ladder_makes_an_outcome_folder_and_goes_on(tmp_path: Path) -> None:
    query = Query(id="q1", text=TWO_HOPS.text, context=CONTEXT)
    questions = [QueryRecord(query=query, gold=("Dunmarsh",))]
    report = record(questions, tmp_path / "out")
    assert (report.recorded, report.failed) == (3, 0)
    assert record(questions, tmp_path / "out").recorded == 0
    folder = OutcomeFolder.open(tmp_path / "out")
    found = {outcome.agent: outcome for outcome in folder.read()}
    assert {spec.id: spec.effort.default for spec in folder.registry if spec.effort} == {
        f"reader@{level}": level for level in TIERS
    }
    assert {name: outcome.score for name, outcome in found.items()} == {
        "reader@low": 0.0,
        "reader@medium": 1.0,
        "reader@high": 1.0,
    }
    tokens = [found[f"reader@{level}"].input_tokens or 0 for level in TIERS]
    assert tokens == sorted(tokens) and len(set(tokens)) == 3
    assert [found[f"reader@{level}"].effort for level in TIERS] == list(TIERS)


def test_on_the_shipped_passages_no_level_is_best_for_everything(tmp_path: Path) -> None:
    asked = [item for item in shipped_questions() if item[0].id and item[0].id.endswith(("1", "2"))]
    record(asked, tmp_path)
    outcomes = list(OutcomeFolder.open(tmp_path).read())

    def mean(family: str, level: Effort) -> float:
        mine = [o.score for o in outcomes if o.query.startswith(family) and o.agent == f"reader@{level}"]
        return sum(score or 0.0 for score in mine) / len(mine)

    assert mean("single", "low") > mean("single", "high")
    assert mean("two-hop", "medium") > mean("two-hop", "low") + 0.5
    assert mean("paraphrase", "high") > mean("paraphrase", "low")
    *levels, hindsight = summary(tmp_path)
    assert [name for name, _, _ in levels] == list(TIERS)
    assert [tokens for *_, tokens in levels] == sorted(tokens for *_, tokens in levels)
    assert all(hindsight[1] >= score for _, score, _ in levels)
    assert hindsight[2] < levels[-1][2]


def test_the_effort_router_of_a_collection_chooses_each_hop(tmp_path: Path) -> None:
    class ByStep:
        def select(self, *, step: int, spec: AgentSpec, limits: Limits, **about: object) -> Effort | None:
            return "high" if step == 1 else "low"

    query = Query(id="q1", text=TWO_HOPS.text, context=CONTEXT)
    collect(
        AgentRegistry.from_specs([READER]),
        [QueryRecord(query=query, gold=("Dunmarsh",))],
        tmp_path,
        effort=ByStep(),
    )
    (outcome,) = OutcomeFolder.open(tmp_path).read()
    assert [step["applied"] for step in outcome.steps] == ["high", "low"]
