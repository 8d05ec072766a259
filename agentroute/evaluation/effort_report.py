"""The report on an effort router: policies with score and price, what is saved, the control, the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult

from agentroute.evaluation.report import plain_page


@dataclass(frozen=True, kw_only=True)
class EffortPolicy:
    """How one policy did; ``None`` is unknown.

    Args:
        score: Mean score of steps, or of episodes, 0 to 1.
        score_low: Lower end of its 95% bootstrap interval.
        score_high: Upper end.
        tokens: Tokens written, all calls of a step together.
        cost_usd: US dollars.
        price: In the currency that the router counts in.
        top_share: Share of the steps on which the highest rung was asked.
    """

    score: float
    score_low: float
    score_high: float
    tokens: float | None
    cost_usd: float | None
    price: float
    top_share: float


@dataclass(frozen=True, kw_only=True)
class Saving:
    """A policy against the highest rung, on the same steps.

    Args:
        saved: Share of the highest rung's price that was not spent.
        saved_low: Lower end of its 95% paired bootstrap interval.
        saved_high: Upper end.
        loss: Points of score (0 to 1) below the highest rung.
        loss_low: Lower end of its 95% paired bootstrap interval.
        loss_high: Upper end.
        above_mix: Points above the best coin tossed between two fixed rungs at the same price; ``None`` where
            no two have it between them.
    """

    saved: float
    saved_low: float
    saved_high: float
    loss: float
    loss_low: float
    loss_high: float
    above_mix: float | None


@dataclass(frozen=True, kw_only=True)
class EffortReport:
    """What evaluating an effort router found.

    Args:
        data: The folder's name.
        steps: Steps judged.
        episodes: Episodes judged; ``None`` where each step stands alone.
        seed: The bootstrap's.
        currency: What the router counts in.
        policies: By name.
        saving: The router against the highest rung.
        control: The same of a router trained on scores dealt out anew; ``None`` where none was trained.
        verdict: ``deploy`` or ``no gain: keep NAME``.
        reason: Why.
        dropped: Outcomes left out, since their level was asked for and not applied.
    """

    data: str
    steps: int
    episodes: int | None
    seed: int
    currency: str
    policies: Mapping[str, EffortPolicy]
    saving: Saving
    control: Saving | None
    verdict: str
    reason: str
    dropped: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return plain data; unknown is null."""
        return {
            "data": self.data,
            "n_steps": self.steps,
            "n_episodes": self.episodes,
            "seed": self.seed,
            "currency": self.currency,
            "verdict": self.verdict,
            "reason": self.reason,
            "policies": {name: asdict(policy) for name, policy in self.policies.items()},
            "saving": asdict(self.saving),
            "control": None if self.control is None else asdict(self.control),
            "not_applied": self.dropped,
        }

    def plot(self, path: Path) -> Path:
        """Draw score against what was spent, as ``effort_picture.draw_effort`` does."""
        from agentroute.evaluation.effort_picture import draw_effort

        return draw_effort(self, path)

    def __str__(self) -> str:
        return plain_page(self)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        what = f"{self.steps:,} steps" if self.episodes is None else f"{self.episodes:,} episodes"
        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, title=f"{self.data}: {what}")
        priced = self.currency not in ("tokens", "cost_usd")
        paid = (self.currency.replace("_", " "),) if priced else ()
        for name in ("policy", "score", "95%", "tokens", "USD", *paid, "highest asked"):
            table.add_column(name, justify="left" if name == "policy" else "right", no_wrap=True)
        for name, policy in self.policies.items():
            table.add_row(
                Text(name),
                f"{policy.score:.3f}",
                f"{policy.score_low:.3f}-{policy.score_high:.3f}",
                "-" if policy.tokens is None else f"{policy.tokens:,.0f}",
                "-" if policy.cost_usd is None else f"{policy.cost_usd:.4g}",
                *([f"{policy.price:,.4g}"] if priced else []),
                f"{policy.top_share:.0%}",
                style="bold" if name == "agentroute" else None,
            )
        yield table
        yield Text(f"saved, of {self.currency}: {_said(self.saving)}")
        if self.control is not None:
            yield Text(f"control, trained on scores dealt out anew: {_said(self.control)}")
        if self.dropped:
            yield Text(f"{self.dropped:,} outcomes left out: their level was asked for and not applied")
        yield Text(f"verdict: {self.verdict} ({self.reason})")


def _said(saving: Saving) -> str:
    lost = (
        f"loss {100 * saving.loss:+.1f} points ({100 * saving.loss_low:+.1f} {100 * saving.loss_high:+.1f})"
    )
    mix = "" if saving.above_mix is None else f", {100 * saving.above_mix:+.1f} against a coin at its price"
    return f"{saving.saved:.1%} ({saving.saved_low:.1%} {saving.saved_high:.1%}), {lost}{mix}"
