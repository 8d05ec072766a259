"""How far could any choice among recorded answers go? Strong learners of another kind, with everybody asked.

    python benchmarks/picks.py --data DIR --json OUT [--sets a,b] [--seeds 0,1,2] [--markdown OUT.md]

Every agent has answered every question, whatever that costs, and one answer is to be chosen. Gradient
boosting and extremely randomized trees see who gave an answer, how good those are in the mean and at the
task, how good the others are, the question's words and vector, and what shows of the answer. They are
cross-fitted in five parts over all questions, with related ones in one part, so that they learn from more of
them than a router that leaves some out to be judged by. That is no bound, but a second opinion on what is
recorded; with fewer agents asked there is less to see.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from measuring import PLANS, Plan, Record, mean
from quality import KIND
from reaching import asked
from results import Results, carry_out, command_line, find_sets, parser, print_tables, tell
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
from sklearn.model_selection import GroupKFold

from agentroute.effort.ladders import view_of
from agentroute.effort.signs import Reply, reply_signs
from agentroute.errors import AgentRouteError, InputError
from agentroute.outcomes import OutcomeFolder, OutcomeTable
from agentroute.routing.clusters import cluster_of
from agentroute.routing.config import TrainConfig
from agentroute.routing.replay import answer_groups

SCRIPT = "picks.py"
FEW = 20.0
"""Questions of a task that count as much as the mean over all."""

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]


def picks(folder: OutcomeFolder, plan: Plan, seed: int) -> Record:
    """Say what the best learned choice scores beside the best single agent.

    Args:
        folder: The outcomes.
        plan: Whom to leave out.
        seed: Of the parts and the learners.

    Returns:
        Mean scores: ``single``, ``learned`` and ``oracle``.

    Raises:
        InputError: No answers were recorded as text.
    """
    absent, table = plan.absent(folder), folder.table()
    often = table.ran.mean(axis=0) >= TrainConfig.sparse_share
    named = zip(table.agent_ids, often, strict=True)
    table = folder.table([name for name, enough in named if enough and name not in absent])
    if not table.has_answers:
        raise InputError(f"{folder.path}: no answers were recorded as text, so that there is none to choose")
    table = table.take(np.flatnonzero(table.ran.all(axis=1)))
    groups, score = answer_groups(table), table.score.astype(np.float64)
    row, agent = different(groups)
    worth = np.array([score[r][groups[r] == groups[r, a]].mean() for r, a in zip(row, agent, strict=True)])
    shown = signs(table, groups, row, agent, seed)
    learned = np.zeros(len(row))
    parts = GroupKFold(5, shuffle=True, random_state=seed)
    for known, held in parts.split(score, groups=cluster_of(table)):
        seen = np.hstack([shown, backing(table, groups, row, agent, known)])
        mine, theirs = np.isin(row, known), np.isin(row, held)
        boosting = HistGradientBoostingRegressor(
            max_iter=200, learning_rate=0.05, max_leaf_nodes=12, min_samples_leaf=20, random_state=seed
        )
        trees = ExtraTreesRegressor(150, min_samples_leaf=5, max_features=0.3, random_state=seed)
        for learner in (boosting, trees):
            learned[theirs] += learner.fit(seen[mine], worth[mine]).predict(seen[theirs]) / 2
    return {
        "questions": len(score),
        "agents": score.shape[1],
        "single": float(score.mean(axis=0).max()),
        "learned": float(chosen(learned, row, worth).sum() / len(score)),
        "oracle": float(score.max(axis=1).mean()),
    }


def different(groups: Indices) -> tuple[Indices, Indices]:
    """List the different answers, each by its question and the first agent that gave it."""
    first = [[g >= 0 and g not in row[:place] for place, g in enumerate(row)] for row in groups.tolist()]
    rows, agents = np.nonzero(np.array(first))
    return rows.astype(np.int64), agents.astype(np.int64)


def signs(table: OutcomeTable, groups: Indices, row: Indices, agent: Indices, seed: int) -> Floats:
    """Put into numbers what shows of answers without any score. Shapes: ``(answers, signs)``."""
    views = [view_of(record) for record in table.queries]
    said = [
        reply_signs(Reply(answer=table.answers[r][a] or ""), views[r])
        for r, a in zip(row, agent, strict=True)
    ]
    count = np.array([len(set(found) - {-1}) for found in groups.tolist()])
    return np.hstack([asked(views, seed)[row], np.array(said), count[row][:, None]])


def backing(table: OutcomeTable, groups: Indices, row: Indices, agent: Indices, known: Indices) -> Floats:
    """Say who stands behind each answer, and how good those are on the known questions.

    Returns:
        Shapes: ``(answers, signs)``.
    """
    score = table.score.astype(np.float64)
    usual = score[known].mean(axis=0)
    tasks = [record.query.task for record in table.queries]
    at_task = np.tile(usual, (len(score), 1))
    for task in sorted({task for task in tasks if task}):
        mine = np.array([found == task for found in tasks])
        there = known[mine[known]]
        at_task[mine] = (score[there].sum(axis=0) + FEW * usual) / (len(there) + FEW)
    odds = np.log(np.clip(at_task, 0.02, 0.98) / (1 - np.clip(at_task, 0.02, 0.98)))
    gave = groups[row] == groups[row, agent][:, None]
    votes = [gave * weight[row] for weight in (odds, at_task, np.ones_like(odds))]
    sums = [part.sum(axis=1) for part in votes]
    total = [np.bincount(row, part, minlength=len(score))[row] for part in sums[1:]]
    shares = [part / np.maximum(whole, 1e-9) for part, whole in zip(sums[1:], total, strict=True)]
    best = [np.where(gave, at_task[row], 0.0).max(axis=1), np.where(gave, 0.0, at_task[row]).max(axis=1)]
    return np.column_stack([gave, *sums, *shares, *best])


def chosen(value: Floats, row: Indices, worth: Floats) -> Floats:
    """Return the score of the most valued answer of each question that has any."""
    order = np.lexsort((-value, row))
    first = order[np.unique(row[order], return_index=True)[1]]
    return worth[first]


def summarize(runs: Sequence[Record]) -> dict[str, Record]:
    """Sum up each set over its seeds."""
    found: dict[str, Record] = {}
    for name in dict.fromkeys(run["set"] for run in runs):
        mine = [run for run in runs if run["set"] == name]
        means = {key: mean([run[key] for run in mine]) for key in ("single", "learned", "oracle")}
        counts = {key: mine[0][key] for key in ("questions", "agents")}
        found[name] = {"seeds": [run["seed"] for run in mine], **counts, **means}
    return found


def markdown(found: Mapping[str, Record]) -> str:
    """Write the table."""
    lines = [
        "| set | questions | agents | best single agent | learned choice | oracle |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in found.items():
        above = (f"{100 * (row[key] - row['single']):+.1f}" for key in ("learned", "oracle"))
        cells = (name, f"{row['questions']:,}", f"{row['agents']}", f"{row['single']:.3f}", *above)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    given = parser(__doc__, KIND).parse_args()
    try:
        sets = find_sets(given.data, given.sets, KIND, if_any=given.if_any)
        results = Results(given.json, command_line(SCRIPT), {"learners": "boosting, trees"}, summarize)
    except AgentRouteError as error:
        tell(f"error: {error}")
        return 2

    def measure_all(sets: Mapping[str, Path] = sets) -> None:
        for name, path in sets.items():
            for seed in given.seeds:
                if not results.has(name, seed, "picks"):
                    with results.measuring(name, seed, "picks"):
                        opened = OutcomeFolder.open(path)
                        results.add(name, seed, "picks", picks(opened, PLANS.get(name, Plan()), seed))

    def finish() -> None:
        results.write()
        print_tables(markdown(summarize(results.runs)), given)

    return carry_out(results, measure_all, finish)


if __name__ == "__main__":
    sys.exit(main())
