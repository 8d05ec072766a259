"""What the tests of benchmarks share: running one as a user does, and reading what it wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


def run(name: str, *arguments: str | Path, code: int = 0) -> str:
    """Run a benchmark to its end, and return what it printed."""
    return ran(name, *arguments, code=code).stdout


def ran(name: str, *arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a benchmark to its end."""
    command = [sys.executable, BENCHMARKS / name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[type]:
    """Yield the benchmarks' modules by name; they import each other by name."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    before = set(sys.modules)

    class Modules:
        def __class_getitem__(cls, name: str) -> ModuleType:
            return import_module(name)

    yield Modules
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCHMARKS)):
            del sys.modules[name]
