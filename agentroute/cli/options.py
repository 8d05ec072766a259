"""Options that several commands share, and how their values are checked."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from agentroute.errors import InputError

DEFAULT_REGISTRY = Path("agents.yaml")


def _positive(value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise typer.BadParameter(f"{value} is not a finite number above 0")
    return value


def _not_negative(value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value >= 0):
        raise typer.BadParameter(f"{value} is not a finite number of 0 or more")
    return value


def _whole_set(value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value >= 1):
        raise typer.BadParameter(f"{value} is not a finite number of 1 or more: a set has at least one agent")
    return value


def _share(value: float | None) -> float | None:
    if value is not None and not 0 < value < 1:
        raise typer.BadParameter(f"{value} is not a share above 0 and below 1")
    return value


Registry = Annotated[
    Path | None, typer.Option("--registry", "-r", help="The team; ./agents.yaml when not given.")
]
Router = Annotated[
    Path | None, typer.Option("--router", help="A trained router; without one, descriptions decide.")
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow", help="A module whose code the registry may name; may be repeated.", metavar="MOD"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
MaxCost = Annotated[
    float | None, typer.Option("--max-cost-usd", help="Cap in US dollars.", callback=_not_negative)
]
Deadline = Annotated[
    float | None, typer.Option("--deadline", help="Cap in seconds.", callback=_positive, metavar="SECONDS")
]
MaxCalls = Annotated[
    float | None,
    typer.Option("--max-calls", help="Agents asked a query, in the mean.", callback=_positive),
]
MaxSetSize = Annotated[
    float | None,
    typer.Option("--max-set-size", help="Agents in a set, in the mean; for utterances.", callback=_whole_set),
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help="Hold the trained router to growing, top1, one_round, acar, cascade or all.",
        metavar="NAME",
    ),
]
TargetCoverage = Annotated[
    float | None,
    typer.Option(
        "--target-coverage",
        help="Share of the answers called sure that are to be right, such as 0.9.",
        callback=_share,
        metavar="SHARE",
    ),
]
JournalFile = Annotated[
    Path | None,
    typer.Option("--journal", help="Where runs are on record; runs.db in the state folder by default."),
]
Without = Annotated[
    list[str] | None,
    typer.Option("--without", help="An agent to leave out; may be repeated.", metavar="AGENT"),
]
Seed = Annotated[int, typer.Option("--seed", help="The same seed, the same result.", min=0, max=2**32 - 1)]


def allowed(modules: list[str] | None) -> tuple[str, ...]:
    """Return the modules that ``--allow`` names, and let Python find those of the working folder.

    Args:
        modules: What ``--allow`` says.

    Returns:
        The names.
    """
    if modules and "" not in sys.path:
        sys.path.insert(0, "")  # as "python -m" does: the user named this code
    return tuple(modules or ())


def registry_path(given: Path | None) -> Path:
    """Return the registry to use.

    Args:
        given: What ``--registry`` says.

    Returns:
        That, or ``agents.yaml`` of the working folder.

    Raises:
        InputError: Neither is there.
    """
    if given is None and not DEFAULT_REGISTRY.is_file():
        raise InputError("no registry: give --registry FILE, or work in a folder that has an agents.yaml")
    return given or DEFAULT_REGISTRY
