"""What a router is to learn from: the outcomes of a folder, split, and how they are to be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from agentroute.errors import OutcomeError
from agentroute.knowledge.graph import Indices
from agentroute.outcomes import OOS, OutcomeFolder, OutcomeTable
from agentroute.outcomes.split import Split, split_queries
from agentroute.routing.config import TrainConfig
from agentroute.routing.policy import Mask
from agentroute.routing.sets import AGENT_PRICE

SMALL = 3_000
"""Queries below which none are set aside for validation; see ``crossfit.fit_in_parts``."""

LABEL_WEIGHT = 1.0
"""Weight of the ranking loss where scores are labels."""

LABEL_ROWS = 8_192
"""Utterances in one pass. Their graphs have a hundred agents each, and few passes are enough."""

LABEL_PATIENCE = 128
"""Steps without a better validation loss after which training on utterances ends."""

LABEL_PACE = 3.0
"""How much larger the steps are on utterances: fewer passes, and no worse a loss on CLINC150."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """The outcomes to learn from.

    Args:
        opened: Where they are from.
        table: Of the agents to learn about; a pair that was recorded several times is there several times.
        split: Its parts.
        config: How to train on it.
        without: Agents that were to be left out.
        sparse: Agents that were left out since too little is known of them.
    """

    opened: OutcomeFolder
    table: OutcomeTable
    split: Split
    config: TrainConfig
    without: tuple[str, ...]
    sparse: tuple[str, ...]

    @classmethod
    def read(
        cls,
        opened: OutcomeFolder,
        config: TrainConfig,
        *,
        without: Sequence[str] = (),
        held_out: bool = True,
        shuffled: bool = False,
    ) -> Lesson:
        """Read a folder.

        Args:
            opened: The folder.
            config: How to train; what holds for labels is set here.
            without: Agents to leave out.
            held_out: False to learn from all queries, with none left for ``evaluate``.
            shuffled: Whether every training query gets another query's scores.

        Returns:
            What there is to learn from.

        Raises:
            OutcomeError: There is too little of it.
        """
        sparse = opened.table().without(tuple(without)).sparse_agents(config.sparse_share)
        # All runs of a query go to the same part.
        table = opened.table(each_run=True).without((*without, *sparse))
        if opened.labelled:
            table, config = table.take(_still_labelled(table)), _for_labels(config)
        _check(table, opened)
        split = split_queries(table.queries, config.seed, held_out)
        if opened.labelled:
            table, split, unheard = _without_newcomers(table, split)
            sparse = (*sparse, *unheard)
        _check(table, opened, split)
        if shuffled:
            table = _shuffled(table, split, config.seed)
        return cls(opened, table, split, config, tuple(without), tuple(sparse))

    @property
    def known(self) -> Indices:
        """The queries of training and validation, in this order."""
        return np.concatenate([self.split.train, self.split.validation])

    @property
    def small(self) -> bool:
        """Whether there are too few to set some aside for validation.

        All of them train then, and each part is judged by a network that has not seen it.
        """
        return len(self.known) < SMALL

    @property
    def rows(self) -> Indices:
        """The queries to learn from."""
        return np.sort(self.known) if self.small else self.split.train

    @cached_property
    def learned(self) -> OutcomeTable:
        """Their outcomes."""
        return self.table.take(self.rows)

    @cached_property
    def judged(self) -> OutcomeTable:
        """The outcomes that settings are chosen on."""
        return self.learned if self.small else self.table.take(self.split.validation)


def _for_labels(config: TrainConfig) -> TrainConfig:
    return replace(
        config,
        labels=True,
        listwise=LABEL_WEIGHT,
        call_price=AGENT_PRICE,
        pass_rows=LABEL_ROWS,
        patience=min(config.patience, LABEL_PATIENCE),
        # What has been set for labels before stays: a router's own settings train it once more.
        learning_rate=config.learning_rate * (1.0 if config.labels else LABEL_PACE),
    )


def _still_labelled(table: OutcomeTable) -> Mask:
    """Return which utterances say something: of agents that are here, or that none fits.

    Without its agent an utterance would look like one that none fits.
    """
    here = np.asarray(np.nan_to_num(table.score).any(axis=1))
    nobody = np.array([row.meta.get("labels") == [OOS] for row in table.queries], dtype=bool)
    return np.asarray(here | nobody)


def _without_newcomers(table: OutcomeTable, split: Split) -> tuple[OutcomeTable, Split, tuple[str, ...]]:
    """Leave out agents that no training utterance fits, and the utterances to choose on that only they fit.

    They are not bad at everything: they are newcomers, known by their cards.
    """
    heard = np.asarray((np.nan_to_num(table.score[split.train]) > 0).any(axis=0))
    unheard = tuple(agent for agent, known in zip(table.agent_ids, heard, strict=True) if not known)
    table = table.without(unheard)
    kept = _still_labelled(table)[split.validation]
    return table, replace(split, validation=split.validation[kept]), unheard


def _shuffled(table: OutcomeTable, split: Split, seed: int) -> OutcomeTable:
    """Give every training query another's scores; what was answered stays, so that nothing fits any more."""
    rows = np.arange(len(table.queries))
    kept = np.concatenate([split.train, split.validation])
    rows[kept] = np.random.default_rng(seed).permutation(kept)
    return replace(table, score=table.score[rows])


def _check(table: OutcomeTable, opened: OutcomeFolder, split: Split | None = None) -> None:
    if len(table.agents) < 1:
        few = f"{opened.path}: no agent ran on half of the queries; collect more outcomes first"
        raise OutcomeError("\n".join((few, *opened.problems)))
    if len(table.queries) < 20:
        raise OutcomeError(f"{opened.path}: {len(table.queries)} queries; training needs at least 20")
    if split is not None and min(len(split.train), len(split.validation)) < 1:
        raise OutcomeError(f"{opened.path}: {len(table.queries)} queries are too few to split; collect more")
