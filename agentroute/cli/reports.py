"""Reports of the commands that judge: where they may go, checked before the work, and how they get there."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from agentroute.cli.output import print_json
from agentroute.errors import InputError

STDOUT = Path("-")

JsonFile = Annotated[
    Path | None, typer.Option("--json", help="Write the results here; - for stdout.", metavar="FILE")
]


class AnyReport(Protocol):
    """What can be printed, and written as JSON."""

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        ...


def check_files(json_file: Path | None, plot_file: Path | None) -> None:
    """Refuse files that could not be written, before any work is done for them.

    Args:
        json_file: What ``--json`` says.
        plot_file: What ``--plot`` says.

    Raises:
        InputError: A file's folder is not there, or it is a folder itself, or nothing can be drawn into it.
        MissingExtraError: There is no matplotlib to draw with.
    """
    if json_file is not None and json_file != STDOUT and not json_file.absolute().parent.is_dir():
        raise InputError(f"{json_file.parent} is not a folder; make it first, or give another --json FILE")
    if json_file is not None and json_file.is_dir():
        raise InputError(f"{json_file} is a folder; give the name of a file to --json")
    if plot_file is not None:
        from agentroute.evaluation.picture import check_picture

        check_picture(plot_file)


def show(report: AnyReport, json_file: Path | None) -> None:
    """Print a report, and write it where it was asked for; on stdout JSON stands alone.

    Args:
        report: The report.
        json_file: What ``--json`` says.
    """
    if json_file == STDOUT:
        print_json(report.to_json())
        return
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 100).print(report)
    if json_file is not None:
        json_file.write_text(json.dumps(report.to_json(), indent=2, allow_nan=False) + "\n", "utf-8")
