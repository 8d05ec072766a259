"""Text that can be seen, and quoting it in messages."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from agentroute.registry.plain_text import forbidden, line_at, shown


def test_exactly_what_cannot_be_seen_is_forbidden() -> None:
    unseen = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        category = unicodedata.category(character)
        if category in unseen and character not in "\t\n\r":
            assert forbidden(f"a{character}b") is not None, f"U+{code:04X}"
        elif category not in unseen and category != "Cn":
            assert forbidden(character) is None, f"U+{code:04X}"
    assert forbidden("a\tb\r\nc") is None


def test_the_message_names_the_character() -> None:
    assert forbidden("a\u200bb") == "character U+200B cannot be seen and is not allowed; remove it"


@pytest.mark.parametrize("ends", ["\n", "\r", "\r\n"])
def test_lines_are_counted_whatever_ends_them(ends: str) -> None:
    assert line_at("") == 1
    assert line_at(f"one{ends}two{ends}thr") == 3


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abc",
        "ghp_abc",
        "xoxb-123",
        "AIzaSyabc",
        "AKIAIOSFODNN7",
        "Bearer abc",
        "eyJhbGciOi",
        "hf_abc",
        "gsk_abc",
    ],
)
def test_what_looks_like_a_key_is_not_shown(secret: str) -> None:
    assert secret not in shown(secret)


def test_long_text_is_cut_and_line_ends_are_escaped() -> None:
    assert shown("a\nb") == r"'a\nb'"
    assert len(shown("x" * 10_000)) == 62
