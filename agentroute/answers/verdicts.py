"""Answers that say yes, no, or that nobody can know."""

from __future__ import annotations

import re

# "Yes, they are." says yes; "Yes, Prime Minister", "No Doubt" and "No. 5" are names: they have no verb.
_VERBS = (
    r"is|are|was|were|am|be|been|do|does|did|has|have|had|can|could|will|would|not|both|neither|only"
    r"|\w+n't|same|correct|true|share|belong|different"
)
_YES_NO = re.compile(
    r"(yes|no)(?:\W*"
    rf"|\s*+[-,.;:!(\u2013\u2014]++\s*+(?!\d).*\b(?:{_VERBS})\b.*"
    r"|\s+(?:they|it|he|she|we|there|both|neither)\b.*)",
    re.DOTALL,
)

_FOUND = "provided|mentioned|specified|given|stated|available|known|included|clear|identified"
_SOURCE = r"(?:context|passages?|text|documents?|information|article)s?"
_REFUSALS = (
    # The whole answer.
    r"(?:unknown|n/a|unanswerable|not (?:known|applicable|sure|enough information)"
    rf"|(?:not|none) (?:{_FOUND})|no (?:answer|information)(?: (?:found|{_FOUND}))?)\W*$",
    # How it begins.
    rf"(?:not|none) (?:{_FOUND}) (?:in|by|from|within)\b",
    r"unknown (?:from|based|without|given)\b",
    r"(?:not enough|insufficient) (?:information|data|context)\b",
    r"there is (?:no|not enough|insufficient) (?:information|mention|context|data)\b",
    r"sorry,|i(?:'m| am) (?:not sure|unsure|sorry|unable)\b",
    r"i (?:do not|don'?t) know(?:\W*$|[,.;:]"
    r"| (?:the|who|what|which|that|if|whether|where|when|based|from|about)\b| how (?:many|much|long|old)\b)",
    r"i (?:do not|don'?t) have (?:enough|sufficient|the|any|access)\b",
    r"i (?:cannot|can't) (?:answer|determine|find|provide|confirm)\b|i could not find\b",
    r"(?:(?:it|this|that|we|the (?:answer|question|value|amount|exact \w+)) )?(?:cannot|can't|can not"
    r"|could not|unable to|impossible to) (?:be )?(?:determined?|answer(?:ed)?|known|say|tell|find|found)\b",
    rf"(?:the|this) (?:(?:provided|given) )?{_SOURCE}(?: provided| given)? (?:does|do|did)(?: not|n't) "
    r"(?:\w+ )?(?:provide|mention|specify|contain|include|state|give|say|indicate)\b",
    # How it ends: "The year is not specified in the passage."
    rf"[^.;]{{1,240}} (?:is|are|was|were) not (?:\w+ )?(?:{_FOUND})(?:\W*$"
    r"| (?:in|by|from|within|based) (?:the|this|my|any)\b)",
)
_REFUSAL = re.compile("|".join(_REFUSALS))


def yes_or_no(low: str) -> str | None:
    """Return the ``yes`` or ``no`` that a text says.

    Args:
        low: A text in lower case.

    Returns:
        ``yes``, ``no``, or ``None`` when it says neither or only begins with such a name.
    """
    if not low.startswith(("yes", "no")):
        return None
    match = _YES_NO.fullmatch(low.replace("\u2019", "'"))
    return match[1] if match else None


def is_refusal(low: str) -> bool:
    """Tell whether a text says that the answer is not known.

    Args:
        low: A text in lower case.

    Returns:
        True for the common ways of saying so; sentences that merely contain them do not count.
    """
    return _REFUSAL.match(low.replace("\u2019", "'")) is not None
