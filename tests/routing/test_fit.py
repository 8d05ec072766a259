"""Partial rounds show who ran; voices weigh agents by what their word adds to the others'."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from agentroute.routing.config import TrainConfig
from agentroute.routing.partial import FULL_SHARE, partial_round
from agentroute.routing.voices import fit_voices

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 6))
SCORES = SHAPES.flatmap(
    lambda shape: npst.arrays(np.float32, shape, elements=st.sampled_from([0.0, 0.5, 1.0, float("nan")]))
)


@settings(max_examples=80, deadline=None)
@given(SCORES, st.integers(0, 1000))
def test_who_did_not_run_is_never_shown_and_somebody_is_where_anybody_ran(score, seed):
    shown = partial_round(score, np.random.default_rng(seed).random)
    ran = ~np.isnan(score)
    assert not (shown & ~ran).any()
    assert (shown.any(axis=1) == ran.any(axis=1)).all()


def test_rounds_are_of_every_size_and_good_agents_are_there_more_often():
    score = np.broadcast_to(np.array([0.9, 0.5, 0.5, 0.1], np.float32), (4000, 4))
    shown = partial_round(score, np.random.default_rng(0).random)
    sizes = np.bincount(shown.sum(axis=1), minlength=5) / len(shown)
    assert sizes[0] == 0
    assert (sizes[1:] > 0.05).all()
    assert sizes[4] >= FULL_SHARE
    best, *middle, worst = shown.mean(axis=0)
    assert best > max(middle) > min(middle) > worst


# ---------------------------------------------------------------------------- voices


def crowd(seed, skill, queries=3000):
    """Agents that err on their own: right ones say the same, wrong ones say one of three things."""
    rng = np.random.default_rng(seed)
    right = rng.random((queries, len(skill))) < skill
    groups = np.where(right, 0, 1 + rng.integers(3, size=right.shape))
    return groups.astype(np.int64), right.astype(np.float32)


def voices(groups, score):
    return fit_voices(groups, score, TrainConfig())


@pytest.mark.parametrize("seed", range(3))
def test_the_better_an_agent_the_more_its_word_weighs(seed):
    found = voices(*crowd(seed, [0.9, 0.7, 0.5, 0.25]))
    assert (np.diff(found) < -0.2).all()
    assert abs(found[3]) < 0.4  # right no oftener than any other answer: its word is worth nothing


@pytest.mark.parametrize("seed", range(3))
def test_a_copy_shares_the_weight_of_the_original(seed):
    groups, score = crowd(seed, [0.75, 0.65, 0.65])
    alone = voices(groups, score)
    copied = voices(groups[:, [0, 1, 2, 0]], score[:, [0, 1, 2, 0]])
    assert copied[0] == pytest.approx(copied[3], abs=0.05)
    assert copied[0] < 0.85 * alone[0]
    stranger = voices(*crowd(seed + 10, [0.75, 0.65, 0.65, 0.75]))
    assert copied[[0, 3]].sum() < 0.85 * stranger[[0, 3]].sum()


def test_agents_that_never_ran_or_never_spoke_have_a_finite_voice():
    groups, score = crowd(0, [0.8, 0.6, 0.5, 0.5], queries=200)
    groups[:, 2:], score[:, 2], score[:, 3] = -1, np.nan, 0.0
    found = voices(groups, score)
    assert np.isfinite(found).all()
    nobody = voices(np.full((30, 2), -1), np.full((30, 2), np.nan, np.float32))
    assert np.isfinite(nobody).all()


def test_voices_are_the_same_every_time_and_disturb_nobody():
    groups, score = crowd(1, [0.8, 0.6, 0.4], queries=300)
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    one = voices(groups, score)
    assert torch.equal(torch.rand(3), expected)
    assert np.array_equal(one, voices(groups, score))
