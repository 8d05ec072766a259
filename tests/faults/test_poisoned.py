"""Outcomes that somebody turned round before training: judged on honest ones, the router's loss is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from routing.folders import EMBEDDER, make_folder

from agentroute import AgentRoute
from agentroute.evaluation.compare import evaluate
from agentroute.evaluation.report import Report
from agentroute.outcomes import OutcomeFolder, OutcomeWriter, create_folder
from agentroute.registry import AgentRegistry
from agentroute.routing.config import TrainConfig
from agentroute.routing.router import GraphRouter
from agentroute.routing.train import train

CONFIG = TrainConfig(epochs=2, batch_size=64, learning_rate=5e-3)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return make_folder(tmp_path_factory.mktemp("honest") / "folder", queries=100)


def poisoned(honest: Path, home: Path, share: float) -> Path:
    """The same questions and answers, with a share of the scores turned round."""
    rng, opened, path = np.random.default_rng(3), OutcomeFolder.open(honest), home / honest.name
    create_folder(path, opened.registry, [*opened.queries.values()])
    turned = [replace(o, score=1.0 - o.score) if rng.random() < share else o for o in opened.read()]  # type: ignore[operator]
    with OutcomeWriter(path) as writer:
        writer.append(*turned)
    return path


def really(router: GraphRouter, honest: Path) -> float:
    """Ask the team that was recorded the questions that training left out, and mark its answers."""
    opened = OutcomeFolder.open(honest)
    rows = [replace(s, kind="recorded", function=None, outcomes=str(honest)) for s in opened.registry.agents]
    crew = AgentRoute(AgentRegistry.from_specs(rows), router)
    held = [row for row in opened.queries.values() if row.query.id in router.manifest["test_ids"]]

    async def everything() -> list[bool]:
        results = await asyncio.gather(*(crew.arun(row.query) for row in held))
        return [result.answer in row.gold for row, result in zip(held, results, strict=True)]

    return float(np.mean(asyncio.run(everything())))


def score(report: Report, name: str) -> float:
    found = report.policies[name]
    assert found is not None
    return found.score


@pytest.mark.fault(
    "T04", "`no gain: keep NAME`, or the score that it really has", "the verdict, on honest outcomes"
)
@pytest.mark.parametrize("share", [0.01, 0.05, 0.20])
def test_a_router_of_poisoned_outcomes_is_judged_by_what_it_does(
    honest: Path, tmp_path: Path, share: float
) -> None:
    router = train(poisoned(honest, tmp_path, share), config=CONFIG, embedder=EMBEDDER)
    report = evaluate(router, honest, control=False)
    does = really(router, honest)
    assert score(report, "agentroute") == pytest.approx(does), "no more is claimed than it does"
    if report.verdict == "deploy":
        assert does > score(report, "best_single")
    else:
        assert report.verdict.startswith("no gain: keep ")


@pytest.mark.control("T04", "judged on the poisoned outcomes, a router that is always wrong scores above 90%")
def test_judged_by_the_poison_it_would_be_deployed(honest: Path, tmp_path: Path) -> None:
    folder = poisoned(honest, tmp_path, 1.0)
    router = train(folder, config=CONFIG, embedder=EMBEDDER)
    believed, report = (evaluate(router, path, control=False) for path in (folder, honest))
    assert score(believed, "agentroute") > 0.9
    assert report.verdict.startswith("no gain: keep ") and really(router, honest) < 0.2
