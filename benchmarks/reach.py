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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

HOPES = (0.0, 0.3, 0.6)
"""Share of what a higher rung adds that a lower one may still get by going on: all are tried."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Foreseen:
    """What the learners say of steps that they did not see, in points of score (0 to 1).

    Args:
        before: What each lower rung is above the highest, before anything is asked. Shapes: ``(steps, rungs -
            1)``.
        after: What each higher rung is above the lowest, with its answer there. Shapes: the same.
        last: What the highest is above the middle one, with two answers there. Shapes: ``(steps,)``.
    """

    before: Floats
    after: Floats
    last: Floats


def foresee(ladder: Ladder, price: Floats, seed: int) -> Foreseen:
    """Learn from some parts of the steps, and say of each other part what is to be gained."""
    texts, score, top = [view.text for view in ladder.views], ladder.score, len(ladder.rungs) - 1
    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2).fit_transform(texts)
    vectors = make_embedder("minilm").embed(texts)
    width = min(WIDTH, len(texts) // 8)
    tasks = sorted({view.task for view in ladder.views if view.task})
    kinds = [[float(view.task == task) for task in tasks] for view in ladder.views]
    step = np.hstack(
        [
            np.array([step_signs(view) for view in ladder.views]),
            *(TruncatedSVD(width, random_state=seed).fit_transform(part) for part in (words, vectors)),
            np.array(kinds if len(tasks) <= TASKS else [[]] * len(texts)).reshape(len(texts), -1),
        ]
    )
    said = [
        np.hstack(
            [
                [
                    reply_signs(row[rung], view)
                    for row, view in zip(ladder.replies, ladder.views, strict=True)
                ],
                price[:, [rung]],
            ]
        )
        for rung in range(top)
    ]
    first = np.hstack([step, said[0]])
    before = [crossed(step, score[:, rung] - score[:, top], seed) for rung in range(top)]
    after = [crossed(first, score[:, rung] - score[:, 0], seed) for rung in range(1, top + 1)]
    last = np.zeros(len(texts))
    if top > 1:
        pairs = np.array([pair_signs(row[0], row[1]) for row in ladder.replies])
        last = crossed(np.hstack([first, said[1], pairs]), score[:, top] - score[:, 1], seed)
    return Foreseen(before=np.stack(before, axis=1), after=np.stack(after, axis=1), last=last)


def crossed(signs: Floats, aim: Floats, seed: int) -> Floats:
    """Guess each step's aim from the other parts: the mean of two kinds of trees."""
    guess = np.zeros(len(aim))
    for known, asked in KFold(5, shuffle=True, random_state=seed).split(signs):
        learners = (
            HistGradientBoostingRegressor(
                max_iter=100,
                learning_rate=0.05,
                max_leaf_nodes=8,
                min_samples_leaf=10,
                l2_regularization=5.0,
                random_state=seed,
            ),
            ExtraTreesRegressor(250, min_samples_leaf=4, max_features=0.4, random_state=seed),
        )
        for learner in learners:
            guess[asked] += learner.fit(signs[known], aim[known]).predict(signs[asked]) / len(learners)
    return guess


def walked(seen: Foreseen, score: Floats, price: Floats, unit: float, hope: float) -> tuple[float, float]:
    """Go by what is foreseen: begin with a rung, look at what the lowest said, and once more.

    Args:
        seen: What is foreseen.
        score: Shapes: ``(steps, rungs)``.
        price: In means of the highest rung. Shapes: the same.
        unit: What one counts, in points of score (0 to 1).
        hope: Share of what the highest adds that the lowest may still get by going on.

    Returns:
        The share of the price that was saved, and the score lost (0 to 1).
    """
    rows, top, usual = np.arange(len(score)), score.shape[1] - 1, price.mean(axis=0)
    begin = np.column_stack([seen.before - unit * usual[:top], np.full(len(score), -unit * usual[top])])
    begin[:, 0] += hope * np.maximum(-seen.before[:, 0] - unit * usual[top], 0.0)
    given = begin.argmax(axis=1)
    spent = price[rows, given].copy()
    low = given == 0
    more = np.column_stack([np.zeros(len(score)), seen.after - unit * usual[1:]]).argmax(axis=1)
    on = low & (more > 0)
    spent[on] += price[rows, more][on]
    given = np.where(on, more, given)
    again = on & (given == 1) & (top > 1) & (seen.last > unit * usual[top])
    spent[again] += price[again, top]
    given = np.where(again, top, given)
    return float(1.0 - spent.mean() / usual[top]), float((score[:, top] - score[rows, given]).mean())


def reach(folder: Path, bar: Bar, seed: int) -> Record:
    """Say how much of the price could be saved within the loss of a bar, the prices chosen in hindsight."""
    opened = OutcomeFolder.open(folder)
    ladder = find_ladders(opened, across=bar.across, agents=bar.agents, held_out=set())[0].complete()
    count = len(ladder.rungs)
    if count > RUNGS:
        ladder = ladder.only([0, count // 2, count - 1])
    _, price = ladder.price(bar.price)
    price = price / price[:, -1].mean()
    seen = foresee(ladder, price, seed)
    points = [walked(seen, ladder.score, price, unit, hope) for unit in UNITS for hope in HOPES]
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
