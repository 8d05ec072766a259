"""Ladders in outcome folders: what is one, and what teaches something."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from effort.ladder import AGENTS, LEVELS, make_ladder, write

from agentroute.effort.ladders import ACROSS, find_ladders
from agentroute.errors import InputError
from agentroute.outcomes import OutcomeFolder

QUERY = {"id": "q", "text": "How many?"}


def outcome(level: str, **more: object) -> dict[str, object]:
    return {"query": "q", "agent": f"adder@{level}", "score": 1.0, **more}


def ladder(path: Path, *outcomes: dict[str, object], query: dict[str, object] | None = None):  # type: ignore[no-untyped-def]
    folder = write(path, [query or QUERY], list(outcomes))
    return find_ladders(OutcomeFolder.open(folder))[0]


def test_levels_of_one_agent_are_rungs_weakest_first(sums: Path) -> None:
    found = find_ladders(OutcomeFolder.open(sums))
    assert [part.name for part in found] == ["adder"]
    assert found[0].named == LEVELS
    assert len(found[0]) == 200


def test_agents_with_one_model_and_different_effort_are_a_ladder_whatever_their_ids(tmp_path: Path) -> None:
    agents = (
        AGENTS.replace("adder@low", "quick").replace("adder@medium", "steady").replace("adder@high", "deep")
    )
    folder = make_ladder(tmp_path / "a", 5)
    (folder / "agents.yaml").write_text(agents)
    text = (folder / "outcomes.jsonl").read_text()
    for level, name in zip(LEVELS, ("quick", "steady", "deep"), strict=True):
        text = text.replace(f"adder@{level}", name)
    (folder / "outcomes.jsonl").write_text(text)
    (found,) = find_ladders(OutcomeFolder.open(folder))
    assert found.name == "adder"
    assert [rung.agent for rung in found.rungs] == ["quick", "steady", "deep"]


def test_a_rung_that_did_not_run_is_unknown_and_never_wrong(tmp_path: Path) -> None:
    found = ladder(tmp_path, outcome("low", score=None, error="timed out"), outcome("high"))
    assert np.isnan(found.score[0, 0])
    assert found.score[0, 2] == 1.0
    assert len(found.complete()) == 0


def test_an_outcome_whose_level_was_not_applied_teaches_nothing(tmp_path: Path) -> None:
    dropped = outcome("high", score=0.0, steps=[{"role": "answer", "requested": "high", "applied": None}])
    kept = outcome("low", steps=[{"role": "answer", "requested": "low", "applied": "low"}])
    found = ladder(tmp_path, kept, dropped)
    assert found.dropped == 1
    assert np.isnan(found.score[0, 2])
    assert found.score[0, 0] == 1.0


def test_runs_that_disagree_are_a_share(tmp_path: Path) -> None:
    runs = [outcome("low", score=score, output_tokens=n) for score, n in ((1.0, 10), (0.0, 20), (0.0, 30))]
    found = ladder(tmp_path, *runs)
    assert found.score[0, 0] == pytest.approx(1 / 3)
    assert found.tokens[0, 0] == pytest.approx(20)


def test_missing_usage_is_unknown_and_the_levels_weight_is_the_price(tmp_path: Path) -> None:
    found = ladder(tmp_path, *(outcome(level) for level in LEVELS))
    assert np.isnan(found.tokens).all()
    currency, price = found.price()
    assert currency == "weight"
    assert (np.diff(price[0]) > 0).all()
    with pytest.raises(InputError, match="tokens is not known"):
        found.price("tokens")


def test_a_step_shows_what_its_record_says(tmp_path: Path) -> None:
    meta = {"episode": "e", "step": 3, "role": "tool", "observation": "error: no such city", "history": [{}]}
    found = ladder(tmp_path, outcome("low"), query={**QUERY, "meta": meta})
    view = found.views[0]
    assert (view.text, view.role, view.step, len(view.history)) == ("error: no such city", "tool", 3, 1)
    assert found.episodes() is not None


def test_a_folder_without_levels_says_what_a_ladder_is(tmp_path: Path) -> None:
    agents = "version: 1\nagents:\n  - {id: a, kind: recorded, description: A.}\n"
    folder = write(tmp_path, [QUERY], [{"query": "q", "agent": "a", "score": 1.0}], agents)
    with pytest.raises(InputError, match="NAME@low"):
        find_ladders(OutcomeFolder.open(folder))


def test_across_orders_agents_by_price_and_ends_with_the_best(tmp_path: Path) -> None:
    rows = [("dear", 1.0, 3.0), ("best", 1.0, 2.0), ("cheap", 0.0, 1.0)]
    agents = "version: 1\nagents:\n" + "".join(
        f"  - {{id: {name}, kind: recorded, description: A.}}\n" for name, _, _ in rows
    )
    outcomes = [{"query": "q", "agent": name, "score": score, "cost_usd": usd} for name, score, usd in rows]
    (found,) = find_ladders(OutcomeFolder.open(write(tmp_path, [QUERY], outcomes, agents)), across=True)
    assert found.name == ACROSS
    assert [rung.agent for rung in found.rungs] == ["cheap", "best"]


def test_the_best_of_a_ladder_across_is_not_found_on_held_out_queries(tmp_path: Path) -> None:
    agents = "version: 1\nagents:\n" + "".join(
        f"  - {{id: {name}, kind: recorded, description: A.}}\n" for name in ("cheap", "dear")
    )
    queries = [{"id": name, "text": name} for name in ("seen", "held-1", "held-2")]
    outcomes = [
        {
            "query": query["id"],
            "agent": name,
            "score": float((name == "dear") != (query["id"] == "seen")),
            "cost_usd": usd,
        }
        for query in queries
        for name, usd in (("cheap", 1.0), ("dear", 2.0))
    ]
    folder = OutcomeFolder.open(write(tmp_path, queries, outcomes, agents))
    everything, honest = (
        find_ladders(folder, across=True, held_out=held)[0] for held in ((), ("held-1", "held-2"))
    )
    assert everything.named[-1] == "dear"
    assert honest.named[-1] == "cheap"
