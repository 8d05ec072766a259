"""``agentroute effort train | evaluate``: from outcomes at several levels to an effort router."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentroute.cli.options import Json, Seed
from agentroute.cli.output import print_json, tell
from agentroute.cli.reports import JsonFile, check_files, show
from agentroute.errors import InputError

Across = Annotated[
    bool,
    typer.Option("--across", help="Make all agents one ladder, in the order of their price."),
]


def train(
    folder: Annotated[Path, typer.Argument(help="Outcomes at several levels.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to save the effort router.")],
    max_loss: Annotated[
        float,
        typer.Option(
            help="Points of score, 0 to 1, that may be lost; below 0: to be gained.", min=-1.0, max=1.0
        ),
    ] = 0.01,
    doubt: Annotated[
        float,
        typer.Option(
            help="Standard errors of the loss that are added to it; 0 to believe it.", min=0.0, max=9.0
        ),
    ] = 1.0,
    price: Annotated[
        str | None, typer.Option(help="tokens, cost_usd, all_tokens, weight or highest.")
    ] = None,
    across: Across = False,
    agent: Annotated[
        list[str] | None,
        typer.Option("--agent", help="An agent to look at; may be repeated; all by default."),
    ] = None,
    vectors: Annotated[
        bool, typer.Option("--vectors", help="Read the steps' vectors too, which takes the encoder.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Train on all queries, with none held out for evaluate.")
    ] = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Learn from recorded outcomes which steps do with less effort."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; a router is saved into a folder: give another --out")
    from agentroute.effort.train import EffortConfig
    from agentroute.effort.training import train_effort
    from agentroute.evaluation.progress import progress_bar
    from agentroute.outcomes import OutcomeFolder

    embedder = None
    if vectors:
        from agentroute.knowledge.embed import default_embedder

        embedder = default_embedder()
    opened = OutcomeFolder.open(folder)
    with progress_bar() as bar:
        router = train_effort(
            opened,
            out,
            config=EffortConfig(seed=seed, max_loss=max_loss, doubt=doubt, price=price),
            across=across,
            agents=tuple(agent or ()),
            held_out=not everything,
            embedder=embedder,
            progress=bar,
        )
    found = [
        {
            "ladder": learned.ladder.name,
            "rungs": list(learned.ladder.named),
            "currency": learned.currency,
            "steps": learned.choice.steps,
            "saved": learned.choice.saved,
            "loss": learned.choice.loss,
            "loss_error": learned.choice.doubt,
            "seconds": learned.choice.seconds,
        }
        for learned in router.plans
    ]
    if as_json:
        print_json({"router": str(out), "ladders": found})
        return
    for line in opened.problems:
        tell(line)
    for name, count in router.manifest["dropped"].items():
        tell(f"{name}: {count:,} outcomes left out, since their level was asked for and not applied")
    for learned in router.plans:
        choice = learned.choice
        worth = (
            f"always {learned.ladder.named[-1]}: nothing saves within {100 * max_loss:g} points of loss with "
            f"{doubt:g} standard errors in reserve; record more steps, or allow more --max-loss"
            if choice.at is None
            else f"saves {choice.saved:.1%} of {learned.currency}, loss {100 * choice.loss:+.1f} points"
        )
        rungs = ", ".join(learned.ladder.named)
        typer.echo(
            f"{out}: {learned.ladder.name} ({rungs}), {choice.steps:,} steps; cross-fitted: {worth}; "
            f"{choice.seconds} s"
        )


def evaluate(
    router: Annotated[Path, typer.Argument(help="The effort router.", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="Outcomes at several levels.", show_default=False)],
    json_file: JsonFile = None,
    plot_file: Annotated[
        Path | None, typer.Option("--plot", help="Draw score against what is spent here.", metavar="FILE")
    ] = None,
    seed: Seed = 0,
    no_control: Annotated[
        bool, typer.Option("--no-control", help="Skip the shuffled-label control.")
    ] = False,
) -> None:
    """Compare an effort router with each fixed level, chance and hindsight."""
    check_files(json_file, plot_file)
    from agentroute.evaluation.effort import evaluate_effort
    from agentroute.evaluation.progress import progress_bar

    with progress_bar() as bar:
        report = evaluate_effort(router, folder, seed=seed, control=not no_control, progress=bar)
    show(report, json_file)
    if plot_file is not None:
        report.plot(plot_file)
