"""What the commands print: plain lines, tables, JSON."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

import typer

from agentroute.types import Answer

# Control characters but for line ends and tabs, changes of direction, tags, half characters. Joiners and
# marks stay: scripts and emoji are written with them.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def print_json(data: Any) -> None:
    """Print one JSON document."""
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    # Within JSON these stand only in texts, where they can be written as escapes.
    typer.echo(_UNSEEN.sub(lambda found: json.dumps(found[0])[1:-1], text))


def tell(line: str) -> None:
    """Print a remark to stderr."""
    typer.secho(plain(line), fg="yellow", err=True)


@contextmanager
def only_ours() -> Iterator[None]:
    """Keep stdout for the command while agents are at work: what their code prints goes to stderr."""
    with redirect_stdout(sys.stderr):
        yield


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1, bold: int = 0
) -> None:
    """Print a table.

    Args:
        columns: Their names.
        rows: Their cells.
        words: How many columns from the left hold words; the others are set to the right.
        bold: How many rows from the top stand out.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for place, name in enumerate(columns):
        table.add_column(name, justify="left" if place < words else "right", no_wrap=not place)
    for place, row in enumerate(rows):
        # Text, not str: a name or an answer must not be read as markup.
        table.add_row(*(Text(cell) for cell in row), style="bold" if place < bold else None)
    Console(width=None if sys.stdout.isatty() else 100).print(table)


def plain(text: str) -> str:
    """Return text without what could command a terminal, or hide in it; what words are written with stays."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text)


def shortened(answer: Answer) -> str:
    """Write what an agent said, or why it said nothing, in one short line."""
    said = answer.text if answer.status == "ok" else f"({answer.status.replace('_', ' ')}: {answer.error})"
    line = " ".join(plain(said).split())
    return line if len(line) <= 48 else f"{line[:47]}…"


def dollars(cost: float | None) -> str:
    """Write a price in words that keep unknown apart from free."""
    return "unknown" if cost is None else f"${cost:.6f}".rstrip("0").rstrip(".") if cost else "$0"
