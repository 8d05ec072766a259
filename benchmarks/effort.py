"""How much effort is saved, and at what loss? Bars on recorded levels, each seed with a split of its own.

    python benchmarks/effort.py --data DIR --json OUT [--sets a,b] [--seeds 0,1,2] [--pictures DIR]
        [--markdown OUT.md] [--if-any] [--doubt 1]

DIR holds outcome folders. Each set is split, trained on and judged anew with every seed, through the same
``train_effort`` and ``evaluate_effort`` as the commands ``agentroute effort train`` and ``evaluate``.
Composed episodes chain five recorded steps of one set, of which all must be right; the steps of training and
of judging share no question. Where DIR has questions with passages (``multihop_qa``), the local readers
answer them first, at each of their levels, into a folder beside OUT.

OUT is written after every training, so that a run can be stopped and goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from effort_episodes import compose
from measuring import Record, mean, spread
from results import Kind, Results, carry_out, command_line, find_sets, parser, print_tables, tell

from agentroute.effort.choice import by_episode
from agentroute.effort.step_router import StepRouter
from agentroute.effort.train import EffortConfig
from agentroute.effort.training import train_effort
from agentroute.errors import AgentRouteError
from agentroute.evaluation.effort import evaluate_effort, judge
from agentroute.evaluation.effort_report import EffortReport
from agentroute.evaluation.picture import check_picture
from agentroute.outcomes import OutcomeFolder
from agentroute.types import AgentSpec, EffortRange, Limits, Tried

SCRIPT = "effort.py"
KIND = Kind("outcome folder", "outcomes.jsonl", lambda path: any(path.glob("outcomes.jsonl*")))
QUESTIONS = "multihop_qa"
LOOKS = 300
"""Steps that deciding is timed on."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """What is to be reached on a set.

    Args:
        set: The folder's name.
        what: What is measured, in words.
        bar: The share to reach.
        stretch: The share to wish for.
        max_loss: Points of score (0 to 1) that may be lost; below 0, to be gained.
        price: The currency.
        agents: The agents that make up the ladder.
        across: Whether all agents are one ladder.
        episodes: Steps of a composed episode; 0 for none.
    """

    set: str
    what: str
    bar: float
    stretch: float
    max_loss: float = 0.01
    price: str | None = None
    agents: tuple[str, ...] = ()
    across: bool = False
    episodes: int = 0


BARS: Mapping[str, Bar] = {
    "chemiq": Bar(set="chemiq_effort", what="tokens saved, loss <= 1 point", bar=0.30, stretch=0.50),
    "bbh": Bar(
        set="bbh_strategy", what="tokens saved, gain >= 1.5 points", bar=0.55, stretch=0.62, max_loss=-0.015
    ),
    "arc": Bar(
        set="arc_effort",
        what="o1: high steps avoided, loss <= 1 point",
        bar=0.40,
        stretch=0.60,
        price="highest",
        agents=("o1-low", "o1-medium", "o1-high"),
    ),
    "lineage": Bar(
        set="lineage_bench",
        what="dollars saved against the best single, no loss",
        bar=0.40,
        stretch=0.60,
        max_loss=0.0,
        price="cost_usd",
        across=True,
    ),
    "chemiq_episodes": Bar(
        set="chemiq_effort",
        what="composed, 5 steps, all right: tokens saved, loss <= 1 point",
        bar=0.35,
        stretch=0.50,
        episodes=5,
    ),
    "bbh_episodes": Bar(
        set="bbh_strategy",
        what="composed, 5 steps, all right: tokens saved, loss <= 1 point",
        bar=0.35,
        stretch=0.50,
        episodes=5,
    ),
    "multihop": Bar(
        set=QUESTIONS,
        what="local readers: tokens read and written saved, loss <= 1 point",
        bar=0.50,
        stretch=0.60,
        price="all_tokens",
    ),
}


def measure(
    name: str, folder: Path, seed: int, given: argparse.Namespace, bar: Callable[..., None]
) -> Record:
    """Train on a set with one seed, and judge on what was left out."""
    asked = BARS[name]
    if asked.episodes:
        folder = compose(folder, given.json.parent / f"{name}-{seed}", asked.episodes, seed)
    opened = OutcomeFolder.open(folder)
    began = time.monotonic()
    router = train_effort(
        opened,
        config=EffortConfig(seed=seed, max_loss=asked.max_loss, price=asked.price, doubt=given.doubt),
        agents=asked.agents,
        across=asked.across,
        progress=bar,
    )
    trained = time.monotonic() - began
    # The control takes as long as the router; one seed's is enough to see whether anything leaks.
    control = seed == given.seeds[0]
    report = evaluate_effort(router, opened, seed=seed, control=control, progress=bar)
    if given.pictures is not None:
        report.plot(given.pictures / f"effort-{name}-{seed}.png")
    part = judge(router, opened)[0]
    return {
        "report": report.to_json(),
        "frontier": frontier(router, opened, report),
        "rungs": list(router.plans[0].ladder.named),
        "seconds": round(trained, 1),
        "select_ms": timed(router, opened),
        "test": part.ladder.named,
    }


def frontier(router: StepRouter, opened: OutcomeFolder, report: EffortReport) -> list[list[float]]:
    """Say what each setting comes to on the judged steps: share saved, and points lost.

    The setting in use was chosen without these; the others show what could be had.
    """
    part, learned = judge(router, opened)[0], router.plans[0]
    place = {rung.agent: column for column, rung in enumerate(part.ladder.rungs)}
    ladder = part.ladder.only([place[rung.agent] for rung in learned.ladder.rungs])
    _, price = ladder.price(learned.currency)
    top = by_episode(ladder.score[:, -1], part.episodes)
    points = []
    for at in range(len(learned.plan.prices)):
        found = learned.walk(ladder, np.zeros((len(ladder), 0), np.float32), at)
        lost = top.mean() - by_episode(found.score, part.episodes).mean()
        points.append([float(1 - found.spent(price).sum() / price[:, -1].sum()), 100.0 * float(lost)])
    return points


def timed(router: StepRouter, opened: OutcomeFolder) -> Record | None:
    """Time ``select`` and ``look``, in milliseconds, on recorded steps seen for the first time."""
    learned = router.plans[0]
    levels = tuple(rung.level for rung in learned.ladder.rungs if rung.level is not None)
    if len(levels) < 2 or learned.choice.at is None:
        return None
    card = AgentSpec(
        id=learned.ladder.name.lower(),
        kind="function",
        description="",
        model=learned.ladder.model,
        effort=EffortRange(levels=levels, default=levels[-1]),
    )
    part = judge(router, opened)[0].ladder
    spent: dict[str, list[float]] = {"select": [], "look": []}
    for row in range(min(LOOKS, len(part))):
        view, reply = part.views[row], part.replies[row][0]
        asked: dict[str, Any] = {
            "history": view.history,
            "observation": view.text,
            "spec": card,
            "role": view.role,
            "step": view.step,
            "limits": Limits(),
        }
        began = time.perf_counter()
        router.select(**asked)
        spent["select"].append(1e3 * (time.perf_counter() - began))
        tried = [Tried(level=levels[0], answer=reply.answer, response=reply.response)]
        began = time.perf_counter()
        router.look(tried=tried, **asked)
        spent["look"].append(1e3 * (time.perf_counter() - began))
    return {name: round(float(np.median(found)), 3) for name, found in spent.items()}


def summarize(runs: Sequence[Record]) -> dict[str, Record]:
    """Sum up each bar over its seeds."""
    found: dict[str, Record] = {}
    for name, bar in BARS.items():
        mine = [run for run in runs if run["change"] == name]
        if not mine:
            continue
        savings = [run["report"]["saving"] for run in mine]
        controls = [run["report"]["control"] for run in mine if run["report"]["control"]]
        times = [run["select_ms"]["select"] for run in mine if run["select_ms"]]
        found[name] = {
            "what": bar.what,
            "bar": bar.bar,
            "stretch": bar.stretch,
            "seeds": [run["seed"] for run in mine],
            "saved": spread([one["saved"] for one in savings]),
            "saved_intervals": [[one["saved_low"], one["saved_high"]] for one in savings],
            "loss_points": spread([100 * one["loss"] for one in savings]),
            "loss_intervals": [[100 * one["loss_low"], 100 * one["loss_high"]] for one in savings],
            "control_saved": mean([one["saved"] for one in controls]),
            "control_loss_points": mean([100 * one["loss"] for one in controls]),
            "oracle_saved": mean([_oracle(run) for run in mine]),
            "in_hindsight": _in_hindsight(mine, 100 * bar.max_loss),
            "verdicts": [run["report"]["verdict"] for run in mine],
            "select_ms": mean(times) if times else None,
        }
    return found


def _oracle(run: Record) -> float:
    policies = run["report"]["policies"]
    whole = [policy["price"] for name, policy in policies.items() if name.startswith("fixed_")][-1]
    return float(1.0 - policies["oracle"]["price"] / whole)


def _in_hindsight(runs: Sequence[Record], points: float) -> list[float]:
    """Find the one price that saves most within the loss, in the mean over the judged steps of all seeds.

    No honest choice knows it: it says what the same router could do, were the price chosen without doubt.
    """
    found = np.mean([run["frontier"] for run in runs], axis=0)
    within = [(saved, lost) for saved, lost in found.tolist() if lost <= points + 1e-9]
    return list(max(within, default=(0.0, 0.0)))


def markdown(found: Mapping[str, Record]) -> str:
    """Write the table."""
    head = "what|saved|lowest to highest|points lost|in hindsight|control|oracle|bar|verdicts".split("|")
    lines = [_row(head), "|---" * len(head) + "|"]
    for name, row in found.items():
        saved, lost = row["saved"], row["loss_points"]
        deploy = sum(verdict == "deploy" for verdict in row["verdicts"])
        cells = (
            f"{name}: {row['what']}",
            f"{saved['mean']:.1%}",
            f"{saved['low']:.1%} to {saved['high']:.1%}",
            f"{lost['mean']:+.2f} ({lost['low']:+.1f} to {lost['high']:+.1f})",
            f"{row['in_hindsight'][0]:.0%}",
            "-" if row["control_saved"] is None else f"{row['control_saved']:.0%}",
            f"{row['oracle_saved']:.0%}",
            f"{row['bar']:.0%}",
            f"deploy {deploy} of {len(row['verdicts'])}",
        )
        lines.append(_row(cells))
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def readers(data: Path, out: Path) -> Path | None:
    """Let the local readers answer the questions with passages, at each of their levels."""
    questions = data / QUESTIONS
    if not questions.is_dir():
        return None
    try:
        from agentroute.workbench.ladders import record
    except ImportError:
        tell(f"passed over {QUESTIONS}: there are no local readers with levels")
        return None
    record(questions, out / "multihop_readers")
    return out / "multihop_readers"


def measure_all(results: Results, sets: dict[str, Path], given: argparse.Namespace) -> None:
    for name, bar in BARS.items():
        if bar.set == QUESTIONS:
            if given.sets and QUESTIONS not in given.sets:
                continue
            path = readers(given.data, given.json.parent)
        else:
            path = sets.get(bar.set)
        if path is None:
            continue
        for seed in given.seeds:
            if results.has(bar.set, seed, name):
                continue
            with results.measuring(bar.set, seed, name) as progress:
                results.add(bar.set, seed, name, measure(name, path, seed, given, progress))


def arguments() -> argparse.Namespace:
    asked = parser(__doc__, KIND)
    asked.add_argument("--doubt", type=float, default=EffortConfig.doubt, help="standard errors in reserve")
    return asked.parse_args()


def main() -> int:
    given = arguments()
    try:
        if given.pictures is not None:
            check_picture(Path("any.png"))
        wanted = [name for name in given.sets or () if name != QUESTIONS] or None
        found = find_sets(given.data, wanted, KIND, if_any=given.if_any)
        sets = {name: path for name, path in found.items() if name in {bar.set for bar in BARS.values()}}
        if given.sets == [QUESTIONS]:
            sets = {}
        results = Results(
            given.json, command_line(SCRIPT), {"vectors": False, "doubt": given.doubt}, summarize
        )
    except AgentRouteError as error:
        tell(f"error: {error}")
        return 2

    def finish() -> None:
        results.write()
        print_tables(markdown(summarize(results.runs)), given)

    return carry_out(results, lambda: measure_all(results, sets, given), finish)


if __name__ == "__main__":
    sys.exit(main())
