"""How far could any choice of effort go on recorded levels? Strong learners of another kind, in hindsight.

    python benchmarks/reach.py --data DIR --json OUT [--sets a,b] [--seeds 0,1,2] [--markdown OUT.md]

The sets and bars are those of ``effort.py``, without the composed episodes, whose steps are the same.
Gradient boosting and extremely randomized trees see a step's words, its sentence vector, its task, and the
signs of the answers that came back. They are cross-fitted in five parts over all questions, so that they
learn from more of them than a router that leaves some out to be judged by. Then the price of a unit is chosen
in hindsight, on the very questions that are counted: that flatters. Where even this stays below a bar, what
is recorded does not tell which steps need less.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from effort import BARS, KIND, QUESTIONS, Bar, readers
from measuring import Record, mean
from results import Results, carry_out, command_line, find_sets, parser, tell
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import KFold

from agentroute.effort.ladders import Ladder, find_ladders
from agentroute.effort.signs import pair_signs, reply_signs, step_signs
from agentroute.errors import AgentRouteError
from agentroute.knowledge.embed import make_embedder
from agentroute.outcomes import OutcomeFolder

Floats = npt.NDArray[np.floating[Any]]

SCRIPT = "reach.py"
RUNGS = 3
"""Rungs of a longer ladder that are looked at: the first, the last, and one halfway."""

WIDTH = 40
"""Numbers that the words, and the vector, of a step are brought down to."""

TASKS = 60
"""Kinds of step, up to which each has a sign of its own."""

UNITS = (0.0, *np.geomspace(0.005, 0.6, 40).tolist())
"""What the mean price of the highest rung counts, in points of score (0 to 1): all are tried."""

Guess = Callable[[int, Floats], Floats]
"""Guesses what is to be learned of steps from what shows once so many answers are there."""


def looks(ladder: Ladder, price: Floats, seed: int) -> list[Floats]:
    """Put into numbers what shows of steps: before any answer, after the lowest rung's, after the next."""
    texts, top = [view.text for view in ladder.views], len(ladder.rungs) - 1
    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2).fit_transform(texts)
    vectors = make_embedder("minilm").embed(texts)
    width = min(WIDTH, len(texts) // 8)
    tasks = sorted({view.task for view in ladder.views if view.task})
    kinds = [[float(view.task == task) for task in tasks] for view in ladder.views]
    parts = [
        np.array([step_signs(view) for view in ladder.views]),
        *(TruncatedSVD(width, random_state=seed).fit_transform(part) for part in (words, vectors)),
        np.array(kinds if len(tasks) <= TASKS else [[]] * len(texts)).reshape(len(texts), -1),
    ]
    found = [np.hstack(parts)]
    for rung in range(top):
        both = zip(ladder.replies, ladder.views, strict=True)
        parts += [np.array([reply_signs(row[rung], view) for row, view in both]), price[:, [rung]]]
        if rung:
            parts.append(np.array([pair_signs(row[rung - 1], row[rung]) for row in ladder.replies]))
        found.append(np.hstack(parts))
    return found


def crossed(signs: Floats, aim: Floats, seed: int) -> Floats:
    """Guess what is to be learned of each step from the other parts: the mean of two kinds of trees.

    Boosting learns one number at a time, and is left out where there are several.
    """
    guess = np.zeros(aim.shape)
    for known, asked in KFold(5, shuffle=True, random_state=seed).split(signs):
        learners: list[Any] = [
            ExtraTreesRegressor(250, min_samples_leaf=4, max_features=0.4, random_state=seed)
        ]
        if aim.ndim == 1:
            boosting = HistGradientBoostingRegressor(
                max_iter=100, learning_rate=0.05, max_leaf_nodes=8, min_samples_leaf=10, random_state=seed
            )
            learners.append(boosting)
        for learner in learners:
            guess[asked] += learner.fit(signs[known], aim[known]).predict(signs[asked]) / len(learners)
    return guess


def walked(score: Floats, price: Floats, units: Floats, guess: Guess) -> list[tuple[float, float]]:
    """Go by guesses: begin with any rung; from the lowest go on, or up at once, while it is worth its price.

    What going on is worth is found backwards, from what came of it.

    Args:
        score: Shapes: ``(steps, rungs)``.
        price: In means of the highest rung. Shapes: the same.
        units: What one counts, in points of score (0 to 1).
        guess: Cross-fitted learners.

    Returns:
        For each unit the share of the price that was saved, and the score lost (0 to 1).
    """
    count, top = len(score), score.shape[1] - 1
    last, usual = score[:, top], price.mean(axis=0)
    # From a rung on, for each unit: what was scored in the end, and what was spent after it.
    ended, spent = np.repeat(last[:, None], len(units), 1), np.zeros((count, len(units)))
    for rung in range(top - 1, -1, -1):
        here = score[:, [rung]]
        higher = (
            [] if rung == top - 1 else [guess(rung + 1, last - score[:, rung])[:, None] - units * usual[top]]
        )
        more = price[:, [rung + 1]] + spent
        on = guess(rung + 1, np.column_stack([ended - here - units * more]))
        choice = np.stack([np.zeros_like(on), on, *higher]).argmax(axis=0)
        spent = np.select([choice == 1, choice == 2], [more, price[:, [top]] + 0.0 * more], 0.0)
        ended = np.select([choice == 1, choice == 2], [ended, last[:, None] + 0.0 * more], here)
    low = guess(0, ended - last[:, None] - units * (price[:, [0]] + spent))
    alone = [guess(0, score[:, rung] - last)[:, None] - units * usual[rung] for rung in range(1, top)]
    begin = np.stack([np.broadcast_to(-units * usual[top], low.shape), low, *alone]).argmax(axis=0)
    cost, got = np.repeat(price[:, [top]], len(units), 1), np.repeat(last[:, None], len(units), 1)
    cost, got = np.where(begin == 1, price[:, [0]] + spent, cost), np.where(begin == 1, ended, got)
    for rung in range(1, top):
        cost = np.where(begin == rung + 1, price[:, [rung]], cost)
        got = np.where(begin == rung + 1, score[:, [rung]], got)
    saved, lost = 1.0 - cost.mean(axis=0) / usual[top], (last[:, None] - got).mean(axis=0)
    return list(zip(saved.tolist(), lost.tolist(), strict=True))


def reach(folder: Path, bar: Bar, seed: int) -> Record:
    """Say how much of the price could be saved within the loss of a bar, the unit chosen in hindsight."""
    opened = OutcomeFolder.open(folder)
    ladder = find_ladders(opened, across=bar.across, agents=bar.agents, held_out=set())[0].complete()
    count = len(ladder.rungs)
    if count > RUNGS:
        ladder = ladder.only([0, count // 2, count - 1])
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
        text = markdown(summarize(results.runs))
        sys.stdout.write(text)
        if given.markdown is not None:
            given.markdown.write_text(text, "utf-8")

    return carry_out(results, lambda: measure_all(results, sets, given), finish)


if __name__ == "__main__":
    sys.exit(main())
