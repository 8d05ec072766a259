"""What the words of a question say of each agent: a linear regression, learned from recorded scores.

Neighbours say how agents did on whole questions that are alike. Single words, and pairs of words near each
other with all names alike, say more where a folder is small: "longer ... than" tells an agent that compares
from one that looks things up, whoever is compared.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import islice, pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Terms = npt.NDArray[np.uint32]

TEXT_LIMIT = 20_000
"""Characters of a question that are read."""

SEEN_IN = 2
"""Questions that a term must stand in to be remembered."""

# How far each kind of feature is trusted beside the words: the square roots of their shares in the kernel.
VECTOR = 0.2**0.5
TASK = 0.3**0.5
CONSTANT = 0.1**0.5

FORM_LENGTH = 40
"""Tokens whose order is looked at."""

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
        count = Counter(term for text in texts for term in _terms(text))
        kept = sorted(term for term, seen in count.items() if seen >= SEEN_IN)
        seen = np.array([count[term] for term in kept], np.float64)
        rarity = np.log((1.0 + len(texts)) / (1.0 + seen)) + 1.0
        return cls(terms=np.array(kept, np.uint32), rarity=rarity.astype(np.float32))

    def __call__(self, texts: Sequence[str]) -> Sparse:
        """Weigh the terms of texts: (1 + log count) x rarity, rows of unit length (Salton & Buckley 1988).

        Args:
            texts: Questions.

        Returns:
            One row per text, one column per term.
        """
        columns: list[Indices] = []
        values: list[Floats] = []
        for text in texts:
            found = _terms(text)
            hashes = np.fromiter(found, np.uint32, len(found))
            place = np.minimum(np.searchsorted(self.terms, hashes), max(len(self.terms) - 1, 0))
            known = self.terms[place] == hashes if len(self.terms) else np.zeros(len(hashes), bool)
            count = np.fromiter(found.values(), np.float32, len(found))[known]
            value = (1.0 + np.log(count)) * self.rarity[place[known]]
            columns.append(place[known])
            values.append(value / max(float(np.linalg.norm(value)), 1e-12))
        starts = np.concatenate([[0], np.cumsum([len(part) for part in columns])]).astype(np.int64)
        nothing = [np.zeros(0)]
        return Sparse(
            starts,
            np.concatenate(columns or nothing).astype(np.int64),
            np.concatenate(values or nothing).astype(np.float32),
        )


@dataclass(frozen=True, eq=False)
class Regression:
    """Weights that turn a question into how far each agent is above or below its mean.

    Args:
        terms: As in ``Vocabulary``.
        rarity: As in ``Vocabulary``.
        by_term: Shapes: ``(terms, agents)``.
        by_vector: Shapes: ``(dim, agents)``.
        by_task: The last row is for queries without a task. Shapes: ``(tasks + 1, agents)``.
    """

    terms: Terms
    rarity: Floats
    by_term: Floats
    by_vector: Floats
    by_task: Floats

    def __call__(self, texts: Sequence[str], vectors: Floats, task: Indices) -> Floats:
        """Say how far each agent should be above its mean.

        Args:
            texts: Questions.
            vectors: Their vectors. Shapes: ``(batch, dim)``.
            task: Position of the task per query, -1 for none. Shapes: ``(batch,)``.

        Returns:
            Points of score, 0 to 1. Shapes: ``(batch, agents)``.
        """
        words = Vocabulary(self.terms, self.rarity)(texts) @ self.by_term
        # A single row is summed without BLAS, whose threads would wait for a busy core.
        dense = (
            np.einsum("bd,da->ba", vectors, self.by_vector) if len(vectors) == 1 else vectors @ self.by_vector
        )
        return np.asarray(words + dense + self.by_task[task], dtype=np.float32)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the weights by name, for a router file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def restore(cls, arrays: Mapping[str, Any]) -> Regression | None:
        """Build a regression from what ``arrays`` gave.

        Args:
            arrays: The weights by name; others are passed over.

        Returns:
            The regression, or ``None`` when there are none of its weights.

        Raises:
            KeyError: Some of them are missing.
        """
        names = [field.name for field in fields(cls)]
        if not any(name in arrays for name in names):
            return None
        return cls(**{name: arrays[name] for name in names})


class Term(NamedTuple):
    """A term of a text, and where it stands.

    Args:
        text: As it is hashed: a word; ``a b`` for two words beside each other, ``a * b`` for two with others
            between, where ``A`` is a name and nothing the start of the text.
        code: The hash.
        parts: The tokens behind each of its parts; of a word there is one part.
    """

    text: str
    code: int
    parts: tuple[range, ...]


def spans(text: str) -> list[tuple[int, int]]:
    """Return where the tokens of a text begin and end: words, and marks that are no spaces."""
    return [match.span() for match in _TOKEN.finditer(_DIGIT.sub("0", text[:TEXT_LIMIT]))]


def located(text: str) -> list[Term]:
    """Return the terms of a text, and where they stand among its ``spans``.

    Args:
        text: A question.

    Returns:
        Every time that a term occurs, words first.
    """
    tokens = _TOKEN.findall(_DIGIT.sub("0", text[:TEXT_LIMIT]))
    found: list[tuple[str, tuple[range, ...]]] = [
        (token.casefold(), (range(i, i + 1),)) for i, token in enumerate(tokens)
    ]
    form = _placed(tokens)
    for i, (one, here) in enumerate(form):
        for gap, (other, there) in enumerate(form[i + 1 : i + 2 + GAP]):
            found.append((f"{one} * {other}" if gap else f"{one} {other}", (here, there)))
    return [Term(term, _code(term), parts) for term, parts in found]


def _placed(tokens: Sequence[str]) -> list[tuple[str, range]]:
    """Return the form, the start of the text first, and the tokens behind each of its parts."""
    form = [*islice(_form(tokens), FORM_LENGTH + 1), (len(tokens), "")]
    parts = [(word, range(start, end)) for (start, word), (end, _) in pairwise(form)]
    return [("", range(0)), *parts[:FORM_LENGTH]]


RIDGES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Strengths of the pull toward the mean that are tried for an agent that joins later, in outcomes."""


def with_column(
    regression: Regression,
    settled: int,
    texts: Sequence[str] | None,
    vectors: Floats,
    task: Indices,
    aim: Floats,
) -> Regression:
    """Let an agent join of whom a few outcomes are known; the weights of the others stay as they are.

    Of it, words say what they say of the others in the mean, and what its lead has to do with them: ridge
    regression in its dual form, which costs by examples and not by terms (Saunders et al. 1998). The ridge is
    the one that predicts each example best from the others; where none does better than nothing, words say
    nothing of its lead.

    Args:
        regression: What words say of the others.
        settled: How many of them, the first ones, make up the mean.
        texts: The questions the agent was asked; ``None`` where they are not known.
        vectors: Their vectors. Shapes: ``(examples, dim)``.
        task: Position of the task per question, -1 for none. Shapes: ``(examples,)``.
        aim: How far its lead was above its mean lead. Shapes: ``(examples,)``.

    Returns:
        The regression with one more agent, the last one.
    """
    tasks = len(regression.by_task) - 1
    parts = len(regression.terms), vectors.shape[1], tasks, 1
    weights = np.zeros(sum(parts))
    if texts is not None:
        matrix = np.zeros((len(texts), sum(parts)))
        words, dense, labels, constant = np.split(matrix, np.cumsum(parts)[:-1], axis=1)  # views
        found = Vocabulary(regression.terms, regression.rarity)(texts)
        words[np.repeat(np.arange(len(texts)), np.diff(found.starts)), found.columns] = found.values
        dense[:], constant[:] = VECTOR * vectors, CONSTANT
        labelled = np.flatnonzero(task >= 0)
        labels[labelled, task[labelled]] = TASK
        weights = matrix.T @ _dual(matrix @ matrix.T, aim.astype(np.float64))
    by_term, by_vector, by_label, by_constant = np.split(weights, np.cumsum(parts)[:-1])
    by_task = CONSTANT * by_constant + np.append(TASK * by_label, 0.0)
    return Regression(
        terms=regression.terms,
        rarity=regression.rarity,
        by_term=_beside(regression.by_term, settled, by_term),
        by_vector=_beside(regression.by_vector, settled, VECTOR * by_vector),
        by_task=_beside(regression.by_task, settled, by_task),
    )


def _dual(kernel: npt.NDArray[np.float64], aim: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Solve at the best ridge, by the errors of leaving one out; zeros where saying nothing is best."""
    best, least = np.zeros(len(aim)), float(aim @ aim)
    for ridge in RIDGES:
        inverse = np.linalg.inv(kernel + ridge * np.eye(len(aim)))
        dual = inverse @ aim
        error = float(((dual / np.diag(inverse)) ** 2).sum())
        if error < least:
            best, least = dual, error
    return best


def _beside(table: Floats, settled: int, lead: npt.NDArray[np.float64]) -> Floats:
    column = table[:, :settled].mean(axis=1) + lead
    return np.concatenate([table, column[:, None].astype(np.float32)], axis=1)


def _terms(text: str) -> Counter[int]:
    tokens = _TOKEN.findall(_DIGIT.sub("0", text[:TEXT_LIMIT]))
    form = ["", *(word for _, word in islice(_form(tokens), FORM_LENGTH))]
    terms = [token.casefold() for token in tokens]
    terms += [f"{a} {b}" for a, b in pairwise(form)]
    terms += [f"{a} * {b}" for i, a in enumerate(form) for b in form[i + 2 : i + 2 + GAP]]
    return Counter(_code(term) for term in terms)


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
