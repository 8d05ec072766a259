"""Ten thousand agents: does narrowing keep whom a close look at everybody would rank first?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from intent_measuring import Exam
from measuring import Record

from agentroute.routing.deciding import SHORTLIST
from agentroute.routing.router import GraphRouter
from agentroute.types import AgentSpec

AGENTS = 10_000
MOST = 300
"""Utterances that are ranked among all of them."""


def joined_by(agents: Sequence[AgentSpec], seed: int, size: int = AGENTS) -> tuple[AgentSpec, ...]:
    """Add made-up agents: every other one varies the card of one that is there, the rest mix their words.

    Args:
        agents: The team; it stands first.
        seed: Of the draws.
        size: Agents in all.

    Returns:
        The large team.
    """
    draw = np.random.default_rng(seed)
    words = sorted({word.strip(".,").casefold() for spec in agents for word in spec.description.split()})
    made = []
    for number in range(size - len(agents)):
        mixed = " ".join(draw.choice(words, 8).tolist())
        said = agents[int(draw.integers(len(agents)))].description.split()
        said[int(draw.integers(len(said)))] = str(draw.choice(words))
        text = " ".join(said) if number % 2 else f"Helps with {mixed}."
        made.append(AgentSpec(id=f"made-up-{number}", kind="recorded", description=text))
    return (*agents, *made)


def measure_crowd(router: GraphRouter, exam: Exam, size: int = AGENTS) -> Record:
    """Compare the shortlist of a large team with a close look at everybody.

    Args:
        router: A trained router.
        exam: Whose utterances to rank, and whose agents to hide in the crowd.
        size: Agents in all.

    Returns:
        ``recall``: share of the utterances whose best-ranked agent of all is on the shortlist; ``fitting``:
        share of those that somebody fits with one who fits on it; and milliseconds of ``route()`` with the
        vectors at hand.
    """
    agents = joined_by(exam.table.agents, exam.seed, size)
    some = np.flatnonzero(exam.fits.any(axis=1))
    rows = np.sort(np.random.default_rng(exam.seed).permutation(some)[:MOST])
    queries = [exam.table.queries[row].query for row in rows.tolist()]
    builder = router.builder(agents)
    kept, fitting, seconds = [], [], []
    for row, query in zip(rows.tolist(), queries, strict=True):
        best = int(router.logits(builder.build([query]))[0].argmax())
        short = builder.shortlist(query, SHORTLIST)
        kept.append(best in short)
        fitting.append(bool(np.isin(np.flatnonzero(exam.fits[row]), short).any()))
        again = replace(query, id=None)  # another query to the router, the same text to its embedder
        began = time.perf_counter()
        router.route(again, agents)
        seconds.append(time.perf_counter() - began)
    p50, p95 = 1e3 * np.percentile(seconds, (50, 95))
    return {
        "agents": len(agents),
        "queries": len(rows),
        "recall": float(np.mean(kept)),
        "fitting": float(np.mean(fitting)),
        "route_ms": {"p50": float(p50), "p95": float(p95)},
    }
