"""An embedder that remembers, so that no text is embedded twice."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import RLock

import numpy as np

from agentroute.knowledge.store import VectorStore
from agentroute.knowledge.vectors import cache_folder, checked
from agentroute.types import Embedder


class CachedEmbedder:
    """An embedder that remembers: recent vectors in memory, all of them on disk as float32.

    What comes from the cache equals, bit for bit, what the inner embedder gave when it was first asked. Two
    embedders may share a file, since the fingerprint is part of the key.

    Args:
        inner: Who embeds what is not known yet.
        path: The SQLite file, or ``None`` for ``vectors.sqlite`` in the cache folder.
        memory: Vectors kept in memory.
    """

    def __init__(self, inner: Embedder, path: str | Path | None = None, *, memory: int = 8192) -> None:
        self.inner = inner
        self._store = VectorStore(cache_folder() / "vectors.sqlite" if path is None else Path(path))
        self._memory = memory
        self._recent: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._lock = RLock()
        self._prefix = hashlib.sha256(f"{inner.fingerprint}\0".encode())

    @property
    def fingerprint(self) -> str:
        """The inner embedder's: a cached vector is the same vector."""
        return self.inner.fingerprint

    @property
    def dim(self) -> int:
        """The length of a vector."""
        return self.inner.dim

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return one unit vector per text, computing only those never seen.

        Args:
            texts: Any strings.

        Returns:
            float32 rows in the order of the texts; the caller may change them.

        Raises:
            InputError: A bare string was given, or the inner embedder refuses.

        Shapes:
            ``(len(texts), dim)``.
        """
        keys = [self._key(text) for text in checked(texts)]
        known = self._remembered(keys)
        if len(known) < len(keys):
            missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
            stored = {k: v for k, v in self._store.read(list(missing)).items() if v.shape == (self.dim,)}
            fresh = [key for key in missing if key not in stored]
            if fresh:
                rows = self.inner.embed([missing[key] for key in fresh])
                new = dict(zip(fresh, np.array(rows, dtype=np.float32), strict=True))
                self._store.write(new)
                stored |= new
            self._remember(stored)
            known |= stored
        return np.array([known[key] for key in keys], dtype=np.float32).reshape(len(keys), self.dim)

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        self._store.close()

    def _key(self, text: str) -> bytes:
        digest = self._prefix.copy()
        digest.update(text.encode("utf-8", "surrogatepass"))
        return digest.digest()

    def _remembered(self, keys: Sequence[bytes]) -> dict[bytes, np.ndarray]:
        with self._lock:
            known = {key: self._recent[key] for key in keys if key in self._recent}
            for key in known:
                self._recent.move_to_end(key)
        return known

    def _remember(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        with self._lock:
            self._recent.update(vectors)
            while len(self._recent) > self._memory:
                self._recent.popitem(last=False)
