"""The recorded questions that a decision drew on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from agentroute.explaining.case import Case
from agentroute.explaining.explanation import Past
from agentroute.knowledge.record.neighbours import nearest
from agentroute.routing.router import GraphRouter


def past_queries(case: Case, agents: Sequence[str], most: int, texts: Mapping[str, str]) -> tuple[Past, ...]:
    """Find the recorded questions that are most like this one.

    Args:
        case: What was decided.
        agents: Whose scores are wanted.
        most: How many questions.
        texts: Questions by their ids.

    Returns:
        The nearest first; runs of the same question are joined, their scores averaged.
    """
    record = case.router.record
    if record is None or not len(record.vectors) or not most:
        return ()
    rows, cosines, weights = (found[0] for found in nearest(case.vector[None], record.vectors))
    share = weights / weights.sum()
    ids = _ids(case)
    groups: dict[bytes | str, list[int]] = {}
    for i in np.lexsort((rows, -cosines)).tolist():
        row = int(rows[i])
        groups.setdefault(ids.get(row) or record.vectors[row].tobytes(), []).append(i)
    column = {agent: i for i, agent in enumerate(record.agents)}
    found = []
    for group in list(groups.values())[:most]:
        first = int(rows[group[0]])
        name = ids.get(first)
        scores = record.score[rows[group]]
        found.append(
            Past(
                row=first,
                id=name,
                text=texts.get(name) if name is not None else None,
                cosine=float(cosines[group[0]]),
                weight=float(share[group].sum()),
                scores={a: _mean(scores[:, column[a]]) if a in column else None for a in agents},
            )
        )
    return tuple(found)


def _ids(case: Case) -> dict[int, str]:
    """Return the name of each row of the record, as far as the router's file says."""
    record, router = case.router.record, case.router
    told = router.manifest.get("record_ids", ()) if isinstance(router, GraphRouter) else ()
    # An older file does not say, and a record that has changed since is not the one that is told of.
    if record is None or len(told) != len(record.vectors):
        return {}
    return {row: name for row, name in enumerate(told) if name is not None}


def _mean(scores: np.ndarray) -> float | None:
    ran = scores[~np.isnan(scores)]
    return float(ran.mean()) if len(ran) else None
