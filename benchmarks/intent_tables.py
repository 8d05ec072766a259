"""What was summed up over seeds on utterances, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from intent_measuring import SIZES, TCAR_SIZE
from intent_sums import CURVE, DEAF
from measuring import UNBOUNDED, Record
from tables import UNKNOWN, not_measured, page, section

from agentroute.evaluation.set_report import RIVALS

REPORTED = {"clinc150": 0.9125, "hwu64": 0.9163, "sgd_intents": 0.9158}
"""Set recall of TCAndon-Router by the folder's name (arXiv 2601.04544, table 1), on test rows of its own."""


def markdown(summary: Mapping[str, Record], failed: Sequence[Record], command: str) -> str:
    """Write the tables.

    Args:
        summary: What ``summarize`` gave.
        failed: What could not be measured: ``set``, ``seed``, ``change`` and ``error``.
        command: What makes the tables again.

    Returns:
        Markdown.
    """
    parts = ["# Utterances"]
    whole = {name: one for name, one in summary.items() if "ways" in one}
    if whole:
        parts += [_sets(whole, command), _rankings(whole, command)]
    if deaf := {name: one for name, one in whole.items() if DEAF in one}:
        parts.append(_histories(deaf, f"{command} --history"))
    if unseen := {name: one["unseen"] for name, one in whole.items() if one["unseen"]}:
        parts.append(_never_seen(unseen, command))
    if curves := {name: one[CURVE] for name, one in summary.items() if CURVE in one}:
        parts.append(_onboarding(curves, f"{command} --curve"))
    if stressed := {name: one for name, one in whole.items() if one["crowd"]}:
        parts += [_pleas(stressed, f"{command} --stress"), _crowds(stressed, f"{command} --stress")]
    if whole:
        parts.append(_times(whole, command))
    return page([*parts, *not_measured(failed)])


_SHOWN = (
    "top1",
    "mean_set_size",
    "set_recall",
    "unrefused_recall",
    "unrefused_size",
    "in_scope_loss",
    "oos_recall",
    "oos_precision",
)


def _sets(summary: Mapping[str, Record], command: str) -> str:
    rows = []
    for name, one in summary.items():
        for way, found in one["ways"].items():
            if "error" in found:
                rows.append([name, way, found["error"]])
                continue
            reported = REPORTED.get(name) if SIZES[way] == TCAR_SIZE else None
            rows.append([name, way, *(_figure(found[figure]) for figure in _SHOWN), _share(reported)])
    header = (
        "utterances",
        "bound",
        "top-1",
        "mean size",
        "set recall",
        "with none refused",
        "mean size then",
        "lost by refusing",
    )
    note = (
        "Means over seeds, and the 95% bootstrap interval over queries. Top-1: the best-ranked agent fits. "
        "Set recall: share of the agents that fit that are in the set, which is empty where the router says "
        "that none fits; `with none refused` is that of the same sets when it never says so. Mean size "
        "counts the sets that were given. Oos recall: how many of the queries that no agent fits were "
        "refused; oos precision: how many of those refused they are. `TCAR` is what TCAndon-Router reports "
        f"for set recall at a mean size of {TCAR_SIZE:g} (arXiv 2601.04544), on test rows of its own."
    )
    header = (*header, "oos recall", "oos precision", "TCAR")
    return section("Sets", header, rows, note, command)


_HEARD = ("top1", "set_recall", "unrefused_recall", "mean_set_size")


def _histories(summary: Mapping[str, Record], command: str) -> str:
    rows = []
    for name, one in summary.items():
        for what, run in (("with them", one), ("without", one[DEAF])):
            for way, found in run["ways"].items():
                if "error" not in found:
                    rows.append([name, what, way, *(_figure(found[figure]) for figure in _HEARD)])
    note = "The same utterances, trained on and judged with their last two earlier turns, and without any."
    header = ("utterances", "earlier turns", "bound", "top-1", "set recall", "with none refused", "mean size")
    return section("Earlier turns", header, rows, note, command)


def _rankings(summary: Mapping[str, Record], command: str) -> str:
    rows = [
        [
            name,
            _figure(one["ways"][UNBOUNDED]["top1"]),
            *(_share(one["rankings"][rival]) for rival in RIVALS),
            ", ".join(f"{verdict} ({n})" for verdict, n in one["verdicts"].items()),
        ]
        for name, one in summary.items()
    ]
    note = (
        "Top-1 beside that of simpler rankings on the same queries: a regression on words, nearest queries, "
        "a network that sees the query alone, and the nearest card."
    )
    header = ("utterances", "agentroute", *RIVALS, "verdict (seeds)")
    return section("Rankings", header, rows, note, command)


def _never_seen(unseen: Mapping[str, Record], command: str) -> str:
    rows = [
        [
            name,
            ", ".join(one["agents"]),
            f"{one['queries']:,}",
            *(_figure(one[figure]) for figure in ("top1", "top3")),
        ]
        for name, one in unseen.items()
    ]
    note = (
        "Agents of the held-out part without an utterance to learn from, known by their description alone "
        "and ranked among all. The other tables count their utterances too."
    )
    return section("Never seen", ("utterances", "agents", "queries", "top-1", "top-3"), rows, note, command)


_JOINED = ("new_top1", "new_top3", "old_top1", "old_top3", "old_top1_lost")


def _onboarding(curves: Mapping[str, Record], command: str) -> str:
    rows = []
    for name, one in curves.items():
        team = f"{one['newcomers']} of {one['agents']}"
        alone = [_figure(one["before"][f"old_{part}"]) for part in ("top1", "top3")]
        rows.append([name, team, "not there", UNKNOWN, UNKNOWN, *alone, UNKNOWN])
        for step, found in one["steps"].items():
            rows.append(
                [name, team, _how(step, found["given"]), *(_figure(found[figure]) for figure in _JOINED)]
            )
    header = (
        "utterances",
        "newcomers",
        "on their cards",
        "new: top-1",
        "top-3",
        "old: top-1",
        "top-3",
        "old lose",
    )
    note = (
        "A tenth of the agents is left out of training and joins by its card alone, or with some of its "
        "training utterances as examples on the card; all agents are then ranked. `new` are held-out "
        "queries that only newcomers fit, `old` those that an agent of the training fits. `old lose` is "
        "top-1 against the team before, query by query. Means over seeds, each with newcomers of its own, "
        "and 95% bootstrap intervals; queries of one newcomer are drawn together."
    )
    return section("Agents that join later", header, rows, note, command)


def _how(step: str, given: float | None) -> str:
    if given is None:
        return "trained with them"
    fewer = f" ({given:.0f} there)" if given < int(step) else ""
    return f"{step} examples{fewer}"


_READ = ("as it is", "damped", "as it is by cards alone", "damped by cards alone")


def _pleas(summary: Mapping[str, Record], command: str) -> str:
    rows = [
        [name, card, *(_share(found[way]) for way in _READ)]
        for name, one in summary.items()
        for card, found in one["pleading"].items()
    ]
    note = (
        "A newcomer joins whose card says nothing of what it can do. Share of the held-out queries on which "
        "it is ranked first, when its card is read as it is, and as routers read it: without what pleads, "
        "and with few of many keywords. By cards alone: as without any training."
    )
    header = (
        "utterances",
        "card",
        "read as it is",
        "damped",
        *(f"{way}, by cards alone" for way in _READ[:2]),
    )
    return section("Cards that plead", header, rows, note, command)


def _crowds(summary: Mapping[str, Record], command: str) -> str:
    rows = [
        [
            name,
            f"{one['crowd']['agents']:,}",
            f"{one['crowd']['queries']:,}",
            *(_share(one["crowd"][figure]) for figure in ("recall", "fitting")),
            *(f"{one['crowd'][part]:.1f}" for part in ("p50", "p95")),
        ]
        for name, one in summary.items()
    ]
    note = (
        "The agents among made-up ones, half of which vary a real card. Kept: the best-ranked of all is on "
        "the shortlist; fitting kept: one that fits is. `route()` is timed with the vectors at hand."
    )
    header = ("utterances", "agents", "queries", "kept", "fitting kept", "route() p50 ms", "p95 ms")
    return section("Ten thousand agents", header, rows, note, command)


def _times(summary: Mapping[str, Record], command: str) -> str:
    rows = [
        [
            name,
            str(one["agents"]),
            *(f"{one['queries'][part]:,}" for part in ("train", "validation", "judged", "none_fits")),
            ", ".join(map(str, one["seeds"])),
            *(f"{one['seconds'][part]:.0f}" for part in ("train", "evaluate")),
            *(f"{one['route_ms'][part]:.1f}" for part in ("p50", "p95")),
            UNKNOWN if one["route_ms"]["load"] is None else f"{one['route_ms']['load']:.1f}",
        ]
        for name, one in summary.items()
    ]
    header = ("utterances", "agents", "training", "validation", "judged", "of them none fits", "seeds")
    header = (*header, "training seconds", "evaluating seconds", "route() p50 ms", "p95 ms", "load")
    note = (
        "Counts are those of the first seed. In training, texts whose vectors are in the cache are not "
        "embedded again, unless the encoder is tuned; `route()` is timed on texts that are new to it. Load "
        "is that of the machine at that time: a busy one makes every time longer."
    )
    return section("Times", header, rows, note, command)


def _figure(found: Record) -> str:
    if found["mean"] is None:
        return UNKNOWN
    ends = "" if found["low"] is None else f" ({_share(found['low'])} to {_share(found['high'])})"
    return f"{_share(found['mean'])}{ends}"


def _share(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3f}"
