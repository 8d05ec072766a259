"""The readers as ladders: every level answers every question, written down as an outcome folder."""

from __future__ import annotations

import os
from typing import Any

from agentroute.effort.rungs import rungs
from agentroute.evaluation.collect import collect
from agentroute.evaluation.collection import CollectReport
from agentroute.evaluation.questions import Questions
from agentroute.registry import AgentRegistry
from agentroute.types import AgentSpec, EffortRange, Price

READER = AgentSpec(
    id="reader",
    kind="function",
    description="Reads the passages that come with a question and follows links between them.",
    function="agentroute.workbench.ladder_reader:answer",
    effort=EffortRange(levels=("low", "medium", "high"), default="high"),
    price=Price(call=0.0),
    timeout_s=20.0,
)
"""The reader of ``ladder_reader``, as a registry has it."""


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
