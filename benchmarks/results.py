"""What the benchmarks of quality share: their sets, their options, and results that outlast a stop."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from measuring import Progress, Record

from agentroute.errors import AgentRouteError, InputError
from agentroute.evaluation.progress import progress_bar

PACKAGES = ("agentroute-graph", "torch", "torch-geometric", "numpy")
INTERRUPTED = 130


def tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


# ---------------------------------------------------------------------------- sets


@dataclass(frozen=True)
class Kind:
    """A kind of folder that a benchmark measures on.

    Args:
        name: What one is called.
        file: What it must hold beside ``agents.yaml``.
        fits: Tells whether a folder holds that.
    """

    name: str
    file: str
    fits: Callable[[Path], bool]


def find_sets(
    data: Path, wanted: Sequence[str] | None, kind: Kind, *, if_any: bool = False
) -> dict[str, Path]:
    """Return the folders of one kind by name.

    Args:
        data: Such a folder, or one that holds some.
        wanted: Their names; all by default.
        kind: The kind.
        if_any: Whether there may be none.

    Returns:
        The folders, in the order wanted, else by name.

    Raises:
        InputError: There are none, or one that is wanted is missing.
    """
    if not data.is_dir():
        raise InputError(f"{data} is not a folder; give one {kind.name}, or a folder that holds some")
    alone = _has(data, "agents.yaml")
    inside = [data] if alone else sorted(path for path in data.iterdir() if _has(path, "agents.yaml"))
    found = {path.resolve().name: path for path in inside if kind.fits(path)}
    if passed := [path.resolve().name for path in inside if path.resolve().name not in found]:
        tell(f"passed over, since they hold no {kind.file}: {', '.join(passed)}")
    if not found and if_any:
        tell(f"{data} holds no {kind.name}: nothing to measure here")
        return {}
    if not found:
        raise InputError(f"{data} holds no {kind.name}: each has agents.yaml and {kind.file}")
    if missing := [name for name in wanted or () if name not in found]:
        raise InputError(f"{data} has no set {', '.join(missing)}; there are {', '.join(found)}")
    return {name: found[name] for name in wanted or found}


def _has(path: Path, name: str) -> bool:
    return (path / name).is_file()


# ---------------------------------------------------------------------------- results


class Results:
    """What was measured so far, in a file that is whole at any time.

    Args:
        path: The file; read if it is there.
        command: The command line.
        options: What decides the figures beside set, seed and change; it must be the same for all of them.
        summarize: Sums up what was measured.
    """

    def __init__(
        self,
        path: Path,
        command: str,
        options: Record,
        summarize: Callable[[Sequence[Record]], Mapping[str, Record]],
    ) -> None:
        self.path, self.command, self.options, self.summarize = path, command, options, summarize
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

    @contextmanager
    def measuring(self, name: str, seed: int, change: str) -> Iterator[Progress]:
        """Show how the work inside goes on; where it fails, take that in, and let others go on."""
        tell(f"{name}, seed {seed}, {change}")
        try:
            with progress_bar() as bar:
                yield bar
        except AgentRouteError as error:
            self.fail(name, seed, change, str(error))
        except Exception as error:  # a defect in one place must not cost the hours spent elsewhere
            tell(traceback.format_exc())
            self.fail(name, seed, change, f"{type(error).__name__}: {error}")

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
            "summary": self.summarize(self.runs),
            "failed": self.failed,
        }
        # One line a run: its scores query by query would else take a line each.
        runs = ",\n".join(json.dumps(run, allow_nan=False) for run in self.runs)
        text = json.dumps(head, indent=2, allow_nan=False)
        beside = self.path.with_name(f"{self.path.name}.part")
        beside.write_text(f'{text[:-2]},\n  "runs": [\n{runs}\n]}}\n', "utf-8")
        os.replace(beside, self.path)


def carry_out(results: Results, measure_all: Callable[[], None], finish: Callable[[], None]) -> int:
    """Measure what is missing, then finish with what there is, also when stopped.

    Args:
        results: Where everything is kept.
        measure_all: Measures what is missing.
        finish: Writes tables and pictures.

    Returns:
        The exit code: 0, 1 when something failed, or ``INTERRUPTED``.
    """
    # The steps are too small to share; on a busy machine threads wait for each other.
    torch.set_num_threads(1)
    interrupted = False
    try:
        measure_all()
    except KeyboardInterrupt:
        interrupted = True
        tell(f"stopped; {results.path} keeps what was finished, and the same command goes on from there")
    finish()
    return INTERRUPTED if interrupted else int(bool(results.failed))


# ---------------------------------------------------------------------------- the command line


def _names(text: str) -> list[str]:
    return [*dict.fromkeys(name.strip() for name in text.split(",") if name.strip())]


def _seeds(text: str) -> list[int]:
    return [*dict.fromkeys(int(name) for name in _names(text))]


def parser(about: str | None, kind: Kind) -> argparse.ArgumentParser:
    """Return a parser of the options that all such benchmarks have."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data", type=Path, required=True, help=f"one {kind.name}, or a folder of them")
    made.add_argument("--json", type=Path, required=True, help="everything; a stopped run goes on from it")
    made.add_argument("--sets", type=_names, help="names of folders in DIR, by comma; all by default")
    made.add_argument("--seeds", type=_seeds, default=[0, 1, 2], help="whole numbers, by comma")
    made.add_argument("--markdown", type=Path, help="write the tables here, beside stdout")
    made.add_argument("--pictures", type=Path, help="draw pictures into this folder")
    made.add_argument("--embedder", default="minilm", help="minilm or hashing")
    made.add_argument("--epochs", type=int, help="passes of training, at most")
    made.add_argument("--if-any", action="store_true", help=f"it is no error when DIR holds no {kind.name}")
    return made


def print_tables(text: str, given: argparse.Namespace) -> None:
    """Print the tables, and write them where ``--markdown`` says."""
    sys.stdout.write(text)
    if given.markdown is not None:
        given.markdown.write_text(text, "utf-8")


def command_line(script: str) -> str:
    """Return the command as it was given."""
    return shlex.join(["python", f"benchmarks/{script}", *sys.argv[1:]])


def spelled(script: str, given: argparse.Namespace, *flags: str) -> str:
    """Return the command that measures the same again.

    Args:
        script: The benchmark's file.
        given: What the parser read.
        flags: Options of this benchmark alone.

    Returns:
        A line for a shell.
    """
    words = ["python", f"benchmarks/{script}", "--data", str(given.data), "--json", str(given.json)]
    words += ["--sets", ",".join(given.sets)] if given.sets else []
    words += ["--seeds", ",".join(map(str, given.seeds))]
    words += ["--embedder", given.embedder] if given.embedder != "minilm" else []
    words += ["--epochs", str(given.epochs)] if given.epochs is not None else []
    return shlex.join([*words, *flags])


def training_options(given: argparse.Namespace) -> dict[str, Any]:
    """Return what the command says of ``TrainConfig``, beside the seed."""
    return {} if given.epochs is None else {"epochs": given.epochs}
