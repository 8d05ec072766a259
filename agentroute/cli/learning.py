"""``agentroute collect | train``: from questions, or labelled utterances, to a router."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from agentroute.cli.options import Allow, Deadline, Json, MaxCost, Seed, Without, allowed
from agentroute.cli.output import dollars, only_ours, print_json, print_table, tell
from agentroute.errors import AllAgentsFailedError, BudgetError, DeadlineError, InputError, MissingExtraError

WORKBENCH = "workbench"


def collect(
    registry: Annotated[Path, typer.Argument(help="The registry file.", show_default=False)],
    questions: Annotated[
        str, typer.Argument(help=f"A queries.jsonl, or the word {WORKBENCH}.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The outcome folder; made if missing.")],
    metric: Annotated[
        str | None, typer.Option(help="exact_match, token_f1, numeric or choice; else each query's own.")
    ] = None,
    concurrency: Annotated[int, typer.Option(help="Agents at work at once.", min=1, max=1_000)] = 8,
    retry: Annotated[bool, typer.Option("--retry", help="Ask those again that failed before.")] = False,
    allow: Allow = None,
    max_cost_usd: MaxCost = None,
    deadline: Deadline = None,
    as_json: Json = False,
) -> None:
    """Run every agent on every question and record how it did; again, to go on where it stopped."""
    from agentroute.evaluation.collect import collect as run
    from agentroute.evaluation.progress import progress_bar
    from agentroute.types import Limits

    again = f"the outcomes so far are kept in {out}; run the same command again to go on"
    try:
        with progress_bar() as bar, only_ours():
            report = run(
                registry,
                _questions(questions),
                out,
                metric=metric,
                concurrency=concurrency,
                limits=Limits(max_cost_usd=max_cost_usd, deadline_s=deadline),
                retry=retry,
                allow=allowed(allow),
                progress=bar,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {again}") from None
    if as_json:
        print_json(report.to_json())
    else:
        _show_means(out)
        typer.echo(
            f"{out}: {report.recorded:,} recorded in {report.seconds:.1f} s, {report.kept:,} were there, "
            f"{report.declined:,} declined, {report.failed:,} failed, cost {dollars(report.usage.cost_usd)}"
        )
    for line in report.problems:
        tell(line)
    if report.stopped is not None:
        kind = BudgetError if report.stopped.startswith("budget") else DeadlineError
        raise kind(f"stopped before the last question; {again}, with more room")
    if report.recorded and report.failed == report.recorded:
        raise AllAgentsFailedError(
            "no agent answered any question; mend the cause, then run again with --retry"
        )


def train(
    folder: Annotated[Path, typer.Argument(help="Outcomes, or utterances.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to save the router.")],
    seed: Seed = 0,
    without: Without = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data, at most.", min=1)] = None,
    embedder: Annotated[str, typer.Option(help="minilm, hashing, or st:NAME.")] = "minilm",
    extractor: Annotated[
        str, typer.Option(help="What finds entities: rules, none, or spacy:MODEL.")
    ] = "rules",
    bundle_encoder: Annotated[
        bool, typer.Option("--bundle-encoder", help="Put the encoder beside the router.")
    ] = False,
    tune_encoder: Annotated[
        bool,
        typer.Option("--tune-encoder", help="Fine-tune minilm on the questions first, for minutes."),
    ] = False,
    answer_vectors: Annotated[
        bool,
        typer.Option("--answer-vectors", help="Read what answers mean, too; it helps some teams."),
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Train on all queries, with none held out for evaluate.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a router on recorded outcomes, or on utterances labelled with the agents that fit."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; a router is saved into a folder: give another --out")
    home = next(place for place in (out.absolute(), *out.absolute().parents) if place.exists())
    if not os.access(home, os.W_OK):
        raise InputError(f"{out} cannot be written: {home} is read-only; give another --out")
    if bundle_encoder and embedder != "minilm":
        raise InputError(f"--bundle-encoder copies the encoder of minilm; {embedder} has none to copy")
    from agentroute.evaluation.progress import progress_bar

    try:
        from agentroute.routing.config import TrainConfig
        from agentroute.routing.train import train as run
    except ImportError:
        raise MissingExtraError("training", "train") from None
    from agentroute.outcomes import OutcomeFolder

    opened = OutcomeFolder.open(folder)
    config = TrainConfig(seed=seed, answer_vectors=answer_vectors)
    config = config if epochs is None else replace(config, epochs=epochs)
    try:
        with progress_bar() as bar:
            router = run(
                opened,
                out,
                config=config,
                without=tuple(without or ()),
                held_out=not everything,
                embedder=embedder,
                extractor=extractor,
                progress=bar,
                tune_encoder=tune_encoder,
            )
    except KeyboardInterrupt:
        begun = (out / "unfinished").is_dir()
        kept = "what the network learned so far is kept" if begun else "nothing of this training is kept"
        raise KeyboardInterrupt(
            f"interrupted; {kept} in {out}, and an older router there is whole; run the same command again "
            "to go on"
        ) from None
    if bundle_encoder and not (tune_encoder and opened.labelled):  # a tuned one is there already
        from agentroute.knowledge.minilm import MiniLMEmbedder
        from agentroute.routing.router_file import ENCODER_FOLDER

        MiniLMEmbedder().bundle(out / ENCODER_FOLDER)
    facts: dict[str, Any] = {name: router.manifest[name] for name in ("data", "queries", "sparse", "seconds")}
    facts |= {"router": str(out), "agents": list(router.record.agents), "setting": router.setting.plain()}
    if as_json:
        print_json(facts)
        return
    for line in opened.problems:
        tell(line)
    if facts["sparse"]:
        why = "no training utterance fits them" if opened.labelled else "they ran on too few queries"
        tell(f"left out of training, since {why}: {', '.join(facts['sparse'])}")
    parts = ", ".join(f"{count:,} {name}" for name, count in facts["queries"].items())
    score, calls = f"{router.setting.score:.3f}", f"{router.setting.calls:.2f}"
    worth = (
        f"recall {score} with {calls} agents a set"
        if opened.labelled
        else f"score {score} with {calls} calls"
    )
    typer.echo(
        f"{out}: {len(facts['agents'])} agents, queries {parts}; validation {worth}; {facts['seconds']} s"
    )


def _questions(named: str) -> Any:
    if named == WORKBENCH:
        from importlib import import_module  # the workbench is a leaf: nothing depends on it

        return import_module("agentroute.workbench.questions").records()
    return Path(named)


def _show_means(folder: Path) -> None:
    import numpy as np

    from agentroute.outcomes import OutcomeFolder

    table = OutcomeFolder.open(folder).table()
    rows = []
    for column, name in enumerate(table.agent_ids):
        scores = table.score[:, column]
        ran = int(table.ran[:, column].sum())
        rows.append((name, f"{np.nanmean(scores):.3f}" if ran else "-", f"{ran:,}"))
    print_table(("agent", "score", "queries"), sorted(rows, key=lambda row: row[1], reverse=True))
