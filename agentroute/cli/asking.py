"""``agentroute check | ask | route``: looking at a team, and asking it.

Everything heavy is imported inside the commands, so that each pays only for what it uses.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from agentroute.cli.following import Follower, rounds
from agentroute.cli.options import (
    Allow,
    Deadline,
    JournalFile,
    Json,
    MaxCost,
    Preset,
    Registry,
    Router,
    TargetCoverage,
    allowed,
    registry_path,
)
from agentroute.cli.output import dollars, only_ours, plain, print_json, print_table, shortened, tell
from agentroute.types import RunResult

STRICT_CODE = 10
Strict = Annotated[
    bool, typer.Option("--strict", help=f"Exit with {STRICT_CODE} when anything went wrong on the way.")
]

Question = Annotated[str, typer.Argument(help="The question.", metavar="QUERY", show_default=False)]


def check(
    registry: Annotated[
        Path | None, typer.Argument(help="The registry file; ./agents.yaml by default.")
    ] = None,
    allow: Allow = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema for editors.")] = False,
    as_json: Json = False,
) -> None:
    """Check a registry, and list its agents."""
    from agentroute.effort.levels import advice
    from agentroute.registry import AgentRegistry, json_schema

    if schema:
        print_json(json_schema())
        return
    from agentroute.running.agents import build_team

    path = registry_path(registry)
    team = AgentRegistry.from_yaml(path)
    build_team(team, allowed(allow))
    warnings = (*team.check(), *(line for spec in team for line in advice(spec)))
    if as_json:
        print_json(
            {"registry": str(path), "hash": team.hash, "agents": list(team.ids), "warnings": list(warnings)}
        )
        return
    rows = [(spec.id, spec.kind, spec.model or spec.function or spec.runnable or "") for spec in team]
    print_table(("agent", "kind", "runs"), rows, words=3)
    for line in warnings:
        tell(f"warning: {line}")
    typer.echo(f"{path}: {len(team)} agents, no errors, {len(warnings)} warnings")


def ask(
    query: Question,
    registry: Registry = None,
    router: Router = None,
    allow: Allow = None,
    max_cost_usd: MaxCost = None,
    deadline: Deadline = None,
    max_rounds: Annotated[int | None, typer.Option(help="Waves of agents at most.", min=1)] = None,
    preset: Preset = None,
    target_coverage: TargetCoverage = None,
    journal: JournalFile = None,
    no_journal: Annotated[bool, typer.Option("--no-journal", help="Keep no record of the run.")] = False,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            help="Dollars that all runs share which name the same budget and journal.",
            metavar="NAME=USD",
        ),
    ] = None,
    effort: Annotated[
        Path | None,
        typer.Option("--effort", help="An effort router, made by `effort train`.", metavar="ROUTER"),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Tell each round and answer while the run goes on.")
    ] = False,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Answer a question with the team, and show who was asked, round by round."""
    limits = _limits(max_cost_usd, deadline, max_rounds)
    kept = None if no_journal else _kept(journal)
    shared = None if budget is None else _shared(budget, journal)
    team = _team(
        registry, router, allow, limits, preset, target_coverage, journal=kept, budget=shared, effort=effort
    )
    answered(follow(team, query, uuid.uuid4().hex, verbose), as_json, strict, told=verbose)


def follow(team: Any, query: str | None, run_id: str, verbose: bool) -> RunResult:
    """Run a team, and say on an interrupt what had come and how to go on.

    Args:
        team: The ``AgentRoute``.
        query: The question; ``None`` goes on with the run.
        run_id: The run's name.
        verbose: Whether to tell each round and answer as they come.

    Returns:
        The result.
    """
    follower = Follower(tell if verbose else None)
    try:
        with only_ours():
            return follower.run(team, query, run_id)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(follower.interrupted(team.how_to_resume(run_id))) from None


def answered(result: RunResult, as_json: bool, strict: bool, *, told: bool) -> None:
    """Show a result, and end the command as ``--strict`` asks for."""
    if as_json:
        from agentroute.types import to_plain

        print_json(to_plain(result))
    else:
        _show(result, told=told)
    if strict and result.status != "complete":
        raise typer.Exit(STRICT_CODE)


def route(
    query: Question,
    registry: Registry = None,
    router: Router = None,
    allow: Allow = None,
    max_cost_usd: MaxCost = None,
    preset: Preset = None,
    target_coverage: TargetCoverage = None,
    as_json: Json = False,
) -> None:
    """Say who would be asked, and ask nobody."""
    from agentroute.pipeline import NO_ROUTER

    team = _team(registry, router, allow, _limits(max_cost_usd), preset, target_coverage)
    decision = team.route(query)
    if as_json:
        from agentroute.types import to_plain

        print_json(to_plain(decision))
        return
    if router is None:
        tell(NO_ROUTER)
    if decision.abstained:
        default = team.registry.default_agent
        who = "nobody" if default is None else f"only the default agent {default}"
        tell(f"{who} would be asked: {decision.reason}")
    weights = decision.weights
    rows = [
        (
            r.agent,
            f"{weights[r.agent]:.2f}" if r.agent in weights else "",
            f"{r.score:.3f}",
            dollars(r.cost_usd),
        )
        for r in sorted(decision.ranking, key=lambda r: (-weights.get(r.agent, 0.0), -r.score))
    ]
    print_table(("agent", "weight", "score", "cost"), rows, bold=len(weights))


def _limits(
    max_cost_usd: float | None = None, deadline: float | None = None, max_rounds: int | None = None
) -> Any:
    from agentroute.types import Limits

    given = {"max_cost_usd": max_cost_usd, "deadline_s": deadline, "max_rounds": max_rounds}
    return Limits(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def _team(
    registry: Path | None,
    router: Path | None,
    allow: list[str] | None,
    limits: Any,
    preset: str | None,
    target_coverage: float | None,
    **options: Any,
) -> Any:
    from agentroute.pipeline import AgentRoute

    return AgentRoute.from_yaml(
        registry_path(registry),
        router,
        allow=allowed(allow),
        limits=limits,
        preset=preset,
        target_coverage=target_coverage,
        **options,
    )


def _kept(path: Path | None) -> Any:
    """Open the journal; the one that nobody named must not keep anybody from an answer."""
    from agentroute.errors import StorageError
    from agentroute.running.keeping.journal import Journal

    try:
        return Journal(path)
    except StorageError as error:
        if path is not None:
            raise StorageError(f"{error}; name another --journal, or give --no-journal") from error
        tell(f"no record is kept of this run: {error}")
        return None


def _shared(text: str, journal: Path | None) -> Any:
    from agentroute.running.keeping.journal import default_path
    from agentroute.running.spending.shared import Budget

    name, _, amount = text.rpartition("=")
    try:
        usd = float(amount)
    except ValueError:
        usd = -1.0
    if not name or not usd >= 0:
        raise typer.BadParameter(f"{text!r} is no budget: write NAME=USD, such as 2026-11=5.00")
    return Budget(name, max_cost_usd=usd, store=journal or default_path())


def _show(result: RunResult, told: bool) -> None:
    typer.echo(plain(result.answer))
    typer.echo("")
    weights = result.decisions[-1].weights if result.decisions else {}
    rows = []
    for answer in result.answers:
        seconds = "" if answer.latency_s is None else f"{answer.latency_s:.2f}"
        weight = f"{weights.get(answer.agent, 0.0):.2f}" if answer.status == "ok" else ""
        rows.append((answer.agent, shortened(answer), weight, seconds, dollars(answer.usage.cost_usd)))
    print_table(("agent", "answer", "weight", "seconds", "cost"), rows, words=2)
    if not told:
        for line in rounds(result.decisions):
            typer.echo(line)
    confidence = "" if result.confidence is None else f", confidence {result.confidence:.2f}"
    typer.echo(f"{result.status}{confidence}, cost {dollars(result.usage.cost_usd)}, run {result.run_id}")
    for line in result.problems:
        tell(f"problem: {line}")
