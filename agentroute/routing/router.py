"""The trained router: decides with a network, without torch, and knows how it was made."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from agentroute.errors import InputError
from agentroute.knowledge.build import GraphBuilder
from agentroute.knowledge.foresight import TunedForesight
from agentroute.knowledge.graph import BASE, Floats, Indices, KnowledgeGraph
from agentroute.knowledge.hetero import PackedGraphs
from agentroute.knowledge.record import TrackRecord
from agentroute.outcomes import OutcomeTable
from agentroute.routing import router_file
from agentroute.routing.assurance import threshold
from agentroute.routing.base import Base
from agentroute.routing.choose import Setting, best
from agentroute.routing.deciding import DecidingRouter
from agentroute.routing.growth import GROWN, Growth, calibrated, grow_all, ran
from agentroute.routing.policy import Table
from agentroute.routing.presets import preset_of
from agentroute.routing.replay import Judge, Replay, replay
from agentroute.routing.runtime import NumpyGNN
from agentroute.routing.trial import OneLevel
from agentroute.routing.views import views_of
from agentroute.types import AgentSpec, Answer, Embedder, Extractor, Query

Weights = Mapping[str, npt.NDArray[np.floating]]

BOUNDED_CALL_PRICE = 0.001
"""Score (0 to 1) that the price of one more call must bring within a bound, at most."""


class GraphRouter(DecidingRouter):
    """Routes with a trained network.

    Args:
        embedder: The one it was trained with.
        extractor: Finds the entities.
        record: What the agents scored on the training queries.
        weights: The network's parameters.
        tried: The settings that validation judged.
        setting: The one in use.
        baseline: Parameters of the query-only network, which was trained on the same queries for comparison.
        manifest: Where it comes from: data, seed, split, figures.
        foresight: Foresees scores on a question, where an encoder was tuned for it.

    Attributes:
        network: Runs the parameters.
    """

    def __init__(
        self,
        *,
        embedder: Embedder,
        extractor: Extractor,
        record: TrackRecord,
        weights: Weights,
        tried: Sequence[Setting],
        setting: Setting,
        baseline: Weights,
        manifest: Mapping[str, Any],
        foresight: TunedForesight | None = None,
    ) -> None:
        super().__init__(embedder, extractor, setting.policy, record, str(manifest.get("version", "")))
        self.rounds = setting.rounds
        self.weights, self.baseline, self.manifest = weights, baseline, manifest
        self.tried, self.setting = tuple(tried), setting
        self.one_level: tuple[OneLevel, ...] = ()
        self.record: TrackRecord = record
        self.foresight = foresight
        self.network = NumpyGNN(weights)
        # Shared by copies: the last query's first stage, so that a later round goes on from it.
        self._last: dict[str, tuple[GraphBuilder, Query, KnowledgeGraph, Base]] = {}

    def builder(self, agents: Sequence[AgentSpec]) -> GraphBuilder:
        """Return the graph builder of a team; see ``DecidingRouter.builder``."""
        found = super().builder(agents)
        mine = (found.read_answers, found.foresight) == (self.reads_answers, self.foresight)
        return found if mine else self._own(found)

    @property
    def reads_answers(self) -> bool:
        """Whether the vectors of answers are read."""
        return bool(self.manifest["train"].get("answer_vectors", False))

    def _own(self, found: GraphBuilder) -> GraphBuilder:
        made = replace(found, read_answers=self.reads_answers, foresight=self.foresight)
        self._builders[self._builders.index(found)] = made
        return made

    def logits(self, graphs: Sequence[KnowledgeGraph]) -> Floats:
        """Score the agents of some graphs of one team.

        Args:
            graphs: Graphs from this router's ``builder``.

        Returns:
            Calibrated log-odds of each agent's expected score. Shapes: ``(graphs, agents)``.
        """
        return self.setting.calibration(self.views(graphs))

    def views(self, graphs: Sequence[KnowledgeGraph]) -> Floats:
        """Score the agents in each view, from the record alone to the network; see ``views_of``.

        Args:
            graphs: Graphs from this router's ``builder``.

        Returns:
            Log-odds, and a cosine. Shapes: ``(VIEWS + 1, graphs, agents)``.
        """
        batch = PackedGraphs(graphs).batch(kinds=BASE)
        network = self.network.base(batch).expected.reshape(len(graphs), -1)
        return views_of(batch.suits.reshape(*network.shape, -1), network)

    def look(
        self, builder: GraphBuilder, query: Query, answers: Sequence[Answer]
    ) -> tuple[Floats, Table | None, Table | None]:
        """Look at one query's graph as it stands; see ``DecidingRouter.look``."""
        last = self._last.get("query")  # read once: another thread may be routing another query
        if last is None or last[0] is not builder or last[1] != query:
            graph = builder.build([query])[0]
            base = self.network.base(PackedGraphs([graph]).batch(kinds=BASE))
            last = self._last["query"] = (builder, query, graph, base)
        _, _, graph, base = last
        logits = self.setting.calibration(views_of(graph.suits, base.expected))
        if not answers or not self.policy.looks:
            return logits, None, None
        packed = PackedGraphs([builder.grow(graph, query, [answer for answer in answers if ran(answer)])])
        batch = packed.batch(kinds=GROWN)
        scores = self.network.grow(base, batch)
        right = np.full(len(logits), -np.inf, np.float32)
        right[batch.gave] = scores.right
        setting = self.setting
        return logits, calibrated(scores.gain, *setting.gain), calibrated(right, *setting.right)

    def growth(self, table: OutcomeTable) -> Growth | None:
        """Look at recorded queries as their graphs grow.

        Args:
            table: Recorded outcomes.

        Returns:
            The network's view; ``None`` where no answers were recorded as text.
        """
        if not table.has_answers:
            return None
        builder = self.builder(table.agents)
        queries = [row.query for row in table.queries]
        graphs = [g for i in range(0, len(queries), 512) for g in builder.build(queries[i : i + 512])]
        return Growth(self.network, PackedGraphs(grow_all(builder, graphs, table)))

    def using(self, setting: Setting) -> GraphRouter:
        """Return the same router with another setting; what it has computed is shared.

        Args:
            setting: One of ``tried``.

        Returns:
            A router.
        """
        other = copy(self)
        other.setting, other.policy, other.rounds = setting, setting.policy, setting.rounds
        other.sure_from = None  # a promise belongs to one setting
        return other

    def at(self, one: OneLevel) -> GraphRouter:
        """Return the same router with the settings that validation judged at one level, the best one in use.

        Args:
            one: One of ``one_level``.

        Returns:
            A router, to be asked without the agents that ``one`` leaves out.
        """
        chosen = best(one.tried, self.call_price)
        assert chosen is not None  # without bounds every setting qualifies
        other = self.using(chosen)
        other.tried = one.tried
        return other

    def with_preset(self, name: str) -> GraphRouter:
        """Return the same router held to one way of asking, at its best setting on validation.

        Args:
            name: ``growing`` (asks on while it is worth its price), ``top1`` (one agent), ``one_round``
                (several by weight and a vote, as AgentRouter does), ``acar`` (agreement is all that counts),
                ``cascade`` (cheapest first) or ``all``.

        Returns:
            A router.

        Raises:
            InputError: There is no such preset, or the router has no setting of that kind.
        """
        agents = len(self.record.agents)
        return self.using(preset_of(name, self.tried, self.call_price, agents, self.record.settled))

    def assuring(self, target_coverage: float) -> GraphRouter:
        """Return the same router, whose decisions say which answers keep a promise.

        Args:
            target_coverage: Share of the answers called sure that are right, above 0 and below 1.

        Returns:
            A router; its decisions carry ``assured``.

        Raises:
            InputError: The share is no share, or validation could not show it for any answer.
        """
        if not 0.0 < target_coverage < 1.0:
            raise InputError(f"target_coverage is {target_coverage}; it is a share above 0 and below 1")
        found = threshold(self.setting.sure, target_coverage)
        if found is None:
            raise InputError(
                f"this router cannot promise {target_coverage:.0%} right answers: validation could not show "
                "it for any threshold; promise less, or train on more queries with answer texts"
            )
        other = copy(self)
        other.sure_from = found
        return other

    def within(self, *, max_calls: float | None = None, max_cost_usd: float | None = None) -> GraphRouter:
        """Return the same router with the best setting that keeps a mean bound per query.

        Args:
            max_calls: Agents asked.
            max_cost_usd: US dollars.

        Returns:
            A router.

        Raises:
            InputError: No setting kept within the bounds on validation.
        """
        if max_calls is None and max_cost_usd is None:
            return self
        # Who names a bound has said what is too much; within it, score counts.
        price = min(self.call_price, BOUNDED_CALL_PRICE)
        found = best(self.tried, price, max_calls=max_calls, max_cost_usd=max_cost_usd)
        if found is None:
            cheapest = min((s.cost_usd for s in self.tried if s.cost_usd is not None), default=None)
            raise InputError(
                f"no setting of this router keeps to max_calls={max_calls}, max_cost_usd={max_cost_usd}; "
                f"the lowest are 1 call and {'unknown' if cheapest is None else f'{cheapest:.6f}'} USD"
            )
        return self.using(found)

    def replay(
        self,
        table: OutcomeTable,
        groups: Indices | None = None,
        *,
        growth: Growth | None = None,
        max_calls: float | None = None,
        max_cost_usd: float | None = None,
    ) -> Replay:
        """Say what this router would have scored on recorded outcomes.

        Args:
            table: Recorded outcomes.
            groups: ``answer_groups(table)``, when it is at hand.
            growth: ``growth(table)``, when it is at hand.
            max_calls: Mean agents asked per query, at most.
            max_cost_usd: Mean US dollars per query, at most.

        Returns:
            What came of it.
        """
        router = self.within(max_calls=max_calls, max_cost_usd=max_cost_usd)
        policy, setting = router.policy, router.setting
        judge = None
        if growth is None and policy.looks:
            growth = router.growth(table)
        if growth is not None:
            judge = Judge(growth=growth, right=setting.right, gain=setting.gain)
        logits = router.score([row.query for row in table.queries], table.agents)
        return replay(policy, logits, router.cost(table.agents), table, groups, router.rounds, judge)

    @property
    def call_price(self) -> float:
        """Score (0 to 1) that the price of one more call must bring."""
        return float(self.manifest["train"]["call_price"])

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the router into a folder, replacing an older one whole.

        Args:
            folder: Where to; made if missing.
        """
        router_file.save(self, folder)

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        *,
        embedder: Embedder | None = None,
        extractor: Extractor | None = None,
    ) -> GraphRouter:
        """Read a router, and check that the embedder is the one it was trained with.

        Args:
            folder: The router's folder.
            embedder: By default the one that the file names.
            extractor: By default the one it was trained with, where that has a name.

        Returns:
            The router.

        Raises:
            RouterFileError: The file is missing, damaged, or was trained with another embedder, or with an
                extractor that is not there; or the encoder that was tuned for it is not beside it.
        """
        return router_file.load(cls, folder, embedder, extractor)
