"""Routers that judge answers, without training: random weights hold the same laws as good ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from routing.folders import EMBEDDER, SAID, TOPICS, question, random_record, random_weights, spec, table_of

from agentroute.knowledge.extract import RuleExtractor
from agentroute.outcomes import OutcomeTable, QueryRecord
from agentroute.routing.calibration import Calibration
from agentroute.routing.choose import Setting, candidates
from agentroute.routing.gnn import GNNConfig, RouterGNN
from agentroute.routing.policy import Policy
from agentroute.routing.router import GraphRouter
from agentroute.types import AgentSpec, Answer, AnswerStatus, Price, Usage

PANELS = (("agent-2", "agent-0", "agent-4", "agent-1"),)


def priced_team(agents: int) -> tuple[AgentSpec, ...]:
    """Agents of rising prices, in no order."""
    prices = np.random.default_rng(agents).permutation(agents) + 1.0
    return tuple(
        spec(f"agent-{i}", price=Price(call=0.001 * price)) for i, price in enumerate(prices.tolist())
    )


def drawn_table(seed: int, queries: int = 12, agents: int = 5) -> OutcomeTable:
    """Random outcomes: equal answers, silence, agents that did not run, lengths that are unknown."""
    rng = np.random.default_rng(seed)
    shape = queries, agents
    score = rng.choice([0.0, 0.5, 1.0], shape)
    score[rng.random(shape) < 0.2] = np.nan
    tokens = rng.integers(0, 300, shape).astype(np.float64)
    tokens[rng.random(shape) < 0.2] = np.nan
    team = priced_team(agents)
    costs = np.broadcast_to([row.price.call for row in team if row.price], shape).copy()
    table = table_of(score, rng.choice(SAID, shape).tolist(), cost_usd=costs, output_tokens=tokens)
    topics = rng.choice(list(TOPICS), queries)
    asked = [question(rng, str(topic), i) for i, topic in enumerate(topics)]
    return replace(table, agents=team, queries=tuple(QueryRecord(query=query) for query in asked))


def setting(policy: Policy, rounds: int = 8, score: float = 0.5) -> Setting:
    """A setting whose calibrations change every number."""
    return Setting(
        policy=policy,
        rounds=rounds,
        calibration=Calibration(trust=2, scale=0.7, shift=0.1),
        score=score,
        calls=1.0,
        cost_usd=0.001,
        right=(0.6, -0.2),
        gain=(0.5, -0.4),
    )


def random_router(seed: int, agents: int = 5, policies: Sequence[Policy] = ()) -> GraphRouter:
    """A router of random weights that has tried every policy, or some; agents beyond its record are new."""
    rng = np.random.default_rng(seed)
    network = RouterGNN(GNNConfig(embedding=EMBEDDER.dim, hidden_channels=16))
    random_weights(network, seed)
    record = random_record(rng, tuple(f"agent-{i}" for i in range(agents)))
    every = [(p, 8) for p in policies] or candidates(agents, True, True, PANELS if agents >= 5 else ())
    # Each is best of its kind now and then.
    tried = [setting(policy, rounds, float(rng.random())) for policy, rounds in every]
    return GraphRouter(
        embedder=EMBEDDER,
        extractor=RuleExtractor(),
        record=replace(record, voice=rng.normal(size=agents).astype(np.float32)),
        weights={name: value.numpy() for name, value in network.state_dict().items()},
        tried=tried,
        setting=tried[0],
        baseline={},
        manifest={"version": "random", "train": {"call_price": 0.001, "answer_vectors": bool(seed % 2)}},
    )


def live_answer(table: OutcomeTable, row: int, agent: str) -> Answer:
    """What a run would get from an agent: its recorded answer, nothing, or a failure."""
    column = table.agent_ids.index(agent)
    if np.isnan(table.score[row, column]):
        return Answer(agent=agent, status="failed", error="did not run when this was recorded")
    text, tokens = table.answers[row][column] or "", table.output_tokens[row, column]
    status: AnswerStatus = "ok" if text else "skipped"
    usage = Usage(output_tokens=None if np.isnan(tokens) else int(tokens))
    return Answer(agent=agent, text=text, status=status, usage=usage, error=None if text else "declined")
