"""What the agents and tools of these tests say; a test puts it here before it asks.

pytest loads test files under names of their own, so that code which a registry names has to live elsewhere.
"""

from __future__ import annotations

import os

PLANTED: dict[str, str] = {}
"""What the tool finds, by its word; what ``speak`` says, under ``""``."""


def echo(question: str) -> str:
    """Give the question back."""
    return question


def speak(question: str) -> str:
    """Say what was agreed on."""
    return PLANTED[""]


def lookup(word: str) -> str:
    """Look a word up.

    Args:
        word: The word.
    """
    return PLANTED.get(word, "Lyon")


def fails(question: str) -> str:
    """Raise with a secret of the environment in the message, as careless code does."""
    raise ValueError(f"cannot connect to db with password {os.environ['DB_PASSWORD']}")


def fetch(word: str) -> str:
    """Fail with a secret in the message.

    Args:
        word: Anything.
    """
    raise RuntimeError(f"refused: {os.environ['TOOL_TOKEN']}")
