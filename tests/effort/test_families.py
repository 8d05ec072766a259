"""The table of families, row by row, against the litellm that is installed."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agentroute.effort.families import FAMILIES, UNKNOWN, Family, family_of
from agentroute.running.calling.client import _import_door
from agentroute.running.calling.sent import applied_effort
from agentroute.types import EFFORTS, Effort

DOCUMENT = Path(__file__).parents[2] / "docs" / "effort.md"
ROWS = (*FAMILIES, UNKNOWN)
MODELS = [pytest.param(row, model, id=model) for row in ROWS for model in row.models]


@pytest.fixture(scope="module")
def litellm() -> ModuleType:
    _import_door()
    import litellm

    return litellm


def built(litellm: ModuleType, model: str, level: Effort | None) -> dict[str, Any] | None:
    """Return what a request at a level has that one without has not; ``None`` when litellm refuses."""
    name, provider, _, _ = litellm.get_llm_provider(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            given = litellm.get_optional_params(
                model=name, custom_llm_provider=provider, max_tokens=100, reasoning_effort=level
            )
        except litellm.UnsupportedParamsError:
            return None
    made: dict[str, Any] = json.loads(
        json.dumps({**given, **(given.pop("extra_body", None) or {})}, default=str)
    )
    return made


def read(model: str, made: dict[str, Any], level: Effort) -> Effort | None:
    """Read the level of what was built, in the form in which it goes out."""
    body = {**made, "generationConfig": {"thinkingConfig": made.get("thinkingConfig", {})}, "messages": []}
    if made.pop("_add_reasoning_prompt", False):
        body["messages"] = [{"role": "system", "content": "Think first."}]
    return applied_effort(json.dumps(body).encode(), level, model)


@pytest.mark.parametrize(("row", "model"), MODELS)
def test_a_row_says_what_litellm_makes_of_each_level(litellm: ModuleType, row: Family, model: str) -> None:
    assert family_of(model) is row
    for level, effect in zip(EFFORTS, row.effects or [None] * len(EFFORTS), strict=True):
        made = built(litellm, model, level)
        if effect is None:  # refused here; or passed on to a provider that refuses it
            assert made is None or "refused" in row.told.replace("litellm refuses it", "")
        elif level == effect:
            assert made is not None and read(model, made, level) == level
        else:  # refused, or the same as its effect; or passed on to a provider that does not know it
            assert made is None or read(model, made, level) in (effect, level)


@pytest.mark.parametrize(("row", "model"), [p for p in MODELS if p.values[0].budgets])
def test_budgets_are_those_that_litellm_asks_for(litellm: ModuleType, row: Family, model: str) -> None:
    for level, budget in row.budgets.items():
        made = built(litellm, model, level) or {}
        asked = made.get("thinking", {}).get(
            "budget_tokens", made.get("thinkingConfig", {}).get("thinkingBudget")
        )
        assert (asked or 0) == budget


def test_the_document_shows_the_table_as_it_is() -> None:
    lines = DOCUMENT.read_text(encoding="utf-8").split("\n## ")[0].splitlines()
    for row in ROWS:
        effects = row.effects or ("\u2013",) * len(EFFORTS)
        cache = {True: "yes", False: "no", None: "taken to"}[row.breaks_cache]
        assert f"| {' | '.join((row.name, *effects, row.told, cache))} |" in lines
    assert sum(line.startswith("| ") for line in lines) == len(ROWS) + 1


def test_every_row_is_reached_and_has_a_model_to_show_for_it() -> None:
    assert all(row.models for row in ROWS)
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_a_row_with_one_level_has_no_cache_to_break() -> None:
    for row in ROWS:
        if row.effects is None or len(set(row.effects)) == 1:
            assert row.breaks_cache is False
