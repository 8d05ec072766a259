"""Several networks as one: their weights stacked, their log-odds averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from agentroute.knowledge.graph import Floats

ONE_THREAD = 2**18
"""Multiplications up to which OpenBLAS keeps a product in one thread. Layers this small gain nothing from a
second one, and on a busy machine each product would wait milliseconds for it."""


def stack(networks: Sequence[Mapping[str, npt.NDArray[np.floating]]]) -> dict[str, Floats]:
    """Put the weights of several networks together.

    Args:
        networks: The parameters of each, by the names of its ``state_dict``; all of one shape.

    Returns:
        The same names; each array has the networks as its first axis.
    """
    return {
        name: np.stack([np.asarray(weights[name], dtype=np.float32) for weights in networks])
        for name in networks[0]
    }


def members_of(weights: Mapping[str, npt.NDArray[np.floating]]) -> dict[str, Floats]:
    """Return parameters with the members of the committee as their first axis, also those of one network."""
    lone = np.ndim(weights["belief"]) == 1
    found = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in weights.items()}
    return {name: value[None] for name, value in found.items()} if lone else found


def mean(values: Floats) -> Floats:
    """Return the mean over the members."""
    return np.asarray(values.mean(axis=0) if len(values) > 1 else values[0], dtype=np.float32)


def product(x: Floats, weight: Floats) -> Floats:
    """Return ``x @ weight.T`` for each member, in pieces of rows.

    Shapes: ``(rows, in)`` or ``(members, rows, in)``, and ``(members, out, in)``.
    """
    members, width, _ = weight.shape
    turned = weight.swapaxes(1, 2)
    out = np.empty((members, x.shape[-2], width), dtype=np.float32)
    rows = max(1, ONE_THREAD // turned[0].size)
    for start in range(0, x.shape[-2], rows):
        np.matmul(x[..., start : start + rows, :], turned, out=out[:, start : start + rows])
    return out
