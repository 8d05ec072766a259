"""What would have been decided otherwise: each change is made, and the question routed again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agentroute.explaining.case import Case
from agentroute.explaining.explanation import Change, ChangeKind
from agentroute.explaining.words import without_words, words_of
from agentroute.knowledge.team import Team
from agentroute.types import Extraction, Extractor, Query, RoutingDecision

_EDGE = 1e-12

_SIZE: dict[ChangeKind, int] = {"entity": 0, "word": 0, "task": 0, "example": 0, "budget": 1, "agent": 2}
"""One thing less in the question or on a card is less of a change than half the budget, and that than a
smaller team."""


@dataclass(frozen=True)
class Without:
    """An extractor that overlooks one entity.

    Args:
        inner: Who finds the entities.
        name: The one that is dropped, with all relations to it.
    """

    inner: Extractor
    name: str

    def extract(self, query: Query) -> Extraction:
        """Find the others; see ``types.Extractor``."""
        found = self.inner.extract(query)
        return Extraction(
            entities=tuple(entity for entity in found.entities if entity.name != self.name),
            relations=tuple(tie for tie in found.relations if self.name not in (tie.head, tie.tail)),
        )


def changes(case: Case, about: str, words: Sequence[str], example: str | None) -> tuple[Change, ...]:
    """Route again without each entity, word, example and agent that matters, and with half the budget.

    Args:
        case: What was decided.
        about: The agent that is explained: the first choice, or the best when nobody was chosen.
        words: The words to leave out.
        example: Its nearest example, when it has one.

    Returns:
        One change each.
    """
    return tuple(_changed(case, about, *change) for change in _decided(case, about, words, example))


def smallest_tip(found: Sequence[Change], first: str | None) -> Change | None:
    """Return the smallest change by which another agent is asked first.

    Args:
        found: The changes.
        first: The first choice; leaving it out tips everything, and says nothing.

    Returns:
        The change, or ``None``.
    """
    tips = [one for one in found if one.tips and not (one.kind == "agent" and one.what == first)]
    return min(tips, key=lambda one: (_SIZE[one.kind], abs(one.moved or 0.0)), default=None)


def first_of(decision: RoutingDecision) -> str | None:
    """Return who is asked first: of those selected, the one that ranks highest."""
    return decision.selected[0][0] if decision.selected else None


def log_odds_of(chance: float) -> float:
    """Return the log-odds of a chance, kept finite."""
    chance = min(max(chance, _EDGE), 1.0 - _EDGE)
    return float(np.log(chance) - np.log1p(-chance))


def _decided(
    case: Case, about: str, words: Sequence[str], example: str | None
) -> Iterator[tuple[ChangeKind, str, RoutingDecision]]:
    query, whole = case.query, case.whole
    for entity in whole.extractor.extract(query).entities:
        changed = replace(whole, extractor=Without(whole.extractor, entity.name))
        yield "entity", entity.name, case.again(builder=changed)
    if query.task:
        yield "task", query.task, case.again(query=replace(query, task=None))
    if len(words_of(query.text)) > 1:
        for word in words:
            left = replace(query, text=without_words(query.text, {word}))
            yield "word", word, case.again(query=left)
    if example is not None:
        specs = tuple(
            replace(spec, examples=tuple(text for text in spec.examples if text != example))
            if spec.id == about
            else spec
            for spec in case.agents
        )
        changed = replace(whole, team=Team.build(specs, whole.embedder))
        yield "example", example, case.again(builder=changed)
    if len(case.agents) > 1:
        for agent in case.decision.weights:
            rest = np.array([i for i, spec in enumerate(case.agents) if spec.id != agent], dtype=np.int64)
            yield "agent", agent, case.again(builder=whole.take(rest))
    cost = case.decision.expected_cost_usd
    if cost:
        yield "budget", f"{cost / 2:.6g}", case.again(budget_usd=cost / 2)


def _changed(case: Case, about: str, kind: ChangeKind, what: str, decision: RoutingDecision) -> Change:
    chances = {place.agent: place.score for place in decision.ranking}
    log_odds = log_odds_of(chances[about]) if about in chances else None
    first = first_of(decision)
    return Change(
        kind=kind,
        what=what,
        first=first,
        selected=tuple(decision.weights),
        log_odds=log_odds,
        moved=None if log_odds is None else log_odds - float(case.logits[case.column[about]]),
        tips=first != first_of(case.decision),
    )
