"""What the record says of a run that broke off: how far it had come, what it had spent, how to go on."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentroute.errors import InputError
from agentroute.running.keeping.journal import Journal, default_path
from agentroute.running.keeping.story import Plain, Story
from agentroute.running.result import read_result
from agentroute.types import Query, RunResult, Usage, from_plain, to_plain


@dataclass(frozen=True, kw_only=True)
class Past:
    """What a run did before it broke off.

    Args:
        run_id: The run's name.
        query: What was asked.
        notes: What its result shall say, though nothing went wrong.
        decisions: The decisions so far, as plain data.
        answers: The answers so far that stay, as plain data.
        problems: What was wrong so far.
        weights: The voting weights so far.
        wave: Whom the run had sent and who are to be sent again, since they have no answer.
        spent: What was spent on answers that do not stay, and on calls that were sent and whose outcome
            nobody knows: of these, the number of requests is known and the rest is not.
        charged: The same, with the reserve of each such call in place of what is unknown.
    """

    run_id: str
    query: Query
    notes: tuple[str, ...] = ()
    decisions: tuple[Plain, ...] = ()
    answers: tuple[Plain, ...] = ()
    problems: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    wave: tuple[str, ...] = ()
    spent: Usage = field(default_factory=Usage)
    charged: Usage = field(default_factory=Usage)


def take_up(journal: Journal, run: str) -> Past | RunResult:
    """Become the one writer of a run that broke off, or that ended without an answer.

    Args:
        journal: Where it is on record.
        run: Its name, or enough of its beginning.

    Returns:
        How far it had come; or its result, when it has one already.

    Raises:
        InputError: There is no such run, or a live process is at it.
        StorageError: The journal cannot be read or written.
    """
    story = journal.story(run)
    if story.row.state in ("complete", "degraded"):
        return result_of(story)
    failed = story.row.state == "failed"
    journal.claim(story.row.id, anew=failed)
    journal.add(story.row.id, "reopened", {"anew": failed}, durable=True).result()
    return past_of(journal.story(story.row.id))


def resume_command(journal: Journal, run: str, origin: Mapping[str, Any]) -> str:
    """Write the command that goes on with a run.

    Args:
        journal: Where it is on record.
        run: Its name.
        origin: Where its team came from.

    Returns:
        The command, with all that the record must not decide: where it is, and whose code may run.
    """
    parts = ["agentroute", "runs", "resume", run]
    if journal.path != default_path():
        parts += ["--journal", str(journal.path)]
    for module in origin.get("allow") or ():
        parts += ["--allow", str(module)]
    return shlex.join(parts)


def past_of(story: Story) -> Past:
    """Read from the record how far a run had come.

    Args:
        story: The run. Whenever it was taken up after it had failed, those who had no answer count as not
            asked; whenever it was taken up at all, calls still open then are lost.

    Returns:
        What it did.
    """
    kept: dict[str, Plain] = {}
    open_: dict[str, list[Usage]] = {}
    routed: list[Plain] = []
    gone: list[Plain] = []
    lost: list[Usage] = []
    for entry in story.entries:
        agent = str(entry.agent)
        if entry.kind == "routed":
            routed.append(entry.data)
        elif entry.kind == "sent":
            open_.setdefault(agent, []).append(from_plain(Usage, entry.data["spends"]))
        elif entry.kind == "answered":
            kept[agent] = entry.data
            open_.pop(agent, None)
        elif entry.kind == "ended":
            open_.clear()
        elif entry.kind == "reopened":
            lost += [one for calls in open_.values() for one in calls]
            open_.clear()
            if entry.data["anew"]:
                gone += [plain for plain in kept.values() if plain["status"] != "ok"]
                kept = {name: plain for name, plain in kept.items() if plain["status"] == "ok"}
    asked = list(dict.fromkeys(agent for turn in routed for agent in turn["wave"]))
    while routed and not routed[-1]["wave"]:
        routed.pop()  # it is decided again, from the same answers
    past = sum((from_plain(Usage, plain["usage"]) for plain in gone), Usage())
    notes = [*story.data["notes"], *(turn["note"] for turn in routed if turn["note"])]
    if lost:
        notes.append(_told(lost))
    if story.damaged:
        notes.append(
            f"{story.damaged} entries of this run's record are damaged; whose they were was asked again"
        )
    return Past(
        run_id=story.row.id,
        query=from_plain(Query, story.data["query"]),
        notes=tuple(notes),
        decisions=tuple(turn["decision"] for turn in routed if turn["decision"] is not None),
        answers=tuple(kept[agent] for agent in asked if agent in kept),
        problems=tuple(line for turn in routed for line in turn["problems"]),
        weights=routed[-1]["weights"] if routed else {},
        wave=tuple(agent for agent in asked if agent not in kept),
        spent=sum((_unknown(one) for one in lost), past),
        charged=sum(lost, past),
    )


def result_of(story: Story, resume: str | None = None) -> RunResult:
    """Return the result of a run that has ended.

    Args:
        story: The run.
        resume: How to go on with it, for the error of a run without an answer.

    Returns:
        Its result.

    Raises:
        InputError: It has not ended.
        RunError: It ended without an answer; this is the error that it ended with.
    """
    ends = [entry.data for entry in story.entries if entry.kind == "ended"]
    if not ends:
        raise InputError(
            f"run {story.row.id} has not ended: it is {story.row.state}; "
            f"`agentroute runs resume {story.row.id}` goes on with it"
        )
    given = {entry.agent: entry.data for entry in story.entries if entry.kind == "answered"}
    answers = [given[agent] for agent in ends[-1]["answers"] if agent in given]
    return read_result({**ends[-1], "run_id": story.row.id, "answers": answers}, lambda run: resume)


def _unknown(estimate: Usage) -> Usage:
    """Return what is known of a call that was lost; what cost nothing beforehand is not unknown."""
    if estimate == Usage(requests=estimate.requests):
        return estimate
    tokens = None if estimate.requests else 0
    return Usage(
        requests=estimate.requests,
        input_tokens=tokens,
        output_tokens=tokens,
        reasoning_tokens=tokens,
        cost_usd=None,
    )


def _told(lost: list[Usage]) -> str:
    reserve = sum(lost, Usage()).cost_usd
    at_most = "" if reserve is None else f"; charged their reserve of ${reserve:.6f}"
    calls = "1 call" if len(lost) == 1 else f"{len(lost)} calls"
    return f"{calls} had left when this run broke off, and what that cost is unknown{at_most}"


def plain_start(past: Past) -> Plain:
    """Return the state that a run goes on from."""
    return {
        "question": None,
        "run_id": past.run_id,
        "query": to_plain(past.query),
        "notes": list(past.notes),
        "answers": list(past.answers),
        "decisions": list(past.decisions),
        "problems": list(past.problems),
        "wave": list(past.wave),
        "weights": dict(past.weights),
        "earlier": to_plain(past.spent),
        "halt": "",
        "answer": "",
        "confidence": None,
        "failure": None,
    }
