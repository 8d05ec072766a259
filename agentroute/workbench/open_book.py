"""The passages that come with a question, arranged for reading: sentences, rare words, and who names whom."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property, lru_cache

from agentroute.types import Passage
from agentroute.workbench.passages import stems

_SENTENCE = re.compile(r"(?<=[a-z0-9)\"'\u201d\u2019]{2}[.!?])[\"\u201d\u2019)]?\s+(?=[A-Z0-9\"\u201c(])")
_K1, _B = 1.2, 0.75  # the usual constants of BM25
_BRACKET = re.compile(r"\s*\([^)]*\)\s*$")


def tokens(passage: Passage) -> int:
    """Return what reading a passage takes: its characters over four.

    Args:
        passage: The passage, its title included.

    Returns:
        Tokens, as far as such a rule of thumb goes.
    """
    return -(-(len(passage.title) + len(passage.text)) // 4)


class Book:
    """Some passages, ready to be searched.

    Args:
        passages: What there is to read.
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = tuple(passages)
        self.names = tuple(_BRACKET.sub("", passage.title).strip() for passage in self.passages)

    @cached_property
    def _words(self) -> tuple[Counter[str], ...]:
        return tuple(Counter(stems(f"{passage.title} {passage.text}")) for passage in self.passages)

    @cached_property
    def _rarity(self) -> dict[str, float]:
        found = Counter(word for words in self._words for word in words)
        total = len(self.passages)
        return {word: math.log(1.0 + (total - n + 0.5) / (n + 0.5)) for word, n in found.items()}

    @cached_property
    def sentences(self) -> tuple[tuple[str, ...], ...]:
        """The sentences of each passage."""
        return tuple(tuple(_SENTENCE.split(passage.text)) for passage in self.passages)

    def weight(self, word: str) -> float:
        """Say how telling a stem is: its inverse frequency among the passages (BM25's).

        Args:
            word: A stem.

        Returns:
            More for a rarer one; for one that no passage has, as if one had it.
        """
        return self._rarity.get(word, math.log(1.0 + (len(self.passages) - 0.5) / 1.5))

    def ranked(self, text: str) -> list[int]:
        """Rank the passages for a text: those that it names, in order, then by words in common (BM25).

        Args:
            text: What to look for.

        Returns:
            All positions, best first.
        """
        named = self.named(text)
        wanted = set(stems(text))
        lengths = [sum(words.values()) for words in self._words]
        mean = sum(lengths) / max(1, len(lengths))

        def score(place: int) -> float:
            words, long = self._words[place], lengths[place] / mean
            found = ((self.weight(word), words[word]) for word in wanted if word in words)
            return sum(rare * n * (_K1 + 1.0) / (n + _K1 * (1.0 - _B + _B * long)) for rare, n in found)

        rest = sorted((place for place in range(len(lengths)) if place not in named), key=lambda p: -score(p))
        return [*named, *rest]

    def named(self, text: str) -> list[int]:
        """Find the passages whose titles a text holds, in order of mention.

        Args:
            text: Any text.

        Returns:
            Their positions; a title inside a longer one that is named does not count.
        """
        return [place for _, _, place in self.mentions(text)]

    def mentions(self, text: str) -> list[tuple[int, int, int]]:
        """Find where a text names passages.

        Args:
            text: Any text.

        Returns:
            ``(start, end, position)`` of the first mention of each, in order.
        """
        low = text.lower()
        found: list[tuple[int, int, int]] = []
        for place, name in enumerate(self.names):
            if (match := _as_word(name.lower()).search(low)) is not None:
                found.append((match.start(), match.end(), place))
        return [
            (start, end, place)
            for start, end, place in sorted(found)
            if not any(s <= start and end <= e and (s, e) != (start, end) for s, e, _ in found)
        ]

    def titled(self, name: str) -> int | None:
        """Return the position of the passage of that title, or ``None``."""
        return self._places.get(name.lower())

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name.lower(): place for place, name in reversed(list(enumerate(self.names)))}


@lru_cache(maxsize=65536)
def _as_word(name: str) -> re.Pattern[str]:
    bare = re.escape(name.removeprefix("the "))
    return re.compile(rf"(?<!\w){bare}(?!\w)") if bare else re.compile(r"(?!)")
