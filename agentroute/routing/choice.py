"""One round's choice, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from agentroute.answers import group_equal
from agentroute.routing.policy import Mask, Policy, Table, View
from agentroute.types import Answer, Ranked


@dataclass(frozen=True, kw_only=True, eq=False)
class Choice:
    """Whom a policy chose in one round.

    Args:
        view: What it saw, of one query.
        chosen: Whom it asks; where it stops, whose answers count. Shapes: ``(agents,)``.
        weights: What their answers count. Shapes: ``(agents,)``.
        stop: Whether it stops with the answers there are.
        refused: Whether somebody could be asked and nobody fits.
        dear: Who costs more than is left. Shapes: ``(agents,)``.
        over: Whether the rounds are over.
        confidence: Chance that the answer to be given is right; ``None`` where answers are not judged.
        coverage: Share of the weight of all who were asked that stands behind those who answered.
        remark: What the policy says of its choice.
    """

    view: View
    chosen: Mask
    weights: Table
    stop: bool
    refused: bool
    dear: Mask
    over: bool
    confidence: float | None
    coverage: float
    remark: str | None

    @classmethod
    def of(
        cls, policy: Policy, view: View, answers: Sequence[Answer], *, most: int, dear: Mask, over: bool
    ) -> Choice:
        """Let a policy choose.

        Args:
            policy: The policy.
            view: What is known, of one query.
            answers: What came back so far.
            most: How many may be asked.
            dear: Who costs more than is left. Shapes: ``(agents,)``.
            over: Whether the rounds are over.

        Returns:
            The choice.
        """
        logits, free, asked, spoke = (part[0] for part in (view.expected, view.free, view.asked, view.spoke))
        wanted = np.zeros_like(asked)
        if free.any():
            wanted = policy.wave(view)[0] & free
        chosen = _best(wanted, logits, most)
        stop = bool(spoke.any()) and not chosen.any()
        confidence = None
        if stop:
            chosen = spoke
        if stop and policy.judged and view.right is not None:
            place = {name: column for column, name in enumerate(view.agents)}
            weights = _judged_weights(view.right[0], answers, place)
            confidence = float(view.right[0][spoke].max())
        else:
            weights = policy.weights(logits[None], chosen[None])[0]
        of_asked = policy.weights(logits[None], asked[None])[0] if asked.any() else None
        return cls(
            view=view,
            chosen=chosen,
            weights=weights,
            stop=stop,
            # Whoever is free and could be asked is not, with no answer at hand: then nobody fits.
            refused=bool(free.any()) and not wanted.any() and not stop,
            dear=dear,
            over=over,
            confidence=confidence,
            coverage=1.0 if of_asked is None else float(of_asked[spoke].sum()),
            remark=policy.remark(view, wanted[None]),
        )

    def surer_than(self, least: float | None) -> bool | None:
        """Tell whether the answer to be given is at least so sure; ``None`` where nothing says so."""
        return None if self.confidence is None or least is None else self.confidence >= least

    def told(self) -> dict[str, Any]:
        """Return what a ``RoutingDecision`` says of the choice itself, by the names of its fields."""
        ids, prices = self.view.agents, [None if np.isnan(c) else float(c) for c in self.view.cost]
        order = np.argsort(-self._worth, kind="stable").tolist()
        spent = [prices[i] for i in order if self.chosen[i]]
        some = bool(self.chosen.any())
        return {
            "ranking": tuple(
                Ranked(agent=ids[i], score=float(self._worth[i]), cost_usd=prices[i], reason=self._place(i))
                for i in order
            ),
            "selected": tuple((ids[i], float(self.weights[i])) for i in order if self.chosen[i]),
            "expected_score": self._expected if some else None,
            "expected_cost_usd": None
            if None in spent
            else sum(price for price in spent if price is not None),
            "coverage": self.coverage,
            "stop": self.stop,
            "abstained": not some,
            "confidence": self.confidence,
            "reason": self._why(),
        }

    @cached_property
    def _chance(self) -> Table:
        return np.asarray(1.0 / (1.0 + np.exp(-self.view.expected[0].astype(np.float64))))

    @property
    def _growing(self) -> bool:
        """Whether it is the gain over answers that agents are ranked by."""
        return self.view.gain is not None and bool(self.view.spoke.any())

    @property
    def _worth(self) -> Table:
        gain = self.view.gain
        return self._chance if gain is None or not self._growing else gain[0]

    @property
    def _expected(self) -> float:
        """What a selection is expected to score, or, once it is enough, what the answer held is."""
        return float(self.weights @ self._chance) if self.confidence is None else self.confidence

    def _place(self, agent: int) -> str:
        """Say why an agent stands where it does."""
        if self.view.asked[0, agent]:
            return "asked before"
        if self.chosen[agent]:
            return "selected"
        if self.dear[agent]:
            return "costs more than is left"
        if self.refused:
            return "does not fit"
        return "would add less" if self._growing else "others score higher"

    def _why(self) -> str:
        view, asked = self.view, self.view.asked[0]
        if view.right is not None and view.spoke.any():
            held = f"the best answer so far is right with a chance of {view.held[0]:.2f}"
            if not self.stop:
                return f"{held}, and asking on is worth its price"
            left = "the rounds are over" if self.over else "nobody who is left is worth asking"
            return f"{held}; {'everybody was asked' if asked.all() else left}"
        if self.stop:
            return "there is an answer, and this policy asks for no more"
        if self.chosen.any():
            if asked.any():
                return "nobody has answered yet, so others are asked"
            return self.remark or "the first round"
        if self.over:
            return "nobody has answered, and this router's rounds are over"
        if self.remark:
            return self.remark
        return "everybody was asked" if asked.all() else "nobody who is left fits the budget"


def agreement(texts: Sequence[str]) -> Table:
    """Return the share of the answers that say what most of them say. Shapes: ``(1,)``."""
    groups = np.array([group for group in group_equal(list(texts)) if group >= 0], dtype=np.int64)
    return np.array([np.bincount(groups).max() / len(groups) if len(groups) else 0.0])


def _judged_weights(right: Table, answers: Sequence[Answer], place: Mapping[str, int]) -> Table:
    """Turn chances of being right into voting weights by which the best answer wins.

    Answers that say the same share what the best of them has; otherwise three poor answers that agree would
    outvote a good one, though the network has counted their agreement already.
    """
    spoken = [answer for answer in answers if answer.status == "ok"]
    columns = [place[answer.agent] for answer in spoken]
    groups = np.array(group_equal([answer.text for answer in spoken]), dtype=np.int64)
    chance = np.maximum(right[columns], 1e-9)
    same = groups[:, None] == groups[None, :]
    # Within a group the weights are steep, so that the best wording is the one that is quoted.
    steep = chance**4
    weight = np.where(same, chance[None, :], 0.0).max(axis=1) * steep / (same @ steep)
    weights = np.zeros(len(right))
    weights[columns] = weight / weight.sum()
    return weights


def _best(chosen: Mask, logits: Table, most: int) -> Mask:
    """Keep the best ``most`` of a selection."""
    if chosen.sum() <= most:
        return chosen
    kept = np.zeros_like(chosen)
    kept[np.argsort(np.where(chosen, -logits, np.inf), kind="stable")[:most]] = True
    return kept
