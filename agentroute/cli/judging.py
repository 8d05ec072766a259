"""``agentroute evaluate``: whether a router is worth it, on outcomes or on labelled utterances."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentroute.cli.options import MaxCalls, MaxCost, MaxSetSize, Seed, TargetCoverage, Without
from agentroute.cli.reports import JsonFile, check_files, show
from agentroute.errors import InputError

if TYPE_CHECKING:
    from agentroute.evaluation.report import Report
    from agentroute.evaluation.set_report import SetReport


def evaluate(
    router: Annotated[Path, typer.Argument(help="The trained router.", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="Outcomes, or utterances.", show_default=False)],
    json_file: JsonFile = None,
    plot_file: Annotated[
        Path | None, typer.Option("--plot", help="Draw score against cost here.", metavar="FILE")
    ] = None,
    max_calls: MaxCalls = None,
    max_cost_usd: MaxCost = None,
    target_coverage: TargetCoverage = None,
    max_set_size: MaxSetSize = None,
    without: Without = None,
    seed: Seed = 0,
    no_control: Annotated[
        bool, typer.Option("--no-control", help="Skip the shuffled-label control.")
    ] = False,
) -> None:
    """Compare a router with everything it has to beat; on utterances, say how good its sets are."""
    check_files(json_file, plot_file)
    from agentroute.evaluation.progress import progress_bar
    from agentroute.outcomes import OutcomeFolder
    from agentroute.routing.router import GraphRouter

    trained, opened = GraphRouter.load(router), OutcomeFolder.open(folder)
    left_out, report = tuple(without or ()), None
    found: Report | SetReport
    if opened.labelled:
        _only_for_outcomes(
            folder,
            {
                "--max-calls": max_calls,
                "--max-cost-usd": max_cost_usd,
                "--target-coverage": target_coverage,
                "--plot": plot_file,
            },
        )
        from agentroute.evaluation.sets import evaluate_sets

        with progress_bar() as bar:
            found = evaluate_sets(
                trained, opened, seed=seed, max_set_size=max_set_size, without=left_out, progress=bar
            )
    else:
        if max_set_size is not None:
            raise InputError(
                f"--max-set-size is for utterances, and {folder} holds outcomes: use --max-calls"
            )
        from agentroute.evaluation.compare import evaluate as run

        with progress_bar() as bar:
            found = report = run(
                trained,
                opened,
                seed=seed,
                max_calls=max_calls,
                max_cost_usd=max_cost_usd,
                target_coverage=target_coverage,
                without=left_out,
                control=not no_control,
                progress=bar,
            )
    show(found, json_file)
    if plot_file is not None and report is not None:
        report.plot(plot_file)


INSTEAD = {
    "--max-calls": "nobody is called there; bound the sets with --max-set-size",
    "--max-cost-usd": "nobody is paid there; bound the sets with --max-set-size",
    "--target-coverage": "there are no answers to promise anything of; bound the sets with --max-set-size",
    "--plot": "nothing has a price there; use --json for the figures",
}
"""Options that mean nothing on utterances, and what to use instead."""


def _only_for_outcomes(folder: Path, given: dict[str, object]) -> None:
    for option, value in given.items():
        if value is not None:
            raise InputError(
                f"{option} is for outcomes, and {folder} holds labelled utterances: {INSTEAD[option]}"
            )
