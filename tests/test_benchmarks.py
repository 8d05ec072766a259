"""Each benchmark runs on little data and writes its figures; how fast it was is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from routing.folders import make_folder

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


def run(name: str, *arguments: str | Path, code: int = 0) -> str:
    command = [sys.executable, BENCHMARKS / name, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout


def test_the_pipeline_scores_what_evaluate_says(tmp_path: Path) -> None:
    folder, out = make_folder(tmp_path / "topics"), tmp_path / "replay.json"
    said = run(
        "replay.py",
        "--data",
        folder,
        "--queries",
        "30",
        "--embedder",
        "hashing",
        "--epochs",
        "2",
        "--json",
        out,
    )
    found = json.loads(out.read_text())
    assert "the pipeline and evaluate agree" in said
    assert (found["data"], found["agents"], found["queries"]) == ("topics", 4, 30)
    assert found["pipeline_score"] == pytest.approx(found["evaluate_score"])
    assert 0.0 < found["pipeline_score"] <= 1.0
    assert found["pipeline_calls"] == found["evaluate_calls"] >= 1.0
    assert found["differs"] == found["asked_differently"] == []


def test_every_figure_stands_beside_its_budget(tmp_path: Path) -> None:
    out = tmp_path / "speed.json"
    said = run("speed.py", "--quick", "--embedder", "hashing", "--json", out)
    figures = {figure["name"]: figure for figure in json.loads(out.read_text())["figures"]}
    budgets = {name: figure["budget"] for name, figure in figures.items() if figure["budget"] is not None}
    assert len(budgets) == 10
    assert budgets["import agentroute"] == 0.3
    assert all(figure["value"] > 0 for figure in figures.values())
    for name, figure in figures.items():
        assert name in said
        assert (figure["kept"] is None) == (figure["budget"] is None)
    assert figures["agentroute route, fresh process"]["note"].endswith("heavy: none")
