"""The questions of the workbench, made from facts and wordings; the same ones every time.

Training and test questions share neither wordings nor facts: the passages are split by region, the table of
facts by row, sums and dates by their numbers. No agent reads this module, or anything that only it reads.
"""

from __future__ import annotations

from typing import Any

from agentroute.types import Query
from agentroute.workbench import exercises, fact_questions, passage_questions
from agentroute.workbench.items import spread

Record = tuple[Query, tuple[str, ...], dict[str, Any]]

_FAMILIES = {
    # family: (who makes its questions, how many for training, how many for the test)
    "arithmetic": (exercises.arithmetic, 52, 27),
    "units": (exercises.units, 48, 24),
    "calendar": (exercises.calendar, 48, 24),
    "facts": (fact_questions.facts, 56, 30),
    "single": (passage_questions.single, 64, 36),
    "paraphrase": (passage_questions.paraphrase, 56, 30),
    "two-hop": (passage_questions.two_hop, 60, 34),
    "comparison": (passage_questions.comparison, 50, 26),
    "reverse": (passage_questions.reverse, 36, 20),
    "derived": (passage_questions.derived, 36, 20),
}


def records() -> tuple[Record, ...]:
    """Make all questions.

    Returns:
        ``(query, gold answers, meta)`` triples, for training first. No query has a task label, which a
        user would not have either. ``meta`` holds ``split`` (``train`` or ``test``), ``family``,
        ``template``, ``facts`` (what one has to know) and ``metric`` (a name of the scoring).
    """
    made: list[Record] = []
    for split in ("train", "test"):
        for family, (make, for_training, for_test) in _FAMILIES.items():
            n = for_training if split == "train" else for_test
            for number, item in enumerate(spread(make(split), n, f"{family}/{split}"), 1):
                query = Query(id=f"{family}-{split}-{number:03d}", text=item.text)
                meta = {
                    "split": split,
                    "family": family,
                    "template": f"{family}.{item.template}",
                    "facts": list(item.facts),
                    "metric": item.metric,
                }
                made.append((query, item.gold, meta))
    return tuple(made)
