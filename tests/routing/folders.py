"""Outcome folders made up for tests: the right agent depends on the words of the question."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from agentroute.knowledge.build import GraphBuilder
from agentroute.knowledge.embed import HashingEmbedder
from agentroute.knowledge.extract import RuleExtractor
from agentroute.knowledge.graph import KnowledgeGraph
from agentroute.knowledge.record import TrackRecord
from agentroute.knowledge.team import Team
from agentroute.knowledge.vectors import unit
from agentroute.outcomes import (
    Outcome,
    OutcomeFolder,
    OutcomeTable,
    OutcomeWriter,
    QueryRecord,
    create_folder,
)
from agentroute.registry import AgentRegistry
from agentroute.routing.router import GraphRouter
from agentroute.types import AgentSpec, Answer, Passage, Price, Query, Usage

if TYPE_CHECKING:
    import torch

TOPICS = {
    "rivers": ("river", "delta", "estuary", "bank"),
    "primes": ("prime", "divisor", "factor", "integer"),
    "poems": ("poem", "stanza", "sonnet", "rhyme"),
    "engines": ("engine", "piston", "valve", "turbine"),
}
FILLERS = ("old", "small", "famous", "longest", "second", "missing", "northern", "simple", "strange", "plain")


def spec(name: str, **changes: object) -> AgentSpec:
    """One row of a registry."""
    about = ", ".join(TOPICS.get(name, (name,)))
    given = {"kind": "function", "description": f"Knows about {about}.", "function": "crew:good"} | changes
    return AgentSpec(id=name, **given)  # type: ignore[arg-type]


def team(*more: AgentSpec) -> tuple[AgentSpec, ...]:
    """The agents of the folder: one per topic, the dearest last."""
    priced = [spec(name, price=Price(call=0.001 * (i + 1))) for i, name in enumerate(TOPICS)]
    return (*priced, *more)


def question(rng: np.random.Generator, topic: str, number: int) -> Query:
    """A question whose words give its topic away."""
    words = [str(rng.choice(TOPICS[topic])), *rng.choice(FILLERS, 3, replace=False)]
    return Query(text=f"Which {' '.join(rng.permutation(words))} is number {number}?", id=f"q{number}")


def make_folder(path: Path, queries: int = 240, seed: int = 0, noise: float = 0.1) -> Path:
    """Write a folder where the agent of the topic is right nine times in ten, and the others one in ten."""
    rng = np.random.default_rng(seed)
    agents, records, outcomes = team(), [], []
    for number in range(queries):
        topic = str(rng.choice(list(TOPICS)))
        query = question(rng, topic, number)
        records.append(QueryRecord(query=query, gold=(f"gold {number}",)))
        for agent in agents:
            right = (agent.id == topic) != (rng.random() < noise)
            said = f"gold {number}" if right else f"{agent.id} thinks so"
            outcomes.append(
                Outcome(
                    query=f"q{number}",
                    agent=agent.id,
                    score=float(right),
                    answer=said,
                    cost_usd=agent.price.call if agent.price else None,
                    latency_s=0.5,
                )
            )
    create_folder(path, AgentRegistry.from_specs(agents), records)
    with OutcomeWriter(path) as writer:
        writer.append(*outcomes)
    return path


EMBEDDER = HashingEmbedder(48)


@cache
def shared_folder() -> Path:
    """One folder for all tests of a process; nobody writes into it."""
    return make_folder(Path(_home().name) / "folder")


@cache
def _home() -> TemporaryDirectory[str]:
    return TemporaryDirectory()


@cache
def trained(seed: int = 0, shuffled: bool = False) -> GraphRouter:
    """A router trained on the shared folder, once per process."""
    import torch

    from agentroute.routing.config import TrainConfig
    from agentroute.routing.train import train

    torch.set_num_threads(1)
    config = TrainConfig(seed=seed, epochs=12, batch_size=64, learning_rate=5e-3)
    return train(shared_folder(), config=config, embedder=EMBEDDER, shuffle_labels=shuffled)


def held_out(router: GraphRouter) -> OutcomeTable:
    """The outcomes that a router's training left alone."""
    table, held = OutcomeFolder.open(shared_folder()).table(), set(router.manifest["test_ids"])
    return table.take([i for i, row in enumerate(table.queries) if row.query.id in held])


def random_weights(network: torch.nn.Module, seed: int) -> None:
    """Give every parameter a trained-like value; the last layers begin at zero and would hide mistakes."""
    import torch

    torch.set_num_threads(1)  # for layers this small a second thread costs more than it brings
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            spread = 0.5 if parameter.dim() < 2 else parameter.shape[-1] ** -0.5
            parameter.copy_(torch.randn(parameter.shape, generator=draws) * spread + ("norm" in name))


def random_record(rng: np.random.Generator, agents: tuple[str, ...], queries: int = 70) -> TrackRecord:
    """Scores of some agents on questions like the folder's, a fifth of them missing, and what words say.

    Vectors are a little off their texts, so that no two are equally near a third.
    """
    import torch

    from agentroute.routing.regress import Examples, fit_regression

    torch.set_num_threads(1)
    topics = [str(rng.choice(list(TOPICS))) for _ in range(queries)]
    asked = [question(rng, topic, number) for number, topic in enumerate(topics)]
    score = rng.random((queries, len(agents)))
    score[rng.random(score.shape) < 0.2] = np.nan
    vectors = EMBEDDER.embed([query.text for query in asked])
    record = TrackRecord.build(
        agents,
        unit(vectors + rng.normal(scale=0.02, size=vectors.shape)),
        score.astype(np.float32),
        [topic if rng.random() < 0.8 else None for topic in topics],
        [[entity.name for entity in RuleExtractor().extract(query).entities] for query in asked],
        np.full(score.shape, 0.01),
        np.full(score.shape, 1.0),
        rng.integers(1, 400, score.shape).astype(np.float64),
    )
    examples = Examples(
        [query.text for query in asked],
        record.vectors,
        record.task,
        len(record.tasks),
        record.score,
        record.mean,
    )
    return replace(record, regression=fit_regression(examples, 4.0))


TEXTS = ("Was Ada Lovelace born in London in 1815?", "Which old river is number 7?", "?", "a prime")
SAID = (
    "London",
    "the river Rhine",
    "yes",
    "",
    "no",
    "17",
    "I don't know",
    "london.",
    "['a', 'b']",
    "the Rhine",
)


def random_answers(
    rng: np.random.Generator, agents: Sequence[AgentSpec], count: int, said: Sequence[str] = SAID
) -> list[Answer]:
    """Some answers, each of another agent while there are enough; some of unknown length."""
    order = rng.permutation(len(agents))
    return [
        Answer(
            agent=agents[int(order[i % len(agents)])].id,
            text=(text := str(rng.choice(said))),
            status="ok" if text else "skipped",
            usage=Usage(output_tokens=None if rng.random() < 0.2 else int(rng.integers(500))),
        )
        for i in range(count)
    ]


@dataclass(frozen=True)
class Grown:
    """Graphs of a few questions, and what came back to each."""

    builder: GraphBuilder
    queries: list[Query]
    graphs: list[KnowledgeGraph]
    answers: list[list[Answer]]

    def grow(self, row: int, answered: Collection[str] | None = None) -> KnowledgeGraph:
        """Grow one graph by the answers of some agents, or of all."""
        given = [a for a in self.answers[row] if answered is None or a.agent in answered]
        return self.builder.grow(self.graphs[row], self.queries[row], given)


def random_grown(
    seed: int, agents: int = 5, answers: int = 0, record: bool = True, said: Sequence[str] = SAID
) -> Grown:
    """A few questions, each with up to so many random answers; the first names no entity."""
    rng = np.random.default_rng(seed)
    specs = tuple(
        spec(f"agent-{i}", description=f"Knows {rng.choice(FILLERS)} things.") for i in range(agents)
    )
    known = random_record(rng, tuple(s.id for s in specs[: max(1, agents - 1)])) if record else None
    if known is not None:
        known = replace(known, voice=rng.normal(size=len(known.agents)).astype(np.float32))
    read = bool(seed % 2)
    builder = GraphBuilder(Team.build(specs, EMBEDDER), EMBEDDER, RuleExtractor(), known, read_answers=read)
    passages = (Passage(title="Lovelace", text="She was born in London in 1815."),)
    queries = [
        Query(text="???"),
        *(Query(text=text, task=str(rng.choice(list(TOPICS)))) for text in TEXTS),
        Query(text=TEXTS[0], context=passages),
    ]
    given = [random_answers(rng, specs, int(rng.integers(answers + 1)), said) for _ in queries]
    return Grown(builder, queries, builder.build(queries), given)


def random_graphs(
    seed: int, agents: int = 5, answers: int = 0, record: bool = True, said: Sequence[str] = SAID
) -> list[KnowledgeGraph]:
    """The graphs of ``random_grown``, with all their answers."""
    grown = random_grown(seed, agents, answers, record, said)
    return [grown.grow(row) for row in range(len(grown.graphs))]


def table_of(score: np.ndarray, answers: Sequence[Sequence[str | None]], **more: np.ndarray) -> OutcomeTable:
    """Outcomes from plain arrays; what is not given is unknown."""
    queries, agents = score.shape
    unknown = {name: np.full(score.shape, np.nan) for name in ("cost_usd", "latency_s")}
    tokens = {name: np.full(score.shape, np.nan) for name in ("input_tokens", "output_tokens")}
    return OutcomeTable(
        queries=tuple(QueryRecord(query=Query(text=f"question {i}", id=f"q{i}")) for i in range(queries)),
        agents=tuple(spec(f"agent-{i}") for i in range(agents)),
        score=score.astype(np.float32),
        answers=tuple(tuple(row) for row in answers),
        **{**unknown, **tokens, **more},
    )
