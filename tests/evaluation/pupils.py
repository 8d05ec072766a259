"""A module of agents as a user would write one, and a count of who was asked how often."""

from __future__ import annotations

import threading
import time
from collections import Counter

CAPITALS = {"France": "Paris", "Italy": "Rome", "Kenya": "Nairobi", "Chad": "N'Djamena"}

asked: Counter[str] = Counter()
moods = {"broken": True}
_lock = threading.Lock()
_busy = 0
busiest = 0


def knows(text: str) -> str:
    """Always right."""
    asked["knows"] += 1
    return next(capital for country, capital in CAPITALS.items() if country in text)


def guesses(text: str) -> str:
    """Right once."""
    asked["guesses"] += 1
    return "paris."


def declines(text: str) -> None:
    """Has nothing to say."""
    asked["declines"] += 1


def fails(text: str) -> str:
    """Fails until its mood is better."""
    asked["fails"] += 1
    if moods["broken"]:
        raise ValueError("no pencil")
    return "Rome"


def slow(text: str) -> str:
    """Takes a while, and notes how many do so at once."""
    global _busy, busiest
    with _lock:
        _busy += 1
        busiest = max(busiest, _busy)
    time.sleep(0.05)
    with _lock:
        _busy -= 1
    return "Rome"


def sleeps(text: str) -> str:
    """Takes longer than anybody wants to wait."""
    time.sleep(30)
    return "Rome"


def chatters(text: str) -> str:
    """Prints where nobody should."""
    print("thinking aloud")
    return "Rome"
