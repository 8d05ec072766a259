"""What a report says of sets is what sets come to, written slowly; and bounds hold by size alone."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from routing.labelled import WORDS, agents, make_labelled, utterances

from agentroute.errors import InputError, OutcomeError
from agentroute.evaluation.compare import evaluate
from agentroute.evaluation.set_report import FIGURES, RIVALS, SetReport
from agentroute.evaluation.sets import Sets, evaluate_sets, figures_of
from agentroute.evaluation.verdict import Rival, decide_sets
from agentroute.knowledge.hashing import HashingEmbedder
from agentroute.outcomes import OutcomeFolder, OutcomeTable
from agentroute.registry import AgentRegistry
from agentroute.routing.baselines import run_baselines
from agentroute.routing.config import TrainConfig
from agentroute.routing.deciding import EXACT
from agentroute.routing.replay import answer_groups
from agentroute.routing.router import GraphRouter
from agentroute.routing.train import train
from agentroute.types import AgentSpec, Limits

EMBEDDER = HashingEmbedder(64)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_labelled(tmp_path_factory.mktemp("labelled") / "errands", queries=400)


@pytest.fixture(scope="module")
def chooser(labelled: Path) -> GraphRouter:
    """A router that has learned who fits."""
    torch.set_num_threads(1)  # for graphs this small, threads only wait for each other
    return train(labelled, config=TrainConfig(epochs=6), embedder=EMBEDDER)


@pytest.fixture(scope="module")
def found(chooser: GraphRouter, labelled: Path) -> SetReport:
    return evaluate_sets(chooser, labelled)


def held_out(router: GraphRouter, folder: Path) -> OutcomeTable:
    table, held = OutcomeFolder.open(folder).table(), set(router.manifest["test_ids"])
    return table.take([row.query.id in held for row in table.queries])


def by_hand(sets: list[set[int]], unrefused: list[set[int]], best: list[int], fits: list[set[int]]) -> Any:
    """Every figure, query by query; ``None`` where no query counts."""
    rows = [i for i, right in enumerate(fits) if right]
    nobody = [i for i, right in enumerate(fits) if not right]
    given_ = [i for i, one in enumerate(sets) if one]
    refused = [i for i, one in enumerate(sets) if not one]

    def mean(values: list[float]) -> float | None:
        return sum(values) / len(values) if values else None

    def recall(one: set[int], right: set[int]) -> float:
        return len(one & right) / len(right)

    def precision(one: set[int], right: set[int]) -> float:
        return len(one & right) / len(one) if one else 0.0

    def f1(one: set[int], right: set[int]) -> float:
        p, r = precision(one, right), recall(one, right)
        return 2 * p * r / (p + r) if p + r else 0.0

    return {
        "top1": mean([float(best[i] in fits[i]) for i in rows]),
        "set_precision": mean([precision(sets[i], fits[i]) for i in rows]),
        "set_recall": mean([recall(sets[i], fits[i]) for i in rows]),
        "set_f1": mean([f1(sets[i], fits[i]) for i in rows]),
        "jaccard": mean([len(sets[i] & fits[i]) / len(sets[i] | fits[i]) for i in rows]),
        "mean_set_size": mean([float(len(sets[i])) for i in given_]),
        "conflicts": mean([float(len(sets[i]) > 1) for i in given_]),
        "oos_recall": mean([float(not sets[i]) for i in nobody]),
        "oos_precision": mean([float(not fits[i]) for i in refused]) if nobody else None,
        "in_scope_loss": mean([recall(unrefused[i], fits[i]) - recall(sets[i], fits[i]) for i in rows]),
        "unrefused_recall": mean([recall(unrefused[i], fits[i]) for i in rows]),
        "unrefused_size": mean([float(len(one)) for one in unrefused]),
    }


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_every_figure_is_what_it_is_by_hand(data: st.DataObject) -> None:
    shape = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 5))
    masks = npst.arrays(np.bool_, shape)
    fits, unrefused = data.draw(masks), data.draw(masks)
    best = data.draw(npst.arrays(np.int64, shape[0], elements=st.integers(0, shape[1] - 1)))
    unrefused[np.arange(shape[0]), best] = True
    members = unrefused & ~data.draw(npst.arrays(np.bool_, (shape[0], 1)))
    got = figures_of(Sets(members, unrefused, best), fits)
    assert tuple(got) == FIGURES
    rows = [[set(np.flatnonzero(row).tolist()) for row in mask] for mask in (members, unrefused, fits)]
    wanted = by_hand(rows[0], rows[1], best.tolist(), rows[2])
    for name, (value, counts) in got.items():
        assert not value[~counts].any()
        mean = float(value.sum() / counts.sum()) if counts.any() else None
        assert mean == (None if wanted[name] is None else pytest.approx(wanted[name])), name


def test_the_report_is_what_route_decides(found: SetReport, chooser: GraphRouter, labelled: Path) -> None:
    """Every figure again, from live decisions."""
    table = held_out(chooser, labelled)
    assert found.n_queries == len(table) < 400
    assert found.n_oos == sum(row.meta["labels"] == ["oos"] for row in table.queries) > 0
    as_routed(found, chooser, table)


def test_of_a_large_team_the_report_is_what_route_decides_too(
    chooser: GraphRouter, labelled: Path, tmp_path: Path
) -> None:
    """There ``route()`` looks at a shortlist only."""
    specs = AgentRegistry.from_yaml(labelled / "agents.yaml").agents
    crowd = tuple(
        replace(specs[0], id=f"more-{i}", description=f"Handles matter {chr(97 + i % 26)}{i} of the garden.")
        for i in range(EXACT)
    )
    large = tmp_path / labelled.name
    shutil.copytree(labelled, large)
    (large / "agents.yaml").write_text(AgentRegistry.from_specs((*specs, *crowd)).to_yaml(), "utf-8")
    few = evaluate_sets(chooser, large)
    table = held_out(chooser, large)
    as_routed(few, chooser, table)
    assert few.n_queries == len(table) and len(few.agents) > EXACT


def as_routed(found: SetReport, chooser: GraphRouter, table: OutcomeTable) -> None:
    """Compare a report with live decisions."""
    place = {name: i for i, name in enumerate(table.agent_ids)}
    everybody = Limits(max_agents=len(place))
    # The same sets, with nobody refused.
    policy = replace(chooser.policy, least=0.0)  # type: ignore[call-arg]
    bold = chooser.using(replace(chooser.setting, policy=policy))
    one, all_ = (
        [router.route(row.query, table.agents, limits=everybody) for row in table.queries]
        for router in (chooser, bold)
    )
    wanted = by_hand(
        [{place[name] for name, _ in decision.selected} for decision in one],
        [{place[name] for name, _ in decision.selected} for decision in all_],
        [place[decision.ranking[0].agent] for decision in one],
        [set(np.flatnonzero(row > 0).tolist()) for row in table.score],
    )
    for name in FIGURES:
        assert getattr(found, name) == pytest.approx(wanted[name]), name


def test_what_was_learned_shows(found: SetReport) -> None:
    assert found.top1 > 0.85 and found.set_recall > 0.8
    assert found.oos_recall is not None and found.oos_recall > 0.7
    assert found.in_scope_loss < 0.08
    assert found.mean_set_size is not None and 1.0 <= found.mean_set_size < 1.6
    cards = found.baselines["cards"]
    assert cards is not None and cards.lead_low > 0  # the words of the texts are not those of the cards


def test_intervals_hold_their_figure(found: SetReport) -> None:
    for name in FIGURES:
        ends, value = found.intervals[name], getattr(found, name)
        assert ends is not None and ends[0] <= value <= ends[1]
    for rival in found.baselines.values():
        assert rival is not None
        assert rival.top1_low <= rival.top1 <= rival.top1_high
        assert rival.lead_low <= rival.lead <= rival.lead_high
        assert rival.lead == pytest.approx(found.top1 - rival.top1)


def test_the_baselines_are_those_of_evaluate(found: SetReport, chooser: GraphRouter, labelled: Path) -> None:
    table = held_out(chooser, labelled)
    some = table.score.max(axis=1) > 0
    others = run_baselines(chooser, table, answer_groups(table))
    for name in ("words", "knn", "query_only"):
        rival, replayed = found.baselines[name], others[name]
        assert rival is not None and replayed is not None
        assert rival.top1 == pytest.approx(replayed.score[some].mean()), name
    vectors = EMBEDDER.embed([row.query.text for row in table.queries])
    cosines = vectors @ EMBEDDER.embed([spec.card for spec in table.agents]).T
    nearest = table.score[np.arange(len(table)), cosines.argmax(axis=1)][some].mean()
    assert found.baselines["cards"] is not None
    assert found.baselines["cards"].top1 == pytest.approx(nearest)


def test_no_set_is_larger_in_the_mean_than_was_asked(chooser: GraphRouter, labelled: Path) -> None:
    before = 0.0
    for bound in (1.0, 1.03, 1.1, 1.2, 1.37, 1.6, 2.0, 3.0):
        report = evaluate_sets(chooser, labelled, max_set_size=bound)
        size = report.mean_set_size
        assert size is not None and before <= size <= bound + 1e-9
        assert 1.0 <= report.unrefused_size <= bound + 1e-9
        before = size
    assert evaluate_sets(chooser, labelled, max_set_size=1).conflicts == 0.0
    for bad in (0.99, 0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="a set has at least 1 agent"):
            evaluate_sets(chooser, labelled, max_set_size=bad)


def test_a_bound_is_held_by_size_and_never_by_labels(
    chooser: GraphRouter, labelled: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "errands"
    shutil.copytree(labelled, copy)
    rows = [json.loads(line) for line in (copy / "all.utterances.jsonl").read_text().splitlines()]
    order = np.random.default_rng(0).permutation(len(rows)).tolist()
    mixed = [{**row, "labels": rows[i]["labels"]} for row, i in zip(rows, order, strict=True)]
    (copy / "all.utterances.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in mixed))
    for bound in (1.05, 1.2):
        one, two = (evaluate_sets(chooser, place, max_set_size=bound) for place in (labelled, copy))
        assert one.mean_set_size == two.mean_set_size and one.notes == two.notes
        assert two.top1 < one.top1 - 0.3


def test_an_agent_is_left_out_with_the_queries_that_only_it_fits(
    chooser: GraphRouter, labelled: Path
) -> None:
    table = held_out(chooser, labelled)
    column = table.agent_ids.index("poems")
    only = int(((table.score[:, column] > 0) & (table.score.sum(axis=1) == 1)).sum())
    report = evaluate_sets(chooser, labelled, without=["poems"])
    assert report.agents == tuple(name for name in WORDS if name != "poems")
    assert only > 0 and report.n_queries == len(table) - only
    assert report.n_oos == int((table.score.sum(axis=1) == 0).sum())
    assert any(note.startswith(f"{only} queries were left out") for note in report.notes)
    with pytest.raises(InputError, match="did you mean 'poems'"):
        evaluate_sets(chooser, labelled, without=["poem"])
    with pytest.raises(InputError, match="no agent is left to choose"):
        evaluate_sets(chooser, labelled, without=[*WORDS])


def test_what_cannot_be_known_without_misfits_is_unknown(chooser: GraphRouter, tmp_path: Path) -> None:
    report = evaluate_sets(chooser, make_labelled(tmp_path / "other", queries=60, seed=9, oos=0.0))
    assert report.n_queries == 60 and report.n_oos == 0
    assert report.oos_recall is None and report.oos_precision is None
    assert report.intervals["oos_recall"] is None and report.intervals["oos_precision"] is None
    assert "some agent fits every query" in str(report)
    assert any("judged on all 60" in note for note in report.notes)
    assert any(line.split()[:3] == ["none-fits", "recall", "-"] for line in str(report).splitlines())


def test_where_no_query_is_refused_precision_of_refusing_is_unknown(
    chooser: GraphRouter, labelled: Path
) -> None:
    policy = replace(chooser.policy, least=0.0)  # type: ignore[call-arg]
    bold = chooser.using(replace(chooser.setting, policy=policy))
    report = evaluate_sets(bold, labelled)
    assert report.oos_recall == 0.0 and report.in_scope_loss == 0.0 and report.oos_precision is None
    shy = chooser.using(replace(chooser.setting, policy=replace(policy, least=1.0)))  # type: ignore[call-arg]
    none = evaluate_sets(shy, labelled)
    assert none.mean_set_size is None and none.conflicts is None and none.oos_recall == 1.0
    assert none.set_recall == none.set_precision == none.jaccard == 0.0
    assert none.in_scope_loss == pytest.approx(report.set_recall) and none.top1 == report.top1


def test_an_agent_that_training_never_saw_takes_part_by_its_card(
    chooser: GraphRouter, labelled: Path, tmp_path: Path
) -> None:
    newcomer = AgentSpec(id="bridges", kind="recorded", description="Handles bridge and viaduct requests.")
    (tmp_path / "agents.yaml").write_text(AgentRegistry.from_specs([*agents(), newcomer]).to_yaml())
    rows = utterances(60, seed=3, kind="v")
    rows += [
        {"id": f"w{i}", "text": f"handles the bridge viaduct requests {i}", "labels": ["bridges"]}
        for i in range(20)
    ]
    (tmp_path / "v.utterances.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    report = evaluate_sets(chooser, tmp_path)
    assert "bridges" in report.agents and report.n_queries == 80
    assert any(note.endswith("known by their cards alone: bridges") for note in report.notes)
    # Those that learn from records cannot choose it; cards can, and are right on all of its queries.
    for name in ("words", "knn", "query_only"):
        rival = report.baselines[name]
        assert rival is not None and rival.top1 <= 1 - 20 / (report.n_queries - report.n_oos)


def test_a_team_of_strangers_leaves_only_the_cards_to_compare(chooser: GraphRouter, tmp_path: Path) -> None:
    specs = [
        AgentSpec(id=f"new-{name}", kind="recorded", description=words[0]) for name, words in WORDS.items()
    ]
    (tmp_path / "agents.yaml").write_text(AgentRegistry.from_specs(specs).to_yaml())
    rows = [
        {"id": f"{name}{i}", "text": f"a {words[0]} {i}", "labels": [f"new-{name}"]}
        for name, words in WORDS.items()
        for i in range(5)
    ]
    (tmp_path / "v.utterances.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    report = evaluate_sets(chooser, tmp_path)
    assert [name for name, rival in report.baselines.items() if rival is not None] == ["cards"]
    assert report.verdict in ("deploy", "no gain: keep cards")
    line = next(line for line in str(report).splitlines() if line.startswith("words"))
    assert line.split() == ["words", "-"]


def test_each_kind_of_folder_is_sent_to_its_own_judge(
    chooser: GraphRouter, router: GraphRouter, labelled: Path, folder: Path
) -> None:
    with pytest.raises(InputError, match=r"holds utterances with labels.*evaluate_sets\(\)"):
        evaluate(chooser, labelled)
    with pytest.raises(InputError, match=r"holds outcomes, not utterances.*evaluate\(\)"):
        evaluate_sets(router, folder)


def test_labels_of_nobody_leave_nothing_to_judge(chooser: GraphRouter, tmp_path: Path) -> None:
    (tmp_path / "agents.yaml").write_text(AgentRegistry.from_specs(agents()).to_yaml())
    (tmp_path / "v.utterances.jsonl").write_text('{"id": "x", "text": "a visa", "labels": ["oos"]}\n')
    with pytest.raises(OutcomeError, match="no query is left that some agent fits"):
        evaluate_sets(chooser, tmp_path)


def test_a_router_of_outcomes_can_be_judged_by_its_first_round(
    router: GraphRouter, tmp_path: Path, labelled: Path
) -> None:
    """Its policy never refuses, and knows nothing of sets; its ranking is judged all the same."""
    report = evaluate_sets(router, labelled, max_set_size=1.5)
    assert report.oos_recall == 0.0 and report.in_scope_loss == 0.0
    assert report.mean_set_size is not None and report.mean_set_size <= 1.5


def test_json_has_the_fixed_form_and_survives_a_round_trip(found: SetReport) -> None:
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    keys = ["data", "n_queries", "n_oos", "seed", *FIGURES, "intervals", "baselines", "verdict"]
    assert list(data) == keys
    assert list(data["intervals"]) == [*FIGURES] and list(data["baselines"]) == [*RIVALS]
    rival = {"top1", "top1_low", "top1_high", "lead", "lead_low", "lead_high"}
    assert all(set(one) == rival for one in data["baselines"].values())
    assert data["data"] == "errands" and data["intervals"]["top1"] == [*(found.intervals["top1"] or ())]
    details = json.loads(json.dumps(found.to_json(details=True), allow_nan=False))
    assert set(details) - set(keys) == {"agents", "why", "notes"}


def test_the_page_fits_a_terminal_and_ends_with_the_verdict(found: SetReport) -> None:
    lines = str(found).splitlines()
    assert max(map(len, lines[: lines.index("") + len(RIVALS) + 6])) <= 78
    for name in ("top1", "set recall", "mean set size", "none-fits recall", "agentroute", *RIVALS):
        assert any(line.startswith(name) for line in lines), name
    assert lines[-1].startswith(f"verdict: {found.verdict} (")


def test_the_same_seed_gives_the_same_report(chooser: GraphRouter, labelled: Path) -> None:
    first, second = (evaluate_sets(chooser, labelled, seed=7) for _ in range(2))
    assert first == second
    other = evaluate_sets(chooser, labelled, seed=8)
    assert other.intervals != first.intervals and other.top1 == first.top1


def test_a_saved_router_is_judged_as_the_one_in_memory(
    found: SetReport, chooser: GraphRouter, labelled: Path, tmp_path: Path
) -> None:
    chooser.save(tmp_path / "r")
    again = GraphRouter.load(tmp_path / "r", embedder=EMBEDDER)
    assert evaluate_sets(again, OutcomeFolder.open(labelled)) == found


def rival(top1: float, lead: float, noise: float) -> Rival:
    return Rival(
        top1=top1, top1_low=0.0, top1_high=1.0, lead=lead, lead_low=lead - noise, lead_high=lead + noise
    )


@pytest.mark.parametrize(
    ("rivals", "verdict", "why"),
    [
        ({"words": rival(0.8, 0.05, 0.04), "knn": rival(0.7, 0.15, 0.2)}, "deploy", "words, the best"),
        ({"words": rival(0.8, 0.05, 0.05)}, "no gain: keep words", "may be chance"),
        (
            {"words": rival(0.8, 0.1, 0.01), "knn": rival(0.9, 0.0, 0.01)},
            "no gain: keep knn",
            "ranks as well",
        ),
        ({"words": None, "cards": rival(0.2, 0.5, 0.1)}, "deploy", "cards"),
    ],
)
def test_only_a_lead_over_the_strongest_that_is_no_chance_is_deployed(
    rivals: dict[str, Rival | None], verdict: str, why: str
) -> None:
    said, reason = decide_sets(rivals)
    assert said == verdict and why in reason
