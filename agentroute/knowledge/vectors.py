"""What every embedder needs: text made safe to tokenize, rows made unit length, the cache folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agentroute.errors import InputError

MAX_CHARS = 16_384
"""Characters of a text that any embedder reads; 256 tokens of MiniLM are some 1,200 characters of English."""


def clean(text: str, limit: int = MAX_CHARS) -> str:
    """Return what an embedder reads of a text: cut, and without characters that tokenizers refuse.

    Args:
        text: Any string; NULs and lone surrogates are allowed.
        limit: Characters to keep, counted after leading white space.

    Returns:
        A string that encodes as UTF-8.
    """
    if len(text) > limit:
        text = text.lstrip()[:limit]
    if "\0" in text:
        text = text.replace("\0", " ")
    return text if text.isascii() else text.encode("utf-8", "ignore").decode("utf-8")


def checked(texts: Sequence[str]) -> Sequence[str]:
    """Refuse one string where a list of strings belongs: it would be read letter by letter.

    Args:
        texts: What the caller wants embedded.

    Returns:
        The same texts.

    Raises:
        InputError: A bare string, or something in the list that is not a string.
    """
    if isinstance(texts, str):
        raise InputError(f"embed() was given one string, {texts[:40]!r}; it takes a list: embed([text])")
    for text in texts:
        if not isinstance(text, str):
            raise InputError(f"embed() was given a {type(text).__name__} in its list; it takes strings only")
    return texts


def unit(rows: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; a row of zeros becomes the first axis, so that every text has a direction.

    Args:
        rows: Any finite numbers.

    Returns:
        float32 rows of length 1.

    Shapes:
        ``(n, dim)`` to ``(n, dim)``.
    """
    rows = np.array(rows, dtype=np.float64, ndmin=2)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    rows[length[:, 0] == 0, :1] = 1.0
    length[length == 0] = 1.0
    return np.ascontiguousarray(rows / length, dtype=np.float32)


def cache_folder() -> Path:
    """Return the folder for files that can be made again; ``AGENTROUTE_CACHE`` overrides the system's choice.

    Returns:
        A path that need not exist yet.
    """
    given = os.environ.get("AGENTROUTE_CACHE")
    if given:
        return Path(given).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("agentroute", appauthor=False)
