"""The table of faults, made of the tests: which fault, what the user sees, what is kept, and who tries it.

    python tests/faults/table.py           writes docs/faults.md
    python tests/faults/table.py --check   says whether it is current

A test says which cells it is for: ``@pytest.mark.fault("F12", "what is seen", "what is kept")``, with plain
texts, so that they can be read without running anything. The test that shows the same fault with the
protection off says ``@pytest.mark.control("F12", "what happens then")``; every fault needs one.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / "docs" / "faults.md"

FAULTS = {
    "F01": "an agent raises, or its endpoint fails",
    "F02": "an agent hangs",
    "F03": "an agent drips bytes for ever",
    "F04": "an agent blocks the event loop",
    "F05": "429, with or without `Retry-After`",
    "F06": "500 once, then well",
    "F07": "500 or 503 always",
    "F08": "400, 401, 403, 404, 413, 422",
    "F09": "malformed JSON, a web page, no body, an error with status 200",
    "F10": "an empty answer",
    "F11": "an answer of 10 or 100 MB, or more than a refiner should read",
    "F12": "a gzip bomb",
    "F13": "bytes that are not UTF-8",
    "F14": "NUL, escape sequences, bidi, half characters in an answer",
    "F15": "an answer of another shape",
    "F16": "usage that is missing, negative or absurd",
    "F17": "a connection that breaks",
    "F18": "a body that is cut, or never ends",
    "F19": "all agents fail",
    "F20": "the router selects nobody, or somebody who is gone",
    "F21": "the refiner fails",
    "F22": "more answers than the refiner's model can read",
    "F23": "an agent that finishes after the deadline",
    "F24": "an agent that swallows its cancellation",
    "F25": "an answer that gives orders",
    "F26": "every answer gives orders",
    "F27": "orders in another script, encoded, invisible, or split",
    "F28": "an answer with delimiters, turns or template tokens",
    "F29": "an answer that claims authority over the others",
    "F30": "a router file that is cut, empty, or none",
    "F31": "a flipped bit in a router file",
    "F32": "a router for vectors of another length",
    "F33": "a router for another embedder",
    "F34": "weights that are no numbers",
    "F35": "a router file of another version, or with parts missing",
    "F36": "killed while saving a router",
    "F37": "killed while appending an outcome",
    "F38": "several writers at once",
    "F39": "a full disk",
    "F40": "a log that is damaged in the middle",
    "F41": "a database that is damaged, cut, or none",
    "F42": "a place that is forbidden, missing, or something else",
    "F43": "training that is interrupted",
    "F43b": "training that is killed",
    "F44": "killed during a run",
    "F45": "interrupted during a run",
    "F46": "a clock that steps back or jumps",
    "F47": "the budget runs out during a run",
    "F48": "50 runs at once on one budget",
    "F49": "a model without a price",
    "F50": "a level of effort that a model does not have",
    "F51": "two agents with one id",
    "F52": "a registry that breaks a rule",
    "F53": "an empty question",
    "F54": "a very long question",
    "F55": "questions in any script",
    "F56": "control characters, half characters, other types as a question",
    "F57": "10,000 agents",
    "F58": "no agent, or one",
    "F59": "no network",
    "F60": "a second signal, a closed pipe, a closed terminal",
    "T01": "an answer injects the refiner",
    "T02": "an answer forges weights or names",
    "T03": "a question that forces the dear path",
    "T04": "outcomes that were poisoned",
    "T05": "a router file that would run code",
    "T06": "a registry with tags, aliases, depth",
    "T07": "a path that leads elsewhere",
    "T08": "an address inside the network, a redirect",
    "T09": "secrets in configuration, errors, logs and files",
    "T11": "consumption without bounds",
    "T12": "a checkpoint that would run code",
    "T15": "runs that mix",
    "T16": "records kept for ever",
    "T17": "a description that gives orders",
    "T18": "an answer that commands the terminal",
    "T19": "a score that is no number",
    "T20": "a guard that fails open",
}
"""The cells: F from the fault matrix, T from the threat model."""


TAKES = {"fault": ("cell", "seen", "kept"), "control": ("cell", "what happens without the protection")}
"""The marks, and the texts that they take."""


class Row(NamedTuple):
    """What one test says of one cell.

    Args:
        mark: ``fault`` where the protection is on, ``control`` where it is off.
        cell: The cell.
        says: What is seen and what is kept; or what happens.
        test: File and name of the test.
    """

    mark: str
    cell: str
    says: tuple[str, ...]
    test: str


@cache
def rows() -> tuple[Row, ...]:
    """Read the marks of all tests.

    Returns:
        Rows in the order of the cells.

    Raises:
        SystemExit: A mark cannot be read, names no cell, or stands on a test that may be skipped.
    """
    found = [row for path in sorted(TESTS.rglob("test_*.py")) for row in _of(path)]
    order = [*FAULTS]
    return tuple(sorted(found, key=lambda row: (order.index(row.cell), row.test)))


def uncontrolled(found: Iterable[Row]) -> list[str]:
    """Name the faults that are tried, but never shown without the protection.

    Args:
        found: The rows.

    Returns:
        Cells of the fault matrix; threats may do without.
    """
    shown = {row.cell for row in found if row.mark == "control"}
    return [cell for cell in FAULTS if cell.startswith("F") and cell not in shown]


def _of(path: Path) -> list[Row]:
    where, tree = path.relative_to(TESTS.parent).as_posix(), ast.parse(path.read_text(encoding="utf-8"))
    found = []
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lists = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for test in tests:
        for mark, given in _marks(test, lists):
            takes = TAKES[_name(mark)]
            texts = [text for text in given if isinstance(text, str) and text]
            if len(texts) != len(given) or len(texts) != len(takes) or texts[0] not in FAULTS:
                sys.exit(f"{where}:{mark.lineno}: a mark takes texts: {', '.join(takes)}")
            if any(_name(call) in ("skip", "skipif", "xfail") for call in ast.walk(test)):
                sys.exit(f"{where}:{test.lineno}: a fault that may be skipped is not held")
            found.append(Row(_name(mark), texts[0], tuple(texts[1:]), f"{where}::{test.name}"))
    return found


def _marks(
    test: ast.FunctionDef | ast.AsyncFunctionDef, lists: dict[str, ast.expr]
) -> list[tuple[ast.Call, list[object]]]:
    """Find the marks of a test: plain ones, and those made in a row over a list of the file."""
    found: list[tuple[ast.Call, list[object]]] = []
    in_rows: set[ast.Call] = set()
    nodes = [node for decorator in test.decorator_list for node in ast.walk(decorator)]
    for row in [node for node in nodes if isinstance(node, ast.ListComp)]:
        loop, over = row.generators[0], row.generators[0].iter
        for mark in [node for node in ast.walk(row) if isinstance(node, ast.Call) and _name(node) in TAKES]:
            in_rows.add(mark)
            values = ast.literal_eval(lists[over.id] if isinstance(over, ast.Name) else over)
            names = [getattr(node, "id", "") for node in getattr(loop.target, "elts", [loop.target])]
            for value in values:
                known = dict(zip(names, value if len(names) > 1 else [value], strict=True))
                found.append((mark, [_value(node, known) for node in mark.args]))
    for node in nodes:
        if isinstance(node, ast.Call) and _name(node) in TAKES and node not in in_rows:
            found.append((node, [_value(part, {}) for part in node.args]))
    return found


def _value(node: ast.expr, known: dict[str, object]) -> object:
    if isinstance(node, ast.Name):
        return known.get(node.id)
    return node.value if isinstance(node, ast.Constant) else None


def _name(node: ast.AST) -> str:
    called = node.func if isinstance(node, ast.Call) else node
    return called.attr if isinstance(called, ast.Attribute) else ""


def page() -> str:
    """Write the page."""
    found = rows()
    faults = [row for row in found if row.mark == "fault"]
    controls = [row for row in found if row.mark == "control"]
    cells = {row.cell for row in faults}
    return "\n".join(
        [
            "# Faults",
            "",
            "What goes wrong, what you see of it, and what is kept. Made of the tests by",
            f"`python tests/faults/table.py`: {len(cells)} cells, each tried by `make test`.",
            "F is for faults, T for threats ([threat model](../THREAT_MODEL.md)).",
            "",
            *_table(faults, "what you see", "what is kept", "tried by"),
            "",
            "## Without the protection",
            "",
            "The same faults with the protection off, or through what lies beneath it: bare LangGraph, bare",
            f"litellm, plain files. {len({row.cell for row in controls})} cells, every F among them.",
            "",
            *_table(controls, "what happens without it", "shown by"),
            "",
        ]
    )


def _table(found: Iterable[Row], *columns: str) -> list[str]:
    """Write rows as a table; one line for tests that say the same of a cell."""
    head = ["", "fault", *columns]
    lines = [f"| {' | '.join(head)} |".replace("|  |", "| |"), "|---" * len(head) + "|"]
    seen: set[tuple[str, ...]] = set()
    for row in found:
        what = (row.cell, *row.says)
        if what in seen:
            continue
        seen.add(what)
        path, _, name = row.test.partition("::")
        link = f"[{name.removeprefix('test_').replace('_', ' ')}](../{path})"
        lines.append(f"| {' | '.join([row.cell, FAULTS[row.cell], *map(_cell, row.says), link])} |")
    return lines


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


if __name__ == "__main__":
    if lacking := uncontrolled(rows()):
        sys.exit(f"no test shows without the protection: {', '.join(lacking)}; mark one with control")
    if "--check" in sys.argv:
        current = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page()
        sys.exit(0 if current else f"{PAGE} is not current")
    PAGE.write_text(page(), encoding="utf-8")
