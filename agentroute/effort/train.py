"""Training an effort router: a plan for each ladder, its price chosen on steps that it did not see."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from agentroute.effort.choice import Choice, choose
from agentroute.effort.ladders import Ladder
from agentroute.effort.plan import MOST_RUNGS, TREES, Plan, Seen, make_plan
from agentroute.effort.walks import Walk, walk, walk_episodes
from agentroute.effort.words import learn_words
from agentroute.errors import InputError
from agentroute.knowledge.regression import Regression
from agentroute.outcomes.split import folds
from agentroute.types import Embedder

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]
Progress = Callable[[str, int, int], None]

PRICES = (0.01, 0.02, 0.035, 0.05, 0.065, 0.08, 0.1, 0.12, 0.145, 0.18, 0.22, 0.28, 0.4, 0.7)
"""What a step of the highest rung counts, in points of score (0 to 1): the settings that are tried."""

MARGINS = (0.0, 0.05)
"""Points of score (0 to 1) by which anything else must be worth more than the highest rung; all are tried."""

FOLDS = 5
FEWEST = 40
"""Steps that a ladder needs to be learned from."""

_FOR_RUNGS = (0.065, 0.13)
"""The settings at which sets of rungs are compared, where there are more than a plan uses."""


@dataclass(frozen=True, kw_only=True)
class EffortConfig:
    """How to train.

    Args:
        seed: Same seed, same router.
        max_loss: Points of score (0 to 1) that the router may lose against the highest rung, in the mean;
            below 0, points that it must gain. That nothing is lost, 0, can be promised only without doubt.
        doubt: Standard errors of the loss that are added to it before it is compared with ``max_loss``.
        price: The currency, one of ``ladders.CURRENCIES``; by default the first that is known.
        trees: Trees of each forest.
    """

    seed: int = 0
    max_loss: float = 0.01
    doubt: float = 1.0
    price: str | None = None
    trees: int = TREES

    def __post_init__(self) -> None:
        if not -1 <= self.max_loss <= 1:
            raise InputError(
                f"max_loss is {self.max_loss!r}: points of score, such as 0.01; from -1 (to be gained) to 1"
            )
        if not 0 <= self.doubt < 10:
            raise InputError(f"doubt is {self.doubt!r}: standard errors, from 0 up, such as 0.5")


@dataclass(frozen=True, kw_only=True, eq=False)
class LadderPlan:
    """What was learned of one ladder.

    Args:
        ladder: The rungs that are used, without steps.
        currency: What the prices are counted in.
        tasks: The labels known.
        words: What the words of a step say of each rung.
        mean: Mean score of each rung on the training steps. Shapes: ``(rungs,)``.
        spent: Mean price of each rung. Shapes: the same.
        plan: What to do when.
        choice: How the plan's price was chosen.
        by_episode: Whether steps came in episodes, which are right when all of their steps are.
    """

    ladder: Ladder
    currency: str
    tasks: tuple[str, ...]
    words: Regression
    mean: Floats
    spent: Floats
    plan: Plan
    choice: Choice
    by_episode: bool = False

    def said(self, texts: Sequence[str], vectors: Floats, tasks: Sequence[str | None]) -> Floats:
        """Say how likely each rung does, by words alone. Shapes: ``(steps, rungs)``."""
        return self.words(texts, vectors.astype(np.float32), numbered(tasks, self.tasks)) + self.mean

    def seen(self, ladder: Ladder, vectors: Floats) -> Seen:
        """Read the signs of recorded steps."""
        texts, tasks = [view.text for view in ladder.views], [view.task for view in ladder.views]
        return Seen.of(ladder.views, ladder.replies, self.said(texts, vectors, tasks))

    def walk(self, ladder: Ladder, vectors: Floats, at: int | None = None) -> Walk:
        """Go by the plan on recorded steps of the same rungs."""
        if at is None and self.choice.at is None:
            return always(ladder.score, ladder.score.shape[1] - 1)
        plan = self.plan if at is None else replace(self.plan, at=at)
        return go(plan, self.seen(ladder, vectors), ladder, float(self.mean[-1]))


def go(plan: Plan, seen: Seen, ladder: Ladder, mean: float) -> Walk:
    """Go by a plan on recorded steps, episode by episode where there are any.

    Args:
        plan: The plan.
        seen: What shows of the steps.
        ladder: The steps.
        mean: Mean score of the highest rung in training.

    Returns:
        What came of it.
    """
    episodes = ladder.episodes()
    if episodes is None:
        return walk(plan, seen, ladder.score)
    turn = np.array([view.step for view in ladder.views])
    return walk_episodes(plan, seen, ladder.score, episodes, turn, mean)


def always(score: Floats, rung: int) -> Walk:
    """Ask one and the same rung at every step."""
    asked = np.zeros(score.shape, bool)
    asked[:, rung] = True
    return Walk(score[:, rung], asked, np.full(len(score), rung), np.full(len(score), score[:, rung].mean()))


def numbered(tasks: Sequence[str | None], known: Sequence[str]) -> Indices:
    """Return the position of each task among those known; -1 for none, and for others."""
    place = {task: position for position, task in enumerate(known)}
    return np.array([place.get(task, -1) if task else -1 for task in tasks], np.int64)


def vectors_of(ladder: Ladder, embedder: Embedder | None) -> Floats:
    """Embed the steps; without an embedder the vectors have no width."""
    if embedder is None:
        return np.zeros((len(ladder), 0), np.float32)
    return embedder.embed([view.text for view in ladder.views])


def learn(ladder: Ladder, config: EffortConfig, embedder: Embedder | None, tell: Progress) -> LadderPlan:
    """Learn when which rung of a ladder is enough.

    Args:
        ladder: Training steps.
        config: How to train.
        embedder: For vectors of the steps' texts; words alone without it.
        tell: Called as the work goes on.

    Returns:
        What was learned.

    Raises:
        InputError: Too few steps on which every rung ran.
    """
    known = ladder.complete()
    if len(known) < FEWEST:
        raise InputError(
            f"{ladder.name}: every rung ran on {len(known)} training steps; it takes {FEWEST} to learn from"
        )
    began = time.monotonic()
    vectors = vectors_of(known, embedder)
    tasks = tuple(sorted({view.task for view in known.views if view.task}))
    used = _best_rungs(known, vectors, tasks, config, tell)
    known = known.only(used)
    currency, price = known.price(config.price)
    prices = [share / float(price[:, -1].mean()) for share in PRICES]
    parts = folds(known.records, config.seed, FOLDS)
    settings = [(at, margin) for margin in MARGINS for at in range(len(prices))]
    pieces: list[tuple[Indices, list[Walk]]] = []
    seen = _seen(known, np.zeros_like(known.score))
    for number, held in enumerate(parts):
        tell(f"cross-fitting {ladder.name}", number, FOLDS + 1)
        rest = np.setdiff1d(np.arange(len(known)), held)
        words, loo, mean = _words(known.take(rest), vectors[rest], tasks, config.seed)
        plan = make_plan(
            seen.take(rest).with_said(loo),
            known.score[rest],
            price[rest],
            prices,
            seed=config.seed,
            trees=config.trees,
        )
        some = known.take(held)
        texts, labels = [view.text for view in some.views], [view.task for view in some.views]
        said = words(texts, vectors[held].astype(np.float32), numbered(labels, tasks)) + mean
        there = seen.take(held).with_said(said)
        level = float(known.score[rest, -1].mean())
        walks = [go(replace(plan, at=at, margin=margin), there, some, level) for at, margin in settings]
        pieces.append((held, walks))
    tell(f"cross-fitting {ladder.name}", FOLDS, FOLDS + 1)
    tried = [
        (at, margin, _joined(len(known), [(held, walks[n]) for held, walks in pieces]))
        for n, (at, margin) in enumerate(settings)
    ]
    choice = choose(tried, known.score[:, -1], price, known.episodes(), config.max_loss, config.doubt)
    words, loo, mean = _words(known, vectors, tasks, config.seed)
    plan = make_plan(seen.with_said(loo), known.score, price, prices, seed=config.seed, trees=config.trees)
    tell(f"cross-fitting {ladder.name}", FOLDS + 1, FOLDS + 1)
    return LadderPlan(
        ladder=known.take([]),
        currency=currency,
        tasks=tasks,
        words=words,
        mean=mean,
        spent=price.mean(axis=0),
        plan=replace(plan, at=choice.at or 0, margin=choice.margin),
        by_episode=known.episodes() is not None,
        choice=replace(choice, seconds=round(time.monotonic() - began, 1), steps=len(known)),
    )


def _seen(known: Ladder, said: Floats) -> Seen:
    return Seen.of(known.views, known.replies, said)


def _words(
    known: Ladder, vectors: Floats, tasks: Sequence[str], seed: int
) -> tuple[Regression, Floats, Floats]:
    mean = known.score.mean(axis=0)
    texts = [view.text for view in known.views]
    labels = numbered([view.task for view in known.views], tasks)
    words, loo = learn_words(texts, vectors, labels, len(tasks), known.score, seed)
    return words, loo + mean, mean


def _joined(count: int, pieces: Sequence[tuple[Indices, Walk]]) -> Walk:
    order = np.argsort(np.concatenate([held for held, _ in pieces]))
    parts = [part for _, part in pieces]
    assert len(order) == count
    return Walk(
        np.concatenate([part.score for part in parts])[order],
        np.concatenate([part.asked for part in parts])[order],
        np.concatenate([part.given for part in parts])[order],
        np.concatenate([part.chance for part in parts])[order],
    )


def _best_rungs(
    known: Ladder, vectors: Floats, tasks: Sequence[str], config: EffortConfig, tell: Progress
) -> list[int]:
    """Choose the rungs of a long ladder greedily, by what a quick plan is worth; the highest stays."""
    top = len(known.rungs) - 1
    if top < MOST_RUNGS:
        return list(range(top + 1))
    _, price = known.price(config.price)
    prices = [share / float(price[:, top].mean()) for share in _FOR_RUNGS]
    _, loo, _ = _words(known, vectors, tasks, config.seed)
    seen = _seen(known.only([top]), loo[:, [top]])
    chosen, best = [top], -np.inf
    while len(chosen) < MOST_RUNGS - 1:
        found: list[tuple[float, list[int]]] = []
        for rung in range(top):
            if rung in chosen:
                continue
            tell(f"choosing rungs of {known.name}", len(chosen) - 1, MOST_RUNGS - 2)
            tried = sorted([*chosen, rung])
            some = known.only(tried)
            seen = _seen(some, loo[:, tried])
            plan = make_plan(seen, some.score, price[:, tried], prices, seed=config.seed, trees=20)
            assert plan.expected is not None
            found.append((float(plan.expected.mean()), tried))
        value, tried = max(found)
        if value <= best + 1e-3:
            break
        chosen, best = tried, value
    return chosen


def deal_anew(ladder: Ladder, seed: int) -> Ladder:
    """Deal the scores out anew among the steps: a router that learns from these must not gain by them.

    Args:
        ladder: Training steps.
        seed: Same seed, same deal.

    Returns:
        The same steps, answers and prices, with each other's scores.
    """
    known = ladder.complete()
    order = np.random.default_rng(seed).permutation(len(known))
    return replace(known, score=known.score[order])
