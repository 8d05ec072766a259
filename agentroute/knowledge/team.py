"""What a registry adds to every graph: the agents and what their cards say, computed once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agentroute.knowledge.graph import Floats, Indices
from agentroute.knowledge.record import entity_key
from agentroute.registry.cards import sober
from agentroute.types import EFFORTS, AgentSpec, Embedder

AGENT_KINDS = ("llm", "function", "runnable", "recorded")
AGENT_EXTRA = 5 + len(AGENT_KINDS)


@dataclass(frozen=True, eq=False)
class Team:
    """The agents' part of every graph.

    Args:
        specs: The registry rows.
        cards: Card vectors. Shapes: ``(agents, dim)``.
        examples: Vectors of all examples. Shapes: ``(examples, dim)``.
        owner: The agent of each example, ascending. Shapes: ``(examples,)``.
        x: Node features: card vector, then price, effort and kind. Shapes: ``(agents, dim + AGENT_EXTRA)``.
        words: The agents whose card names a word.
        hash: Names this team and all that its cards say.
    """

    specs: tuple[AgentSpec, ...]
    cards: Floats
    examples: Floats
    owner: Indices
    x: Floats
    words: Mapping[str, Sequence[int]]
    hash: str

    def take(self, rows: Indices) -> Team:
        """Keep some of the agents; what the whole team is called stays.

        Args:
            rows: Their positions, ascending.

        Returns:
            The smaller team, its vectors taken and not computed again.
        """
        place = np.full(len(self.specs), -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        mine = place[self.owner] >= 0
        return replace(
            self,
            specs=tuple(self.specs[row] for row in rows.tolist()),
            cards=self.cards[rows],
            examples=self.examples[mine],
            owner=place[self.owner[mine]],
            x=self.x[rows],
            words=_SomeWords(self.words, place),
        )

    @classmethod
    def build(
        cls, specs: Sequence[AgentSpec], embedder: Embedder, *, read: Callable[[str], str] = sober
    ) -> Team:
        """Embed the cards and examples of some agents.

        Args:
            specs: The registry rows, in any order.
            embedder: Makes the vectors, in one batch.
            read: What is read of a card; by default what ``registry.cards.sober`` leaves of it.

        Returns:
            The team, in the order given.
        """
        owner = np.array([i for i, spec in enumerate(specs) for _ in spec.examples], dtype=np.int64)
        said = [read(spec.card) for spec in specs]
        texts = said + [text for spec in specs for text in spec.examples]
        vectors = embedder.embed(texts)
        cards = vectors[: len(specs)]
        plain = np.array([_plain_agent(spec) for spec in specs], dtype=np.float32).reshape(len(specs), -1)
        words: dict[str, list[int]] = {}
        for i, spec in enumerate(specs):
            named = entity_key(f"{said[i]} {' '.join(spec.examples)}").split()
            for word in {word.strip(".,;:!?()\"'") for word in named}:
                words.setdefault(word, []).append(i)
        return cls(
            specs=tuple(specs),
            cards=cards,
            examples=vectors[len(specs) :],
            owner=owner,
            x=np.concatenate([cards, plain], axis=1),
            words=words,
            hash=hashlib.sha256(repr(sorted(map(repr, specs))).encode("utf-8", "replace")).hexdigest(),
        )

    def likeness(self, vectors: Floats) -> tuple[Floats, Floats]:
        """Return the cosines of queries with each card and with each agent's nearest example.

        Args:
            vectors: Query vectors. Shapes: ``(batch, dim)``.

        Returns:
            Two arrays; an agent without examples repeats its card's cosine. Shapes: ``(batch, agents)``
            twice.
        """
        card = vectors @ self.cards.T
        nearest = card.copy()
        if len(self.owner):
            cosines = vectors @ self.examples.T
            starts = np.flatnonzero(np.diff(self.owner, prepend=-1))
            nearest[:, self.owner[starts]] = np.maximum.reduceat(cosines, starts, axis=1)
        return card, nearest


class _SomeWords(Mapping[str, Sequence[int]]):
    """The words of a larger team, looked up for a few of its agents: most are never asked for."""

    def __init__(self, words: Mapping[str, Sequence[int]], place: Indices) -> None:
        self._words, self._place = words, place

    def __getitem__(self, word: str) -> Sequence[int]:
        found = [place for place in self._place[self._words[word]].tolist() if place >= 0]
        if not found:
            raise KeyError(word)
        return found

    def __iter__(self) -> Iterator[str]:
        return (word for word in self._words if word in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _plain_agent(spec: AgentSpec) -> list[float]:
    price = spec.price
    known = price is not None and price.output is not None
    level = EFFORTS.index(spec.effort.default) / (len(EFFORTS) - 1) if spec.effort else 0.0
    prices = [np.log1p(price.input or 0.0), np.log1p(price.output or 0.0)] if price and known else [0.0, 0.0]
    kinds = [float(spec.kind == kind) for kind in AGENT_KINDS]
    return [*prices, float(known), level, float(spec.effort is not None), *kinds]
