"""The trained router: decides with a network, without torch, and knows how it was made."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from copy import copy
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agentroute.errors import InputError, RouterFileError
from agentroute.knowledge.build import SUITS_DIM, dims
from agentroute.knowledge.extract import RuleExtractor
from agentroute.knowledge.graph import Floats, Indices, KnowledgeGraph
from agentroute.knowledge.hetero import collate
from agentroute.knowledge.record import ESTIMATES_DIM, TrackRecord
from agentroute.outcomes import OutcomeTable
from agentroute.routing import files
from agentroute.routing.choose import Setting, best
from agentroute.routing.deciding import DecidingRouter
from agentroute.routing.policy import TopK
from agentroute.routing.replay import Replay, replay
from agentroute.routing.runtime import NumpyGNN
from agentroute.types import Embedder, Extractor

Weights = Mapping[str, npt.NDArray[np.floating]]

ENCODER_FOLDER = "encoder"
"""Where a router's folder holds its encoder, when it was trained with ``--bundle-encoder``."""


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
    ) -> None:
        super().__init__(embedder, extractor, setting.policy, record, str(manifest.get("version", "")))
        self.rounds = setting.rounds
        self.weights, self.baseline, self.manifest = weights, baseline, manifest
        self.tried, self.setting = tuple(tried), setting
        self.record: TrackRecord = record
        self._network = NumpyGNN(weights)

    def logits(self, graphs: Sequence[KnowledgeGraph]) -> Floats:
        """Score the agents of some graphs of one team.

        Args:
            graphs: Graphs from this router's ``builder``.

        Returns:
            Calibrated log-odds of each agent's expected score. Shapes: ``(graphs, agents)``.
        """
        prior, network = self.evidence(graphs)
        return self.setting.calibration(prior, network)

    def evidence(self, graphs: Sequence[KnowledgeGraph]) -> tuple[Floats, Floats]:
        """Return what the record says and what the network says, before they are weighed.

        Args:
            graphs: Graphs from this router's ``builder``.

        Returns:
            Log-odds. Shapes: ``(graphs, agents)`` twice.
        """
        batch = collate(graphs)
        network, _ = self._network.forward(batch)
        # A newcomer has no record; what the network makes of its card is all there is.
        known = batch.suits[:, ESTIMATES_DIM - 1] > 0
        prior = np.where(known, batch.suits[:, 0] + batch.suits[:, 1], network)
        return prior.reshape(len(graphs), -1), network.reshape(len(graphs), -1)

    def using(self, setting: Setting) -> GraphRouter:
        """Return the same router with another setting; what it has computed is shared.

        Args:
            setting: One of ``tried``.

        Returns:
            A router.
        """
        other = copy(self)
        other.setting, other.policy, other.rounds = setting, setting.policy, setting.rounds
        return other

    def with_preset(self, name: str) -> GraphRouter:
        """Return the same router as ``top1`` (one agent at a time) or ``vote`` (several, by weight).

        Args:
            name: The preset.

        Returns:
            A router with the best setting of that kind on validation.

        Raises:
            InputError: There is no such preset.
        """
        alone = [setting for setting in self.tried if setting.policy == TopK(k=1)]
        several = [setting for setting in self.tried if setting.policy != TopK(k=1)]
        if name in ("top1", "vote"):
            chosen = best(alone if name == "top1" or not several else several, self._call_price)
            assert chosen is not None  # every router was tried with one agent
            return self.using(chosen)
        raise InputError(f"there is no preset {name!r}; choose top1 or vote")

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
        found = best(self.tried, self._call_price, max_calls=max_calls, max_cost_usd=max_cost_usd)
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
        max_calls: float | None = None,
        max_cost_usd: float | None = None,
    ) -> Replay:
        """Say what this router would have scored on recorded outcomes.

        Args:
            table: Recorded outcomes.
            groups: ``answer_groups(table)``, when it is at hand.
            max_calls: Mean agents asked per query, at most.
            max_cost_usd: Mean US dollars per query, at most.

        Returns:
            What came of it.
        """
        router = self.within(max_calls=max_calls, max_cost_usd=max_cost_usd)
        logits = router.score([row.query for row in table.queries], table.agents)
        return replay(router.policy, logits, router.cost(table.agents), table, groups, router.rounds)

    @property
    def _call_price(self) -> float:
        return float(self.manifest["train"]["call_price"])

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the router into a folder, replacing an older one whole.

        Args:
            folder: Where to; made if missing.
        """
        record = self.record
        manifest = {
            **self.manifest,
            "written_by": metadata.version("agentroute-graph"),
            "embedder": {"fingerprint": self.embedder.fingerprint, "dim": self.embedder.dim},
            "setting": self.setting.plain(),
            "tried": [setting.plain() for setting in self.tried],
            "record": record.names(),
        }
        tensors = {f"record.{name}": value for name, value in record.arrays().items()}
        tensors |= {f"gnn.{name}": np.asarray(value) for name, value in self.weights.items()}
        tensors |= {f"baseline.{name}": np.asarray(value) for name, value in self.baseline.items()}
        files.save(folder, manifest, tensors)

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
            extractor: By default the rule extractor.

        Returns:
            The router.

        Raises:
            RouterFileError: The file is missing, damaged, or was trained with another embedder.
        """
        manifest, tensors = files.load(folder)

        def part(prefix: str) -> dict[str, npt.NDArray[Any]]:
            return {k[len(prefix) :]: value for k, value in tensors.items() if k.startswith(prefix)}

        try:
            trained = manifest["embedder"]
            embedder = embedder or _named_embedder(manifest["embedder_name"], Path(folder))
            router = cls(
                embedder=embedder,
                extractor=extractor or RuleExtractor(),
                record=TrackRecord.restore(manifest["record"], part("record.")),
                weights=part("gnn."),
                tried=[Setting.from_plain(setting) for setting in manifest["tried"]],
                setting=Setting.from_plain(manifest["setting"]),
                baseline=part("baseline."),
                manifest=manifest,
            )
        except (KeyError, TypeError) as error:
            raise RouterFileError(f"{folder}: the router file lacks {error}; train it again") from None
        if embedder.dim != trained["dim"]:
            raise RouterFileError(
                f"{folder}: trained on vectors of {trained['dim']} numbers, this embedder gives "
                f"{embedder.dim}; use the embedder {trained['fingerprint']} or train again"
            )
        if embedder.fingerprint != trained["fingerprint"]:
            raise RouterFileError(
                f"{folder}: trained with the embedder {trained['fingerprint']}, this one is "
                f"{embedder.fingerprint}; use that one or train again"
            )
        if misfits := router.misfits():
            raise RouterFileError(
                f"{folder}: its network does not fit these graphs ({misfits}); train it again"
            )
        return router

    def misfits(self) -> str:
        """Name a parameter that is missing or of another shape than this version's graphs need, if any."""
        sizes = {f"lin.{kind}.weight": size for kind, size in dims(self.embedder.dim).items()}
        sizes["suits.weight"] = SUITS_DIM
        for name in self._network.needs():
            if name not in self.weights:
                return f"{name} is missing"
            if name in sizes and self.weights[name].shape[1:] != (sizes[name],):
                return f"{name} takes {self.weights[name].shape[1:]}, not {sizes[name]}"
        return ""


def _named_embedder(name: str | None, folder: Path) -> Embedder:
    """Prefer the encoder that was bundled with the router."""
    from agentroute.knowledge.embed import default_embedder, make_embedder

    if name is None:
        raise RouterFileError(f"{folder}: trained with an embedder of your own; give it as embedder=...")
    bundled = folder / ENCODER_FOLDER
    return default_embedder(bundled) if name == "minilm" and bundled.is_dir() else make_embedder(name)
