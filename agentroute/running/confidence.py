"""How sure a run is of its answer, and whether that keeps what was promised.

A router that judges answers says, when it stops, how likely the best of them is right. That chance belongs to
an answer somebody gave. It passes to the refined answer as far as the two say the same:

- The judged best is quoted, or said in other words: its chance.
- Another of the answers is: that chance, times the weight behind it over the weight behind the judged best.
  A judging router's weights are proportional to the chances of the answers.
- The words are the refiner's own: unknown, since nobody has judged them.

Where nobody judges, confidence is the share of the voting weight that stands behind the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agentroute.answers import group_equal
from agentroute.running.refine import voting_weights
from agentroute.types import Answer, Refined


class Certainty(NamedTuple):
    """How sure a run is of its answer.

    Args:
        confidence: See ``RunResult.confidence``; ``None`` when it is unknown.
        problem: What was promised and not kept, in one line; ``None`` when nothing was.
    """

    confidence: float | None
    problem: str | None


def certainty(
    refined: Refined,
    answers: Sequence[Answer],
    weights: Mapping[str, float],
    decision: Mapping[str, Any] | None,
    target_coverage: float | None = None,
) -> Certainty:
    """Say how sure a run is of its refined answer.

    Args:
        refined: The answer.
        answers: Those it was made of, all ``ok``.
        weights: Their voting weights.
        decision: The last decision of the run, as plain data.
        target_coverage: The share of right answers that was promised, if it is known.

    Returns:
        The confidence, and what breaks a promise. Only a judged answer can keep one.
    """
    judged = decision["confidence"] if decision is not None and decision["stop"] else None
    assured = decision["assured"] if decision is not None else None
    if judged is None:
        broken = None if target_coverage is None else "the run ended before its answers were judged"
        return Certainty(refined.confidence, broken and f"not assured: {broken}")
    confidence = _passed_on(judged, refined.text, answers, weights)
    if target_coverage is None and assured is None:
        return Certainty(confidence, None)
    if confidence is None:
        return Certainty(None, "not assured: nobody has judged the refiner's own words")
    if not assured:
        share = "the promised share of" if target_coverage is None else f"{100 * target_coverage:g}%"
        line = f"not assured: confidence {confidence:.2f} is below what {share} right answers take"
        return Certainty(confidence, line)
    if confidence < judged:
        return Certainty(confidence, "not assured: the refiner did not follow the answer judged best")
    return Certainty(confidence, None)


def _passed_on(
    judged: float, text: str, answers: Sequence[Answer], weights: Mapping[str, float]
) -> float | None:
    """Return the chance of the answers that say what the text says."""
    mine, *groups = group_equal([text, *(answer.text for answer in answers)])
    if mine < 0 or mine not in groups:
        return None
    given = voting_weights(answers, weights)
    behind = dict.fromkeys(groups, 0.0)
    for answer, group in zip(answers, groups, strict=True):
        behind[group] += given[answer.agent]
    most = max(behind.values())
    # Rounding must not turn the best answer's chance into another one.
    return judged if behind[mine] >= most * (1 - 1e-9) else judged * behind[mine] / most
