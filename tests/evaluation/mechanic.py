"""Agents that join the folder of ``routing.folders``, as a user would write them."""

from __future__ import annotations

import re
from collections import Counter

from routing.folders import TOPICS

asked: Counter[str] = Counter()
moods = {"broken": False}


def _gold(text: str) -> str:
    found = re.search(r"is number (\d+)", text)
    return f"gold {found.group(1)}" if found else ""


def mechanic(text: str) -> str:
    """Right on every question of engines, and on no other."""
    asked["mechanic"] += 1
    return _gold(text) if any(word in text for word in TOPICS["engines"]) else "a spanner"


def oracle(text: str) -> str:
    """Right on everything, when it works."""
    asked["oracle"] += 1
    if moods["broken"]:
        raise ValueError("out of steam")
    return _gold(text)


def dunce(text: str) -> str:
    """Wrong on everything."""
    return "no idea"
