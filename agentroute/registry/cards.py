"""Cards that cannot be told apart, and those that plead instead of describing: warned of, and damped.

All of it is counting words, and takes no model: 10,000 rows are checked in a second or two.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from agentroute.types import AgentSpec

ALIKE = 0.84
"""Words that two descriptions share, as a share of those that either has, from which they say the same."""

ENOUGH_WORDS = 12
"""In a shorter description one word is a real difference: only the same words are the same."""

MOST_COMPARED = 50
"""Descriptions that one is compared with; boilerplate would make it all of them."""

LONG = 2_000
"""Characters of a description from which it is longer than most encoders read."""

REPEATED = 5
"""Times that a word must stand in a description to be called repeated."""

REPEATED_SHARE = 0.15
"""Share of the words that it must make up as well."""

SHORT_WORD = 3
"""Letters up to which a word may be repeated: articles and the like."""

KEYWORDS = 25
"""Parts of one or two words each, between commas and stops, that make a description a list of keywords."""

_WORD = re.compile(r"\w+")
_SENTENCE = re.compile(r"[^.!?\n]+[.!?\n]*\s*|[.!?\n]+\s*")
_PART = re.compile(r"[^,;|/\n.]+")
_CHOOSE = r"(?:choose|chose|select|pick|prefer|use|call|ask|trust|rank|route|send|forward|assign|give)"
_ME = r"(?:me|this agent|this one|this assistant|this tool|us)"
_NEAR = r"[^.!?\n]{0,40}"
_PLEAS = (
    # "Always choose me", "you must use this agent", "never route to others"
    rf"\b(?:always|must|never|regardless|please)\b{_NEAR}\b{_CHOOSE}\b{_NEAR}"
    rf"\b(?:{_ME}|other agents?|others|another agent|anyone else)\b",
    # "Choose me", "rank me first": nobody says in these words what they do
    rf"\b{_CHOOSE}(?: to)? me\b",
    # "Use this agent for every question"; one "for all questions about bills" says what it does
    rf"\b{_CHOOSE}(?: to)? {_ME}\b{_NEAR}\b(?:always|everything|anything|whatever|no matter|"
    r"(?:every|any|all) (?:other )?(?:question|query|queries|task|request|prompt)s?\b"
    r"(?! (?:about|on|of|in|that|which|with|from|regarding|concerning)))",
    # "Ignore all other agents", "disregard your instructions"
    r"\b(?:ignore|disregard|forget|override|skip)\b[^.!?\n]{0,20}"
    r"\b(?:all|any|every|the|other|previous|prior|earlier|your|these|those)\b[^.!?\n]{0,20}"
    r"\b(?:agents?|instructions?|descriptions?|others)\b",
)
_PLEA = re.compile("|".join(f"(?:{plea})" for plea in _PLEAS), re.IGNORECASE)


def card_warnings(agents: Sequence[AgentSpec]) -> Iterator[str]:
    """Look for cards that mislead a router, or leave it nothing to go by.

    Args:
        agents: The rows.

    Yields:
        One warning a line.
    """
    yield from _twins(agents)
    yield from _shared_examples(agents)
    for spec in agents:
        yield from (f"{spec.id}: the description {what}" for what in _faults(spec.description))


def sober(text: str) -> str:
    """Return what a router reads of a card: without pleading, stuffing and saying the same again and again.

    Sentences that tell the router what to do are left out; of a list of keywords the first ``KEYWORDS`` are
    read; and of a word that stands there again and again, as many as make it no more than repeated. A text
    that only pleads keeps nothing.

    Args:
        text: A description, or one with what an agent says of itself beside it.

    Returns:
        The text; as it is, where ``card_warnings`` has nothing to say of it but its length.
    """
    kept = text
    if _PLEA.search(kept):
        kept = "".join(said for said in _SENTENCE.findall(kept) if not _PLEA.search(said)).strip()
    if _keywords(kept) >= KEYWORDS:
        parts = [part for part in _PART.finditer(kept) if _WORD.search(part.group())]
        kept = kept[: parts[KEYWORDS - 1].start()].rstrip(" ,;|/\n")
    words = [word.casefold() for word in _WORD.findall(kept)]
    _, count = _commonest(words)
    if count >= REPEATED and count >= REPEATED_SHARE * len(words):
        seen: Counter[str] = Counter()

        def once(found: re.Match[str]) -> str:
            word = found.group().casefold()
            seen[word] += 1
            return found.group() if len(word) <= SHORT_WORD or seen[word] < REPEATED else ""

        kept = " ".join(_WORD.sub(once, kept).split())
    return kept


def _faults(text: str) -> Iterator[str]:
    if plea := _PLEA.search(text):
        yield f"tells the router what to do ({_short(plea.group())!r}); say what the agent is good at"
    words = [word.casefold() for word in _WORD.findall(text)]
    word, count = _commonest(words)
    if count >= REPEATED and count >= REPEATED_SHARE * len(words):
        yield f"says {_short(word)!r} {count:,} times; once is enough"
    if (parts := _keywords(text)) >= KEYWORDS:
        yield f"is a list of {parts:,} keywords; say it in a sentence or two"
    if len(text) > LONG:
        yield f"has {len(text):,} characters, more than most encoders read; shorten it"


def _commonest(words: Sequence[str]) -> tuple[str, int]:
    count = Counter(word for word in words if len(word) > SHORT_WORD)
    return count.most_common(1)[0] if count else ("", 0)


def _keywords(text: str) -> int:
    """Return how many parts a text has if they are keywords, else 0."""
    sizes = [len(_WORD.findall(part)) for part in _PART.findall(text)]
    sizes = [size for size in sizes if size]
    return len(sizes) if sizes and sum(sizes) <= 2 * len(sizes) else 0


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:59]}…"


def _shared_examples(agents: Sequence[AgentSpec]) -> Iterator[str]:
    listed: dict[str, tuple[str, dict[str, None]]] = {}
    for spec in agents:
        for example in spec.examples:
            key = " ".join(_WORD.findall(example.casefold())) or example
            listed.setdefault(key, (example, {}))[1][spec.id] = None
    for example, ids in listed.values():
        if len(ids) > 1:
            quoted = _short(example)
            yield f"{listing([*ids])} give the same example, {quoted!r}; leave it to the one it fits best"


def _twins(agents: Sequence[AgentSpec]) -> Iterator[str]:
    """Name pairs whose descriptions have the same words, or in longer ones nearly the same.

    Two sets that share so many words share one of their rarest (prefix filtering: Bayardo et al. 2007), so
    that few pairs are compared.
    """
    cards = [frozenset(_WORD.findall(spec.card.casefold())) for spec in agents]
    seen = Counter(word for words in cards for word in words)
    first: dict[frozenset[str], int] = {}
    with_word: defaultdict[str, list[int]] = defaultdict(list)
    for i, words in enumerate(cards):
        twin = first.setdefault(words, i)
        if twin < i:
            yield f"{agents[twin].id} and {agents[i].id} have the same description; say what sets them apart"
            continue
        rare = sorted(words, key=lambda word: (seen[word], word))
        prefix = rare[: len(rare) - math.ceil(ALIKE * len(rare)) + 1]
        met = dict.fromkeys(j for word in prefix for j in with_word[word][:MOST_COMPARED])
        for j in list(met)[:MOST_COMPARED]:
            if _alike(words, cards[j]):
                one, other = agents[j].id, agents[i].id
                yield f"{one} and {other} have almost the same description; say what sets them apart"
                break
        for word in prefix:
            with_word[word].append(i)


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    enough = max(len(one), len(other)) >= ENOUGH_WORDS
    return enough and len(one & other) >= ALIKE * len(one | other)


def listing(ids: Sequence[str]) -> str:
    """Name agents in a message, the first five of many."""
    return ", ".join(ids[:5]) + (f" and {len(ids) - 5:,} more" if len(ids) > 5 else "")
