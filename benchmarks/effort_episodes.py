"""Composed episodes: recorded steps chained by chance, of which all must be right."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from agentroute.outcomes import OutcomeFolder
from agentroute.outcomes.records import Outcome, QueryRecord
from agentroute.outcomes.split import split_queries

DEALS = 8
"""Times that the judged steps are dealt into episodes; those of training are dealt once, since a step that is
there twice would be known from its twin."""


def compose(folder: Path, out: Path, length: int, seed: int) -> Path:
    """Write an outcome folder whose queries are steps of episodes.

    Args:
        folder: An outcome folder.
        out: Where to; replaced if it is there.
        length: Steps of an episode.
        seed: Decides who is judged, and the deal.

    Returns:
        ``out``. Its queries say whether they are for training or for judging, which share no question.
    """
    opened = OutcomeFolder.open(folder)
    records = tuple(opened.queries.values())
    split = split_queries(records, seed)
    parts = {"test": split.test, "train": np.sort(np.concatenate([split.train, split.validation]))}
    rng = np.random.default_rng(seed)
    outcomes: dict[str, list[Outcome]] = {}
    for outcome in opened.read():
        outcomes.setdefault(outcome.query, []).append(outcome)
    queries, answers = [], []
    for part, rows in parts.items():
        for deal in range(DEALS if part == "test" else 1):
            order = rng.permutation(rows)
            for start in range(0, len(order) - length + 1, length):
                for turn, row in enumerate(order[start : start + length], 1):
                    one = records[row]
                    name = f"{part}-{deal}-{start // length}-{turn}"
                    meta = {"episode": f"{part}-{deal}-{start // length}", "step": turn, "split": part}
                    step = QueryRecord(
                        query=type(one.query)(
                            id=name, text=one.query.text, context=one.query.context, task=one.query.task
                        ),
                        meta=meta,
                    )
                    queries.append(step.to_json())
                    answers += [_renamed(each, name) for each in outcomes.get(one.query.id or "", ())]
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    shutil.copyfile(folder / "agents.yaml", out / "agents.yaml")
    (out / "queries.jsonl").write_text("\n".join(queries) + "\n", "utf-8")
    (out / "outcomes.jsonl").write_text("\n".join(answers) + "\n", "utf-8")
    return out


def _renamed(outcome: Outcome, name: str) -> str:
    from dataclasses import replace

    return replace(outcome, query=name).to_json()
