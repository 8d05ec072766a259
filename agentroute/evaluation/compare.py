"""Evaluating: a router beside everything it has to beat, on queries that training left out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from agentroute.errors import InputError, MissingExtraError, OutcomeError
from agentroute.evaluation.against import Against
from agentroute.evaluation.bootstrap import calibration_error, reliability
from agentroute.evaluation.bounds import hold
from agentroute.evaluation.collection import Progress
from agentroute.evaluation.joint import LACKING, Sides, compare_sides
from agentroute.evaluation.report import EXTRA, Control, Promise, Report
from agentroute.evaluation.verdict import decide
from agentroute.outcomes import OutcomeFolder, OutcomeTable
from agentroute.registry.ladders import ladders_of
from agentroute.routing.baselines import run_baselines
from agentroute.routing.clusters import cluster_of
from agentroute.routing.policy import TopK
from agentroute.routing.replay import Replay, answer_groups, replay
from agentroute.routing.router import GraphRouter


def evaluate(
    router: GraphRouter | str | os.PathLike[str],
    folder: OutcomeFolder | str | os.PathLike[str],
    *,
    seed: int = 0,
    max_calls: float | None = None,
    max_cost_usd: float | None = None,
    target_coverage: float | None = None,
    without: Sequence[str] = (),
    control: bool = True,
    progress: Progress | None = None,
) -> Report:
    """Replay a router and its baselines on recorded outcomes, and compare them query by query.

    On the folder that the router was trained on, only the queries that training left out are judged; on
    another folder, all of them. Only queries on which every agent ran are fair to all policies.

    Args:
        router: The router, or its folder.
        folder: The outcomes, or their folder.
        seed: For the bootstrap and the random baseline.
        max_calls: Agents that the router may ask per query, in the mean.
        max_cost_usd: US dollars that it may spend per query, in the mean.
        target_coverage: Share of right answers that the router is to promise; the report says whether it
            kept the promise here.
        without: Agents to leave out.
        control: Whether to train a second router on shuffled labels, which must show no gain.
        progress: Called as the work goes on.

    Returns:
        The report.

    Raises:
        InputError: A file cannot be read, nothing is left to judge, or the router cannot keep to the bounds.
    """
    router = router if isinstance(router, GraphRouter) else GraphRouter.load(router)
    opened = folder if isinstance(folder, OutcomeFolder) else OutcomeFolder.open(Path(folder))
    if opened.labelled:
        raise InputError(
            f"{opened.path} holds utterances with labels, to which nobody answers; judge it with "
            "evaluate_sets() or `agentroute evaluate`"
        )
    tell: Progress = progress or (lambda what, done, total: None)
    tell("evaluating", 0, 5)
    known = [name for name in opened.registry.ids if name in router.record.agents]
    if not known:
        raise InputError(f"{opened.path} has none of the router's agents: {', '.join(router.record.agents)}")
    # An agent that the router was trained without is left out already.
    table = opened.table(known).without([n for n in without if n in known or n not in opened.registry.ids])
    if not table.agents:
        raise InputError(f"without {', '.join(without)} no agent is left to compare; leave fewer out")
    notes = [*_strangers(opened, known), *opened.problems]
    table, seen, where = left_out_of_training(router, opened, table)
    whole = np.asarray(table.ran.all(axis=1))
    left_out = int((~whole).sum())
    if not whole.any():
        raise OutcomeError(_nothing_left(table, opened.path))
    table = table.take(whole)
    if left_out:
        where = f"{where}; {left_out:,} more were left out, since some agent did not run on them"
    notes.insert(0, where)

    groups = answer_groups(table)
    replays: dict[str, Replay | None] = dict(run_baselines(router, table, groups, seed))
    tell("evaluating", 1, 5)
    growth = router.growth(table)
    bounds = {"max_calls": max_calls, "max_cost_usd": max_cost_usd}
    limits = {name: bound for name, bound in bounds.items() if bound is not None}
    bounded, own = hold(router, lambda one: one.replay(table, groups, growth=growth), limits)
    replays["agentroute"] = own
    notes.append(f"agentroute here: {bounded.setting.policy}")
    tell("evaluating", 2, 5)
    for name in EXTRA:
        try:
            preset = router.with_preset(name.removeprefix("agentroute_"))
        except InputError:
            continue  # no answers' texts, or too few agents for it
        replays[name] = preset.replay(table, groups, growth=growth)
    if growth is None:
        notes.append("no answers were recorded as text: one round, and nothing is learned from answers")
    tell("evaluating", 3, 5)
    single = replays["best_single"]
    assert single is not None  # it needs nothing that a router lacks
    judge = Against(single, seed, cluster_of(table))
    joint, sides = None, Sides.of(router, table, groups, growth)
    if sides.levels:
        replays |= {f"agentroute_fixed_{level}": got for level, (_, got) in sides.fixed(limits).items()}
        joint = compare_sides(sides, single, limits, seed, judge.clusters)
    elif ladders_of(table.agents):
        notes.append(LACKING)
    policies = {name: judge(got) if got is not None else None for name, got in replays.items()}
    logits = router.score([row.query for row in table.queries], table.agents)
    off = calibration_error(1.0 / (1.0 + np.exp(-logits.astype(np.float64))), table.score)
    promise = None if target_coverage is None else _kept(bounded, own, target_coverage)
    tell("evaluating", 4, 5)

    shuffled = None
    if control and not seen:
        notes.append("no shuffled-label control: the router was not trained on this folder")
    elif control:
        try:
            trained = _train_control(router, opened, progress)
            one = trained.with_preset("top1").replay(table, groups)
            shuffled = Control(
                policy=judge(trained.replay(table, groups)),
                top1=judge(one),
                leaks=Against(_best_in_hindsight(router, table, groups), seed, judge.clusters)(one).gain_low
                > 0,
            )
        except MissingExtraError as error:
            notes.append(f"no shuffled-label control: {error}")
    verdict, why = decide(policies)
    if shuffled is not None and shuffled.leaks:
        verdict, why = "no gain: keep best_single", "shuffled labels gain too: something leaks"
    tell("evaluating", 5, 5)
    return Report(
        data=opened.path.resolve().name,
        n_queries=len(table),
        left_out=left_out,
        agents=table.agent_ids,
        seed=seed,
        verdict=verdict,
        why=why,
        policies=policies,
        calibration_error=off,
        reliability=reliability(own.share, own.score) if bounded.policy.judged else (),
        promise=promise,
        control=shuffled,
        joint=joint,
        notes=tuple(notes),
    )


def _strangers(opened: OutcomeFolder, known: Sequence[str]) -> list[str]:
    left = [name for name in opened.registry.ids if name not in known]
    return [f"left out, since the router has no record of them: {', '.join(left)}"] if left else []


def left_out_of_training(
    router: GraphRouter, opened: OutcomeFolder, table: OutcomeTable
) -> tuple[OutcomeTable, bool, str]:
    """Keep the queries that the router has not seen; tell whether it was trained on this folder."""
    name, here = router.manifest.get("data"), opened.path.resolve().name
    held = router.manifest.get("test_ids") or []
    found = [query_id for query_id in held if query_id in opened.queries]
    # A folder may be renamed, or lose queries; one that shares neither name nor all queries is another one.
    seen = name == here if not held else bool(found) and (name == here or len(found) == len(held))
    if seen and found:
        chosen = set(found)
        mine = np.array([row.query.id in chosen for row in table.queries])
        return table.take(mine), True, f"judged on the {len(found):,} queries that training left out"
    if seen:
        warning = "THE ROUTER WAS TRAINED ON THESE QUERIES, so these figures are too good"
        return table, True, f"{warning}; train without --all to hold some out"
    return table, False, f"the router was trained on {name}; judged on all {len(table):,} queries of {here}"


def _nothing_left(table: OutcomeTable, path: Path) -> str:
    share = table.ran.mean(axis=0) if len(table) else np.zeros(len(table.agents))
    least = sorted(zip(share.tolist(), table.agent_ids, strict=True))[:3]
    names = ", ".join(f"{name} ({part:.0%})" for part, name in least)
    return (
        f"{path}: on none of {len(table):,} queries did every agent run, so that they cannot be compared; "
        f"the fewest have {names}: leave some out with --without AGENT"
    )


def _kept(router: GraphRouter, got: Replay, target: float) -> Promise:
    """Say whether a promise of right answers was kept."""
    threshold = router.assuring(target).sure_from
    sure = got.share >= (threshold or 0.0)
    right = float(got.score[sure].mean()) if sure.any() else None
    return Promise(target=target, threshold=threshold or 0.0, share=float(sure.mean()), right=right)


def _best_in_hindsight(router: GraphRouter, table: OutcomeTable, groups: npt.NDArray[np.int64]) -> Replay:
    mean = table.score.mean(axis=0, keepdims=True)
    return replay(
        TopK(k=1), np.broadcast_to(mean, table.score.shape), router.cost(table.agents), table, groups
    )


def _train_control(router: GraphRouter, opened: OutcomeFolder, progress: Progress | None) -> GraphRouter:
    """Train with the same settings on shuffled labels."""
    try:
        from agentroute.routing.config import TrainConfig
        from agentroute.routing.train import train
    except ImportError:
        raise MissingExtraError("training", "train") from None
    manifest = router.manifest
    tell: Progress = progress or (lambda what, done, total: None)
    return train(
        opened,
        config=TrainConfig(**manifest["train"]),
        without=manifest["without"],
        held_out=bool(manifest["test_ids"]),
        embedder=router.embedder,
        extractor=router.extractor,
        progress=lambda what, done, total: tell(f"control: {what}", done, total),
        shuffle_labels=True,
        tune_encoder=router.foresight is not None,
    )
