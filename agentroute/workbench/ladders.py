"""The readers as ladders: every level answers every question, written down as an outcome folder."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from agentroute.effort.rungs import rungs
from agentroute.evaluation.collect import collect
from agentroute.evaluation.collection import CollectReport
from agentroute.evaluation.questions import Questions
from agentroute.outcomes import OutcomeFolder
from agentroute.registry import AgentRegistry
from agentroute.types import AgentSpec, EffortRange, Price
from agentroute.workbench.questions import Record, records

READER = AgentSpec(
    id="reader",
    kind="function",
    description=(
        "Reads the passages that come with a question, or the shipped ones, and follows links between them."
    ),
    examples=("Who founded Halden Ferry?", "Where was the captain of the Grey Petrel born?"),
    tags=("passages", "search", "multi-hop"),
    function="agentroute.workbench.ladder_reader:answer",
    effort=EffortRange(levels=("low", "medium", "high"), default="high"),
    price=Price(call=0.0),
    timeout_s=20.0,
)
"""The reader of ``ladder_reader``, as ``agents/reader.yaml`` has it."""

FAMILIES = ("single", "paraphrase", "two-hop")
"""The shipped questions that passages answer: told by name, told by description, told through another."""


def shipped_questions() -> tuple[Record, ...]:
    """Return the shipped questions that the reader can answer at one level or another."""
    return tuple(item for item in records() if item[2]["family"] in FAMILIES)


def record(
    questions: Questions, out: str | os.PathLike[str], *, spec: AgentSpec = READER, **options: Any
) -> CollectReport:
    """Let every level of a local reader answer every question.

    Args:
        questions: Query records, triples, or the path of a ``queries.jsonl[.gz]`` or its folder; passages in
            a query's ``context`` are what is read.
        out: The outcome folder; made if missing, and gone on with if it is there.
        spec: The reader.
        **options: As for ``evaluation.collect.acollect``; scored by ``token_f1`` unless they say otherwise.

    Returns:
        What was done. The folder's agents are ``reader@low``, ``reader@medium`` and ``reader@high``; their
        tokens are those of the passages that were opened, and their price is nothing.
    """
    team = AgentRegistry.from_specs(rungs(spec))
    return collect(team, questions, out, **{"metric": "token_f1", **options})


def summary(folder: str | os.PathLike[str]) -> list[tuple[str, float, float]]:
    """Say what each level of a recorded ladder is worth.

    Args:
        folder: The outcome folder of one ladder.

    Returns:
        Name, mean score and mean tokens read of each level, weakest first; then of ``hindsight``, the
        cheapest of the levels that do best on each question, which nobody can know before.
    """
    table = OutcomeFolder.open(os.fspath(folder)).table()
    score, tokens = table.score, table.input_tokens
    rows = [
        (name.partition("@")[2], float(np.nanmean(score[:, column])), float(np.nanmean(tokens[:, column])))
        for column, name in enumerate(table.agent_ids)
    ]
    best = score == np.nanmax(score, axis=1, keepdims=True)
    least = np.where(best, tokens, np.inf).min(axis=1)
    return [*rows, ("hindsight", float(np.nanmax(score, axis=1).mean()), float(least.mean()))]
