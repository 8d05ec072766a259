"""Entities and relations of a query by rules: the extractor that is always there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agentroute.knowledge.mentions import MAX_NAME, Mention, scan
from agentroute.knowledge.vectors import clean
from agentroute.types import Entity, Extraction, Query, Relation

MAX_QUERY_CHARS, MAX_CONTEXT_CHARS, MAX_PASSAGE_CHARS = 20_000, 40_000, 4_000
"""Characters read of the question, of all passages and earlier turns together, and of one of them."""
MAX_QUERY_ENTITIES = MAX_CONTEXT_ENTITIES = 32
"""Each node costs time in every layer; a question of 20 words has six, and only a page has more than 32."""
MAX_TERMS = 12
MAX_RELATIONS = 32
_MAX_GIVEN = 256
_MAX_LABEL = 40

Scan = Callable[[str, bool], Iterable[Mention]]


class RuleExtractor:
    """Finds names, numbers, dates, quoted spans and terms without a model, in time linear in the text.

    Entities come in a fixed order: those given with the query, then the query's in order of appearance, then
    those of earlier turns and passages, the most frequent first. Of passages only titles, names, numbers and
    dates count. At most 20,000 characters of the question and 40,000 of the rest are read.
    """

    def extract(self, query: Query) -> Extraction:
        """Find entities and relations.

        Args:
            query: Any query; empty and very long ones are fine.

        Returns:
            At most 32 entities of the query (more only if more were given), 32 of the rest, 32 relations.
        """
        return collect(query, lambda text, terms: scan(text, terms=terms))


@dataclass(slots=True)
class _Found:
    name: str
    kind: str
    count: int


class _Collector:
    """Merges mentions of one thing, and remembers what stood between two names."""

    def __init__(self) -> None:
        self.found: dict[str, _Found] = {}
        self.links: dict[tuple[str, str], str] = {}

    def add(self, name: str, kind: str, count: int = 1) -> str:
        key = _key(name)
        known = self.found.get(key)
        if known is None:
            self.found[key] = _Found(name, kind, count)
        else:
            known.count += count
            if known.kind == "term" and kind != "term":
                known.kind = kind
        return key

    def read(self, text: str, mentions: Iterable[Mention], limit: int | None = None) -> None:
        terms, before, end = 0, "", 0
        for mention in mentions:
            key = _key(mention.name)
            if not key:
                continue
            if key not in self.found:
                terms += mention.kind == "term"
                full = limit is not None and len(self.found) >= limit
                if full or (mention.kind == "term" and terms > MAX_TERMS):
                    continue
            self.add(mention.name, mention.kind)
            if mention.kind == "name":
                if before and before != key and len(self.links) < MAX_RELATIONS:
                    label = _label(text[end : mention.start])
                    if label:
                        self.links.setdefault((before, key), label)
                before, end = key, mention.end


def collect(query: Query, scan: Scan) -> Extraction:
    """Gather what a scanner finds in a query and in all that came with it.

    Args:
        query: The query.
        scan: Gives the mentions in a text, in order; the flag says whether terms are wanted.

    Returns:
        The entities in their fixed order, and the relations between them.
    """
    collector = _Collector()
    for given in query.entities[:_MAX_GIVEN]:
        name = clean(given, MAX_NAME).strip()
        if _key(name):
            collector.found.setdefault(_key(name), _Found(name, "name", 0))
    text = clean(query.text, MAX_QUERY_CHARS)
    everything = collector.found
    collector.read(text, scan(text, True), max(MAX_QUERY_ENTITIES, len(everything)))
    asked = list(everything.values())
    before = [item.count for item in asked]
    rest = _rest(query)
    for title, body in rest:
        if title:
            collector.add(title, "name" if title != title.lower() or not title.isascii() else "term")
        collector.read(body, scan(body, False))
    _count_words(asked, before, [body for _, body in rest])
    others = sorted(list(everything.values())[len(asked) :], key=lambda item: -item.count)
    kept = asked + others[:MAX_CONTEXT_ENTITIES]
    names = {_key(item.name): item.name for item in kept}
    return Extraction(
        entities=tuple(Entity(name=item.name, kind=item.kind, count=max(item.count, 1)) for item in kept),
        relations=tuple(
            Relation(head=names[head], label=label, tail=names[tail])
            for (head, tail), label in collector.links.items()
            if head in names and tail in names
        ),
    )


def _rest(query: Query) -> list[tuple[str, str]]:
    """Earlier turns, newest first, then passages, as titles and bodies, within the cap."""
    left = MAX_CONTEXT_CHARS
    rest: list[tuple[str, str]] = []
    turns = (("", turn.text) for turn in reversed(query.history))
    for title, body in (*turns, *((passage.title, passage.text) for passage in query.context)):
        if left <= 0:
            break
        title = clean(title, MAX_NAME).strip()
        if (
            title.endswith(")") and " (" in title
        ):  # "Speed of Sound (song)": the words in brackets only tell two apart
            title = title[: title.rindex(" (")].strip()
        body = clean(body, min(left, MAX_PASSAGE_CHARS))
        left -= len(title) + len(body) + 1
        rest.append((title, body))
    return rest


def _count_words(asked: list[_Found], before: list[int], bodies: list[str]) -> None:
    """Count terms and quotes in the bodies, where the scan looks for neither."""
    if not bodies:
        return
    read = "\n".join(bodies).lower()
    for item, count in zip(asked, before, strict=True):
        if item.kind in ("term", "quote"):
            item.count = max(item.count, count + read.count(item.name.lower()))


def _key(name: str) -> str:
    words = name.casefold().replace("\u2019", "'").split()
    if len(words) > 1 and words[0] in ("the", "a", "an"):
        words = words[1:]
    return " ".join(words).strip(" .,;:!?\"'()[]")


def _label(between: str) -> str:
    """The words between two names, when they are few, in lower case, and with nothing else between."""
    if len(between) > _MAX_LABEL or not between.islower() or between[:1] != " " or between[-1:] != " ":
        return ""
    words = between.split()
    if len(words) > 4 or not all(word.isalpha() for word in words) or set(words) <= {"and", "or", "nor"}:
        return ""
    return " ".join(words)
