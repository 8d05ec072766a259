"""``agentroute explain``: why these agents would be asked, and whether the reasons hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentroute.cli.asking import Question
from agentroute.cli.options import (
    Allow,
    Json,
    MaxCost,
    Preset,
    Registry,
    Router,
    Seed,
    TargetCoverage,
    allowed,
    registry_path,
)
from agentroute.cli.output import plain, print_json

if TYPE_CHECKING:
    from agentroute.explaining import Explanation


def explain(
    query: Question,
    registry: Registry = None,
    router: Router = None,
    allow: Allow = None,
    max_cost_usd: MaxCost = None,
    preset: Preset = None,
    target_coverage: TargetCoverage = None,
    past: Annotated[int, typer.Option(help="Recorded questions to show, at most.", min=0)] = 5,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="The folder it was trained on, to show the texts of those."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Draw the knowledge graph here.", metavar="FILE")
    ] = None,
    in_words: Annotated[
        bool,
        typer.Option("--in-words", help="Let the registry's refining model retell it; that costs a call."),
    ] = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Say why these agents would be asked, check the reasons by changing them, and ask nobody."""
    import asyncio

    from agentroute.explaining import explain as explained
    from agentroute.explaining import retell
    from agentroute.pipeline import AgentRoute
    from agentroute.running.question import read_question
    from agentroute.types import Limits

    team = AgentRoute.from_yaml(
        registry_path(registry),
        router,
        allow=allowed(allow),
        limits=Limits(max_cost_usd=max_cost_usd),
        preset=preset,
        target_coverage=target_coverage,
    )
    texts: dict[str, str] = {}
    if data is not None:
        from agentroute.outcomes import OutcomeFolder

        rows = OutcomeFolder.open(data).table().queries
        texts = {row.query.id: row.query.text for row in rows if row.query.id is not None}
    asked, _ = read_question(query)
    found = explained(team.router, asked, team.agents, limits=team.limits, past=past, texts=texts, seed=seed)
    if in_words:
        from agentroute.running.calling.client import LiteLLMClient
        from agentroute.running.spending.budget import MeteredClient

        async def told() -> Explanation:
            async with LiteLLMClient() as client:
                return await retell(found, MeteredClient(client, team.limits), team.registry.refiner)

        found = asyncio.run(told())
    if picture is not None:
        found.picture(picture)
    if as_json:
        print_json(found.to_json())
        return
    for line in found.lines():
        typer.secho(plain(line), bold=not line.startswith(" "))
