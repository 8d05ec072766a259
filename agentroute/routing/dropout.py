"""Dropout that costs little: PyTorch's own draws one number after the other, and is a fifth of training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agentroute.errors import InputError

SIDES = 256
"""Values of a random byte; one byte decides about one feature."""


class Dropout(nn.Module):
    """Drop hidden features in training, and scale up the others (Srivastava et al. 2014).

    Args:
        share: Share of them that is dropped, from 0 to below 1, to the nearest of ``SIDES`` steps.

    Raises:
        InputError: The share is another number.

    Shapes: any, the same in and out.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        if not 0 <= share < 1:
            raise InputError(
                f"dropout is {share}: a share of hidden features, from 0 to below 1, such as 0.3"
            )
        self.dropped = min(round(share * SIDES), SIDES - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Drop some features; in evaluation mode, none."""
        if not (self.training and self.dropped):
            return x
        count = x.numel()
        # Eight bytes in one draw.
        drawn = torch.empty(-(-count // 8), dtype=torch.int64).random_(-(2**63), None)
        kept = drawn.view(torch.uint8)[:count].view(x.shape) >= self.dropped
        return x * kept.to(x.dtype).mul_(SIDES / (SIDES - self.dropped))

    def extra_repr(self) -> str:
        """Return the share, for ``print``."""
        return f"{self.dropped / SIDES:g}"
