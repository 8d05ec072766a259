"""Queries that stand or fall together, and what a mean over them is worth."""

from __future__ import annotations

import numpy as np

from agentroute.knowledge.graph import Indices
from agentroute.outcomes import OutcomeTable
from agentroute.routing.policy import Table


def cluster_of(table: OutcomeTable) -> Indices:
    """Number the queries that stand or fall together: those made from one template.

    Args:
        table: Recorded outcomes.

    Returns:
        One number per query. Shapes: ``(queries,)``.
    """
    keys = [record.meta.get("template") or record.query.id or i for i, record in enumerate(table.queries)]
    return np.unique(np.array([str(key) for key in keys]), return_inverse=True)[1].astype(np.int64)


def standard_error(values: Table, clusters: Indices) -> float:
    """Return the standard error of a mean over clusters of queries.

    Args:
        values: One per query. Shapes: ``(queries,)``.
        clusters: ``cluster_of`` the same queries.

    Returns:
        Root of the summed squares of the clusters' deviations, over the queries (Liang and Zeger 1986).
    """
    off = np.bincount(clusters, weights=values - values.mean())
    return float(np.sqrt((off**2).sum()) / max(len(values), 1))
