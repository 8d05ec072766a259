"""An outcome folder with two ladders: which one is right shows in the words, and so does how hard it is."""

from __future__ import annotations

import json
import random
from pathlib import Path

AGENTS = """version: 1
agents:
  - {id: sums-low, kind: recorded, description: Adds., model: sums, effort: low}
  - {id: sums-high, kind: recorded, description: Adds., model: sums, effort: high}
  - {id: rhymes-low, kind: recorded, description: Rhymes., model: rhymes, effort: low}
  - {id: rhymes-high, kind: recorded, description: Rhymes., model: rhymes, effort: high}
  - {id: guesser, kind: recorded, description: Guesses.}
"""
PRICE = {"low": 0.001, "high": 0.01}


def make_rungs(path: Path, count: int = 240, *, texts: bool = True) -> Path:
    """Write it: the low level does for easy questions, the high one for all, at ten times the price."""
    rng = random.Random(0)
    path.mkdir(parents=True)
    (path / "agents.yaml").write_text(AGENTS)
    queries, outcomes = [], []
    for number in range(count):
        topic, hard = rng.choice(["sums", "rhymes"]), rng.random() < 0.5
        words = {"sums": "Add the integers", "rhymes": "Find a rhyme for the word"}[topic]
        how = rng.choice(["intricate", "tortuous"] if hard else ["plain", "simple"])
        text = f"{words} of this {how} {how} case, number {number}."
        queries.append({"id": f"q{number}", "text": text})
        for agent in ("sums-low", "sums-high", "rhymes-low", "rhymes-high", "guesser"):
            name, _, level = agent.partition("-")
            right = name == topic and (level == "high" or not hard) and rng.random() < 0.95
            row = {"query": f"q{number}", "agent": agent, "score": float(right)}
            row["cost_usd"] = PRICE.get(level, 0.0005)
            outcomes.append(row | ({"answer": f"gold {number}" if right else agent} if texts else {}))
    for file, rows in (("queries", queries), ("outcomes", outcomes)):
        (path / f"{file}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
