"""What each agent should score on a question, foreseen from its text alone by an encoder tuned on scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from agentroute.knowledge.minilm import MiniLMEmbedder
from agentroute.knowledge.terms import Floats

SHARE = 0.5
"""How much of what a question says of an agent is foresight; the rest is the regression on its words."""


class Foresight(Protocol):
    """Foresees scores."""

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Return what each agent should score on some questions, 0 to 1. Shapes: ``(texts, agents)``."""
        ...


@dataclass(frozen=True, eq=False)
class TunedForesight:
    """A tuned encoder, and a logistic regression on its vectors.

    Args:
        encoder: The tuned encoder.
        weight: Shapes: ``(dim, agents)``.
        bias: Shapes: ``(agents,)``.
    """

    encoder: MiniLMEmbedder
    weight: Floats
    bias: Floats

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Foresee scores; see ``Foresight``."""
        vectors = self.encoder.embed(texts)
        # A single row is summed without BLAS, whose threads would wait for a busy core.
        said = np.einsum("bd,da->ba", vectors, self.weight) if len(vectors) == 1 else vectors @ self.weight
        return chance(said + self.bias)

    def arrays(self) -> dict[str, Floats]:
        """Return the regression by name, for a router file."""
        return {"weight": self.weight, "bias": self.bias}


@dataclass(frozen=True, eq=False)
class Foreseen:
    """Scores that were foreseen before, each by an encoder that was tuned without its question.

    Args:
        texts: Questions that one encoder foresaw; of equal ones it foresaw the same.
        scores: What each agent should score on them. Shapes: ``(texts, agents)``.
    """

    texts: Sequence[str]
    scores: Floats

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Foresee scores; see ``Foresight``."""
        return self.scores[[self._place[text] for text in texts]]

    @cached_property
    def _place(self) -> dict[str, int]:
        return {text: row for row, text in enumerate(self.texts)}


def chance(log_odds: npt.NDArray[np.floating]) -> Floats:
    """Turn log-odds into chances, 0 to 1, of the same shape."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(log_odds, -30.0, 30.0))), dtype=np.float32)


def joined(words: Floats | None, foreseen: Floats, mean: Floats) -> Floats:
    """Return what a question says of each agent: the words' part, and what is foreseen.

    Of agents that joined after training nothing is foreseen: of them, words say it all.

    Args:
        words: How far the words say that each agent is above its mean, if that was learned. Shapes: ``(batch,
            agents)``.
        foreseen: Scores of the agents that were there from the beginning; they stand first. Shapes: ``(batch,
            settled)``.
        mean: Each agent's mean score. Shapes: ``(agents,)``.

    Returns:
        Points above the mean, 0 to 1. Shapes: ``(batch, agents)``.
    """
    said = np.zeros((len(foreseen), len(mean)), np.float32) if words is None else words.copy()
    first = foreseen.shape[1]
    said[:, :first] = (1.0 - SHARE) * said[:, :first] + SHARE * (foreseen - mean[:first])
    return said
