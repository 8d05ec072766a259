"""Reading a book of passages hop by hop: what to open next, and the best answer in what was opened."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from agentroute.workbench.alternatives import chosen, is_closed, options, verdict
from agentroute.workbench.candidates import candidates, kind_of
from agentroute.workbench.open_book import Book
from agentroute.workbench.passages import stem, stems

_WORD = re.compile(r"[\w\u2019'-]+")
_ASKED_FOR = re.compile(r"\b(?:which|what)((?: [a-z'-]+){1,4})", re.IGNORECASE)
_THROUGH = re.compile(r"\b(?:director|performer|composer|husband|wife|father|mother)")
_PERSON = re.compile(r"\b(?:born|died|[Hh]e|[Ss]he|[Hh]is|[Hh]er)\b")

# How much each sign counts, in units of the rarity of one word that no other passage has.
_LINKED = 6.0  # the passage is named near words of the question in one that was read before
_KIND = 2.0  # the passage of that name says to be what the question asks for: "which band"
_TITLE = 2.0  # it has a passage of its own
_NEAR = 0.5  # words of the question stand next to it
_FIRST = 0.5  # a passage begins with what its title is
_IN_TITLE = 0.5  # a word of the question stands in the title, not in the sentence


@dataclass(slots=True)
class Reading:
    """One question on its way through a book.

    Args:
        book: The passages.
        question: The question, in English.
        opened: Passages read so far, in order.
        links: For passages named in those, how well the mention fits the question.
    """

    book: Book
    question: str
    opened: list[int] = field(default_factory=list)
    links: dict[int, float] = field(default_factory=dict)

    def turn_to(self, most: int) -> list[int]:
        """Open the passages to read next: those that were linked to, then those most like the question.

        Args:
            most: How many.

        Returns:
            Which ones; none when all were read.
        """
        linked = sorted((p for p in self.links if p not in self.opened), key=lambda p: -self.links[p])
        rest = [p for p in self.book.ranked(self.question) if p not in self.opened and p not in linked]
        places = [*linked, *rest][:most]
        self.opened += places
        wanted = set(stems(self.question))
        for place in places:
            for sentence in self.book.sentences[place]:
                for start, end, other in self.book.mentions(sentence):
                    if other != place:
                        fit = _near(self.book, sentence, start, end, wanted)
                        self.links[other] = max(self.links.get(other, 0.0), fit)
        return places

    def answer(self) -> str | None:
        """Answer from what was read.

        Returns:
            The answer; ``None`` when nothing in it could be one.
        """
        question, book = self.question, self.book
        if is_closed(question):
            return verdict(question, [self._about(place) for place in book.named(question)])
        if (offered := options(question)) is not None:
            a, b = (self._said_of(name) for name in offered)
            return chosen(question, offered, (a, b), book)
        return self._best_span()

    def _said_of(self, name: str) -> str:
        name = name.lower()
        return " ".join(self._about(place) for place in self.opened if _same(name, self.book.names[place]))

    def _about(self, place: int) -> str:
        """What was read of a thing; of its director or so, when the question goes through one."""
        if place not in self.opened:
            return ""
        text, names = self.book.passages[place].text, self.book.names
        if _THROUGH.search(self.question):
            through = [p for p in self.opened if p != place and names[p].lower() in text.lower()]
            return " ".join(self.book.passages[p].text for p in through) or text
        return text

    def _best_span(self) -> str | None:
        book, low = self.book, self.question.lower()
        kind, wanted = kind_of(low), set(stems(self.question))
        asked = _ASKED_FOR.search(low)
        sort = set(stems(asked[1])) if asked else set[str]()
        best: tuple[float, str] = 0.0, ""
        for place in self.opened:
            title = book.names[place]
            in_title = set(stems(title)) & wanted
            linked = _LINKED * self.links.get(place, 0.0)
            for number, text in enumerate(book.sentences[place]):
                told = set(stems(text)) & wanted
                fit = linked + _weigh(book, told) + _IN_TITLE * _weigh(book, in_title - told)
                if title.lower() not in low and (
                    kind == "name" or (kind == "person" and self._is_somebody(place))
                ):
                    worth = fit + _KIND * self._is_a(place, sort) + _FIRST * (number == 0)
                    best = max(best, (worth, title), key=lambda pair: pair[0])
                for start, end, span in candidates(kind, text):
                    own = book.titled(span) if kind in ("name", "person") else None
                    nobody = kind == "person" and own is not None and not self._is_somebody(own)
                    if nobody or span.lower() in low:
                        continue
                    worth = fit + _NEAR * _near(book, text, start, end, wanted)
                    worth += 0.0 if own is None else _TITLE + _KIND * self._is_a(own, sort)
                    best = max(best, (worth, span), key=lambda pair: pair[0])
        return best[1] or None

    def _is_somebody(self, place: int) -> bool:
        return _PERSON.search(self.book.passages[place].text) is not None

    def _is_a(self, place: int, sort: Collection[str]) -> int:
        sentences = self.book.sentences[place]
        return len(set(sort) & set(stems(sentences[0]))) if sort and sentences else 0


def _same(name: str, title: str) -> bool:
    title = title.lower()
    return bool(title) and (name in title or title in name)


def _weigh(book: Book, words: Collection[str]) -> float:
    return sum(book.weight(word) for word in words)


def _near(book: Book, text: str, start: int, end: int, wanted: Collection[str]) -> float:
    """Weigh the words of a question around a span: rarity / (1 + distance / 4), each once."""
    around = [(match.start(), match[0]) for match in _WORD.finditer(text)]
    before = [word for at, word in around if at < start][::-1]
    after = [word for at, word in around if at >= end]
    score, seen = 0.0, set[str]()
    for side in (before, after):
        for distance, word in enumerate(side):
            if (cue := stem(word)) in wanted and cue not in seen:
                seen.add(cue)
                score += book.weight(cue) / (1.0 + distance / 4.0)
    return score
