"""Judging an effort router: beside fixed levels, chance and hindsight, on steps that training left out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agentroute.effort.choice import by_episode
from agentroute.effort.ladders import Ladder, find_ladders
from agentroute.effort.step_router import StepRouter
from agentroute.effort.train import EffortConfig, LadderPlan, Progress, always, vectors_of
from agentroute.effort.training import train_effort
from agentroute.effort.walks import Walk
from agentroute.errors import InputError
from agentroute.evaluation.bootstrap import interval, resampled_means
from agentroute.evaluation.effort_report import EffortPolicy, EffortReport, Saving
from agentroute.outcomes import OutcomeFolder

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Judged:
    """A ladder with what each policy came to on the steps that are judged.

    Args:
        ladder: The steps, with every rung of the folder.
        currency: What the router counts in.
        walks: By the policy's name; ``random`` has none, since it is a mean over the rungs.
        episodes: A number per step, the same within an episode; ``None`` where each step stands alone.
    """

    ladder: Ladder
    currency: str
    walks: Mapping[str, Walk]
    episodes: npt.NDArray[np.int64] | None

    def scores(self, name: str) -> Floats:
        """Return the score of each step, or of each episode."""
        steps = self.ladder.score.mean(axis=1) if name == "random" else self.walks[name].score
        return by_episode(steps, self.episodes)

    def spent(self, name: str, price: Floats) -> Floats:
        """Add up what each step, or each episode, cost; NaN where unknown."""
        steps = price.mean(axis=1) if name == "random" else self.walks[name].spent(price)
        if self.episodes is None:
            return steps
        return np.asarray(np.bincount(self.episodes, weights=steps), np.float64)


def evaluate_effort(
    router: StepRouter | str | os.PathLike[str],
    folder: OutcomeFolder | str | os.PathLike[str],
    *,
    seed: int = 0,
    control: bool = True,
    progress: Progress | None = None,
) -> EffortReport:
    """Replay an effort router on recorded outcomes beside what it has to beat.

    On the folder that it was trained on, only steps that training left out are judged; on another, all of
    them. Only steps on which every rung ran are fair to all policies.

    Args:
        router: The router, or its folder.
        folder: The outcomes, or their folder.
        seed: For the bootstrap.
        control: Whether to train a second router on scores dealt out anew, which must show no gain.
        progress: Called as the work goes on.

    Returns:
        The report.

    Raises:
        InputError: A file cannot be read, or nothing is left to judge.
    """
    router = router if isinstance(router, StepRouter) else StepRouter.load(router)
    opened = folder if isinstance(folder, OutcomeFolder) else OutcomeFolder.open(Path(folder))
    tell: Progress = progress or (lambda what, done, total: None)
    tell("evaluating", 0, 2)
    judged = judge(router, opened)
    names = _names(judged)
    policies = {name: _figures(judged, name, seed) for name in names}
    saving = _saving(judged, "agentroute", seed)
    max_loss = float(router.manifest.get("max_loss", 0.01))
    verdict, reason = decide_effort(policies, saving, max_loss, judged[0].ladder.named[-1])
    found = None
    if control:
        tell("training the control", 1, 2)
        config = EffortConfig(
            seed=int(router.manifest["seed"]),
            max_loss=max_loss,
            doubt=float(router.manifest["doubt"]),
            price=router.manifest["price"],
        )
        shuffled = train_effort(
            opened,
            config=config,
            across=bool(router.manifest["across"]),
            agents=router.manifest["agents"],
            embedder=router.embedder,
            shuffled=True,
        )
        found = _saving(judge(shuffled, opened, router), "agentroute", seed)
    tell("evaluating", 2, 2)
    return EffortReport(
        data=opened.path.resolve().name,
        steps=sum(len(part.ladder) for part in judged),
        episodes=None if judged[0].episodes is None else sum(len(part.scores("random")) for part in judged),
        seed=seed,
        currency=judged[0].currency,
        policies=policies,
        saving=saving,
        control=found,
        verdict=verdict,
        reason=reason,
        dropped=sum(part.ladder.dropped for part in judged),
    )


def judge(router: StepRouter, opened: OutcomeFolder, held: StepRouter | None = None) -> list[Judged]:
    """Replay every policy on the steps that are judged.

    Args:
        router: The router.
        opened: The outcomes.
        held: The router whose held-out steps are judged; the router itself by default.

    Returns:
        One part per ladder that the router knows.

    Raises:
        InputError: Nothing is left to judge.
    """
    manifest = (held or router).manifest
    test = set(manifest["test_ids"]) & set(opened.queries)
    found = find_ladders(opened, across=bool(manifest["across"]), agents=manifest["agents"], held_out=test)
    plans = {learned.ladder.name: learned for learned in router.plans}
    parts: list[Judged] = []
    for ladder in found:
        learned = plans.get(ladder.name)
        if learned is None:
            continue
        rows = [not test or record.query.id in test for record in ladder.records]
        part = _judged(learned, ladder.take(np.array(rows, bool)).complete(), router)
        if len(part.ladder):
            parts.append(part)
    if not parts:
        known = ", ".join(plans)
        raise InputError(
            f"{opened.path} has nothing to judge the router by: it knows the ladders {known}, and every rung "
            "must have run on a query that training left out"
        )
    return parts


def _judged(learned: LadderPlan, ladder: Ladder, router: StepRouter) -> Judged:
    place = {rung.agent: column for column, rung in enumerate(ladder.rungs)}
    if missing := [rung.agent for rung in learned.ladder.rungs if rung.agent not in place]:
        raise InputError(f"{ladder.name}: the folder has no outcomes of {', '.join(missing)}")
    used = [place[rung.agent] for rung in learned.ladder.rungs]
    walked = learned.walk(ladder.only(used), vectors_of(ladder, router.embedder))
    asked = np.zeros(ladder.score.shape, bool)
    asked[:, used] = walked.asked
    own = replace(walked, asked=asked, given=np.array(used)[walked.given])
    walks = {f"fixed_{name}": always(ladder.score, n) for n, name in enumerate(ladder.named)}
    _, price = ladder.price(learned.currency)
    best = _cheapest_right(ladder.score, price)
    hindsight = np.zeros(ladder.score.shape, bool)
    hindsight[np.arange(len(ladder)), best] = True
    score = ladder.score[np.arange(len(ladder)), best]
    walks |= {"oracle": Walk(score, hindsight, best, score), "agentroute": own}
    return Judged(ladder, learned.currency, walks, ladder.episodes())


def _cheapest_right(score: Floats, price: Floats) -> npt.NDArray[np.int64]:
    """Return the cheapest of the rungs that score best, step by step."""
    best = score >= score.max(axis=1, keepdims=True) - 1e-9
    return np.asarray(np.where(best, price, np.inf).argmin(axis=1), np.int64)


def _names(judged: Sequence[Judged]) -> list[str]:
    fixed = [name for part in judged for name in part.walks if name.startswith("fixed_")]
    return [*dict.fromkeys(fixed), "random", "oracle", "agentroute"]


def _present(part: Judged, name: str) -> str:
    """A ladder without a level is held to its highest there."""
    return name if name == "random" or name in part.walks else f"fixed_{part.ladder.named[-1]}"


def _columns(judged: Sequence[Judged], name: str, what: str) -> Floats:
    return np.concatenate([part.spent(_present(part, name), _prices(part, what)) for part in judged])


def _prices(part: Judged, what: str) -> Floats:
    if what in ("weight", "highest"):
        return part.ladder.price(what)[1]
    return _known_prices(part.ladder, what)


def _known_prices(ladder: Ladder, what: str) -> Floats:
    return {
        "tokens": ladder.tokens,
        "cost_usd": ladder.cost_usd,
        "all_tokens": ladder.tokens + ladder.read,
    }[what]


def _scores(judged: Sequence[Judged], name: str) -> Floats:
    return np.concatenate([part.scores(_present(part, name)) for part in judged])


def _figures(judged: Sequence[Judged], name: str, seed: int) -> EffortPolicy:
    score = _scores(judged, name)
    low, high = interval(resampled_means(score[:, None], seed)[:, 0])
    top = np.concatenate(
        [
            np.full(len(part.ladder), 1.0 / len(part.ladder.rungs))
            if name == "random"
            else part.walks[_present(part, name)].asked[:, -1]
            for part in judged
        ]
    )
    return EffortPolicy(
        score=float(score.mean()),
        score_low=low,
        score_high=high,
        tokens=_mean(_columns(judged, name, "tokens")),
        cost_usd=_mean(_columns(judged, name, "cost_usd")),
        price=float(_columns(judged, name, judged[0].currency).mean()),
        top_share=float(top.mean()),
    )


def _mean(values: Floats) -> float | None:
    found = float(values.mean())
    return found if np.isfinite(found) else None


def _saving(judged: Sequence[Judged], name: str, seed: int) -> Saving:
    """Compare a policy with the highest rung, step by step, or episode by episode."""
    top = f"fixed_{judged[0].ladder.named[-1]}"
    currency = judged[0].currency
    lost = _scores(judged, top) - _scores(judged, name)
    spent, whole = _columns(judged, name, currency), _columns(judged, top, currency)
    means = resampled_means(np.stack([lost, spent, whole], axis=1), seed)
    saved_low, saved_high = interval(1.0 - means[:, 1] / np.maximum(means[:, 2], 1e-30))
    loss_low, loss_high = interval(means[:, 0])
    mixed = _mixed(judged, float(spent.mean()))
    return Saving(
        saved=float(1.0 - spent.sum() / max(whole.sum(), 1e-30)),
        saved_low=saved_low,
        saved_high=saved_high,
        loss=float(lost.mean()),
        loss_low=loss_low,
        loss_high=loss_high,
        above_mix=None if mixed is None else float(_scores(judged, name).mean() - mixed),
    )


def _mixed(judged: Sequence[Judged], price: float) -> float | None:
    """Say what tossing a coin between two fixed rungs scores at a price, at best."""
    fixed = [name for name in _names(judged) if name.startswith("fixed_")]
    points = sorted(
        (float(_columns(judged, name, judged[0].currency).mean()), float(_scores(judged, name).mean()))
        for name in fixed
    )
    best: float | None = None
    for cost, score in points:
        for other, higher in points:
            if cost <= price <= other:
                share = 0.0 if other == cost else (price - cost) / (other - cost)
                mixed = max(score, higher) if other == cost else score + share * (higher - score)
                best = mixed if best is None else max(best, mixed)
    if best is None and points and price >= points[-1][0]:
        best = max(score for _, score in points)
    return best


def decide_effort(
    policies: Mapping[str, EffortPolicy], saving: Saving, max_loss: float, top: str
) -> tuple[str, str]:
    """Say whether to deploy an effort router.

    It is worth deploying when it really saves (the 95% paired interval is above 0), loses no more than was
    asked, no fixed level does as well at its price or less, and no coin tossed between two of them either.

    Args:
        policies: By name.
        saving: The router against the highest rung.
        max_loss: Points of score (0 to 1) that may be lost.
        top: The name of the highest rung.

    Returns:
        ``deploy`` or ``no gain: keep NAME``, and why, in one sentence.
    """
    own = policies["agentroute"]
    simple = {
        name: policy
        for name, policy in policies.items()
        if name.startswith("fixed_") and policy.price <= own.price * (1 + 1e-9) and policy.score >= own.score
    }
    if simple:
        keep = max(simple, key=lambda name: (simple[name].score, -simple[name].price))
        return f"no gain: keep {keep}", f"{keep} does as well at the same price or less"
    if saving.saved_low <= 0:
        return f"no gain: keep fixed_{top}", "what it saves may be chance"
    if saving.loss > max_loss + 1e-9:
        lost, asked = 100 * saving.loss, 100 * max_loss
        return f"no gain: keep fixed_{top}", f"it loses {lost:.1f} points, and {asked:g} were allowed"
    if saving.above_mix is not None and saving.above_mix <= 0:
        return f"no gain: keep fixed_{top}", "a coin tossed between fixed levels does as well"
    return "deploy", "it saves for certain, and loses no more than was asked"
