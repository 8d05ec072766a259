"""How much each agent's word weighs in a vote, whatever the question."""

from __future__ import annotations

import numpy as np
import torch

from agentroute.knowledge.graph import Floats, Indices
from agentroute.knowledge.record import logit
from agentroute.routing.config import TrainConfig
from agentroute.routing.partial import partial_round
from agentroute.routing.seeding import reproducible

VOICE_ROWS = 4096

VOICE_STEPS = 200

VOICE_PULL = 4.0
"""Strength of the pull toward a third of the log-odds of an agent's mean score."""


def fit_voices(groups: Indices, score: Floats, config: TrainConfig) -> Floats:
    """Weigh the agents' words, so that the answer with the largest sum of weights is most often right.

    This is a conditional logit over the different answers of a query (McFadden 1974), fitted to random
    partial rounds. Agents that err together share their weight, since only their joint sum is fitted.

    Args:
        groups: Number of the answer per agent, -1 for none. Shapes: ``(queries, agents)``.
        score: Recorded scores, NaN where an agent did not run. Shapes: ``(queries, agents)``.
        config: How to train.

    Returns:
        One weight per agent, as log-odds. Shapes: ``(agents,)``.
    """
    draw = np.random.default_rng(config.seed)
    rows = draw.permutation(len(score))[:VOICE_ROWS]
    score, groups = score[rows], groups[rows]
    with reproducible(config.seed):
        mean = np.nan_to_num(np.nanmean(np.vstack([score, np.full((1, score.shape[1]), 0.5)]), axis=0))
        start = torch.from_numpy(0.3 * logit(mean))
        voice = start.clone().requires_grad_(True)
        same = torch.from_numpy(
            (groups[:, :, None] == groups[:, None, :]) & (groups >= 0)[:, :, None]
        ).float()
        aim = torch.from_numpy(np.nan_to_num(score))
        optimizer = torch.optim.Adam([voice], lr=0.03)
        for _ in range(VOICE_STEPS):
            there = torch.from_numpy(partial_round(score, draw.random) & (groups >= 0)).float()
            behind = torch.einsum("qab,qb->qa", same, there * voice)
            heads = torch.einsum("qab,qb->qa", same, there).clamp(min=1.0)
            absent = there == 0
            # Every answer of a group stands for its share of the group, so that groups are the choices.
            choice = torch.log_softmax((behind - heads.log()).masked_fill(absent, -1e9), dim=1) + heads.log()
            goal = aim * there
            some = goal.sum(1) > 0
            goal = goal[some] / goal[some].sum(1, keepdim=True)
            loss = -(goal * choice[some]).masked_fill(absent[some], 0.0).sum(1).mean()
            loss = loss + VOICE_PULL * ((voice - start) ** 2).sum() / max(len(score), 1)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        found: Floats = voice.detach().numpy()
    return found if np.isfinite(found).all() else np.zeros(score.shape[1], np.float32)
