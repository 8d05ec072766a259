"""The report on a router's sets: as tables, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from agentroute.evaluation.report import plain_page, points, share
from agentroute.evaluation.verdict import Rival

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

FIGURES = (
    *("top1", "set_precision", "set_recall", "set_f1", "jaccard", "mean_set_size", "conflicts"),
    *("oos_recall", "oos_precision", "in_scope_loss", "unrefused_recall", "unrefused_size"),
)
"""What a report says of sets; each has its interval."""

RIVALS = ("words", "knn", "query_only", "cards")
"""The baselines. The first three learn from the training part; ``cards`` takes the nearest example, or the
nearest description of an agent that has none."""

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class SetReport:
    """What a router's sets are worth, and whether it ranks better than simple baselines.

    Figures are means over the queries that some agent fits, unless they say otherwise. A query that the
    router refuses (it says that none fits) has an empty set: there, precision, recall, F1 and Jaccard are 0.
    ``None`` is unknown.

    Args:
        data: The folder's name.
        n_queries: Queries that were judged.
        n_oos: Those among them that no agent fits.
        agents: The ids of the agents.
        seed: Of the bootstrap.
        top1: Share of queries whose best-ranked agent fits; refusing does not lower it.
        set_precision: Share of the set that fits.
        set_recall: Share of the agents that fit that are in the set. Where one agent fits each query, this is
            what TCAndon-Router is judged by (arXiv 2601.04544): whether the label is in the set.
        set_f1: Harmonic mean of both, query by query.
        jaccard: Agents that fit and are in the set, of those that fit or are in it.
        mean_set_size: Agents in a set, over the sets that were given, whether or not anybody fits. Refusing
            does not lower it.
        conflicts: Share of the sets given that have more than one agent.
        oos_recall: Share of the queries that no agent fits that were refused.
        oos_precision: Share of the queries refused that no agent fits.
        in_scope_loss: Set recall that refusing costs, 0 to 1: that of the same sets with none refused, less
            that of those given.
        unrefused_recall: Set recall of the same sets with none refused: what a router that cannot say that
            none fits would have, such as TCAndon-Router.
        unrefused_size: Agents in a set when none is refused, over all queries.
        intervals: The 95% bootstrap interval of each figure.
        baselines: Rankings to beat, by name; ``None`` where one cannot be computed.
        verdict: ``deploy`` or ``no gain: keep NAME``.
        why: The reason, in one sentence.
        notes: What a reader has to know.
    """

    data: str
    n_queries: int
    n_oos: int
    agents: tuple[str, ...]
    seed: int
    top1: float
    set_precision: float
    set_recall: float
    set_f1: float
    jaccard: float
    mean_set_size: float | None
    conflicts: float | None
    oos_recall: float | None
    oos_precision: float | None
    in_scope_loss: float
    unrefused_recall: float
    unrefused_size: float
    intervals: Mapping[str, Interval | None]
    baselines: Mapping[str, Rival | None]
    verdict: str
    why: str
    notes: tuple[str, ...] = ()

    def to_json(self, *, details: bool = False) -> dict[str, Any]:
        """Return plain data; ``None`` is unknown.

        Args:
            details: Add what the fixed format has no place for: the agents, the reason, notes.

        Returns:
            ``data``, ``n_queries``, ``n_oos``, ``seed``, every one of ``FIGURES``, ``intervals``,
            ``baselines`` and ``verdict``.
        """
        data: dict[str, Any] = {name: getattr(self, name) for name in ("data", "n_queries", "n_oos", "seed")}
        data |= {name: getattr(self, name) for name in FIGURES}
        data["intervals"] = {name: None if (i := self.intervals[name]) is None else [*i] for name in FIGURES}
        data["baselines"] = {name: asdict(r) if r else None for name, r in self.baselines.items()}
        data["verdict"] = self.verdict
        if details:
            data |= {"agents": [*self.agents], "why": self.why, "notes": [*self.notes]}
        return data

    def tables(self) -> tuple[Table, Table]:
        """Return the figures, and the rankings, as tables for the terminal."""
        figures = _table(f"{self.data}: {self.n_queries:,} queries, {len(self.agents)} agents", "sets", "95%")
        for name in FIGURES:
            value, interval = getattr(self, name), self.intervals[name]
            show = _size if name in ("mean_set_size", "unrefused_size") else share
            ends = "" if interval is None else f"{show(interval[0])}-{show(interval[1])}"
            figures.add_row(_named(name), "-" if value is None else show(value), ends)
        ranking = _table("the best-ranked agent fits", "top1", "95%", "agentroute leads by points, 95%")
        low, high = self.intervals["top1"] or (self.top1, self.top1)
        ranking.add_row("agentroute", share(self.top1), f"{share(low)}-{share(high)}", "", style="bold")
        for name, rival in self.baselines.items():
            ranking.add_row(name, *(("-", "", "") if rival is None else _cells(rival)))
        return figures, ranking

    def lines(self) -> tuple[str, ...]:
        """Return what stands below the tables, the verdict last."""
        oos = f"{self.n_oos:,} of the queries have no agent that fits" if self.n_oos else ""
        nobody = oos or "some agent fits every query: what is said of refusing where none fits is unknown"
        return (nobody, *self.notes, f"verdict: {self.verdict} ({self.why})")

    def __rich__(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        figures, ranking = self.tables()
        *lines, verdict = self.lines()
        colour = "green" if self.verdict == "deploy" else "yellow"
        shown = Text(verdict, style=f"bold {colour}")
        return Group(figures, Text(), ranking, Text(), *map(Text, lines), shown)

    def __str__(self) -> str:
        return plain_page(self)


def _table(title: str, *columns: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _named(figure: str) -> str:
    return figure.replace("oos_", "none-fits ").replace("_", " ")


def _cells(rival: Rival) -> tuple[str, str, str]:
    lead = points(rival.lead, rival.lead_low, rival.lead_high)
    return share(rival.top1), f"{share(rival.top1_low)}-{share(rival.top1_high)}", lead


def _size(value: float) -> str:
    return f"{value:.2f}"
