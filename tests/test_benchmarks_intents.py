"""The benchmark on utterances says what ``evaluate_sets`` says; who joins later has not seen the exam."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benching import BENCHMARKS, modules, ran, read
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from routing.folders import EMBEDDER, make_folder
from routing.labelled import agents, make_labelled, trained_on_labels, utterances

from agentroute.evaluation.set_report import RIVALS
from agentroute.evaluation.sets import evaluate_sets
from agentroute.knowledge.build import query_text
from agentroute.knowledge.cache import CachedEmbedder
from agentroute.knowledge.hashing import HashingEmbedder
from agentroute.outcomes import OutcomeFolder
from agentroute.registry import AgentRegistry
from agentroute.routing.config import TrainConfig

QUICK = ("--embedder", "hashing", "--epochs", "1")
WAYS = ["unbounded", "size <= 1.37"]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The benchmarks' modules, by name."""
    yield from modules(monkeypatch)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of utterances, one too small to be trained on, and one of outcomes."""
    made = tmp_path_factory.mktemp("data")
    make_labelled(made / "errands", queries=240)
    make_labelled(made / "tiny", queries=9)
    make_folder(made / "topics", queries=40)
    return made


def split_folder(path: Path, unseen: str) -> Path:
    """Write a folder with a split of its own, one agent of which only fits what is held out."""
    path.mkdir(parents=True)
    (path / "agents.yaml").write_text(AgentRegistry.from_specs(agents()).to_yaml())
    train = [row for row in utterances(200, 1, "train") if unseen not in list(row["labels"])]  # type: ignore[call-overload]
    for name, rows in (("train", train), ("dev", utterances(90, 2, "dev"))):
        with gzip.open(path / f"{name}.utterances.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def test_intents_says_what_evaluate_says_and_goes_on_where_it_was(home: Path, tmp_path: Path) -> None:
    out, page, drawn = tmp_path / "intents.json", tmp_path / "intents.md", tmp_path / "pictures"
    asked = ("--data", home, "--json", out, *QUICK, "--curve", "--markdown", page, "--pictures", drawn)
    said = ran("intents.py", *asked, "--seeds", "0", code=1)
    assert "passed over, since they hold no NAME.utterances.jsonl: topics" in said.stderr
    found = read(out)
    assert found["options"] == {"embedder": "hashing", "epochs": 1, "tune_encoder": False}
    # One set failed, which is said, and the other went on.
    assert {(one["set"], one["change"]) for one in found["failed"]} == {
        ("tiny", "agentroute"),
        ("tiny", "curve"),
    }
    assert [(run["set"], run["change"]) for run in found["runs"]] == [
        ("errands", "agentroute"),
        ("errands", "curve"),
    ]

    whole, curve = found["runs"]
    one = found["summary"]["errands"]
    assert list(one["ways"]) == WAYS
    for way, bound in zip(WAYS, (np.inf, 1.37), strict=True):
        report, sums = whole["ways"][way]["report"], one["ways"][way]
        for name in sums:
            assert sums[name]["mean"] == (
                None if report[name] is None else pytest.approx(report[name], abs=1e-5)
            ), name
            assert sums[name]["low"] <= sums[name]["mean"] <= sums[name]["high"]
        assert 1.0 <= sums["mean_set_size"]["mean"] <= bound + 1e-9
        unrefused = sums["set_recall"]["mean"] + sums["in_scope_loss"]["mean"]
        assert sums["unrefused_recall"]["mean"] == pytest.approx(unrefused, abs=1e-5)
    assert one["rankings"] == {
        name: pytest.approx(whole["ways"]["unbounded"]["report"]["baselines"][name]["top1"])
        for name in RIVALS
    }
    assert whole["unseen"] is None and one["unseen"] is None
    judged = whole["queries"]["judged"]
    assert whole["route_ms"]["utterances"] == min(judged, 100)
    assert 0 < whole["route_ms"]["p50"] <= whole["route_ms"]["p95"]
    assert whole["queries"]["none_fits"] == sum(agent < 0 for agent in whole["per_query"]["agent"]) > 0

    steps = one["curve"]["steps"]
    assert list(steps) == ["0", "5", "20", "100", "trained"]
    assert one["curve"]["newcomers"] == len(curve["held_out"]) == 1
    group, trained = curve["per_query"]["group"], whole["per_query"]["ways"]["unbounded"]["place"]
    assert len(group) == judged
    for name, of in (("new", 1), ("old", 0)):
        here = [place for place, one in zip(trained, group, strict=True) if one == of]
        assert len(here) == curve["queries"][name] > 0
        for part, most in (("top1", 1), ("top3", 3)):
            share = sum(place <= most for place in here) / len(here)
            assert steps["trained"][f"{name}_{part}"]["mean"] == pytest.approx(share)
    # A single newcomer says nothing of how far another would be.
    assert steps["0"]["new_top1"]["low"] is None
    before, after = one["curve"]["before"], steps["0"]
    lost = before["old_top1"]["mean"] - after["old_top1"]["mean"]
    assert after["old_top1_lost"]["mean"] == pytest.approx(lost)

    text = page.read_text()
    assert said.stdout == text
    assert text.count("```bash\npython benchmarks/intents.py --data") == text.count("## ") - 1 == 4
    assert "| errands | size <= 1.37 |" in text
    assert "| errands | 1 of 5 | trained with them |" in text
    assert "- tiny, seed 0, agentroute: " in text
    assert [path.name for path in drawn.iterdir()] == ["onboarding.png"]
    assert (drawn / "onboarding.png").read_bytes().startswith(b"\x89PNG")

    # What was measured stays as it is, to the second that it took; what is missing is added.
    ran("intents.py", *asked, "--sets", "errands", "--seeds", "0,1")
    after = read(out)
    assert after["runs"][:2] == found["runs"]
    assert [(run["seed"], run["change"]) for run in after["runs"][2:]] == [(1, "agentroute"), (1, "curve")]
    assert after["summary"]["errands"]["seeds"] == [0, 1] == after["summary"]["errands"]["curve"]["seeds"]
    top1 = after["summary"]["errands"]["ways"]["unbounded"]["top1"]
    assert top1["seeds"][0] == pytest.approx(one["ways"]["unbounded"]["top1"]["mean"])
    assert top1["mean"] == pytest.approx(sum(top1["seeds"]) / 2)


def test_agents_of_the_held_out_part_alone_are_reported_by_themselves(bench: Any, tmp_path: Path) -> None:
    folder = OutcomeFolder.open(split_folder(tmp_path / "split", "gardens"))
    exam = bench["intent_measuring"].Exam.of(folder, 0)
    assert {row.query.id for row in exam.table.queries} == {name for name in folder.queries if "dev" in name}
    found = bench["intent_measuring"].measure(exam, TrainConfig(epochs=1), EMBEDDER, False, quiet)
    alone = [row.meta["labels"] == ["gardens"] for row in exam.table.queries]
    assert found["per_query"]["unseen"] == [int(one) for one in alone]
    place = [
        one for one, here in zip(found["per_query"]["ways"]["unbounded"]["place"], alone, strict=True) if here
    ]
    shares = {
        "top1": sum(one <= 1 for one in place) / len(place),
        "top3": sum(one <= 3 for one in place) / len(place),
    }
    assert found["unseen"] == {"gardens": {"queries": sum(alone), **shares}}
    run = {"set": "split", "seed": 0, "change": "agentroute", **found}
    summary = bench["intent_sums"].summarize([run])["split"]["unseen"]
    assert (summary["agents"], summary["queries"]) == (["gardens"], sum(alone))
    for name, share in shares.items():
        assert summary[name]["mean"] == pytest.approx(share)
    text = bench["intent_tables"].markdown(bench["intent_sums"].summarize([run]), [], "again")
    assert f"| split | gardens | {sum(alone)} |" in text


def quiet(what: str, done: int, total: int) -> None:
    """Tell nobody."""


def test_newcomers_join_with_nothing_of_what_they_are_judged_on(bench: Any, home: Path) -> None:
    folder = OutcomeFolder.open(home / "errands")
    onboarding, of = bench["onboarding"], bench["intent_measuring"].Exam.of
    drawn = [onboarding.newcomers(of(folder, seed)) for seed in range(12)]
    assert len(set(drawn)) > 1 and all(len(names) == 1 for names in drawn)
    exam = of(folder, 3)
    assert onboarding.newcomers(of(folder, 3)) == onboarding.newcomers(exam)
    judged = {query_text(query) for query in exam.queries}
    for name in folder.registry.ids:
        given = onboarding.examples_of(exam, name)
        labels = {query_text(row.query): row.meta["labels"] for row in exam.learned.queries}
        assert len(set(given)) == len(given) > 20
        assert not judged & set(given)
        assert all(name in labels[text] for text in given)
        assert onboarding.examples_of(exam, name, 5) == given[:5]
        assert given == onboarding.examples_of(of(folder, 3), name)

    texts = onboarding.examples_of(exam, "poems")
    team = onboarding.joined(exam.table.agents, {"poems": texts[:5]})
    assert [spec.id for spec in team] == [*folder.registry.ids]
    assert [spec.examples for spec in team] == [texts[:5] if spec.id == "poems" else () for spec in team]


def test_the_curve_counts_what_the_labels_say(bench: Any, home: Path) -> None:
    folder = OutcomeFolder.open(home / "errands")
    onboarding = bench["onboarding"]
    exam = bench["intent_measuring"].Exam.of(folder, 5)
    found = onboarding.measure_curve(exam, TrainConfig(seed=5, epochs=1), EMBEDDER, False, quiet)
    (joining,) = found["held_out"]
    labels = [row.meta["labels"] for row in exam.table.queries]
    groups = {("oos",): -1, (joining,): 1}
    assert found["per_query"]["group"] == [groups.get(tuple(names), 0) for names in labels]
    texts = onboarding.examples_of(exam, joining)
    assert found["given"] == {str(step): min(step, len(texts)) for step in (0, 5, 20, 100)}
    place = found["per_query"]["place"]
    assert list(place) == ["before", "0", "5", "20", "100"]
    for step, found_places in place.items():
        for names, here in zip(labels, found_places, strict=True):
            nobody = names == ["oos"] or (step == "before" and names == [joining])
            assert (here is None) == nobody
            assert here is None or 1 <= here <= (4 if step == "before" else 5)
    # Who joins may push others back, and never changes their order.
    for step in ("0", "5", "20", "100"):
        pairs = zip(place["before"], place[step], found["per_query"]["group"], strict=True)
        assert all(was <= now <= was + 1 for was, now, group in pairs if group == 0)


def test_too_few_agents_make_no_curve(bench: Any, tmp_path: Path) -> None:
    folder = make_labelled(tmp_path / "two", queries=80)
    rows = [json.loads(line) for line in (folder / "all.utterances.jsonl").read_text().splitlines()]
    kept = [row for row in rows if set(row["labels"]) <= {"rivers", "primes", "oos"}]
    (folder / "all.utterances.jsonl").write_text("\n".join(map(json.dumps, kept)))
    exam = bench["intent_measuring"].Exam.of(OutcomeFolder.open(folder), 0)
    with pytest.raises(bench["results"].InputError, match="has too few agents with utterances"):
        bench["onboarding"].newcomers(exam)


class Counting(HashingEmbedder):
    """Notes what it was asked."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return super().embed(texts)


def test_what_is_timed_was_in_no_cache(bench: Any, home: Path, tmp_path: Path) -> None:
    measuring = bench["intent_measuring"]
    exam = measuring.Exam.of(OutcomeFolder.open(home / "errands"), 0)
    counting = Counting(EMBEDDER.dim)
    cached = CachedEmbedder(counting, tmp_path / "vectors.sqlite")
    router = measuring.with_encoder(trained_on_labels(), cached)
    texts = [query_text(query) for query in exam.queries]
    cached.embed(texts)
    counting.asked.clear()
    found = measuring.route_ms(router, exam, 7)
    again = [text for text in counting.asked if text in texts]
    assert len(set(again)) == len(again) == found["utterances"] == 7
    cached.close()


@given(st.data())
def test_a_place_is_what_it_is_by_hand(data: st.DataObject) -> None:
    shape = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5))
    logits = data.draw(npst.arrays(np.float32, shape, elements=st.integers(-3, 3)))
    fits = data.draw(npst.arrays(np.bool_, shape))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        got = import_module("intent_measuring").places(logits, fits)
    wanted: list[int | None] = []
    for row, right in zip(logits.tolist(), fits.tolist(), strict=True):
        order = sorted(range(len(row)), key=lambda agent: (-row[agent], agent))
        wanted.append(next((n for n, agent in enumerate(order, 1) if right[agent]), None))
    assert got == wanted


def part(seed: int, queries: int = 40) -> Any:
    rng = np.random.default_rng(seed)
    return rng.random(queries), rng.random(queries) < 0.7, rng.choice(200, queries, replace=False)


def test_a_figure_over_seeds_counts_a_query_once_and_keeps_unknown_unknown(bench: Any) -> None:
    over_seeds = bench["intent_sums"].over_seeds
    once = over_seeds([part(3)])
    value, counts, _ = part(3)
    assert once["mean"] == pytest.approx(value[counts].mean())
    assert once["low"] < once["mean"] < once["high"]
    # The same queries again are no new evidence; others are.
    again = over_seeds([part(3)] * 3)
    assert again == {**once, "seeds": once["seeds"] * 3}
    more = over_seeds([part(seed) for seed in range(3, 9)])
    assert more["high"] - more["low"] < once["high"] - once["low"]
    # Queries that do not count change nothing.
    assert over_seeds([(np.where(counts, value, np.nan), counts, part(3)[2])]) == once
    nobody = np.zeros(40, bool)
    unknown = over_seeds([part(3), (value, nobody, part(3)[2])])
    assert unknown["mean"] is None and unknown["seeds"][1] is None
    assert over_seeds([(value, nobody, part(3)[2])]) == {
        "mean": None,
        "low": None,
        "high": None,
        "seeds": [None],
    }


def test_intents_refuses_what_it_cannot_use(
    bench: Any,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def told(*arguments: str | Path, code: int = 2) -> str:
        monkeypatch.setattr(sys, "argv", ["intents.py", *map(str, arguments)])
        assert bench["intents"].main() == code
        return capsys.readouterr().err

    out = tmp_path / "out.json"
    assert "with --tune-encoder it can only be minilm" in told(
        "--data", home, "--json", out, "--tune-encoder", "--embedder", "hashing"
    )
    assert "no set rivers; there are errands, tiny" in told("--data", home, "--json", out, "--sets", "rivers")
    alone = ("--data", home / "topics", "--json", out)
    assert "holds no utterance folder" in told(*alone)
    # `make bench` measures what there is: none of one kind is no error there, in either benchmark.
    assert "holds no utterance folder: nothing to measure here" in told(*alone, "--if-any", code=0)
    monkeypatch.setattr(
        sys, "argv", ["quality.py", "--data", str(home / "tiny"), "--json", str(out), "--if-any"]
    )
    assert bench["quality"].main() == 0
    assert "holds no outcome folder: nothing to measure here" in capsys.readouterr().err
    assert not out.exists()
    out.write_text('{"options": {"embedder": "minilm", "epochs": null, "tune_encoder": true}, "runs": []}')
    assert "'tune_encoder': True}, this run has" in told("--data", home, "--json", out)


def test_a_figure_that_evaluate_would_not_give_is_not_kept(
    bench: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were sets counted another way some day, the intervals here would be of something else."""
    measuring = bench["intent_measuring"]
    exam = measuring.Exam.of(OutcomeFolder.open(home / "errands"), 0)
    router = measuring.with_encoder(trained_on_labels(), EMBEDDER)
    router.manifest = {**router.manifest, "data": "errands", "test_ids": [q.id for q in exam.queries]}
    views = measuring._views(router, exam)
    report, kept = measuring._held(router, exam, views, None, quiet)
    assert report == evaluate_sets(router, exam.folder)
    assert report.top1 == pytest.approx(np.mean([place == 1 for place in kept["place"] if place is not None]))
    with pytest.raises(RuntimeError, match="this is no longer what it does"):
        measuring._held(router, exam, views[..., ::-1], None, quiet)


def test_pleading_cards_and_a_crowd_are_measured_on_real_choices(bench: Any, home: Path) -> None:
    exam = bench["intent_measuring"].Exam.of(OutcomeFolder.open(home / "errands"), 0)
    router = trained_on_labels()
    pleading, crowd = bench["pleading"], bench["crowd"]
    found = pleading.measure_pleading(router, exam)
    assert found["pleads"]["damped"] <= found["pleads"]["as it is"] + 0.05
    assert set(found) == set(pleading.cards(exam))
    assert all(0.0 <= share <= 1.0 for ways in found.values() for share in ways.values())

    made = crowd.measure_crowd(router, exam, size=300)
    assert made["agents"] == 300 and made["queries"] == min(crowd.MOST, int(exam.fits.any(axis=1).sum()))
    assert made["recall"] >= 0.99 and made["fitting"] >= 0.99
    assert 0.0 < made["route_ms"]["p50"] <= made["route_ms"]["p95"]
    team = crowd.joined_by(exam.table.agents, 0, 300)
    assert len({spec.id for spec in team}) == 300 and team[: len(exam.table.agents)] == exam.table.agents


def test_without_history_the_same_utterances_are_measured(bench: Any, home: Path, tmp_path: Path) -> None:
    source, told = home / "errands", tmp_path / "told"
    told.mkdir()
    (told / "agents.yaml").write_text((source / "agents.yaml").read_text())
    rows = [json.loads(line) for line in (source / "all.utterances.jsonl").read_text().splitlines()]
    for number, row in enumerate(rows):
        row["history"] = [f"user: before {number}"]
    (told / "all.utterances.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "intents.json"
    said = ran("intents.py", "--data", told, "--json", out, *QUICK, "--history", "--seeds", "0")
    assert [run["change"] for run in read(out)["runs"]] == ["agentroute", "no history"]
    assert "| told | without | unbounded |" in said.stdout and "## Earlier turns" in said.stdout
    measuring = bench["intent_measuring"]
    folder = OutcomeFolder.open(told)
    alone = measuring.without_history(folder)
    assert all(not record.query.history for record in alone.queries.values())
    assert all(record.query.history for record in folder.queries.values())
