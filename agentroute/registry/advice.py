"""Warnings about a registry that breaks no rule, but hardly means what it says."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from agentroute.registry.cards import card_warnings, listing
from agentroute.types import AgentSpec, RefinerSpec


def warnings_for(agents: Sequence[AgentSpec], refiner: RefinerSpec, folder: Path | None) -> tuple[str, ...]:
    """Look for what is allowed but seldom meant.

    Args:
        agents: The rows.
        refiner: The refiner.
        folder: Where relative paths begin.

    Returns:
        One warning a line.
    """
    return (*_keys(agents, refiner), *card_warnings(agents), *_habits(agents), *_folders(agents, folder))


def _keys(agents: Sequence[AgentSpec], refiner: RefinerSpec) -> list[str]:
    users = defaultdict(list)
    for spec in agents:
        if spec.api_key_env is not None:
            users[spec.api_key_env].append(spec.id)
    if refiner.api_key_env is not None:
        users[refiner.api_key_env].append("the refiner")
    return [
        f"{name} is not set in the environment, but needed by {listing(ids)}; set it before asking them"
        for name, ids in users.items()
        if not os.environ.get(name)
    ]


def _habits(agents: Sequence[AgentSpec]) -> list[str]:
    found = []
    if idle := [spec.id for spec in agents if spec.tools and spec.strategy != "react"]:
        found.append(f"{listing(idle)}: tools are called by strategy react only; set it, or drop the tools")
    if bare := [s.id for s in agents if s.kind == "llm" and s.strategy == "react" and not s.tools]:
        found.append(f"{listing(bare)}: strategy react has no tools to call; add some, or use cot")
    if silent := [spec.id for spec in agents if not spec.examples and spec.kind != "recorded"]:
        found.append(f"{listing(silent)}: no examples; two or three questions help a router to place them")
    return found


def _folders(agents: Sequence[AgentSpec], folder: Path | None) -> list[str]:
    names = dict.fromkeys(spec.outcomes for spec in agents if spec.outcomes is not None)
    here = folder or Path()
    return [
        f"outcomes folder {n} is not there; paths begin at {here}" for n in names if not (here / n).is_dir()
    ]
