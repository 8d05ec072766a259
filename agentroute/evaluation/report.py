"""The report of an evaluation: as a table, as JSON, as a picture."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentroute.evaluation.verdict import PolicyScore
from agentroute.routing.baselines import NAMES as BASELINES

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from agentroute.evaluation.joint import Joint

EXTRA = tuple(f"agentroute_{name}" for name in ("top1", "one_round", "acar", "cascade", "growing"))
"""The router held to one way of asking: known methods as settings of one mechanism, then our own."""

_DETAILS = (
    *("left_out", "agents", "why", "headroom"),
    *("calibration_error", "answer_error", "reliability", "notes"),
)
_JSON_KEYS = ("score", "score_low", "score_high", "cost_usd", "calls", "latency_s")


@dataclass(frozen=True, kw_only=True)
class Control:
    """What the same training came to when every query was given another query's scores.

    Args:
        policy: The control as it would be deployed. It may still gain by voting, which needs no labels.
        top1: The control held to one agent a query.
        leaks: Whether that beats the agent that turned out best on these queries, which wrong labels cannot.
    """

    policy: PolicyScore
    top1: PolicyScore
    leaks: bool


@dataclass(frozen=True, kw_only=True)
class Promise:
    """Whether the answers that the router called sure were right as often as it promised.

    Args:
        target: The share promised, 0 to 1.
        threshold: The confidence from which on an answer was called sure.
        share: Part of the queries whose answer was called sure.
        right: Mean score of those; ``None`` when there were none.
    """

    target: float
    threshold: float
    share: float
    right: float | None


@dataclass(frozen=True, kw_only=True)
class Report:
    """A router beside its baselines, on the same queries.

    Args:
        data: The folder's name.
        n_queries: Queries that were judged.
        left_out: Queries that were not, since some agent did not run on them.
        agents: The ids of the agents.
        seed: Of the bootstrap and the random baseline.
        verdict: ``deploy`` or ``no gain: keep NAME``.
        why: The reason, in one sentence.
        policies: Results by name; ``None`` where a baseline cannot be computed.
        calibration_error: Mean distance of the router's predicted scores from what came, 0 to 1.
        reliability: For answers of about one confidence: the mean confidence, their mean score, and how many
            there are; empty when the router does not judge answers.
        promise: Whether ``target_coverage`` was kept, or ``None`` when none was asked for.
        control: The shuffled-label control, or ``None`` when it was not run.
        joint: What it brings to choose agent and level together; ``None`` where no agents are levels of one
            another.
        notes: What a reader has to know.
    """

    data: str
    n_queries: int
    left_out: int
    agents: tuple[str, ...]
    seed: int
    verdict: str
    why: str
    policies: Mapping[str, PolicyScore | None]
    calibration_error: float
    reliability: tuple[tuple[float, float, int], ...]
    promise: Promise | None
    control: Control | None
    joint: Joint | None = None
    notes: tuple[str, ...] = ()

    @property
    def headroom(self) -> float:
        """What a perfect choice of one agent a query would add to the best single agent's score, 0 to 1."""
        oracle, single = self.policies["oracle"], self.policies["best_single"]
        return oracle.score - single.score if oracle is not None and single is not None else 0.0

    @property
    def answer_error(self) -> float | None:
        """How far the confidence in answers was from their scores, on average (ECE), 0 to 1."""
        total = sum(count for _, _, count in self.reliability)
        if not total:
            return None
        return sum(abs(said - came) * count for said, came, count in self.reliability) / total

    def to_json(self, *, details: bool = False) -> dict[str, Any]:
        """Return plain data; ``None`` is unknown.

        Args:
            details: Add what the fixed format has no place for: gains, presets, the control, notes.

        Returns:
            ``data``, ``n_queries``, ``seed``, ``verdict`` and ``policies``; ``joint_choice`` where agents are
            levels of one another.
        """
        names = (*BASELINES, "agentroute")
        data: dict[str, Any] = {
            "data": self.data,
            "n_queries": self.n_queries,
            "seed": self.seed,
            "verdict": self.verdict,
            "policies": {name: _plain(self.policies.get(name)) for name in names},
        }
        if self.joint is not None:
            data["joint_choice"] = self.joint.plain()
        if details:
            data["policies"] = {name: asdict(p) if p else None for name, p in self.policies.items()}
            data["control"] = None if self.control is None else asdict(self.control)
            data["promise"] = None if self.promise is None else asdict(self.promise)
            data |= {name: getattr(self, name) for name in _DETAILS}
        return data

    def table(self) -> Table:
        """Return the results as a table for the terminal."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        title = Text(f"{self.data}: {self.n_queries:,} queries, {len(self.agents)} agents")
        table = Table(title=title, box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("policy", no_wrap=True)
        for name in ("score", "95%", "gain in points, 95%", "USD", "calls", "sec"):
            table.add_column(name, justify="right", no_wrap=True)
        for name, policy in self.policies.items():
            style = "bold" if name == "agentroute" else "dim" if name == "oracle" else None
            shown = name.replace("agentroute_", "  ")  # held to one way of asking
            table.add_row(shown, *_cells(policy), style=style, end_section=name == "oracle")
        return table

    def lines(self) -> tuple[str, ...]:
        """Return what stands below the table, the verdict last."""
        headroom = f"headroom: {100 * self.headroom:.1f} points from best_single to oracle"
        calibration = f"calibration: predicted scores are {100 * self.calibration_error:.1f} points off"
        if self.answer_error is not None:
            calibration += f", confidence in answers {100 * self.answer_error:.1f}"
        found = [f"{headroom}; {calibration}"]
        if self.promise is not None:
            kept, right = self.promise, self.promise.right
            found.append(
                f"promise: {kept.target:.0%} right; called sure: {kept.share:.0%} of the answers, "
                + ("none to be right or wrong" if right is None else f"{right:.1%} of them right")
            )
        if self.control is not None:
            one, all_ = self.control.top1, self.control.policy
            found.append(
                f"shuffled-label control: gain {_points(all_)} as deployed, {_points(one)} with one agent"
            )
        return (*found, *self.notes, f"verdict: {self.verdict} ({self.why})")

    def __rich__(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        *lines, verdict = self.lines()
        colour = "green" if self.verdict == "deploy" else "yellow"
        joint = () if self.joint is None else (self.joint.table(),)
        return Group(self.table(), *joint, *map(Text, lines), Text(verdict, style=f"bold {colour}"))

    def __str__(self) -> str:
        return plain_page(self)

    def plot(self, path: str | os.PathLike[str]) -> Path:
        """Draw score against price: every policy a point, the best at each price joined by a line.

        Args:
            path: Where to; its ending decides the format, such as ``.png`` or ``.svg``.

        Returns:
            The path.

        Raises:
            MissingExtraError: matplotlib is not installed.
            InputError: The path cannot be written, or has an ending that is no picture.
        """
        from agentroute.evaluation.picture import draw

        title = f"{self.data}, {self.n_queries:,} queries: {self.verdict}"
        return draw(self.policies, title, Path(path), () if self.joint is None else self.joint.frontier)

    def plot_reliability(self, path: str | os.PathLike[str]) -> Path:
        """Draw how often answers of one confidence were right.

        Args:
            path: Where to; its ending decides the format, such as ``.png`` or ``.svg``.

        Returns:
            The path.

        Raises:
            MissingExtraError: matplotlib is not installed.
            InputError: The path cannot be written, has an ending that is no picture, or this router does not
                judge answers.
        """
        from agentroute.evaluation.picture import draw_reliability

        return draw_reliability(self.reliability, f"{self.data}, {self.n_queries:,} queries", Path(path))


def _plain(policy: PolicyScore | None) -> dict[str, float | None]:
    return {key: None if policy is None else getattr(policy, key) for key in _JSON_KEYS}


def _cells(policy: PolicyScore | None) -> tuple[str, ...]:
    if policy is None:
        return ("-",) * 6
    return (
        share(policy.score),
        f"{share(policy.score_low)}-{share(policy.score_high)}",
        _points(policy),
        "-" if policy.cost_usd is None else f"{policy.cost_usd:.2g}" if policy.cost_usd else "0",
        f"{policy.calls:.2f}",
        "-" if policy.latency_s is None else f"{policy.latency_s:.2g}",
    )


def _points(policy: PolicyScore) -> str:
    return points(policy.gain, policy.gain_low, policy.gain_high)


def share(value: float) -> str:
    """Write a share of 0 to 1 with three digits."""
    return f"{value:.3f}".removeprefix("0")


def points(gain: float, low: float, high: float) -> str:
    """Write a difference of shares, and its interval, in points of a hundred."""
    if gain == low == high == 0:
        return "0"
    return f"{100 * gain:+.1f} ({100 * low:+.1f} {100 * high:+.1f})"


def plain_page(shown: Any) -> str:
    """Write what ``rich`` can show as plain text of at most 100 columns."""
    from rich.console import Console

    page = Console(file=StringIO(), width=100, color_system=None, legacy_windows=False)
    page.print(shown)
    text: str = page.file.getvalue()  # type: ignore[attr-defined]  # the StringIO above
    return "\n".join(line.rstrip() for line in text.splitlines())
