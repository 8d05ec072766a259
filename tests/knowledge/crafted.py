"""Small graphs by hand: three agents, entities as told, and ties by the names at their ends."""

from __future__ import annotations

from collections.abc import Sequence

from routing.folders import EMBEDDER, spec

from agentroute.knowledge.build import GraphBuilder
from agentroute.knowledge.extract import RuleExtractor
from agentroute.knowledge.graph import EdgeType, KnowledgeGraph
from agentroute.knowledge.record import TrackRecord
from agentroute.knowledge.team import Team
from agentroute.types import (
    AgentSpec,
    Answer,
    AnswerStatus,
    EffortRange,
    Entity,
    Extraction,
    Extractor,
    Passage,
    Price,
    Query,
    Relation,
)

SPECS = (
    spec("geo", description="Knows rivers and London.", tags=("geography",), examples=("Where is London?",)),
    spec("sums", description="Adds integers.", price=Price(input=1.0, output=2.0)),
    spec("poet", description="Writes poems.", effort=EffortRange(levels=("low", "high"), default="high")),
)


class Given:
    """An extractor that finds what it is told."""

    def __init__(self, *entities: Entity, relations: tuple[Relation, ...] = ()) -> None:
        self.found = Extraction(entities=entities, relations=relations)

    def extract(self, query: Query) -> Extraction:
        return self.found


def builder(
    specs: Sequence[AgentSpec] = SPECS,
    record: TrackRecord | None = None,
    extractor: Extractor | None = None,
    read_answers: bool = True,
) -> GraphBuilder:
    """A builder whose answers get vectors."""
    finder = extractor or RuleExtractor()
    return GraphBuilder(Team.build(specs, EMBEDDER), EMBEDDER, finder, record, read_answers=read_answers)


def graph_of(text: str, specs: Sequence[AgentSpec] = SPECS, **more: object) -> KnowledgeGraph:
    """The graph of one question."""
    return builder(specs, **more).build([Query(text=text)])[0]  # type: ignore[arg-type]


def answered(
    graph: KnowledgeGraph,
    *texts: str,
    agents: Sequence[str] | None = None,
    statuses: Sequence[AnswerStatus] | None = None,
    context: tuple[Passage, ...] = (),
    **more: object,
) -> KnowledgeGraph:
    """The same graph with answers, of its agents in their order unless others are named."""
    names, status = agents or graph.names["agent"], statuses or ["ok"] * len(texts)
    given = [Answer(agent=names[i], text=text, status=status[i]) for i, text in enumerate(texts)]
    query = Query(text=graph.names["query"][0], context=context)
    return builder(**more).grow(graph, query, given)  # type: ignore[arg-type]


def ties(graph: KnowledgeGraph, edge_type: EdgeType) -> list[tuple[str, str, float]]:
    """Edges by the names at their ends."""
    (heads, tails), weights = graph.edge_index[edge_type], graph.edge_weight[edge_type]
    source, target = graph.names[edge_type[0]], graph.names[edge_type[2]]
    return [(source[h], target[t], float(w)) for h, t, w in zip(heads, tails, weights, strict=True)]
