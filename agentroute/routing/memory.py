"""What is remembered of the queries to learn from, before any network is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agentroute.knowledge.build import GraphBuilder
from agentroute.knowledge.foresight import Foresight
from agentroute.knowledge.graph import Floats, Indices, KnowledgeGraph
from agentroute.knowledge.record import TrackRecord
from agentroute.knowledge.team import Team
from agentroute.outcomes.split import folds
from agentroute.routing.crossfit import build_all, completed, cross_fitted, examples_of, remember
from agentroute.routing.growth import grow_all
from agentroute.routing.lesson import Lesson
from agentroute.routing.newcomers import left_out
from agentroute.routing.regress import Examples, choose_ridge, fit_regression
from agentroute.routing.replay import answer_groups
from agentroute.routing.voices import fit_voices
from agentroute.types import Embedder, Extractor

CHOOSING = 4
"""One part in so many of the queries is left out to choose how far words are believed."""


@dataclass(frozen=True, eq=False)
class Memory:
    """The record of the queries to learn from, and graphs made with it.

    Args:
        lesson: The queries.
        builder: Builds graphs from their record.
        examples: What words were learned from.
        ridge: Strength of the pull of the regression on words.
        groups: ``replay.answer_groups`` of the queries to learn from.
        foreseen: What was foreseen of them, each without its part of ``crossfit.parts_of``; ``None`` where
            nothing was. Shapes: ``(queries, agents)``.
    """

    lesson: Lesson
    builder: GraphBuilder
    examples: Examples
    ridge: float
    groups: Indices
    foreseen: Floats | None

    @classmethod
    def of(
        cls,
        lesson: Lesson,
        encoder: Embedder,
        finder: Extractor,
        foresight: Foresight | None = None,
        foreseen: Floats | None = None,
    ) -> Memory:
        """Remember the queries to learn from.

        Args:
            lesson: The queries.
            encoder: Makes their vectors.
            finder: Finds their entities.
            foresight: Foresees scores on any question, if there is such a thing.
            foreseen: What was foreseen of the queries to learn from, each without its part of
                ``crossfit.parts_of``. Shapes: ``(queries, agents)``.

        Returns:
            What is remembered.
        """
        learned, config = lesson.learned, lesson.config
        groups = answer_groups(learned)
        record = remember(learned, encoder, finder)
        examples = examples_of(record, learned)
        ridge = choose_ridge(examples, folds(learned.queries, config.seed, CHOOSING)[0])
        record = replace(record, regression=fit_regression(examples, ridge))
        if lesson.table.has_answers:
            record = replace(record, voice=fit_voices(groups, learned.score, config))
        team = Team.build(lesson.table.agents, encoder)
        builder = GraphBuilder(team, encoder, finder, record, config.answer_vectors, foresight)
        return cls(lesson, builder, examples, ridge, groups, foreseen)

    @property
    def record(self) -> TrackRecord:
        """The record."""
        assert self.builder.record is not None
        return self.builder.record

    def graphs(self) -> list[KnowledgeGraph]:
        """Build the graphs of the queries to learn from, each without its own outcome, fully grown."""
        learned, seed = self.lesson.learned, self.lesson.config.seed
        bare = cross_fitted(self.builder, learned, self.examples, seed, self.ridge, self.foreseen)
        return grow_all(self.builder, bare, learned)

    def held(self) -> list[KnowledgeGraph]:
        """Build the graphs of the queries that are set aside for validation, fully grown."""
        judged = self.lesson.judged
        return grow_all(self.builder, build_all(self.builder, judged), judged)

    def newcomers(self) -> tuple[list[KnowledgeGraph], Indices]:
        """Build graphs with some agents left out; see ``newcomers.left_out``."""
        seed = self.lesson.config.seed
        return left_out(self.builder, self.lesson.learned, self.examples, seed, self.ridge, build_all)

    def completed(self, graphs: list[KnowledgeGraph]) -> TrackRecord:
        """Return the record with the queries that settings were chosen on, once they are chosen.

        Args:
            graphs: The graphs of the queries in ``Lesson.known``.

        Returns:
            The record of all.
        """
        known = self.lesson.table.take(self.lesson.known)
        return completed(self.record, known, graphs, self.builder, self.ridge)
