"""Reading the shipped passages hop by hop, with what the readers know of their language."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from agentroute.workbench.open_book import Book
from agentroute.workbench.passages import by_meaning, by_words, mentioned, passages
from agentroute.workbench.reading import first_answer
from agentroute.workbench.two_hop_reader import links, through


@dataclass(slots=True)
class ShippedReading:
    """One question on its way through the shipped passages; as ``hops.Reading`` through those of a question.

    Args:
        question: The question, in English.
        opened: Passages read so far, in order.
    """

    question: str
    opened: list[int] = field(default_factory=list)

    @property
    def book(self) -> Book:
        """The shipped passages."""
        return _shipped()

    def turn_to(self, most: int) -> list[int]:
        """Open the passages to read next.

        Args:
            most: How many. The first hop goes by the names in the question and its words; one that may open
                several goes by its meaning first, where it names nothing. A later hop follows links.

        Returns:
            Which ones; none when there is nothing to go on to.
        """
        if self.opened:
            found = [other for start in self.opened for other in links(self.question, start)]
        else:
            named = mentioned(self.question)
            near = [at for at, _ in by_meaning(self.question, most)] if most > 1 and not named else []
            found = [*named, *near, *(at for at, _ in by_words(self.question, most))]
        places = [place for place in dict.fromkeys(found) if place not in self.opened][:most]
        self.opened += places
        return places

    def answer(self) -> str | None:
        """Answer from what was read: through a link if one was followed, else from the first that has one."""
        for start in self.opened:
            others = [other for other in links(self.question, start) if other in self.opened]
            if (found := through(self.question, start, others)) is not None:
                return found
        return first_answer(self.question, self.opened)


@lru_cache(maxsize=1)
def _shipped() -> Book:
    return Book(passages())
