"""How good are its answers? Points above the best single agent, beside all that is simpler.

    python benchmarks/quality.py --data DIR --json OUT [--sets a,b] [--seeds 0,1,2] [--ablations]
        [--markdown OUT.md] [--pictures DIR] [--embedder minilm] [--epochs N]

DIR is an outcome folder, or holds several. Each set is split, trained on and judged anew with every seed,
through the same ``train`` and ``evaluate`` as the commands of these names. ``--ablations`` trains again with
one part changed at a time, and trains rivals on the same split.

OUT is written after every training, so that a run can be stopped and goes on where it was: what OUT holds is
not measured again. Delete it to start over. A set that fails is reported and the others go on; the exit code
is then 1.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from ablations import CHANGES, measure_change
from measuring import PLANS, Plan, Record, measure
from tables import WHOLE, markdown, pictures, summarize

from agentroute.errors import AgentRouteError, InputError
from agentroute.evaluation.picture import check_picture
from agentroute.evaluation.progress import progress_bar
from agentroute.outcomes import OutcomeFolder
from agentroute.routing.fit import TrainConfig

PACKAGES = ("agentroute-graph", "torch", "torch-geometric", "numpy")
INTERRUPTED = 130


def tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def find_sets(data: Path, wanted: Sequence[str] | None) -> dict[str, Path]:
    """Return the outcome folders by name.

    Args:
        data: A folder of outcomes, or one that holds some.
        wanted: Their names; all by default.

    Returns:
        The folders, in the order wanted, else by name.

    Raises:
        InputError: There are none, or one that is wanted is missing.
    """
    if not data.is_dir():
        raise InputError(f"{data} is not a folder; give an outcome folder, or one that holds some")
    alone = _has(data, "agents.yaml")
    inside = [data] if alone else sorted(path for path in data.iterdir() if _has(path, "agents.yaml"))
    found = {path.resolve().name: path for path in inside if any(path.glob("outcomes.jsonl*"))}
    if passed := [path.name for path in inside if path.resolve().name not in found]:
        tell(f"passed over, since they hold no outcomes.jsonl: {', '.join(passed)}")
    if not found:
        raise InputError(f"{data} holds no outcome folder: each has agents.yaml, queries and outcomes")
    if missing := [name for name in wanted or () if name not in found]:
        raise InputError(f"{data} has no set {', '.join(missing)}; there are {', '.join(found)}")
    return {name: found[name] for name in wanted or found}


def _has(path: Path, name: str) -> bool:
    return (path / name).is_file()


class Results:
    """What was measured so far, in a file that is whole at any time.

    Args:
        path: The file; read if it is there.
        command: The command line.
        options: What decides the figures beside set, seed and change; it must be the same for all of them.
    """

    def __init__(self, path: Path, command: str, options: Record) -> None:
        self.path, self.command, self.options = path, command, options
        self.runs: list[Record] = []
        self.failed: list[Record] = []
        if not path.absolute().parent.is_dir():
            raise InputError(f"{path.parent} is not a folder; make it first, or give another --json OUT")
        if path.exists():
            self.runs = self._read()["runs"]

    def _read(self) -> Record:
        try:
            found: Record = json.loads(self.path.read_text("utf-8"))
            made_with, _ = found["options"], found["runs"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"{self.path} holds no results of this benchmark ({error}); delete it, or give another OUT"
            ) from None
        if made_with != self.options:
            raise InputError(
                f"{self.path} was made with {made_with}, this run has {self.options}; give another --json OUT"
            )
        return found

    def has(self, name: str, seed: int, change: str) -> bool:
        """Tell whether this was measured before."""
        return any((run["set"], run["seed"], run["change"]) == (name, seed, change) for run in self.runs)

    def add(self, name: str, seed: int, change: str, found: Record) -> None:
        """Take in a result, and write the file."""
        key = {"set": name, "seed": seed, "change": change, "command": self.command}
        self.runs.append({**key, **found})
        self.write()

    def fail(self, name: str, seed: int, change: str, error: str) -> None:
        """Take in a failure, and write the file; it is tried again next time."""
        tell(f"FAILED {name}, seed {seed}, {change}: {error}")
        self.failed.append({"set": name, "seed": seed, "change": change, "error": error})
        self.write()

    def write(self) -> None:
        """Write everything into a file beside it, and put that in its place."""
        head = {
            "command": self.command,
            "versions": {name: metadata.version(name) for name in PACKAGES},
            "options": self.options,
            "summary": summarize(self.runs),
            "failed": self.failed,
        }
        # One line a run: its scores query by query would else take a line each.
        runs = ",\n".join(json.dumps(run, allow_nan=False) for run in self.runs)
        text = json.dumps(head, indent=2, allow_nan=False)
        beside = self.path.with_name(f"{self.path.name}.part")
        beside.write_text(f'{text[:-2]},\n  "runs": [\n{runs}\n]}}\n', "utf-8")
        os.replace(beside, self.path)


def measure_all(results: Results, sets: dict[str, Path], given: argparse.Namespace) -> None:
    """Measure whatever is missing, set by set, seed by seed; of one seed, the whole router first."""
    changes = (WHOLE, *CHANGES) if given.ablations else (WHOLE,)
    for name, path in sets.items():
        todo = [(s, c) for s in given.seeds for c in changes if not results.has(name, s, c)]
        if not todo:
            tell(f"{name}: measured before")
            continue
        folder: OutcomeFolder | None = None
        for seed, change in todo:
            if change != WHOLE and not results.has(name, seed, WHOLE):
                continue  # it failed, and there is nothing to compare with
            tell(f"{name}, seed {seed}, {change}")
            options = {} if given.epochs is None else {"epochs": given.epochs}
            try:
                folder = folder or OutcomeFolder.open(path)
                with progress_bar() as bar:
                    found = _measure(name, folder, TrainConfig(seed=seed, **options), change, given, bar)
                results.add(name, seed, change, found)
            except AgentRouteError as error:
                results.fail(name, seed, change, str(error))
            except Exception as error:  # a defect in one place must not cost the hours spent elsewhere
                tell(traceback.format_exc())
                results.fail(name, seed, change, f"{type(error).__name__}: {error}")


def _measure(
    name: str, folder: OutcomeFolder, config: TrainConfig, change: str, given: argparse.Namespace, bar: Any
) -> Record:
    plan = PLANS.get(name, Plan())
    if change == WHOLE:
        return measure(folder, plan, config, given.embedder, bar)
    return measure_change(change, folder, plan, config, given.embedder, bar)


def finish(results: Results, sets: Sequence[str], given: argparse.Namespace) -> None:
    """Write the tables and the pictures of the sets and seeds asked for, as far as they are measured."""
    results.write()
    runs = [run for run in results.runs if run["set"] in sets and run["seed"] in given.seeds]
    text = markdown(summarize(runs), results.failed, spelled(given, False), spelled(given, True))
    sys.stdout.write(text)
    if given.markdown is not None:
        given.markdown.write_text(text, "utf-8")
    if given.pictures is not None:
        for path in pictures(runs, given.pictures):
            tell(f"drew {path}")


def spelled(given: argparse.Namespace, ablations: bool) -> str:
    """Return the command that measures the same again."""
    words = ["python", "benchmarks/quality.py", "--data", str(given.data), "--json", str(given.json)]
    words += ["--sets", ",".join(given.sets)] if given.sets else []
    words += ["--seeds", ",".join(map(str, given.seeds))]
    words += ["--embedder", given.embedder] if given.embedder != "minilm" else []
    words += ["--epochs", str(given.epochs)] if given.epochs is not None else []
    return shlex.join(words + ["--ablations"] * ablations)


def _names(text: str) -> list[str]:
    return [*dict.fromkeys(name.strip() for name in text.split(",") if name.strip())]


def _seeds(text: str) -> list[int]:
    return [*dict.fromkeys(int(name) for name in _names(text))]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="an outcome folder, or a folder of them")
    parser.add_argument(
        "--json", type=Path, required=True, help="everything, and what a stopped run goes on from"
    )
    parser.add_argument("--sets", type=_names, help="names of folders in DIR, by comma; all by default")
    parser.add_argument("--seeds", type=_seeds, default=[0, 1, 2], help="whole numbers, by comma")
    parser.add_argument("--ablations", action="store_true", help="also change one part at a time")
    parser.add_argument("--markdown", type=Path, help="write the tables here, beside stdout")
    parser.add_argument("--pictures", type=Path, help="draw score against price into this folder")
    parser.add_argument("--embedder", default="minilm", help="minilm or hashing")
    parser.add_argument("--epochs", type=int, help="passes of training, at most")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    command = shlex.join(["python", "benchmarks/quality.py", *sys.argv[1:]])
    try:
        if given.pictures is not None:
            check_picture(Path("any.png"))
        sets = find_sets(given.data, given.sets)
        results = Results(given.json, command, {"embedder": given.embedder, "epochs": given.epochs})
    except AgentRouteError as error:
        tell(f"error: {error}")
        return 2
    torch.set_num_threads(
        1
    )  # the steps are too small to share; on a busy machine threads wait for each other
    interrupted = False
    try:
        measure_all(results, sets, given)
    except KeyboardInterrupt:
        interrupted = True
        tell(f"stopped; {given.json} keeps what was finished, and the same command goes on from there")
    finish(results, list(sets), given)
    return INTERRUPTED if interrupted else int(bool(results.failed))


if __name__ == "__main__":
    sys.exit(main())
