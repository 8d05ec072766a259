"""A small ladder to learn from: sums, and answers that show when they are guesses."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

AGENTS = """version: 1
agents:
  - {id: adder@low, kind: recorded, description: Adds., model: adder, effort: low}
  - {id: adder@medium, kind: recorded, description: Adds., model: adder, effort: medium}
  - {id: adder@high, kind: recorded, description: Adds., model: adder, effort: high}
"""
LEVELS = ("low", "medium", "high")
TOKENS = {"low": 50, "medium": 400, "high": 2000}


def write(
    path: Path, queries: list[dict[str, Any]], outcomes: list[dict[str, Any]], agents: str = AGENTS
) -> Path:
    """Write an outcome folder."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "agents.yaml").write_text(agents)
    for name, rows in (("queries", queries), ("outcomes", outcomes)):
        (path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def make_ladder(
    path: Path, count: int = 200, *, seed: int = 0, episodes: int = 0, visible: bool = True
) -> Path:
    """Write a folder in which half of the sums need more than low, and low's guesses sound like guesses.

    Args:
        path: Where to.
        count: Sums.
        seed: Another seed, other sums.
        episodes: Steps of an episode; 0 for none.
        visible: Whether a wrong answer sounds unsure.
    """
    rng = random.Random(seed)
    queries, outcomes = [], []
    for number in range(count):
        numbers = [rng.randint(10, 99) for _ in range(3)]
        gold = str(sum(numbers))
        meta = {"episode": f"e{number // episodes}", "step": number % episodes + 1} if episodes else {}
        text = f"Add {', '.join(map(str, numbers))}. This is sum {number} of the day."
        queries.append({"id": f"q{number}", "text": text, "gold": [gold], "meta": meta})
        needs = rng.choice(["low", "low", "medium", "high"])
        for level in LEVELS:
            right = LEVELS.index(level) >= LEVELS.index(needs)
            wrong = f"perhaps {int(gold) + rng.randint(1, 9)}, but I am not sure" if visible else "0"
            outcomes.append(
                {
                    "query": f"q{number}",
                    "agent": f"adder@{level}",
                    "score": float(right),
                    "answer": gold if right else wrong,
                    "input_tokens": 20,
                    "output_tokens": TOKENS[level] + rng.randint(0, 20),
                    "cost_usd": TOKENS[level] * 1e-6,
                    "effort": level,
                }
            )
    return write(path, queries, outcomes)
