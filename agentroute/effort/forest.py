"""A forest of randomized trees: grown with scikit-learn, walked with numpy alone.

What a forest says of a case is the mean, over its trees, of what came of the training cases in the same leaf.
So one forest can answer for any number of targets: each is a table with one row per leaf.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from agentroute.errors import MissingExtraError

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees, one after the other in flat arrays.

    Args:
        roots: Where each tree begins. Shapes: ``(trees,)``.
        sign: Which sign a node asks for; at a leaf, -1. Shapes: ``(nodes,)``.
        limit: Signs up to here go left. Shapes: ``(nodes,)``.
        left: The node to the left; at a leaf, the leaf's number. Shapes: ``(nodes,)``.
        right: The node to the right. Shapes: ``(nodes,)``.
    """

    roots: npt.NDArray[np.int32]
    sign: npt.NDArray[np.int16]
    limit: npt.NDArray[np.float64]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]

    @property
    def leaves(self) -> int:
        """How many leaves all trees have."""
        return int((self.sign < 0).sum())

    def __call__(self, signs: Floats) -> Indices:
        """Say in which leaves cases end.

        Args:
            signs: Shapes: ``(cases, signs)``.

        Returns:
            Leaf numbers, one per tree. Shapes: ``(cases, trees)``.
        """
        rows = np.asarray(signs, dtype=np.float32)  # as it was grown
        node = np.broadcast_to(self.roots, (len(rows), len(self.roots))).astype(np.int64)
        case = np.arange(len(rows))[:, None]
        while True:
            sign = self.sign[node]
            inner = sign >= 0
            if not inner.any():
                return self.left[node].astype(np.int64)
            lower = rows[case, np.maximum(sign, 0)] <= self.limit[node]
            node = np.where(inner, np.where(lower, self.left[node], self.right[node]), node)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the trees by name, for a router file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def restore(cls, arrays: Mapping[str, Any]) -> Forest:
        """Build a forest from what ``arrays`` gave.

        Raises:
            ValueError: The nodes make no trees.
        """
        made = cls(**{field.name: arrays[field.name] for field in fields(cls)})
        nodes, place = len(made.sign), np.arange(len(made.sign))
        inner, end = made.sign >= 0, made.sign < 0
        # Who only ever goes forward comes to an end.
        forward = all(
            (side[inner] > place[inner]).all() and (side < nodes).all() for side in (made.left, made.right)
        )
        whole = all(len(part) == nodes for part in (made.limit, made.left, made.right))
        numbered = np.array_equal(made.left[end], np.arange(made.leaves))
        if not (
            nodes and whole and forward and numbered and ((made.roots >= 0) & (made.roots < nodes)).all()
        ):
            raise ValueError("the nodes of a forest make no trees")
        return made


@dataclass(frozen=True, eq=False)
class Grown:
    """A forest with the cases that it was grown on, which decide what its leaves say.

    Args:
        forest: The trees.
        leaf: Where each case ends in each tree. Shapes: ``(cases, trees)``.
        drawn: How often each tree drew each case. Shapes: ``(cases, trees)``.
    """

    forest: Forest
    leaf: Indices
    drawn: Floats

    def table(self, aims: Floats) -> npt.NDArray[np.float32]:
        """Average targets over the cases that each leaf drew.

        Args:
            aims: Shapes: ``(cases, targets)``.

        Returns:
            Shapes: ``(leaves, targets)``.
        """
        place, count = self.leaf.ravel(), self.forest.leaves
        weight = np.maximum(np.bincount(place, self.drawn.ravel(), count), 1e-12)
        sums = [np.bincount(place, (self.drawn * aim[:, None]).ravel(), count) / weight for aim in aims.T]
        return np.stack(sums, axis=1).astype(np.float32)

    def left_out(self, table: Floats) -> Floats:
        """Say of each case what the trees say that did not draw it, which is an honest guess (Breiman 2001).

        Args:
            table: From ``table``.

        Returns:
            Shapes: ``(cases, targets)``.
        """
        others = (self.drawn == 0).astype(np.float64)
        share = others / np.maximum(others.sum(axis=1, keepdims=True), 1.0)
        return np.stack([(column[self.leaf] * share).sum(axis=1) for column in table.T], axis=1)


def grow(signs: Floats, aims: Floats, *, seed: int, trees: int, leaf: int) -> Grown:
    """Grow extremely randomized trees on bootstrap samples (Geurts et al. 2006).

    Args:
        signs: Shapes: ``(cases, signs)``.
        aims: What the trees should tell apart. Shapes: ``(cases, targets)``.
        seed: Same seed, same trees.
        trees: How many.
        leaf: Cases in a leaf, at least.

    Returns:
        The forest.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import ExtraTreesRegressor  # type: ignore[import-untyped]
    except ImportError:
        raise MissingExtraError("training an effort router", "train") from None
    model = ExtraTreesRegressor(
        trees, min_samples_leaf=leaf, max_features=0.5, bootstrap=True, random_state=seed
    ).fit(signs, aims if aims.shape[1] > 1 else aims[:, 0])
    parts: list[tuple[npt.NDArray[Any], ...]] = []
    roots, nodes, leaves = [], 0, 0
    for estimator in model.estimators_:
        tree = estimator.tree_
        end = tree.children_left < 0
        number = np.cumsum(end) - 1 + leaves
        left = np.where(end, number, tree.children_left + nodes)
        right = np.where(end, -1, tree.children_right + nodes)
        parts.append((np.where(end, -1, tree.feature), tree.threshold, left, right))
        roots.append(nodes)
        nodes, leaves = nodes + len(end), leaves + int(end.sum())
    sign, limit, lefts, rights = (np.concatenate(column) for column in zip(*parts, strict=True))
    forest = Forest(
        roots=np.array(roots, np.int32),
        sign=sign.astype(np.int16),
        limit=limit.astype(np.float64),
        left=lefts.astype(np.int32),
        right=rights.astype(np.int32),
    )
    samples = model.estimators_samples_
    drawn = np.stack([np.bincount(rows, minlength=len(signs)) for rows in samples], axis=1)
    return Grown(forest=forest, leaf=forest(signs), drawn=drawn.astype(np.float64))
