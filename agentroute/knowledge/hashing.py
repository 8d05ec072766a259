"""Vectors without a model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

from agentroute.errors import InputError
from agentroute.knowledge.vectors import checked, clean, unit

_WORD = re.compile(r"\w+")


class HashingEmbedder:
    """Vectors from hashed words, word pairs and letter groups, with hashed signs; no model, no meaning.

    The hashing trick of Weinberger et al. 2009 (arXiv:0902.2206): texts that share words are near each other.
    The same text has the same vector in every process and on every machine.

    Args:
        dim: The length of a vector.

    Raises:
        InputError: ``dim`` is not positive.
    """

    def __init__(self, dim: int = 384) -> None:
        if dim < 1:
            raise InputError(f"HashingEmbedder was given dim={dim}; a vector has at least one number")
        self._dim = dim

    @property
    def fingerprint(self) -> str:
        """The scheme and the size."""
        return f"hashing-1/dim={self._dim}"

    @property
    def dim(self) -> int:
        """The length of a vector."""
        return self._dim

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return one unit vector per text; an empty text has a fixed one.

        Args:
            texts: Any strings.

        Returns:
            float32 rows in the order of the texts.

        Raises:
            InputError: A bare string was given.

        Shapes:
            ``(len(texts), dim)``.
        """
        rows = np.zeros((len(checked(texts)), self._dim))
        for row, text in zip(rows, texts, strict=True):
            for feature, weight in _features(clean(text)):
                code = _code(feature)
                row[(code >> 1) % self._dim] += weight if code & 1 else -weight
        return unit(rows)


def _features(text: str) -> Iterator[tuple[str, float]]:
    words = _WORD.findall(text.casefold())
    for i, word in enumerate(words):
        yield word, 1.0
        if i:
            yield f"{words[i - 1]} {word}", 0.5
        framed = f"<{word[:64]}>"
        for k in range(len(framed) - 3):
            yield f"#{framed[k : k + 4]}", 0.25


@lru_cache(maxsize=65_536)
def _code(feature: str) -> int:
    return int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest(), "little")
