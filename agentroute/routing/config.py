"""How to train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train.

    Args:
        seed: Decides the split and every random choice; the same seed gives the same weights, bit for bit.
        epochs: Passes over the training part, at most; validation decides which one is kept.
        patience: Steps without a better validation loss before training ends; whole passes are run.
        pass_rows: Queries in one pass, at most; of more, every pass draws others.
        batch_size: Queries in one step.
        learning_rate: Of AdamW; on labels the graph network's steps are longer, by ``lesson.LABEL_PACE``.
        weight_decay: Of AdamW.
        hide_record: Share of agents shown as newcomers in each step, so that the network learns to score
            them.
        listwise: Weight of the ranking loss beside the loss of each single score.
        labels: Whether scores are labels: 1 for an agent that fits, 0 for one that does not. Then the ranking
            loss asks for the right ones alone, and says nothing where none fits.
        call_price: Score (0 to 1) that asking one more agent must bring before validation prefers it.
        sparse_share: Agents that ran on a smaller share of the queries are left out.
        answer_vectors: Whether answers get text vectors. They cost a call of the embedder each; of the sets
            that were measured they helped on the workbench.
        committee: Networks that are trained beside each other where there are few queries; the mean of what
            they say decides. Many queries need only one.
        network: Settings of ``GNNConfig`` that differ from its defaults, as pairs of name and number.
    """

    seed: int = 0
    epochs: int = 200
    patience: int = 240
    pass_rows: int = 1_000_000
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    hide_record: float = 0.1
    listwise: float = 0.3
    labels: bool = False
    call_price: float = 0.001
    sparse_share: float = 0.5
    answer_vectors: bool = False
    committee: int = 3
    network: tuple[tuple[str, Any], ...] = ()
