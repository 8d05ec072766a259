"""Where a text names something: a scan by rules, with no model and no dictionary of names.

One regular expression cuts the text into words, numbers, dates and sentence ends; one pass over them joins
capitalised words into names and the other content words into terms. Both are linear in the text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_NAME = 80
"""Characters of an entity; what is longer is a sentence or a blob, and never comes up twice."""
_MAX_WORDS = 8
_MAX_TERM_WORDS = 3


class Mention(NamedTuple):
    """One place in a text.

    Args:
        name: What stands there, without a possessive or a leading article.
        kind: ``name | number | date | quote | term``.
        start: Where it begins, in characters.
        end: Where it ends.
    """

    name: str
    kind: str
    start: int
    end: int


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


_MONTH = (
    r"(?i:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)(?!\w)\.?"
)
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_UNIT = (
    r"%|‰|°[CF]?|(?:percent|per cent|hundred|thousand|million|billion|trillion|dozen|dollars?|euros?"
    r"|USD|EUR|GBP|km/h|[kcm]m|mph|m|miles?|feet|foot|ft|inch(?:es)?|yards?|met(?:er|re)s?|[kmµ]?g|tons?|tonnes?|lbs?|oz"
    r"|m?l|lit(?:er|re)s?|gallons?|m?s|sec(?:ond)?s?|min(?:ute)?s?|h(?:ou)?rs?|h|am|pm|days?|weeks?|months?"
    r"|years?|[KMGT]B|[kMG]?Hz|k?Wh|[kMG]W|k?Pa|k?J|mol|st|nd|rd|th)(?!\w)"
)
# Marks of Arabic, Indic and Thai scripts are not \w, and must not cut their words. The kana and Han are not
# separated by spaces and go by script instead.
_MARKS = r"\u0300-\u036f\u064b-\u065f\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e"
_KANA, _HIRAGANA, _HAN = (
    r"\u30a1-\u30ff\u31f0-\u31ff",
    r"\u3041-\u309f",
    r"\u3005\u3400-\u9fff\U00020000-\U0002fa1f",
)
_LETTERS = rf"(?:[^\W_{_KANA}{_HIRAGANA}{_HAN}]++|[{_MARKS}])++"
_TOKENS = re.compile(
    rf"""
    (?P<date> (?=[\djfmasondJFMASOND]) (?:
        \d{{4}}-\d\d(?:-\d\d)?(?![\w-]) | \d{{1,2}}/\d{{1,2}}/\d{{2,4}}(?![\w/])
      | {_DAY}\ (?:of\ )?{_MONTH}(?:,?\ \d{{4}})?(?!\w)
      | {_MONTH}\ (?:{_DAY}(?:,?\ \d{{4}})?|\d{{4}})(?!\w)
      | (?:1[0-9]|20)\d\d(?:s|\ BCE?|\ AD)?(?![\w%]|[.,]\d)
      | \d{{1,2}}(?:st|nd|rd|th)[ ]century
    ))
  | (?P<number> (?=[-\u2212$€£¥₹\d]) (?:[$€£¥₹][ ]?)?+ (?:(?<![\w)])[-\u2212])?+ (?:[$€£¥₹])?+
        \d++ (?:,\d{{3}}(?!\d))*+ (?:\.\d++)?+ (?:[eE][-+]?\d++)?+ (?:[ ]?(?:{_UNIT}))? (?!\w) )
  | (?P<word> {_LETTERS} (?:[-'\u2019.&]{_LETTERS})*+ )
  | (?P<kana> [{_KANA}]++ )
  | (?P<han> [{_HAN}]++ )
    """,
    re.VERBOSE,
)
_QUOTES = re.compile(
    r'"([^"\n]{2,80})"|\u201c([^\u201d\n]{2,80})\u201d|«\s?([^»\n]{2,80}?)\s?»|「([^」\n]{1,80})」|『([^』\n]{1,80})』'
    r"|(?<!\w)['\u2018](?=\S)([^'\u2018\u2019\n]{2,80})(?<=\S)['\u2019](?!\w)"
)
_BREAK = re.compile(r"[.!?:\n。\uff01\uff1f]")
_HAN_FILLER = re.compile("[的了是在和与與有为為吗嗎呢么麼哪谁誰什这那之于於]+")

_JOINERS = frozenset(
    "of the for de la le les du des van von der den da di del della dos das el al bin ibn y zu".split()
)
_TITLES = frozenset("dr mr mrs ms st jr sr prof gen col capt lt sgt rev no vs mt ft inc co ltd".split())
_AFTER_A_NAME = frozenset(
    "is was are were has had have will would can could did does do may might should must and or who whose "
    "which that said says".split()
)
_MONTHS = frozenset("january february april june july august september october november december".split())
_BEFORE_A_MONTH = frozenset("in of since by until till during last next this every early mid late".split())
_STOP = frozenset(
    """a about above across after again against all along also although always am among an and another any are
    around as ask asked at away be because been before being below between both but by can cannot could did
    do does doing done down during each either else every everything few first following for found from gave
    get gets give given gives go goes going had has have having he her here hers him his how however i if in
    including into is it its itself just kind known last least less let like likely made make makes many may
    me might more most much must my need needs never next no none nor not nothing now number of off often on
    once one only or other others our out over own per please put rather really said same say says see she
    should since so some something such take taken than that the their them then there these they thing
    things this those though through thus to together too two type under unless until up upon us use used
    using very want was way we well went were what whatever when where whether which while who whom whose
    why will with within without would yet you your yours answer answers based best choose complete consider
    correct describe determine explain find identify list name option options problem question select show
    solve statement step suppose tell true false write assume calculate compute correctly according don't
    doesn't isn't what's i'm it's let's that's who's there's didn't won't can't""".split()
)


def scan(text: str, *, terms: bool = True) -> list[Mention]:
    """Find what a text names, in order.

    Args:
        text: Any string.
        terms: Whether to give quoted spans and content words that are no name too.

    Returns:
        Mentions; a quoted span and the names inside it may overlap.
    """
    found = [
        Mention(inside, "quote", match.start(match.lastindex), match.end(match.lastindex))
        for match in (_QUOTES.finditer(text) if terms else ())
        if match.lastindex and (inside := match[match.lastindex].strip(" ,.;"))
    ]
    quoted = {(mention.start, mention.end) for mention in found}
    tokens = [
        _Token(match.lastgroup or "", match[0], match.start(), match.end())
        for match in _TOKENS.finditer(text)
    ]
    shouting = text.isupper()  # capitals say nothing in a text that has nothing else
    i = 0
    while i < len(tokens):
        kind, word, start, end = tokens[i]
        if kind in ("date", "number"):
            if len(word) <= MAX_NAME:
                found.append(Mention(word.strip(), kind, start, end))
            i += 1
        elif kind == "kana" and len(word) > 1:
            found.append(Mention(word[:MAX_NAME], "name", start, end))
            i += 1
        elif kind == "han":
            if terms:
                found += _han(word, start)
            i += 1
        elif kind == "word" and not shouting and word != word.lower():
            i, mention = _name(text, tokens, i)
            if mention and (mention.start, mention.end) not in quoted and (terms or mention.kind != "term"):
                found.append(mention)
        else:
            i, mention = _term(text, tokens, i)
            if mention and terms:
                found.append(mention)
    if quoted:
        found.sort(key=lambda mention: (mention.start, -mention.end))
    return found


def _name(text: str, tokens: list[_Token], i: int) -> tuple[int, Mention | None]:
    """Join capitalised words, from the one at ``i`` on; return where to go on."""
    first, last = i, _last_of_name(text, tokens, i)
    gap = text[tokens[i - 1].end : tokens[i].start] if i else "\n"
    opens = _BREAK.search(gap) is not None
    if first == last and _is_month(tokens, i):
        return i + 1, Mention(tokens[i].text, "date", tokens[i].start, tokens[i].end)
    while first <= last and tokens[first].text.lower() in _STOP:
        first += 1
    if first > last:
        return last + 1, None
    start, end = tokens[first].start, tokens[last].end
    name = text[start:end]
    if name[-2:] in ("'s", "\u2019s"):
        name, end, opens = name[:-2], end - 2, False
    if not 1 < len(name) <= MAX_NAME:
        return last + 1, None
    # A lone capital at the start of a sentence is a name only when something else says so.
    lone = opens and first == last == i and name[1:] == name[1:].lower() and name.isalpha()
    if lone and not (last + 1 < len(tokens) and tokens[last + 1].text in _AFTER_A_NAME):
        return last + 1, Mention(name, "term", start, end) if len(name) > 2 else None
    return last + 1, Mention(name, "name", start, end)


def _is_month(tokens: list[_Token], i: int) -> bool:
    word = tokens[i].text.lower()
    sure = i and tokens[i - 1].text.lower() in _BEFORE_A_MONTH  # "May I", "March on", but "in May"
    return word in _MONTHS or bool(sure and word in ("may", "march"))


def _last_of_name(text: str, tokens: list[_Token], i: int) -> int:
    if i and len(tokens[i].text) == 1 and "\n" in text[tokens[i - 1].end : tokens[i].start]:
        return i  # "\nA. Paris" is an option, not an initial
    last = i
    while last - i < _MAX_WORDS:
        k = last + 1
        while k < len(tokens) and k - last < 3 and tokens[k].text in _JOINERS and _joined(text, tokens, k):
            k += 1
        if k >= len(tokens) or not _joined(text, tokens, k):
            return last
        kind, word, _, _ = tokens[k]
        numbered = k == last + 1 and kind == "number" and word.isdecimal() and len(word) < 4
        if not numbered and (kind != "word" or word == word.lower()):
            return last
        last = k
    return last


def _joined(text: str, tokens: list[_Token], k: int) -> bool:
    before = tokens[k - 1].text
    gap = text[tokens[k - 1].end : tokens[k].start]
    if gap == ". ":
        return len(before) == 1 or "." in before or before.lower() in _TITLES
    return gap in (" ", " & ")


def _term(text: str, tokens: list[_Token], i: int) -> tuple[int, Mention | None]:
    """Join content words, from the one at ``i`` on; return where to go on."""
    last = i
    while last < len(tokens) and last - i < _MAX_TERM_WORDS and _is_content(tokens[last]):
        if last > i and text[tokens[last - 1].end : tokens[last].start] != " ":
            break
        last += 1
    if last == i:
        return i + 1, None
    start, end = tokens[i].start, tokens[last - 1].end
    return last, Mention(text[start:end], "term", start, end) if end - start <= MAX_NAME else None


def _is_content(token: _Token) -> bool:
    word = token.text
    plain = token.kind == "word" and word == word.lower()
    if not plain and not (token.kind == "word" and word.isupper() and len(word) > 2):
        return False
    caseless = word.upper() == word.lower()  # scripts without capitals have whole words of two characters
    return len(word) > (1 if caseless else 2) and word.lower() not in _STOP


def _han(run: str, start: int) -> list[Mention]:
    """Cut a run of Han characters at the commonest words that are no content."""
    parts: list[Mention] = []
    at = 0
    for part in _HAN_FILLER.split(run):
        at = run.index(part, at)
        if 1 < len(part) <= MAX_NAME:
            parts.append(Mention(part, "term", start + at, start + at + len(part)))
        at += len(part)
    return parts
