"""Folders of labelled utterances made up for tests: words tell who fits, some fit two, some fit nobody."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from routing.folders import EMBEDDER

from agentroute.registry import AgentRegistry
from agentroute.routing.router import GraphRouter
from agentroute.types import AgentSpec, Price

WORDS = {
    "rivers": ("river", "delta", "estuary", "stream"),
    "primes": ("prime", "divisor", "factor", "integer"),
    "poems": ("poem", "stanza", "sonnet", "rhyme"),
    "engines": ("engine", "piston", "valve", "turbine"),
    "gardens": ("garden", "orchard", "hedge", "lawn"),
}
NOBODY = ("tax", "invoice", "visa", "passport", "haircut", "dentist")
FILLERS = ("old", "small", "famous", "longest", "second", "missing", "northern", "simple", "strange", "plain")


def agents(price: float | None = None) -> tuple[AgentSpec, ...]:
    """One agent per topic."""
    return tuple(
        AgentSpec(
            id=name,
            kind="recorded",
            description=f"Handles {words[0]} and {words[1]} requests.",
            price=None if price is None else Price(call=price),
        )
        for name, words in WORDS.items()
    )


def utterances(count: int, seed: int, kind: str = "u", oos: float = 0.15) -> list[dict[str, object]]:
    """Some texts; one in ten could be for either of two agents, and only one of them is the label.

    One in ten more fits two agents, and both are labels.
    """
    rng = np.random.default_rng(seed)
    made: list[dict[str, object]] = []
    for number in range(count):
        one, two = (str(name) for name in rng.choice(list(WORDS), 2, replace=False))
        draw = rng.random()
        if draw < oos:
            labels, words = ["oos"], [*rng.choice(NOBODY, 2, replace=False)]
        elif draw < oos + 0.2:
            labels = [one, two] if draw < oos + 0.1 else [one]
            words = [rng.choice(WORDS[one]), rng.choice(WORDS[two])]
        else:
            labels, words = [one], [*rng.choice(WORDS[one], 2, replace=False)]
        said = [*map(str, words), *map(str, rng.choice(FILLERS, 2, replace=False))]
        text = f"the {' '.join(rng.permutation(said))} please, {kind} {number}"
        made.append({"id": f"{kind}{number}", "text": text, "labels": labels})
    return made


def make_labelled(path: Path, queries: int = 300, seed: int = 0, oos: float = 0.15) -> Path:
    """Write such a folder, without a split of its own."""
    path.mkdir(parents=True)
    (path / "agents.yaml").write_text(AgentRegistry.from_specs(agents()).to_yaml())
    lines = [json.dumps(row) for row in utterances(queries, seed, oos=oos)]
    (path / "all.utterances.jsonl").write_text("\n".join([*lines, ""]))
    return path


@cache
def trained_on_labels() -> GraphRouter:
    """A router trained on such a folder, once per process."""
    import torch

    from agentroute.routing.config import TrainConfig
    from agentroute.routing.train import train

    torch.set_num_threads(1)  # for graphs this small, threads only wait for each other
    with TemporaryDirectory() as home:
        folder = make_labelled(Path(home) / "topics")
        return train(folder, config=TrainConfig(epochs=6), embedder=EMBEDDER)
