"""The words of an answer without what is around them: wrappers, markup, case, accents, punctuation."""

from __future__ import annotations

import re
import unicodedata

# ---------------------------------------------------------------------------- what is around an answer

_LEAD = re.compile(
    r"(?:(?:so|thus|hence|therefore|finally)\b,?\s*)?(?:(?:the|my)\s+)?(?:final\s+|correct\s+)?"
    r"(?:answer|ans)(?:\s+is\b\s*:?|\s*[:=])\s*",
    re.IGNORECASE,
)
_PAIRS = {"'": "'", '"': '"', "`": "`", "“": "”", "\u2018": "\u2019", "«": "»", "$": "$"}
_LATEX_NOISE = re.compile(r"\\(?:left|right|displaystyle|[!,;: ])|\^\\circ|\^\{\\circ\}")
_LATEX_TEXT = re.compile(r"\\(?:text|mathrm|mathbf|textbf|boxed|mbox)\s*\{([^{}]*)\}")
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\s*(?:\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}|(\d)(\d))")
_TAG = re.compile(r"<(\w{1,20})>(.*)</\1>", re.DOTALL | re.IGNORECASE)


def unwrap(text: str) -> str:
    """Take off quotes, tags, markup, LaTeX wrappers, a final full stop, and words such as "The answer is".

    Args:
        text: An answer.

    Returns:
        What is inside; never empty unless the text is blank.
    """
    text = text.strip()
    while text:
        before = text
        if text[0] in "TtAaFfMmSsHC" and (lead := _LEAD.match(text)) and lead.end() < len(text):
            text = text[lead.end() :].strip()
        if text[0] == "<" and (tag := _TAG.fullmatch(text)):
            text = tag[2].strip() or text
        if "\\" in text:
            text = _unlatex(text) or text
        if text[:1] in ("*", "#", ">") and (bare := text.strip("*#>").strip()):
            text = bare
        if len(text) > 2 and _PAIRS.get(text[0]) == text[-1] and text[-1] not in text[1:-1]:
            text = text[1:-1].strip() or text
        if len(text) > 1 and text[-1] in ".。;,!" and not text.endswith("..."):
            text = text.rstrip(" .。;,!") or text
        if text == before:
            break
    return text


def _unlatex(text: str) -> str:
    text = _LATEX_NOISE.sub("", text).replace("\\%", "%").replace("\\$", "$")
    while (plain := _LATEX_TEXT.sub(r"\1", text)) != text:
        text = plain
    text = _LATEX_FRACTION.sub(lambda m: f"{m[1] or m[3]}/{m[2] or m[4]}", text)
    if (text.startswith("\\(") and text.endswith("\\)")) or (text.startswith("\\[") and text.endswith("\\]")):
        text = text[2:-2]
    return text.strip()


# ---------------------------------------------------------------------------- words, code, lists

_NUMBER_WORDS = {
    word: str(value)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
        "sixteen seventeen eighteen nineteen twenty".split()
    )
}
_LETTERS = str.maketrans(
    {
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "æ": "ae",
        "œ": "oe",
        "\u0131": "i",
        "\u2212": "-",
        "\u2010": "-",
        "\u2011": "-",
        "\u2013": " ",
        "—": " ",
    }
)
_LATIN_MARKS = re.compile(r"(?<=[a-z])[\u0300-\u036f]+")
_PLAIN = re.compile(r"[a-z0-9 ]+")
_INITIALS = re.compile(r"\b([^\W\d_])\.\s+(?=[^\W\d_]\.)")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_DOT = re.compile(r"(?<![\d\s])\.|\.(?!\d)")
_DASH = re.compile(r"(?<=\S)-|-(?!\.?\d)")
_SMALL = {"the": 1, "a": 2, "an": 2}


class _Punctuation(dict[int, str | None]):
    """A translation table that is filled as characters turn up: punctuation to space, joiners to nothing."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        category = unicodedata.category(char)
        kept: str | None = char
        if char in "'\u2019\u2018`" or (category in ("Cc", "Cf", "Cs") and not char.isspace()):
            kept = None
        elif char not in ".-" and (category[0] in "PZ" or char.isspace()):
            kept = " "
        self[code] = kept
        return kept


_PUNCTUATION = _Punctuation()


def fold(text: str) -> str:
    """Return lower case without accents on Latin letters; marks of other scripts carry meaning and stay."""
    marked = unicodedata.normalize("NFKD", text).casefold()
    bare = _LATIN_MARKS.sub("", unicodedata.normalize("NFKD", marked))
    return unicodedata.normalize("NFKC", bare).translate(_LETTERS)


def words_of(text: str) -> str:
    """Write a text in bare words.

    Args:
        text: An answer.

    Returns:
        Lower case, no accents, articles or punctuation, small number words as digits; decimals and minus
        signs stay.
    """
    low = text.lower() if text.isascii() else fold(text)
    if not _PLAIN.fullmatch(low):
        if "." in low:
            low = _INITIALS.sub(r"\1.", low)
        if "," in low:
            low = _THOUSANDS.sub("", low)
        low = low.translate(_PUNCTUATION)
        if "." in low:
            low = _DOT.sub("", low)
        if "-" in low:
            low = _DASH.sub(" ", low)
    tokens = [_NUMBER_WORDS.get(token, token) for token in low.split()]
    last = len(tokens) - 1
    # "the" never tells answers apart; a final "a" may, as in "vitamin A".
    kept = [t for i, t in enumerate(tokens) if not (small := _SMALL.get(t)) or (small == 2 and i == last)]
    return " ".join(kept or tokens)


_SPACE_BY_SYMBOL = re.compile(r"\s+(?=\W)|(?<=\W)\s+")
_STRAIGHT = str.maketrans({mark: "'" for mark in '"“”\u2018\u2019'})


def tight(text: str) -> str:
    """Take the spaces around symbols out of code or a formula and make all quotes alike."""
    return _SPACE_BY_SYMBOL.sub("", text).translate(_STRAIGHT)


CLOSING = {"[": "]", "(": ")", "{": "}"}


def list_items(text: str) -> list[str] | None:
    """Split a list literal at its own commas.

    Args:
        text: A text without space around it.

    Returns:
        The items as written, or ``None`` when the text is not one list.
    """
    if len(text) < 2 or CLOSING.get(text[0]) != text[-1]:
        return None
    items, start, depth, quote, fresh = [], 1, 0, "", True
    for i in range(1, len(text) - 1):
        char = text[i]
        if quote:
            # A quote closes a string only where an item may end: "Men's" and "Rock 'n' Roll" hold others.
            if char == quote and text[i + 1 : i + 9].lstrip()[:1] in _AFTER_STRING:
                quote = ""
            continue
        if char in _QUOTES and fresh:
            quote = _QUOTES[char]
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth < 0:
                return None
        elif char == "," and depth == 0:
            items.append(text[start:i])
            start = i + 1
        fresh = char in "([{,:" or (fresh and char == " ")
    if quote or depth:
        return None
    items.append(text[start:-1])
    return items if items[-1].strip() else items[:-1]


_QUOTES = {"'": "'", '"': '"', "\u2018": "\u2019", "“": "”"}
_AFTER_STRING = (",", ":", ")", "]", "}")
