"""Reading one passage: what kind of answer a question wants, and the best span of that kind.

Nothing here knows the questions or their answers. A span wins when the words around it are those of the
question, or mean the same by a small lexicon of relations that any reader of English has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from agentroute.types import Passage
from agentroute.workbench.language import FUNCTION_WORDS, LEXICON, MONTHS, TRADES, TYPES
from agentroute.workbench.passages import mentioned, passages, stem, stems

_NAME = re.compile(r"[A-Z][\w\u2019'-]*(?: [A-Z][\w\u2019'-]*)*")
_UNIT = r"(?:kilometres|metres|miles|feet|km|m)"
_PATTERNS = {
    "year": re.compile(r"(?<![\d,])(1[0-9]{3}|20[0-9]{2})(?!,?\d)"),
    "month": re.compile(rf"\b({'|'.join(MONTHS)})\b"),
    "measure": re.compile(rf"(\d[\d,.]* {_UNIT})\b"),
    "count": re.compile(rf"(?<![\d,])(\d{{1,3}}(?:,\d{{3}})+|\d{{1,3}})(?!,?\d|\s+{_UNIT}\b)"),
    "trade": re.compile(
        rf"\b(?:(?:as |then )?an?|the|this|as|was|then)\s+((?:[a-z'\u2019]+ )?{TRADES})\b", re.IGNORECASE
    ),
}
_CHUNK_WORD = re.compile(r"[\w\u2019'-]+|[^\w\s]")
_WATER = re.compile(r"\b(?:Bay|Sound|Lake|Water|Roads|Firth|Sea)\b")
_NOT_PLACES = ("River ", "Mount ")
_NAMES = ("person", "place", "river", "mountain", "water")
_LONGEST_CHUNK = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A piece of a passage that could be the answer, and how well it fits."""

    text: str
    score: float


def answer_type(question: str) -> str:
    """Say what kind of span would answer a question.

    Args:
        question: The question, in English.

    Returns:
        ``year``, ``month``, ``measure``, ``count``, ``person``, ``place``, ``river``, ``mountain``,
        ``water``, ``trade``, ``phrase`` or ``title``.
    """
    low = question.lower()
    kind = next((kind for kind, pattern in TYPES if pattern.search(low)), "phrase")
    # "The name of the river" is another passage's title when the question names none to look in.
    asks_name = re.search(r"\bname\b|\bcall(?:ed)?\b", low) is not None
    return "title" if asks_name and not mentioned(question) else kind


@lru_cache(maxsize=1024)
def cues(question: str) -> dict[str, float]:
    """List the stems that should stand near the answer, with weights.

    Args:
        question: The question without the names in it.

    Returns:
        The question's own stems at weight 1, and words of the same relation at weight 0.7.
    """
    own = stems(question)
    weights = {word: 0.7 for asked, told in _LEXICON if asked & set(own) for word in told}
    return weights | {word: 1.0 for word in own}


_LEXICON = tuple(
    (frozenset(stem(word) for word in asked.split()), frozenset(stem(word) for word in told.split()))
    for asked, told in LEXICON
)
_BREAKS = FUNCTION_WORDS | {word for _, told in LEXICON for word in told.split()}


def spans(passage: Passage, kind: str) -> list[tuple[int, int, str]]:
    """Find every span of one kind in a passage.

    Args:
        passage: Where to look.
        kind: As ``answer_type`` gives it, but ``title``.

    Returns:
        ``(start, end, text)`` triples, in order of appearance.
    """
    text = passage.text
    if kind in _PATTERNS:
        return [(match.start(1), match.end(1), match[1]) for match in _PATTERNS[kind].finditer(text)]
    if kind == "phrase":
        return _chunks(text)
    return [name for name in _names(text, passage.title) if _is_a(kind, text, name)]


def _names(text: str, title: str) -> list[tuple[int, int, str]]:
    found = []
    for match in _NAME.finditer(text):
        start, name = match.start(), match[0]
        # A capital at the start of a sentence makes no name of a small word.
        while (first := name.partition(" "))[0].lower() in FUNCTION_WORDS and first[2]:
            start, name = start + len(first[0]) + 1, first[2]
        end = start + len(name)
        name = name.removesuffix("'s").removesuffix("\u2019s")
        if name[0].isupper() and name.lower() not in FUNCTION_WORDS | {title.lower()}:
            found.append((start, end, name))
    return found


def _is_a(kind: str, text: str, span: tuple[int, int, str]) -> bool:
    start, end, name = span
    before = text[:start]
    if kind == "river":
        return name.startswith("River ")
    if kind == "mountain":
        return name.startswith("Mount ")
    if kind == "water":
        return bool(_WATER.search(name)) and not name.startswith("River ")
    if name.startswith(_NOT_PLACES):
        return False
    if kind == "person":
        return " " in name and not re.search(r"\b(?:at|in|near|of|into|from|the)\s+$", before, re.IGNORECASE)
    return bool(
        re.search(r"\b(?:at|in|near|of|from|to|(?:birthplace|seat|home)\s+(?:is|was))\s+$", before)
    ) or bool(re.match(r"\s+was (?:his|her|their|the) ", text[end:]))


def _chunks(text: str) -> list[tuple[int, int, str]]:
    """Runs of up to four content words between small words, marks and cue words; no names."""
    found: list[tuple[int, int, str]] = []
    run: list[re.Match[str]] = []
    for match in [*_CHUNK_WORD.finditer(text), None]:
        if match is not None and match[0][0].isalpha() and match[0].lower() not in _BREAKS:
            run.append(match)
            continue
        if 0 < len(run) <= _LONGEST_CHUNK and not _named(text, run):
            start, end = run[0].start(), run[-1].end()
            found.append((start, end, text[start:end]))
        run = []
    return found


def _named(text: str, run: list[re.Match[str]]) -> bool:
    """Whether all words of a run are capitalised; a single one that begins a sentence is no name."""
    if len(run) == 1 and text[: run[0].start()].rstrip()[-1:] in ("", "."):
        return False
    return all(word[0][0].isupper() for word in run)


def best_span(question: str, passage: Passage, kind: str | None = None) -> Span | None:
    """Pick the span of the wanted kind whose neighbourhood fits the question best.

    Args:
        question: The question; the passage's own title in it is ignored.
        passage: Where to look.
        kind: Overrides ``answer_type``.

    Returns:
        The best span, or ``None`` when the passage has none of that kind.
    """
    kind = kind or answer_type(question)
    if kind == "title":
        return Span(text=passage.title, score=0.0)
    wanted = cues(re.sub(re.escape(passage.title), " ", question, flags=re.IGNORECASE))
    best: Span | None = None
    for start, end, text in spans(passage, kind):
        if kind in _NAMES and text.lower() in question.lower():
            continue
        score = fit_of(passage.text, start, end, wanted)
        if best is None or score > best.score:
            best = Span(text=text, score=score)
    return best


def first_answer(question: str, ranked: list[int]) -> str | None:
    """Read ranked passages until one has an answer.

    Args:
        question: The question.
        ranked: Positions in ``passages()``, best first.

    Returns:
        The best span of the first passage that has one of the wanted kind; or, when a name is asked for, the
        title of the first passage that the question does not name already.
    """
    kind, named = answer_type(question), mentioned(question)
    for position in ranked:
        if kind == "title" and position in named:
            continue
        if span := best_span(question, passages()[position], kind):
            return span.text
    return None


def fit_of(text: str, start: int, end: int, wanted: dict[str, float]) -> float:
    """Say how well the surroundings of a span fit the cues of a question.

    The fit is the sum over the cues in the span's sentence of weight / (1 + distance / 3), the distance
    counted in words; a semicolon or colon counts as three.

    Args:
        text: The passage's text.
        start: Where the span begins.
        end: Where it ends.
        wanted: As ``cues`` gives them.

    Returns:
        0 without any cue in the span's sentence; above 1 when some stand next to it.
    """
    left = max((m.end() for m in re.finditer(r"[.!?]\s+(?=[A-Z0-9])", text[:start])), default=0)
    stop = re.search(r"[.!?](?:\s|$)", text[end:])
    right = end + stop.start() if stop else len(text)
    score = 0.0
    for side in (
        re.findall(r"[\w\u2019'-]+|[;,:]", text[left:start])[::-1],
        re.findall(r"[\w\u2019'-]+|[;,:]", text[end:right]),
    ):
        seen: set[str] = set()
        extra = 0
        for distance, word in enumerate(side):
            if word in ";,:":
                extra += 0 if word == "," else 2
                continue
            if (cue := stem(word)) in wanted and cue not in seen:
                seen.add(cue)
                score += wanted[cue] / (1.0 + (distance + extra) / 3.0)
    return score


def leading_number(span: Span | None) -> float | None:
    """Read the number that a span begins with.

    Args:
        span: Such as one of ``1,380`` or ``47 metres``.

    Returns:
        Its value; ``None`` without a span.
    """
    return None if span is None else float(span.text.split(" ")[0].replace(",", ""))


def show_number(value: float) -> str:
    """Write a number as people do: whole when it is whole, else with at most six significant digits.

    Args:
        value: A finite number.

    Returns:
        Digits, without thousands separators.
    """
    if abs(value - round(value)) < 1e-9 * max(1.0, abs(value)) and abs(value) < 1e15:
        return str(round(value))
    return f"{value:.6g}"
