"""An explanation in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agentroute.explaining.explanation import Change, Explanation, Past, Reason, Tie, Word

WORDS_TOLD = 6
TIES_TOLD = 4
CHARS = 80

_PARTS = {
    "mean": "its mean score on recorded questions",
    "task": "the task",
    "neighbours": "its scores on questions like this one",
    "words": "the words of the question",
    "network": "the network's correction",
    "nearness": "how near the question is to recorded ones",
    "likeness": "likeness of its description and examples",
    "calibration": "calibration",
}


def tell(explanation: Explanation) -> Iterator[str]:
    """Say all of it, line by line; what belongs below a line is indented.

    Args:
        explanation: What was found.

    Yields:
        Lines.
    """
    yield _short(explanation.query)
    yield from _decided(explanation)
    for reason in explanation.reasons:
        yield from _reason(reason)
    if explanation.past:
        heard = any(p.name == "neighbours" and p.log_odds for r in explanation.reasons for p in r.parts)
        yield "Recorded questions most like it" + (":" if heard else ", which have no part in these scores:")
        yield from (f"  {_past(one)}" for one in explanation.past)
    if explanation.changes:
        yield "What would be otherwise, by routing again:"
        yield from (f"  {_change(one, explanation)}" for one in explanation.changes)
    yield from _tipped(explanation)
    yield from _tested(explanation)
    yield from (f"Note: {note}." for note in explanation.notes)
    if (told := explanation.retold) is not None:
        yield f"In words, by {told.model}, who read the above. Not a cause of the decision, and not checked:"
        yield from (f"  {line}" for line in told.text.splitlines() if line.strip())


def _decided(explanation: Explanation) -> Iterator[str]:
    decision, first = explanation.decision, explanation.first
    if first is None:
        yield f"Nobody would be asked: {decision.reason}."
        if explanation.runner_up:
            yield f"  The best would be {explanation.runner_up}."
        return
    weights = decision.weights
    asked = ", ".join(f"{agent} ({weight:.2f})" for agent, weight in weights.items())
    yield f"Asked, with the weight of the vote: {asked}."
    if explanation.runner_up and explanation.margin is not None:
        who = "Second choice" if explanation.runner_up in weights else "Runner-up"
        lead, policy = explanation.margin, explanation.policy["name"]
        by = f"{first} leads by {lead:.2f} in log-odds"
        if lead < 0:
            by = f"it scores {-lead:.2f} more than {first}, but {policy} does not go by scores alone"
        yield f"  {who}: {explanation.runner_up}; {by}."
        if lead < 0:
            yield f"  {policy}: {_settings(explanation.policy)}."
    if decision.reason != "the first round":
        yield f"  Reason given: {decision.reason}."


def _settings(policy: Mapping[str, Any]) -> str:
    told = {name: value for name, value in policy.items() if name not in ("name", "temperature", "judged")}
    return ", ".join(
        f"{name} {' '.join(map(str, value)) if isinstance(value, (list, tuple)) else value}"
        for name, value in told.items()
    )


def _reason(reason: Reason) -> Iterator[str]:
    who = reason.agent if reason.role == "selected" else f"the runner-up, {reason.agent}"
    score = f"{reason.log_odds:+.2f} in log-odds, {reason.chance:.2f} expected"
    yield f"What makes the score of {who}: {score}"
    for part in reason.parts:
        if abs(part.log_odds) >= 0.005:
            yield f"  {part.log_odds:+.2f}  {_PARTS[part.name]}"
    if reason.words:
        yield f"  words: {_words(reason.words)}"
    if reason.points is not None:
        points = reason.points
        whole = {"all words": points.words, "earlier turns": points.earlier}
        whole |= {"the meaning of the whole": points.vector, "the task, or having none": points.task}
        whole |= {"the tuned encoder": points.foresight}
        sums = ", ".join(f"{name} {100 * value:+.1f}" for name, value in whole.items() if value)
        yield f"  on its mean of {100 * points.mean:.1f} points: {sums}"
    pairs = [term for term in reason.terms if " " in term.text]
    if pairs:
        yield f"  pairs among them: {_words(pairs)}"
    near = f"  likeness: its description {reason.card:.2f}"
    if reason.example is not None:
        near += f", its nearest example {reason.example_cosine:.2f}: {_quoted(reason.example)}"
    yield near
    if reason.ties:
        yield f"  entities: {', '.join(map(_tie, reason.ties[:TIES_TOLD]))}"


def _tie(tie: Tie) -> str:
    weight = "is on its card" if tie.weight == 1.0 else f"{100 * tie.weight:+.1f} points on record"
    return f"{_quoted(tie.entity)} {weight}"


def _words(words: tuple[Word, ...] | list[Word]) -> str:
    told = [
        f"{_quoted(word.text)} {100 * word.points:+.1f}"
        if word.points is not None
        else f"{_quoted(word.text)} {word.log_odds:+.2f}"
        for word in words[:WORDS_TOLD]
    ]
    unit = "points of score" if words[0].points is not None else "in log-odds, each left out alone"
    return f"{', '.join(told)} ({unit})"


def _past(past: Past) -> str:
    name = (past.text and _quoted(past.text)) or past.id or f"row {past.row}"
    scores = ", ".join(
        f"{agent} {'did not run' if score is None else f'{score:.2f}'}"
        for agent, score in past.scores.items()
    )
    return f"{name} (cosine {past.cosine:.2f}, weight {past.weight:.0%}): {scores}"


def _change(change: Change, explanation: Explanation) -> str:
    if change.first is None:
        then = "nobody is asked"
    elif change.tips:
        then = f"{change.first} is asked first"
    elif set(change.selected) != set(explanation.decision.weights):
        then = f"{change.first} is still first; asked: {', '.join(change.selected)}"
    else:
        then = "the same are asked"
    about = explanation.first or explanation.runner_up
    moved = "" if change.moved is None or abs(change.moved) < 0.005 else f" ({about} {change.moved:+.2f})"
    return f"{_without(change, about)}: {then}{moved}"


def _without(change: Change, about: str | None) -> str:
    what = _quoted(change.what)
    return {
        "entity": f"without the entity {what}",
        "word": f"without the word {what}",
        "task": f"without the task {what}",
        "example": f"without {about}'s example {what}",
        "agent": f"without the agent {change.what}",
        "budget": f"with half the budget, ${change.what}",
    }[change.kind]


def _tipped(explanation: Explanation) -> Iterator[str]:
    tip = explanation.tip
    if tip is not None:
        about = explanation.first or explanation.runner_up
        then = f"{tip.first or 'nobody'} is asked first"
        yield f"The smallest change that tips it: {_without(tip, about)}, {then}."
    elif explanation.changes:
        lead = f", which leads by {explanation.margin:.2f}" if (explanation.margin or 0.0) > 0 else ""
        yield (
            f"None of these changes puts another in the place of {explanation.first}{lead}."
            if explanation.first
            else "By none of these changes would anybody be asked."
        )


def _tested(explanation: Explanation) -> Iterator[str]:
    test = explanation.deletion
    if test is None:
        return
    words = ", ".join(map(_quoted, test.words))
    verdict = "the words named matter more" if test.holds else "THE WORDS NAMED MATTER NO MORE THAN OTHERS"
    yield f"Checked by deleting: {verdict}."
    yield f"  without {words}, {test.agent} falls by {test.drop:.2f} in log-odds"
    yield (
        f"  without {len(test.words)} other word{'s' * (len(test.words) > 1)}, by {test.others_drop:.2f} "
        f"(mean of {test.draws} draws, seed {test.seed})"
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 4 * CHARS else f"{line[: 4 * CHARS - 1]}…"


def _quoted(text: str) -> str:
    line = " ".join(text.split())
    return f'"{line if len(line) <= CHARS else f"{line[: CHARS - 1]}…"}"'
