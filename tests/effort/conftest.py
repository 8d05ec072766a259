from __future__ import annotations

from pathlib import Path

import pytest
from effort.ladder import make_ladder

from agentroute.effort.step_router import StepRouter
from agentroute.effort.train import EffortConfig
from agentroute.effort.training import train_effort

QUICK = EffortConfig(trees=20)


@pytest.fixture(scope="session")
def sums(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a look at the answer tells whether low was enough."""
    return make_ladder(tmp_path_factory.mktemp("sums"))


@pytest.fixture(scope="session")
def learned(sums: Path) -> StepRouter:
    """A router trained on it."""
    return train_effort(sums, config=QUICK)
