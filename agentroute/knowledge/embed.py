"""The embedders there are, by name: MiniLM, hashing, sentence-transformers, a provider's own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from agentroute.errors import InputError, MissingExtraError
from agentroute.knowledge.cache import CachedEmbedder
from agentroute.knowledge.hashing import HashingEmbedder
from agentroute.knowledge.minilm import MiniLMEmbedder
from agentroute.knowledge.vectors import cache_folder, checked, clean, unit
from agentroute.types import Embedder

__all__ = [
    "CachedEmbedder",
    "HashingEmbedder",
    "MiniLMEmbedder",
    "ProviderEmbedder",
    "SentenceTransformerEmbedder",
    "default_embedder",
    "make_embedder",
]


class SentenceTransformerEmbedder:
    """Any model of the sentence-transformers library; slower to load than ``MiniLMEmbedder``.

    Args:
        name: A model's name on the hub, or a folder.

    Raises:
        InputError: The model cannot be loaded.
        MissingExtraError: sentence-transformers is not installed.
    """

    def __init__(self, name: str) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise MissingExtraError(f"the embedder 'st:{name}'", "sentence-transformers") from None
        try:
            self._model: Any = SentenceTransformer(name, device="cpu")
        except Exception as error:  # the library raises its own, the hub's and the system's errors
            raise InputError(
                f"sentence-transformers could not load {name!r} ({type(error).__name__}: {error}); give a "
                "model's name on the hub, or a folder"
            ) from error
        digest = hashlib.sha256()
        for key, tensor in sorted(self._model.state_dict().items()):
            digest.update(key.encode())
            digest.update(tensor.contiguous().cpu().numpy().tobytes())
        self._dim = int(self._model.encode([""], show_progress_bar=False).shape[1])
        self._fingerprint = f"st:{Path(name).name}@{digest.hexdigest()[:16]}/dim={self._dim}"

    @property
    def fingerprint(self) -> str:
        """The model's name, a hash of its weights, and the size."""
        return self._fingerprint

    @property
    def dim(self) -> int:
        """The length of a vector."""
        return self._dim

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return one unit vector per text.

        Args:
            texts: Any strings.

        Returns:
            float32 rows in the order of the texts.

        Raises:
            InputError: A bare string was given.

        Shapes:
            ``(len(texts), dim)``.
        """
        cleaned = [clean(text) for text in checked(texts)]
        if not cleaned:
            return np.empty((0, self._dim), dtype=np.float32)
        return unit(self._model.encode(cleaned, show_progress_bar=False))


class ProviderEmbedder:
    """Vectors from an embedding service, asked through a function that the caller hands in and pays for.

    Texts without a visible character are never sent, since services refuse them: they have a fixed vector.

    Args:
        model: The service's name for the model; part of the fingerprint, as its weights cannot be seen.
        dim: The length of its vectors.
        ask: Takes texts, returns one vector for each.
        batch: Texts in one call.
    """

    def __init__(
        self,
        model: str,
        dim: int,
        ask: Callable[[Sequence[str]], Sequence[Sequence[float]]],
        *,
        batch: int = 64,
    ) -> None:
        if dim < 1 or batch < 1:
            raise InputError(f"ProviderEmbedder was given dim={dim}, batch={batch}; both are at least 1")
        self._model, self._dim, self._ask, self._batch = model, dim, ask, batch

    @property
    def fingerprint(self) -> str:
        """The service's name for the model, and the size."""
        return f"provider:{self._model}/dim={self._dim}"

    @property
    def dim(self) -> int:
        """The length of a vector."""
        return self._dim

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return one unit vector per text, asking once for equal texts.

        Args:
            texts: Any strings.

        Returns:
            float32 rows in the order of the texts.

        Raises:
            InputError: A bare string was given, or the service's vectors are not what was agreed.

        Shapes:
            ``(len(texts), dim)``.
        """
        cleaned = [clean(text).strip() for text in checked(texts)]
        known = {"": np.zeros(self._dim)}
        wanted = [text for text in dict.fromkeys(cleaned) if text]
        for start in range(0, len(wanted), self._batch):
            batch = wanted[start : start + self._batch]
            known.update(zip(batch, self._vectors(batch), strict=True))
        return unit(np.array([known[text] for text in cleaned]).reshape(len(cleaned), self._dim))

    def _vectors(self, texts: Sequence[str]) -> np.ndarray:
        try:
            rows = np.asarray(self._ask(texts), dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"{self._model} gave vectors that are not lists of numbers: {error}") from None
        if rows.shape != (len(texts), self._dim):
            raise InputError(
                f"{self._model} gave vectors of shape {rows.shape} for {len(texts)} texts; expected "
                f"({len(texts)}, {self._dim}): check the registry's model and dimension"
            )
        if not np.isfinite(rows).all():
            raise InputError(
                f"{self._model} gave numbers that are not finite; such vectors cannot be compared"
            )
        return rows


def make_embedder(name: str) -> Embedder:
    """Make an embedder from its name; those that run a network come with the cache on disk.

    Args:
        name: ``minilm``, ``hashing`` or ``st:NAME`` for a sentence-transformers model.

    Returns:
        The embedder.

    Raises:
        InputError: There is no embedder of that name, or its model cannot be loaded.
        MissingExtraError: Its package is not installed.
    """
    if name == "minilm":
        return default_embedder()
    if name == "hashing":
        return HashingEmbedder()
    if name.startswith("st:") and len(name) > 3:
        return CachedEmbedder(SentenceTransformerEmbedder(name[3:]))
    raise InputError(f"there is no embedder {name!r}; choose minilm, hashing or st:NAME")


def default_embedder(folder: str | Path | None = None) -> Embedder:
    """Return MiniLM behind the cache on disk, one and the same for the whole process.

    Args:
        folder: A bundled encoder to load from, or ``None`` for the cache folder's.

    Returns:
        The embedder; nothing is loaded before the first text that the cache lacks.

    Raises:
        InputError: ``folder`` holds no encoder.
    """
    return _default(None if folder is None else Path(folder).resolve(), cache_folder())


@lru_cache(maxsize=8)
def _default(folder: Path | None, cache: Path) -> Embedder:
    return CachedEmbedder(MiniLMEmbedder(folder), cache / "vectors.sqlite")
