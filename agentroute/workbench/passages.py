"""The passages that the readers read, and two ways to search them."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from agentroute.types import Passage

if TYPE_CHECKING:
    import numpy as np

MAX_CHARS = 1_000
"""The longest question that the agents read; they decline longer ones."""

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_STOP = frozenset(
    """
    a an and any are as at be been by can did do does for from had has have he her his how i in is
    it its many me much name of on or people person she tell that the their them there they this to
    was were what when where which who whom whose why will with you your
    """.split()
)


@lru_cache(maxsize=1)
def passages() -> tuple[Passage, ...]:
    """Read the shipped passages once per process.

    Returns:
        All passages, in file order.
    """
    lines = (files("agentroute.workbench") / "passages.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(Passage(**json.loads(line)) for line in lines)


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """Cut the commonest English endings, so that ``designed`` meets ``designs``.

    Args:
        word: One word.

    Returns:
        Its lower-case stem.
    """
    word = word.lower().replace("\u2019", "'").removesuffix("'s").removesuffix("'")
    for ending, keep in (("ies", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)] + keep
            break
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def stems(text: str) -> list[str]:
    """Split a text into the stems of its content words.

    Args:
        text: Any text.

    Returns:
        Stems in order, function words left out.
    """
    return [stem(word) for word in _WORD.findall(text) if word.lower() not in _STOP]


def mentioned(text: str) -> list[int]:
    """Find the passages whose titles a text names.

    Args:
        text: Any text.

    Returns:
        Positions in ``passages()``, in order of mention; a title inside a longer one that is named does not
        count.
    """
    low = text.lower().replace("\u2019", "'")
    found: list[tuple[int, int, int]] = []
    for position, title in enumerate(_titles()):
        if (start := low.find(title)) < 0:
            continue
        end = start + len(title)
        if (start and low[start - 1].isalnum()) or (end < len(low) and low[end].isalnum()):
            continue
        found.append((start, end, position))
    return [
        position
        for start, end, position in sorted(found)
        if not any(s <= start and end <= e and (s, e) != (start, end) for s, e, _ in found)
    ]


@lru_cache(maxsize=1)
def _titles() -> tuple[str, ...]:
    return tuple(passage.title.lower().removeprefix("the ") for passage in passages())


def by_words(text: str, k: int = 1) -> list[tuple[int, float]]:
    """Rank the passages by BM25 over stems.

    Args:
        text: What to look for.
        k: How many to return.

    Returns:
        ``(position, score)`` pairs, best first; only those that share a word with the text.
    """
    terms = stems(text)
    index, known = _bm25()
    terms = [term for term in terms if term in known]
    if not terms:
        return []
    scores: np.ndarray = index.get_scores(terms)
    order = scores.argsort(kind="stable")[::-1][:k]
    return [(int(i), float(scores[i])) for i in order if scores[i] > 0]


@lru_cache(maxsize=1)
def _bm25() -> tuple[Any, frozenset[str]]:
    import bm25s

    corpus = [stems(f"{passage.title} {passage.title} {passage.text}") for passage in passages()]
    index = bm25s.BM25()
    index.index(corpus, show_progress=False)
    return index, frozenset(term for document in corpus for term in document)


def by_meaning(text: str, k: int = 1) -> list[tuple[int, float]]:
    """Rank the passages by the cosine of their sentence vectors with the text's.

    Args:
        text: What to look for.
        k: How many to return.

    Returns:
        ``(position, cosine)`` pairs, best first.
    """
    embedder, vectors = _vectors()
    scores = vectors @ embedder.embed([text])[0]
    return [(int(i), float(scores[i])) for i in scores.argsort(kind="stable")[::-1][:k]]


@lru_cache(maxsize=1)
def _vectors() -> tuple[Any, Any]:
    from agentroute.knowledge.embed import make_embedder

    embedder = make_embedder("minilm")
    return embedder, embedder.embed([f"{passage.title}. {passage.text}" for passage in passages()])
