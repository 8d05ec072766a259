"""Warnings about a registry that breaks no rule, but hardly means what it says."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from agentroute.types import AgentSpec, RefinerSpec

_ENOUGH_WORDS = 12  # in a shorter description one word is a real difference


def warnings_for(agents: Sequence[AgentSpec], refiner: RefinerSpec, folder: Path | None) -> tuple[str, ...]:
    """Look for what is allowed but seldom meant.

    Args:
        agents: The rows.
        refiner: The refiner.
        folder: Where relative paths begin.

    Returns:
        One warning a line.
    """
    return (*_keys(agents, refiner), *_twins(agents), *_habits(agents), *_folders(agents, folder))


def _keys(agents: Sequence[AgentSpec], refiner: RefinerSpec) -> list[str]:
    users = defaultdict(list)
    for spec in agents:
        if spec.api_key_env is not None:
            users[spec.api_key_env].append(spec.id)
    if refiner.api_key_env is not None:
        users[refiner.api_key_env].append("the refiner")
    return [
        f"{name} is not set in the environment, but needed by {_listed(ids)}; set it before asking them"
        for name, ids in users.items()
        if not os.environ.get(name)
    ]


def _twins(agents: Sequence[AgentSpec]) -> list[str]:
    """Pairs whose descriptions have the same words, or in longer ones all but one; linear in all words."""
    seen: dict[frozenset[str], str] = {}
    found = []
    for spec in agents:
        words = frozenset(re.findall(r"\w+", spec.card.casefold()))
        keys = [words, *(words - {word} for word in sorted(words) if len(words) >= _ENOUGH_WORDS)]
        twin = next((seen[key] for key in keys if key in seen), None)
        if twin is not None:
            found.append(f"{twin} and {spec.id} have almost the same description; say what sets them apart")
        for key in keys:
            seen.setdefault(key, spec.id)
    return found


def _habits(agents: Sequence[AgentSpec]) -> list[str]:
    found = []
    if idle := [spec.id for spec in agents if spec.tools and spec.strategy != "react"]:
        found.append(f"{_listed(idle)}: tools are called by strategy react only; set it, or drop the tools")
    if bare := [s.id for s in agents if s.kind == "llm" and s.strategy == "react" and not s.tools]:
        found.append(f"{_listed(bare)}: strategy react has no tools to call; add some, or use cot")
    if silent := [spec.id for spec in agents if not spec.examples and spec.kind != "recorded"]:
        found.append(f"{_listed(silent)}: no examples; two or three questions help a router to place them")
    return found


def _folders(agents: Sequence[AgentSpec], folder: Path | None) -> list[str]:
    names = dict.fromkeys(spec.outcomes for spec in agents if spec.outcomes is not None)
    here = folder or Path()
    return [
        f"outcomes folder {n} is not there; paths begin at {here}" for n in names if not (here / n).is_dir()
    ]


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (f" and {len(ids) - 5:,} more" if len(ids) > 5 else "")
