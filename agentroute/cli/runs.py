"""``agentroute runs list | show | resume | prune``: what runs did, and going on with those that broke off."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from agentroute.cli.asking import Strict, answered, follow
from agentroute.cli.following import rounds
from agentroute.cli.options import Allow, Deadline, JournalFile, Json, MaxCost, allowed
from agentroute.cli.output import dollars, plain, print_json, print_table, shortened, tell
from agentroute.errors import InputError, RunError

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

Run = Annotated[str, typer.Argument(help="The run's name, or its beginning.", metavar="RUN")]


def list_(
    journal: JournalFile = None,
    most: Annotated[int, typer.Option("--most", help="How many at most.", min=1)] = 20,
    as_json: Json = False,
) -> None:
    """List the latest runs, the latest first."""
    found = _journal(journal).runs(most)
    if as_json:
        from dataclasses import asdict

        print_json([asdict(row) for row in found])
        return
    rows = [
        (row.id[:12], row.state, _when(row.began), str(row.answers), _short(row.question)) for row in found
    ]
    print_table(("run", "state", "began", "answers", "question"), rows, words=3)
    if any(row.state == "unfinished" for row in found):
        typer.echo("`agentroute runs resume RUN` goes on with one that is unfinished")


def show(run: Run, journal: JournalFile = None, as_json: Json = False) -> None:
    """Show a run: whom it asked, what came, what it cost, and how it ended."""
    from agentroute.running.keeping.past import past_of, result_of
    from agentroute.types import Answer, RoutingDecision, Usage, from_plain

    opened = _journal(journal)
    story = opened.story(run)
    entries = [
        {"seq": entry.seq, "kind": entry.kind, "agent": entry.agent, "data": entry.data}
        for entry in story.entries
    ]
    if as_json:
        from dataclasses import asdict

        print_json({**asdict(story.row), "record": entries, "damaged": story.damaged})
        return
    typer.echo(plain(f"{story.row.id}: {story.row.state}, began {_when(story.row.began)}"))
    typer.echo(plain(f"asked: {_short(story.row.question, 300)}"))
    decisions = [entry.data["decision"] for entry in story.entries if entry.kind == "routed"]
    for line in rounds(from_plain(RoutingDecision, decision) for decision in decisions if decision):
        typer.echo(line)
    came = [e for e in story.entries if e.kind in ("answered", "late")]
    rows = []
    for entry in came:
        answer = from_plain(Answer, entry.data)
        when = "late, not used" if entry.kind == "late" else answer.status.replace("_", " ")
        rows.append((answer.agent, when, shortened(answer), dollars(answer.usage.cost_usd)))
    print_table(("agent", "status", "answer", "cost"), rows, words=3)
    if story.damaged:
        tell(f"{story.damaged} entries of the record are damaged")
    if story.row.state in ("complete", "degraded", "failed"):
        try:
            result = result_of(story)
        except RunError as error:
            typer.echo(plain(str(error)))
            return
        cost = dollars(result.usage.cost_usd)
        typer.echo(plain(f"answer: {result.answer}"))
        typer.echo(f"{result.status}, cost {cost}")
        for line in result.problems:
            tell(f"problem: {line}")
        return
    past = past_of(story)
    spent = sum((from_plain(Usage, record["usage"]) for record in past.answers), past.spent)
    typer.echo(f"so far: cost {dollars(spent.cost_usd)}; not answered: {', '.join(past.wave) or 'nobody'}")
    if story.row.state == "unfinished":
        from agentroute.running.keeping.past import resume_command

        typer.echo(f"to go on with it: {resume_command(opened, story.row.id, story.data['origin'])}")


def resume(
    run: Run,
    journal: JournalFile = None,
    registry: Annotated[
        Path | None, typer.Option("--registry", "-r", help="The team; the one that the run began with.")
    ] = None,
    router: Annotated[
        Path | None, typer.Option("--router", help="A trained router; the one that the run began with.")
    ] = None,
    allow: Allow = None,
    max_cost_usd: MaxCost = None,
    deadline: Deadline = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Tell each round and answer while the run goes on.")
    ] = False,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Go on with a run that broke off: only those who have not answered are asked."""
    from agentroute.pipeline import AgentRoute
    from agentroute.running.spending.shared import Budget
    from agentroute.types import Limits

    opened = _journal(journal)
    story = opened.story(run)
    origin = story.data["origin"]
    team_file = registry or (Path(origin["registry"]) if origin.get("registry") else None)
    if team_file is None:
        raise InputError(f"the record of run {story.row.id} names no registry: give --registry FILE")
    # Whose code may run is never taken from a file.
    given = {"max_cost_usd": max_cost_usd, "deadline_s": deadline}
    limits = {**origin["limits"], **{name: cap for name, cap in given.items() if cap is not None}}
    shared = origin.get("budget")
    team = AgentRoute.from_yaml(
        team_file,
        router or origin.get("router"),
        allow=allowed(allow),
        limits=Limits(**limits),
        preset=origin.get("preset"),
        target_coverage=origin.get("target_coverage"),
        journal=opened,
        budget=Budget(**shared) if shared else None,
    )
    if story.row.state == "unfinished" and team.registry.hash != origin.get("hash"):
        tell("the registry is not the one that this run began with")
    result = follow(team, None, story.row.id, verbose)
    answered(result, as_json, strict, told=verbose)


def prune(
    older_than: Annotated[
        str, typer.Option("--older-than", help="Such as 30d, 12h or 0s.", metavar="AGE")
    ] = "30d",
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Those as well that could be resumed.")
    ] = False,
    journal: JournalFile = None,
    as_json: Json = False,
) -> None:
    """Delete runs that began long ago."""
    found = re.fullmatch(r"(\d{1,6})([smhdw])", older_than)
    if found is None:
        raise typer.BadParameter(f"{older_than!r} is no age: write a number and s, m, h, d or w, such as 30d")
    count = _journal(journal).prune(int(found[1]) * _UNITS[found[2]], unfinished=unfinished)
    if as_json:
        print_json({"deleted": count})
    else:
        typer.echo(f"{count} runs deleted")


runs = typer.Typer(no_args_is_help=True, help="What runs did, and going on with those that broke off.")
runs.command("list")(list_)
for command in (show, resume, prune):
    runs.command()(command)


def _journal(path: Path | None) -> Any:
    from agentroute.running.keeping.journal import Journal, default_path

    where = path or default_path()
    if not where.is_file():
        raise InputError(f"there is no journal at {where}: `agentroute ask` makes one, or name another")
    return Journal(where)


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _short(text: str, most: int = 48) -> str:
    line = " ".join(plain(text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
