"""How far could any choice of effort go on recorded levels? Strong learners of another kind, in hindsight.

    python benchmarks/reach.py --data DIR --json OUT [--sets a,b] [--seeds 0,1,2] [--markdown OUT.md]

The sets and bars are those of ``effort.py``, without the composed episodes, whose steps are the same.
Gradient boosting and extremely randomized trees see a step's words, its sentence vector, its task, and the
signs of the answers that came back. They are cross-fitted in five parts over all questions, so that they
learn from more of them than a router that leaves some out to be judged by. Then the price of a unit is chosen
in hindsight, on the very questions that are counted: that flatters. Of a longer ladder every rung is tried
below the highest, and halfway up between both; the one that did best counts, which flatters more. Where even
this stays below a bar, what is recorded does not tell which steps need less.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from effort import BARS, KIND, QUESTIONS, Bar, readers
from measuring import Record, mean
from reaching import crossed, looks, walked
from results import Results, carry_out, command_line, find_sets, parser, print_tables, tell

from agentroute.effort.ladders import Ladder, find_ladders
from agentroute.errors import AgentRouteError
from agentroute.outcomes import OutcomeFolder

SCRIPT = "reach.py"
RUNGS = 3
"""Rungs of a ladder that are looked at together."""

UNITS = (0.0, *np.geomspace(0.005, 0.6, 40).tolist())
"""What the mean price of the highest rung counts, in points of score (0 to 1): all are tried."""


def reach(folder: Path, bar: Bar, seed: int) -> Record:
    """Say how much of the price could be saved within the loss of a bar, the unit chosen in hindsight."""
    opened = OutcomeFolder.open(folder)
    ladder = find_ladders(opened, across=bar.across, agents=bar.agents, held_out=set())[0].complete()
    return max((_reach(part, bar, seed) for part in parts(ladder)), key=lambda found: found["saved"])


def parts(ladder: Ladder) -> list[Ladder]:
    """Take a longer ladder apart: each rung with the highest, and with one halfway between both."""
    top = len(ladder.rungs) - 1
    if top < RUNGS:
        return [ladder]
    pairs = [[low, top] for low in range(top)]
    return [
        ladder.only(rungs) for rungs in (*pairs, *([low, (low + top) // 2, top] for low in range(top - 1)))
    ]


def _reach(ladder: Ladder, bar: Bar, seed: int) -> Record:
    _, price = ladder.price(bar.price)
    price = price / price[:, -1].mean()
    shown = looks(ladder, price, seed)
    points = walked(
        ladder.score, price, np.array(UNITS), lambda answers, aim: crossed(shown[answers], aim, seed)
    )
    within = [saved for saved, lost in points if lost <= bar.max_loss + 1e-9]
    return {
        "steps": len(ladder),
        "rungs": list(ladder.named),
        "saved": max(0.0, *within, 0.0),
        "frontier": [[round(saved, 4), round(100 * lost, 3)] for saved, lost in points],
    }


def summarize(runs: Sequence[Record]) -> dict[str, Record]:
    """Sum up each bar over its seeds."""
    found: dict[str, Record] = {}
    for name, bar in BARS.items():
        if mine := [run for run in runs if run["change"] == name]:
            found[name] = {
                "what": bar.what,
                "bar": bar.bar,
                "seeds": [run["seed"] for run in mine],
                "steps": mine[0]["steps"],
                "saved": mean([run["saved"] for run in mine]),
            }
    return found


def markdown(found: Mapping[str, Record]) -> str:
    """Write the table."""
    lines = ["| what | questions | within reach, in hindsight | bar |", "|---|---|---|---|"]
    for name, row in found.items():
        cells = (f"{name}: {row['what']}", f"{row['steps']:,}", f"{row['saved']:.0%}", f"{row['bar']:.0%}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def measure_all(results: Results, sets: Mapping[str, Path], given: argparse.Namespace) -> None:
    """Measure whatever is missing."""
    for name, bar in BARS.items():
        wanted = not given.sets or bar.set in given.sets
        if bar.episodes or not wanted:
            continue
        path = readers(given.data, given.json.parent) if bar.set == QUESTIONS else sets.get(bar.set)
        for seed in given.seeds if path is not None else ():
            if not results.has(bar.set, seed, name):
                with results.measuring(bar.set, seed, name):
                    results.add(bar.set, seed, name, reach(path, bar, seed))


def main() -> int:
    given = parser(__doc__, KIND).parse_args()
    try:
        wanted = [name for name in given.sets or () if name != QUESTIONS]
        only_readers = bool(given.sets) and not wanted
        sets = {} if only_readers else find_sets(given.data, wanted or None, KIND, if_any=given.if_any)
        results = Results(given.json, command_line(SCRIPT), {"learners": "boosting, trees"}, summarize)
    except AgentRouteError as error:
        tell(f"error: {error}")
        return 2

    def finish() -> None:
        results.write()
        print_tables(markdown(summarize(results.runs)), given)

    return carry_out(results, lambda: measure_all(results, sets, given), finish)


if __name__ == "__main__":
    sys.exit(main())
