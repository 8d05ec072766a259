"""How good are its answers? Points above the best single agent, beside all that is simpler.

    python benchmarks/quality.py --data DIR --json OUT [--sets a,b] [--seeds 0,1,2] [--ablations]
        [--answer-vectors] [--tune-encoder] [--markdown OUT.md] [--pictures DIR] [--embedder minilm]
        [--epochs N] [--if-any]

DIR is an outcome folder, or holds several. Each set is split, trained on and judged anew with every seed,
through the same ``train`` and ``evaluate`` as the commands of these names. ``--ablations`` trains again with
one part changed at a time, and trains rivals on the same split.

OUT is written after every training, so that a run can be stopped and goes on where it was: what OUT holds is
not measured again. Delete it to start over. A set that fails is reported and the others go on; the exit code
is then 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ablations import CHANGES, measure_change
from measuring import PLANS, Plan, Progress, Record, measure
from results import (
    Kind,
    Results,
    carry_out,
    command_line,
    find_sets,
    parser,
    print_tables,
    spelled,
    tell,
    training_options,
)
from tables import WHOLE, markdown, pictures, summarize

from agentroute.errors import AgentRouteError, InputError
from agentroute.evaluation.picture import check_picture
from agentroute.outcomes import OutcomeFolder
from agentroute.routing.config import TrainConfig

SCRIPT = "quality.py"
FLAGS = {
    "--answer-vectors": "let the router read what answers mean",
    "--tune-encoder": "tune the encoder on the recorded scores first",
}
"""Ways to train that are no settings of the network."""

KIND = Kind("outcome folder", "outcomes.jsonl", lambda path: any(path.glob("outcomes.jsonl*")))


def measure_all(results: Results, sets: dict[str, Path], given: argparse.Namespace) -> None:
    """Measure whatever is missing, set by set, seed by seed; of one seed, the whole router first."""
    changes = (WHOLE, *CHANGES) if given.ablations else (WHOLE,)
    for name, path in sets.items():
        todo = [(s, c) for s in given.seeds for c in changes if not results.has(name, s, c)]
        if not todo:
            tell(f"{name}: measured before")
        folder: OutcomeFolder | None = None
        for seed, change in todo:
            if change != WHOLE and not results.has(name, seed, WHOLE):
                continue  # it failed, and there is nothing to compare with
            with results.measuring(name, seed, change) as bar:
                folder = folder or OutcomeFolder.open(path)
                config = TrainConfig(
                    seed=seed, answer_vectors=given.answer_vectors, **training_options(given)
                )
                results.add(name, seed, change, _measure(name, folder, config, change, given, bar))


def _measure(
    name: str,
    folder: OutcomeFolder,
    config: TrainConfig,
    change: str,
    given: argparse.Namespace,
    bar: Progress,
) -> Record:
    plan = PLANS.get(name, Plan())
    if change == WHOLE:
        return measure(folder, plan, config, given.embedder, bar, given.tune_encoder)
    return measure_change(change, folder, plan, config, given.embedder, bar)


def finish(results: Results, sets: Sequence[str], given: argparse.Namespace) -> None:
    """Write the tables and the pictures of the sets and seeds asked for, as far as they are measured."""
    results.write()
    runs = [run for run in results.runs if run["set"] in sets and run["seed"] in given.seeds]
    again = spelled(SCRIPT, given, *(flag for flag in FLAGS if getattr(given, _name(flag))))
    print_tables(markdown(summarize(runs), results.failed, again, f"{again} --ablations"), given)
    if given.pictures is not None:
        for path in pictures(runs, given.pictures):
            tell(f"drew {path}")


def arguments() -> argparse.Namespace:
    asked = parser(__doc__, KIND)
    asked.add_argument("--ablations", action="store_true", help="also change one part at a time")
    for flag, meaning in FLAGS.items():
        asked.add_argument(flag, action="store_true", help=meaning)
    return asked.parse_args()


def _name(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def main() -> int:
    given = arguments()
    try:
        if given.pictures is not None:
            check_picture(Path("any.png"))
        sets = find_sets(given.data, given.sets, KIND, if_any=given.if_any)
        if given.ablations and given.tune_encoder:
            raise InputError(
                "--ablations changes one part of a router that is not tuned: leave out one of the two"
            )
        options = {"embedder": given.embedder, "epochs": given.epochs}
        options |= {_name(flag): True for flag in FLAGS if getattr(given, _name(flag))}
        results = Results(given.json, command_line(SCRIPT), options, summarize)
    except AgentRouteError as error:
        tell(f"error: {error}")
        return 2
    if not sets:
        return 0
    return carry_out(
        results,
        lambda: measure_all(results, sets, given),
        lambda: finish(results, list(sets), given),
    )


if __name__ == "__main__":
    sys.exit(main())
