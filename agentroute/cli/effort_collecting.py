"""``agentroute effort collect``: from your own agents and questions to labels of effort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentroute.cli.options import Allow, Deadline, Json, MaxCost, allowed
from agentroute.cli.output import dollars, only_ours, print_json, print_table, tell
from agentroute.errors import AllAgentsFailedError, BudgetError, DeadlineError


def collect(
    registry: Annotated[Path, typer.Argument(help="The registry file.", show_default=False)],
    questions: Annotated[Path, typer.Argument(help="A queries.jsonl with gold.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The outcome folder; made if missing.")],
    runs: Annotated[int, typer.Option(help="How often each step is made again at each level.", min=1)] = 3,
    tries: Annotated[int, typer.Option(help="Trajectories for each question and agent.", min=1)] = 1,
    success: Annotated[
        float, typer.Option(help="The score from which on a trajectory is right.", min=0.0, max=1.0)
    ] = 1.0,
    judge: Annotated[
        str | None,
        typer.Option(help="module:function of yours that compares two texts; see --allow.", metavar="PATH"),
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="exact_match, token_f1, numeric or choice; else each query's own.")
    ] = None,
    concurrency: Annotated[int, typer.Option(help="Calls under way at once.", min=1, max=1_000)] = 8,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Only say what it will cost, and ask nobody.")
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Make those again that failed before.")] = False,
    allow: Allow = None,
    max_cost_usd: MaxCost = None,
    deadline: Deadline = None,
    as_json: Json = False,
) -> None:
    """Run agents at their highest effort, and make each step of what was right again at every level."""
    from agentroute.evaluation.effort_collect import collect_effort
    from agentroute.evaluation.progress import progress_bar
    from agentroute.running.imports import check_path, load_path
    from agentroute.types import Limits

    modules = allowed(allow)
    if judge is not None:
        check_path("--judge", judge, modules)
    again = f"what was done is kept in {out}; run the same command again to go on"
    try:
        with progress_bar() as bar, only_ours():
            report = collect_effort(
                registry,
                questions,
                out,
                runs=runs,
                tries=tries,
                success=success,
                judge=None if judge is None else load_path("--judge", judge),
                metric=metric,
                concurrency=concurrency,
                limits=Limits(max_cost_usd=max_cost_usd, deadline_s=deadline),
                retry=retry,
                estimate=estimate,
                allow=modules,
                progress=bar,
                tell=tell,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {again}") from None
    if as_json:
        print_json(report.to_json())
    elif not estimate:
        if report.repeats is not None:
            _show_shares(out)
        made, kept = (report.repeats.recorded, report.repeats.kept) if report.repeats else (0, 0)
        typer.echo(
            f"{out}: {report.right:,} right trajectories, {report.steps:,} steps, {made:,} made again now, "
            f"{kept:,} were there, cost {dollars(report.usage.cost_usd)}"
        )
    for line in report.problems:
        tell(line)
    if report.stopped is not None:
        kind = BudgetError if report.stopped.startswith("budget") else DeadlineError
        raise kind(f"stopped before the last step; {again}, with more room")
    ran = report.trajectories
    if ran.recorded and ran.failed == ran.recorded:
        raise AllAgentsFailedError("no agent answered any question; mend the cause, then run it with --retry")


def _show_shares(folder: Path) -> None:
    """Say for each level how many of its runs came to the same, and what they took."""
    from agentroute.outcomes import OutcomeFolder

    opened = OutcomeFolder.open(folder)
    rows: dict[str, list[tuple[float, int | None]]] = {name: [] for name in opened.registry.ids}
    for outcome in opened.read():
        if outcome.score is not None:
            rows[outcome.agent].append((outcome.score, outcome.output_tokens))
    cells = []
    for name, runs in rows.items():
        tokens = [count for _, count in runs if count is not None]
        share = f"{sum(score for score, _ in runs) / len(runs):.3f}" if runs else "-"
        mean = f"{sum(tokens) / len(tokens):,.0f}" if tokens and len(tokens) == len(runs) else "unknown"
        cells.append((name, share, mean, f"{len(runs):,}"))
    print_table(("agent at level", "same", "tokens written", "runs"), cells)
