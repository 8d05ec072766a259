"""One outcome folder and one router trained on it, for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from routing.folders import make_folder

from agentroute.knowledge.hashing import HashingEmbedder
from agentroute.routing.config import TrainConfig
from agentroute.routing.router import GraphRouter
from agentroute.routing.train import train


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 questions, four agents, each right on its own topic."""
    return make_folder(tmp_path_factory.mktemp("outcomes") / "topics")


@pytest.fixture(scope="session")
def router(folder: Path) -> GraphRouter:
    """A router that has learned it, answers too, which takes some passes: else words alone do as well."""
    torch.set_num_threads(1)  # for graphs this small, threads only wait for each other
    return train(folder, config=TrainConfig(epochs=12), embedder=HashingEmbedder(64))
