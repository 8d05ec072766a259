"""Ladders in a team: rows that are one agent at several levels of effort."""

from __future__ import annotations

from collections.abc import Sequence

from agentroute.types import EFFORTS, AgentSpec, Effort


def base_of(spec: AgentSpec) -> str:
    """Return whose level a row is: ``BASE`` of ``BASE@LEVEL``, else the model, else the row itself."""
    base, _, level = spec.id.rpartition("@")
    return base if base and level in EFFORTS else spec.model or spec.id


def ladders_of(specs: Sequence[AgentSpec]) -> dict[str, tuple[AgentSpec, ...]]:
    """Find the rows that differ in effort alone.

    Args:
        specs: The rows of a registry.

    Returns:
        Ladders by name, the weakest level first; each has two levels or more, and no level twice.
    """
    groups: dict[str, list[AgentSpec]] = {}
    for spec in specs:
        if spec.effort is not None:
            groups.setdefault(base_of(spec), []).append(spec)
    return {
        name: tuple(sorted(group, key=_rank))
        for name, group in groups.items()
        if len(set(map(_rank, group))) == len(group) > 1
    }


def one_level(specs: Sequence[AgentSpec]) -> dict[Effort, frozenset[str]]:
    """Say whom a team does without when every ladder stands at one level.

    A ladder that lacks the level stands at its next higher one; if there is none, at its highest.

    Args:
        specs: The rows of a registry.

    Returns:
        The agents left out, for each level of any ladder, the weakest first; empty without ladders.
    """
    ladders = ladders_of(specs).values()
    found: dict[Effort, frozenset[str]] = {}
    for wanted in sorted({_rank(spec) for ladder in ladders for spec in ladder}):
        kept = {next((s for s in ladder if _rank(s) >= wanted), ladder[-1]).id for ladder in ladders}
        found[EFFORTS[wanted]] = frozenset(s.id for ladder in ladders for s in ladder) - kept
    return found


def _rank(spec: AgentSpec) -> int:
    return -1 if spec.effort is None else EFFORTS.index(spec.effort.default)
