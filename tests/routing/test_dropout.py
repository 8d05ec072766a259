"""Dropout: the right share, unbiased, no pattern, and nothing of it when the network is used."""

from __future__ import annotations

import pytest
import torch

from agentroute.errors import InputError
from agentroute.routing.dropout import SIDES, Dropout


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
def test_so_many_are_dropped_and_the_mean_stays(share: float) -> None:
    torch.manual_seed(0)
    drop = Dropout(share)
    x = torch.ones(2_003, 61)  # no multiple of eight
    y = drop(x)
    gone = (y == 0).float()
    assert gone.mean().item() == pytest.approx(share, abs=0.01)
    assert y.mean().item() == pytest.approx(1.0, abs=0.03)
    assert len(y.unique()) == 2
    # Each of the eight bytes of a draw drops as many, and says nothing of its neighbours.
    by_byte = gone.flatten()[: gone.numel() // 8 * 8].view(-1, 8)
    assert (by_byte.mean(0) - share).abs().max() < 0.02
    assert torch.corrcoef(by_byte.T).fill_diagonal_(0.0).abs().max() < 0.05


def test_gradients_flow_through_what_was_kept() -> None:
    torch.manual_seed(1)
    x = torch.randn(50, 7, requires_grad=True)
    y = Dropout(0.4)(x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad == 0, y == 0)
    assert x.grad.max().item() == pytest.approx(SIDES / (SIDES - round(0.4 * SIDES)))


def test_a_network_in_use_drops_nothing_and_a_seed_repeats() -> None:
    x = torch.randn(40, 5)
    assert Dropout(0.5).eval()(x) is x and Dropout(0.0)(x) is x
    assert torch.isfinite(Dropout(0.9999)(x)).all()
    torch.manual_seed(3)
    first = Dropout(0.5)(x)
    torch.manual_seed(3)
    assert torch.equal(first, Dropout(0.5)(x))


@pytest.mark.parametrize("share", [1.0, 1.5, -0.1, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(InputError, match=r"dropout is .*: a share of hidden features, from 0 to below 1"):
        Dropout(share)
