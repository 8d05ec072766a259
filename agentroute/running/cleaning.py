"""Text from outside without what commands a terminal or cannot be stored."""

from __future__ import annotations

import re

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_BAD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str) -> str:
    """Take out what does not belong in text.

    Args:
        text: Text from outside.

    Returns:
        The text without escape sequences, control characters other than tab and line ends, direction
        overrides, and halves of surrogate pairs. A carriage return, with which a line could hide what stands
        before it, is a line end.
    """
    if text.isascii() and text.isprintable():
        return text
    return _BAD.sub("", _ANSI.sub("", text).replace("\r\n", "\n").replace("\r", "\n"))
