"""What the network is told of its mistakes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import HeteroData

from agentroute.routing.config import TrainConfig
from agentroute.routing.gnn import EMPTY, Scores

ORDER = 0.5
"""Weight of the order among answers beside the loss of each."""


def loss_of(scores: Scores, data: HeteroData, score: Tensor, config: TrainConfig) -> Tensor:
    """Return the loss of every score that was recorded: of agents unasked, of answers, of what is gained."""
    expected, gain = (part.view(score.shape) for part in (scores.expected, scores.gain))
    order = label_loss(expected, score) if config.labels else order_loss(expected, score, 0.25)
    loss = single_loss(expected, score) + config.listwise * order
    if not len(scores.right):
        return loss
    giver = data["answer"].gave
    right = torch.full_like(expected, -1e9).view(-1).scatter(0, giver, scores.right).view(score.shape)
    there = torch.zeros(expected.numel(), dtype=torch.bool).scatter(0, giver, True).view(score.shape)
    seen = torch.where(there, score, torch.nan)
    loss = loss + single_loss(right, seen) + ORDER * order_loss(right, seen, 0.1)
    # What an agent adds is how far it is above the answer that looks best.
    empty = data["answer"].x[:, EMPTY] > 0
    looks = right.detach().view(-1).scatter(0, giver[empty], -1e9).view(score.shape)
    spoke = looks.max(dim=1, keepdim=True)
    held = score.gather(1, spoke.indices).nan_to_num(0.0).masked_fill(spoke.values <= -1e8, 0.0)
    added = torch.where(there, torch.nan, (score - held).clamp(min=0.0))
    return loss + 0.5 * single_loss(gain, added)


def single_loss(logits: Tensor, score: Tensor) -> Tensor:
    """Return the mean binary cross-entropy with scores as chances; NaN did not run, and says nothing."""
    ran = ~torch.isnan(score)
    target = torch.where(ran, score, torch.zeros_like(score))
    each = F.binary_cross_entropy_with_logits(logits.clamp(-50.0, 50.0), target, reduction="none")
    return (each * ran).sum() / ran.sum().clamp(min=1)


def order_loss(logits: Tensor, score: Tensor, temperature: float) -> Tensor:
    """Return the KL divergence of AgentRouter (arXiv 2510.05445): the target is a softmax of scores."""
    ran = ~torch.isnan(score)
    aim = torch.softmax((score / temperature).masked_fill(~ran, -1e9), dim=1)
    said = torch.log_softmax(logits.masked_fill(~ran, -1e9), dim=1)
    several = (ran.sum(1) > 1).to(aim.dtype)  # a lone answer has no order
    return (F.kl_div(said, aim, reduction="none").sum(1) * several).mean()


def label_loss(logits: Tensor, score: Tensor) -> Tensor:
    """Return the cross-entropy of the agents that fit, shared evenly; a query that none fits has none."""
    some = torch.nan_to_num(score).sum(1) > 0
    aim = torch.nan_to_num(score[some])
    said = torch.log_softmax(logits[some].masked_fill(torch.isnan(score[some]), -1e9), dim=1)
    return -(aim / aim.sum(1, keepdim=True) * said).sum() / max(len(score), 1)
