"""The terms of texts: single words, and pairs of words near each other with all names alike.

They are counted once per text, whatever part of the texts is then looked at.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import NamedTuple, overload

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Terms = npt.NDArray[np.uint32]

TEXT_LIMIT = 20_000
"""Characters of a question that are read."""

SEEN_IN = 2
"""Questions that a term must stand in to be remembered."""

EARLIER = "\n<< "
"""What stands before each earlier turn in the text of a query. What a word says there is another matter."""

FORM_LENGTH = 40
"""Tokens whose order is looked at."""

TURN = "<< "
"""What the terms of earlier turns begin with."""

GAP = 4
"""Tokens that may stand between the two of a pair, at most."""

_ENDS = frozenset(".?!:")
_TOKEN = re.compile(r"\w+|[^\w\s]")
_DIGIT = re.compile(r"\d")


class Sparse(NamedTuple):
    """Rows of a matrix with few entries.

    Args:
        starts: Where each row begins, and where the last one ends. Shapes: ``(rows + 1,)``.
        columns: Shapes: ``(entries,)``.
        values: Shapes: ``(entries,)``.
    """

    starts: Indices
    columns: Indices
    values: Floats

    def __matmul__(self, table: Floats) -> Floats:
        """Multiply by a matrix. Shapes: ``(columns, n)`` to ``(rows, n)``."""
        parts = table[self.columns] * self.values[:, None]
        total = np.zeros((len(self.starts) - 1, table.shape[1]), np.float32)
        some = np.flatnonzero(np.diff(self.starts))
        if len(some):
            total[some] = np.add.reduceat(parts, self.starts[some], axis=0)
        return total


class Counted(Sequence[str]):
    """Texts whose terms are counted, so that they need not be counted again.

    Args:
        texts: The texts.
        starts: Where the terms of each text begin, and where the last one's end. Shapes: ``(texts + 1,)``.
        hashes: The terms of each text, by their hashes. Shapes: ``(terms,)``.
        times: How often each stands in its text. Shapes: ``(terms,)``.
    """

    def __init__(self, texts: Sequence[str], starts: Indices, hashes: Terms, times: Floats) -> None:
        self.texts, self.starts, self.hashes, self.times = texts, starts, hashes, times

    @classmethod
    def of(cls, texts: Sequence[str]) -> Counted:
        """Count the terms of texts; of those that are counted, nothing is done again.

        Args:
            texts: Any strings.

        Returns:
            The texts, counted.
        """
        if isinstance(texts, Counted):
            return texts
        found = [_terms(text) for text in texts]
        starts = _starts([len(terms) for terms in found])
        hashes = np.fromiter((term for terms in found for term in terms), np.uint32, int(starts[-1]))
        count = np.fromiter((n for terms in found for n in terms.values()), np.float32, int(starts[-1]))
        return cls(list(texts), starts, hashes, count)

    def take(self, rows: Indices) -> Counted:
        """Keep some of the texts.

        Args:
            rows: Their positions.

        Returns:
            Those alone.
        """
        size = np.diff(self.starts)[rows]
        starts = _starts(size)
        kept = np.repeat(self.starts[rows] - starts[:-1], size) + np.arange(starts[-1])
        texts = [self.texts[row] for row in rows.tolist()]
        return Counted(texts, starts, self.hashes[kept], self.times[kept])

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[str]: ...
    def __getitem__(self, at: int | slice) -> str | Sequence[str]:
        return self.texts[at]

    def __len__(self) -> int:
        return len(self.texts)


def _starts(sizes: Sequence[int] | Indices) -> Indices:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.asarray(sizes, np.int64))])


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The terms of some questions, by their hashes: words, and skip-grams of their form.

    Digits are all alike, and in the form so are names. Skip-grams are the pairs of words that stand near each
    other (Guthrie et al. 2006).

    Args:
        terms: Hashes, ascending. Shapes: ``(terms,)``.
        rarity: The inverse document frequency of each. Shapes: ``(terms,)``.
    """

    terms: Terms
    rarity: Floats

    @classmethod
    def of(cls, texts: Sequence[str]) -> Vocabulary:
        """Collect the terms that several texts share.

        Args:
            texts: Questions.

        Returns:
            Their vocabulary.
        """
        counted = Counted.of(texts)
        terms, seen = np.unique(counted.hashes, return_counts=True)
        kept = seen >= SEEN_IN
        rarity = np.log((1.0 + len(texts)) / (1.0 + seen[kept])) + 1.0
        return cls(terms=terms[kept], rarity=rarity.astype(np.float32))

    def __call__(self, texts: Sequence[str]) -> Sparse:
        """Weigh the terms of texts: (1 + log count) x rarity, rows of unit length (Salton & Buckley 1988).

        Args:
            texts: Questions.

        Returns:
            One row per text, one column per term.
        """
        counted = Counted.of(texts)
        rows = np.repeat(np.arange(len(counted)), np.diff(counted.starts))
        if not len(self.terms):
            rows = rows[:0]
        hashes = counted.hashes[: len(rows)]
        place = np.minimum(np.searchsorted(self.terms, hashes), max(len(self.terms) - 1, 0))
        known = self.terms[place] == hashes
        rows, place = rows[known], place[known]
        value = (1.0 + np.log(counted.times[: len(known)][known])) * self.rarity[place]
        length = np.sqrt(np.bincount(rows, value.astype(np.float64) ** 2, minlength=len(counted)))
        value = value / np.maximum(length, 1e-12)[rows]
        starts = _starts(np.bincount(rows, minlength=len(counted)))
        return Sparse(starts, place.astype(np.int64), value.astype(np.float32))


class Term(NamedTuple):
    """A term of a text, and where it stands.

    Args:
        text: As it is hashed: a word; ``a b`` for two words beside each other, ``a * b`` for two with others
            between, where ``A`` is a name and nothing the start of the text; of an earlier turn, with
            ``TURN`` before it.
        code: The hash.
        parts: The tokens behind each of its parts; of a word there is one part.
    """

    text: str
    code: int
    parts: tuple[range, ...]


def spans(text: str) -> list[tuple[int, int]]:
    """Return where the tokens of a text begin and end: words, and marks that are no spaces."""
    found, begins = [], 0
    for _, piece in _pieces(text):
        found += [(begins + match.start(), begins + match.end()) for match in _TOKEN.finditer(piece)]
        begins += len(piece) + len(EARLIER)
    return found


def located(text: str) -> list[Term]:
    """Return the terms of a text, and where they stand among its ``spans``.

    Args:
        text: A question.

    Returns:
        Every time that a term occurs, words first.
    """
    found: list[tuple[str, tuple[range, ...]]] = []
    begins = 0
    for before, piece in _pieces(text):
        tokens = _TOKEN.findall(piece)
        found += [(before + token.casefold(), (range(i, i + 1),)) for i, token in enumerate(tokens, begins)]
        form = _placed(tokens, begins)
        for i, (one, here) in enumerate(form):
            for gap, (other, there) in enumerate(form[i + 1 : i + 2 + GAP]):
                found.append((f"{before}{one} * {other}" if gap else f"{before}{one} {other}", (here, there)))
        begins += len(tokens)
    return [Term(term, _code(term), parts) for term, parts in found]


def _placed(tokens: Sequence[str], begins: int) -> list[tuple[str, range]]:
    """Return the form, the start of the text first, and the tokens behind each of its parts."""
    form = [*islice(_form(tokens), FORM_LENGTH + 1), (len(tokens), "")]
    parts = [(word, range(begins + start, begins + end)) for (start, word), (end, _) in pairwise(form)]
    return [("", range(begins, begins)), *parts[:FORM_LENGTH]]


def _terms(text: str) -> Counter[int]:
    terms: list[str] = []
    for before, piece in _pieces(text):
        tokens = _TOKEN.findall(piece)
        form = ["", *(word for _, word in islice(_form(tokens), FORM_LENGTH))]
        terms += [before + token.casefold() for token in tokens]
        terms += [f"{before}{a} {b}" for a, b in pairwise(form)]
        terms += [f"{before}{a} * {b}" for i, a in enumerate(form) for b in form[i + 2 : i + 2 + GAP]]
    return Counter(_code(term) for term in terms)


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Cut a text into the question and its earlier turns, and say what their terms begin with."""
    for i, piece in enumerate(_DIGIT.sub("0", text[:TEXT_LIMIT]).split(EARLIER)):
        yield TURN if i else "", piece


def _code(term: str) -> int:
    # CRC-32 is the same in every process and on every machine; among 50,000 terms it mixes up one or none.
    return zlib.crc32(term.encode("utf-8", "surrogatepass"))


def _form(tokens: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Say the same with every name alike: "Is the Swift Apology longer" has the form "is the A longer".

    Beside each part stands the position of its first token.
    """
    begins, named = True, False
    for i, token in enumerate(tokens):
        name = token[0].isupper() and not begins
        if not (name and named):
            yield i, "A" if name else token.casefold()
        begins, named = token in _ENDS, name
