"""``agentroute onboard``: a new agent joins a trained router, without training."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from agentroute.cli.options import Allow, Deadline, Json, MaxCost, Registry, allowed, registry_path
from agentroute.cli.output import dollars, only_ours, print_json, tell
from agentroute.errors import BudgetError, DeadlineError, InputError


def onboard(
    agent: Annotated[
        Path, typer.Argument(help="A registry file with the new agent's row.", show_default=False)
    ],
    router: Annotated[Path, typer.Option("--router", help="The trained router that it is to join.")],
    outcomes: Annotated[Path, typer.Option("--outcomes", help="The outcome folder of the training.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to save the router that knows it.")],
    registry: Registry = None,
    probe: Annotated[int, typer.Option(help="Known questions to try it on.", min=1)] = 20,
    probed: Annotated[
        Path | None,
        typer.Option(help="Where its outcomes are kept; OUT/probed/AGENT by default.", show_default=False),
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="exact_match, token_f1, numeric or choice; else each query's own.")
    ] = None,
    concurrency: Annotated[int, typer.Option(help="Questions at once.", min=1, max=1_000)] = 8,
    retry: Annotated[bool, typer.Option("--retry", help="Ask again where it failed before.")] = False,
    allow: Allow = None,
    max_cost_usd: MaxCost = None,
    deadline: Deadline = None,
    as_json: Json = False,
) -> None:
    """Try a new agent on a few known questions, and let it join a router; again, to go on."""
    from agentroute.evaluation.onboard import onboard as run
    from agentroute.evaluation.progress import progress_bar
    from agentroute.registry import AgentRegistry
    from agentroute.routing.router import GraphRouter
    from agentroute.types import Limits

    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; a router is saved into a folder: give another --out")
    path, row = registry_path(registry), AgentRegistry.from_yaml(agent)
    if len(row) != 1:
        raise InputError(f"{agent} has {len(row)} rows; give a registry file with the new agent's alone")
    advice = _advice(AgentRegistry.from_yaml(path), row, path)
    trained = GraphRouter.load(router)
    kept = probed or out / "probed" / row.ids[0]
    again = f"the outcomes so far are kept in {kept}; run the same command again to go on"
    try:
        with progress_bar() as bar, only_ours():
            found = run(
                row,
                trained,
                outcomes,
                kept,
                probes=probe,
                metric=metric,
                concurrency=concurrency,
                limits=Limits(max_cost_usd=max_cost_usd, deadline_s=deadline),
                retry=retry,
                allow=allowed(allow),
                progress=bar,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {again}") from None
    report = found.report
    for line in report.problems:
        tell(line)
    if found.router is None:
        kind = BudgetError if str(report.stopped).startswith("budget") else DeadlineError
        raise kind(f"stopped before the last question, and no router was saved; {again}, with more room")
    _save(found.router, router, out)
    for line in advice:
        tell(line)
    if as_json:
        print_json({"router": str(out), "agent": row.ids[0], "probed": str(kept), **found.to_json()})
        return
    typer.echo(
        f"{out}: {row.ids[0]} scored {found.score:.3f} on {len(found.probes)} known questions, cost "
        f"{dollars(report.usage.cost_usd)}; expected on all: {found.expected:.3f} (the others: "
        f"{found.usual:.3f})"
    )


def _advice(team: Any, row: Any, path: Path) -> list[str]:
    """Say what the team lacks for the agent to be asked, and what of its card is seldom meant."""
    spec = next(iter(row))
    there = spec.id in team
    if there and team[spec.id] != spec:
        raise InputError(f"{path} has another agent {spec.id!r}; give the new one an id of its own")
    larger = team if there else team.add(spec)
    before = larger.remove(spec.id).check() if len(larger) > 1 else ()
    lines = [f"warning: {line}" for line in larger.check() if line not in before]
    return lines if there else [*lines, f"{spec.id} is not in {path} yet: put its row there, and it is asked"]


def _save(router: Any, old: Path, out: Path) -> None:
    from agentroute.routing.router_file import ENCODER_FOLDER

    encoder, mine = old / ENCODER_FOLDER, out / ENCODER_FOLDER
    if encoder.is_dir() and encoder.resolve() != mine.resolve():  # a tuned one is part of the router
        shutil.copytree(encoder, mine, dirs_exist_ok=True)
    router.save(out)
