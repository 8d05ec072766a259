"""How good are its sets? Which of many agents fit an utterance, and whether any does.

    python benchmarks/intents.py --data DIR --json OUT [--sets a,b] [--seeds 0,1,2] [--tune-encoder] [--curve]
        [--history] [--stress]
        [--markdown OUT.md] [--pictures DIR] [--embedder minilm] [--epochs N] [--if-any]

DIR is a folder of labelled utterances, or holds several. Each is split, trained on and judged anew with every
seed, through the same ``train`` and ``evaluate_sets`` as the commands. ``--curve`` trains once more without a
tenth of the agents, and lets them join by their cards, with 0, 5, 20 and 100 utterances as examples.
``--history`` trains and judges once more without the earlier turns, where a folder has some. ``--stress``
says how much traffic a card takes that pleads or is stuffed with keywords, and whether narrowing 10,000
agents down keeps the best of them.

Where a folder's own split has agents in its held-out part alone, how these are found by their description is
reported by itself.

OUT is written after every training, so that a run can be stopped and goes on where it was: what OUT holds is
not measured again. Delete it to start over. A set that fails is reported and the others go on; the exit code
is then 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from crowd import measure_crowd
from intent_curves import draw_curves
from intent_measuring import Exam, measure, without_history
from intent_sums import CURVE, DEAF, summarize
from intent_tables import markdown
from measuring import Record
from onboarding import measure_curve
from pleading import measure_pleading
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
from tables import WHOLE

from agentroute.errors import AgentRouteError, InputError
from agentroute.evaluation.picture import check_picture
from agentroute.outcomes import OutcomeFolder
from agentroute.outcomes.folder import utterance_files
from agentroute.outcomes.utterances import UtteranceFolder
from agentroute.routing.config import TrainConfig
from agentroute.routing.router import GraphRouter

SCRIPT = "intents.py"
KIND = Kind("utterance folder", "NAME.utterances.jsonl", lambda path: bool(utterance_files(path)))


def measure_all(results: Results, sets: dict[str, Path], given: argparse.Namespace) -> None:
    """Measure whatever is missing, set by set, seed by seed."""
    for name, path in sets.items():
        changes = [WHOLE]
        changes += (
            [DEAF] if given.history and any(r.query.history for r in _open(path).queries.values()) else []
        )
        changes += [CURVE] if given.curve else []
        todo = [(s, c) for s in given.seeds for c in changes if not results.has(name, s, c)]
        if not todo:
            tell(f"{name}: measured before")
        folder: UtteranceFolder | None = None
        for seed, change in todo:
            with results.measuring(name, seed, change) as bar:
                folder = folder or _open(path)
                read = without_history(folder) if change == DEAF else folder
                work = measure_curve if change == CURVE else partial(measure, more=_more(given))
                config = TrainConfig(seed=seed, **training_options(given))
                found = work(Exam.of(read, seed), config, given.embedder, given.tune_encoder, bar)
                results.add(name, seed, change, found)


def _open(path: Path) -> UtteranceFolder:
    folder = OutcomeFolder.open(path)
    assert isinstance(folder, UtteranceFolder)  # the sets are found by their utterances
    return folder


def _more(given: argparse.Namespace) -> Callable[[GraphRouter, Exam], Record]:
    """Return what else to measure of each router."""

    def more(router: GraphRouter, exam: Exam) -> Record:
        if not given.stress:
            return {}
        return {"pleading": measure_pleading(router, exam), "crowd": measure_crowd(router, exam)}

    return more


def finish(results: Results, sets: Sequence[str], given: argparse.Namespace) -> None:
    """Write the tables and the picture of the sets and seeds asked for, as far as they are measured."""
    results.write()
    runs = [run for run in results.runs if run["set"] in sets and run["seed"] in given.seeds]
    summary = summarize(runs)
    again = spelled(SCRIPT, given, *(["--tune-encoder"] if given.tune_encoder else []))
    print_tables(markdown(summary, results.failed, again), given)
    if given.pictures is not None:
        for path in draw_curves(summary, given.pictures):
            tell(f"drew {path}")


def arguments() -> argparse.Namespace:
    asked = parser(__doc__, KIND)
    asked.add_argument("--tune-encoder", action="store_true", help="fine-tune MiniLM for each training")
    asked.add_argument("--curve", action="store_true", help="also let a tenth of the agents join later")
    asked.add_argument("--history", action="store_true", help="also train without the earlier turns")
    asked.add_argument(
        "--stress", action="store_true", help="also hide the agents among 10,000, and let pleading cards join"
    )
    return asked.parse_args()


def main() -> int:
    given = arguments()
    try:
        if given.tune_encoder and given.embedder != "minilm":
            raise InputError(f"--embedder is {given.embedder}; with --tune-encoder it can only be minilm")
        if given.pictures is not None:
            check_picture(Path("any.png"))
        sets = find_sets(given.data, given.sets, KIND, if_any=given.if_any)
        options = {"embedder": given.embedder, "epochs": given.epochs, "tune_encoder": given.tune_encoder}
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
