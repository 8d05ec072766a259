"""Folders of utterances: labels as scores, the folder's own split, and what bad lines come to."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentroute.errors import InputError, OutcomeError, RegistryError
from agentroute.evaluation.collect import collect
from agentroute.outcomes import (
    OOS,
    Outcome,
    OutcomeFolder,
    OutcomeTable,
    OutcomeWriter,
    QueryRecord,
    UtteranceFolder,
    create_folder,
    read_queries,
)
from agentroute.outcomes.split import folds, split_queries
from agentroute.outcomes.table import build_table
from agentroute.registry import AgentRegistry
from agentroute.running.agents import build_team
from agentroute.running.context import NoClient
from agentroute.types import AgentSpec, Limits, Message, Query

AGENTS = ("billing", "travel", "weather")

patient = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)  # the machine may be busy


def registry(*ids: str) -> AgentRegistry:
    return AgentRegistry.from_specs(
        AgentSpec(id=name, kind="recorded", description=f"asks about {name}") for name in ids or AGENTS
    )


def row(name: str, text: str | None = None, *labels: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "text": text or f"what of {name}?", "labels": list(labels) or ["travel"], **more}


def folder(path: Path, **files: list[Any]) -> Path:
    """Write files of utterances; what is not an object is written as it is."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "agents.yaml").write_text(registry().to_yaml())
    for name, rows in files.items():
        lines = [item if isinstance(item, str) else json.dumps(item) for item in rows]
        (path / f"{name}.utterances.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return path


def opened(path: Path, **files: list[Any]) -> UtteranceFolder:
    found = OutcomeFolder.open(folder(path, **files))
    assert isinstance(found, UtteranceFolder)
    return found


def same(one: OutcomeTable, other: OutcomeTable) -> bool:
    names = ("score", "cost_usd", "latency_s", "input_tokens", "output_tokens")
    arrays = [(getattr(one, name), getattr(other, name)) for name in names]
    return (
        (one.queries, one.agents, one.answers) == (other.queries, other.agents, other.answers)
        and all(np.array_equal(a, b, equal_nan=True) for a, b in arrays)
        and all(a.dtype == b.dtype for a, b in arrays)
    )


labels = st.just([OOS]) | st.lists(st.sampled_from(AGENTS), min_size=1, max_size=4)
words = st.text("ab B\t", min_size=1, max_size=3).filter(str.strip)
labelled = st.lists(st.tuples(words, labels), max_size=12)


def rows(prefix: str, made: list[tuple[str, list[str]]]) -> list[dict[str, Any]]:
    return [row(f"{prefix}{i}", text, *fits) for i, (text, fits) in enumerate(made)]


def plain(text: str) -> str:
    return " ".join(text.casefold().split())


# ---------------------------------------------------------------------------- labels are scores


@patient
@given(labelled.filter(bool), st.permutations(AGENTS), st.integers(1, 3))
def test_the_table_says_what_the_labels_say(
    tmp_path_factory: pytest.TempPathFactory,
    made: list[tuple[str, list[str]]],
    order: list[str],
    count: int,
) -> None:
    found = opened(tmp_path_factory.mktemp("u"), train=rows("t", made))
    table = found.table()
    assert found.problems == () and found.labelled and table.agent_ids == AGENTS
    for (text, fits), record, scores in zip(made, table.queries, table.score, strict=True):
        assert record.query.text == text and set(record.meta["labels"]) == set(fits)
        assert scores.tolist() == [float(agent in fits) for agent in AGENTS]
    assert table.ran.all() and not table.has_answers and table.sparse_agents() == ()
    # What is read one by one is what stands in the table, as in any outcome folder.
    told = [{"query": one.query, "agent": one.agent, "score": one.score} for one in found.read()]
    assert same(build_table(table.queries, table.agents, told), table)
    # Some agents, in any order, are a part of the table of all; runs are no rows of their own.
    some = order[:count]
    assert same(found.table(some), table.only(some)) and same(found.table(each_run=True), table)
    half = np.arange(len(table)) % 2 == 0
    assert same(table.take(half).only(some), table.only(some).take(np.flatnonzero(half)))


def test_a_large_table_holds_its_labels_and_little_else(tmp_path: Path) -> None:
    table = opened(tmp_path, train=[row(f"t{i}") for i in range(50)]).table()
    for part in (table, table.take(range(0, 50, 2)), table.without("billing"), table.take([])):
        assert len({id(said) for said in part.answers}) == min(1, len(part))
        for values in (part.cost_usd, part.latency_s, part.input_tokens, part.output_tokens):
            assert values.shape == part.score.shape and np.isnan(values).all() and not any(values.strides)
        assert part.score.shape == (len(part), len(part.agents)) and not part.has_answers


def test_records_bring_text_history_and_dialogue(tmp_path: Path) -> None:
    turns = ["user: A flight: to Oslo", "System:  When? ", {"role": "assistant", "text": "Or by train?"}]
    found = opened(
        tmp_path,
        train=[
            row("a", "Tomorrow", "travel", "weather", "travel", history=turns, dialogue="d1", more=1),
            row("b", "Why?", OOS, history=[], dialogue=""),
            row("c", "No", history=None, dialogue=7),
        ],
    )
    first, second, third = found.queries.values()
    assert first.query == Query(
        text="Tomorrow",
        id="a",
        history=(
            Message(role="user", text="A flight: to Oslo"),
            Message(role="assistant", text="When?"),
            Message(role="assistant", text="Or by train?"),
        ),
    )
    assert first.meta == {"labels": ["travel", "weather"], "template": "d1"}
    assert second.query.history == () and second.meta == {"labels": [OOS]}
    assert third.meta == {"labels": ["travel"], "template": "7"}
    assert found.problems == ()


def test_packed_files_read_the_same_and_a_cut_one_gives_what_is_before_the_cut(tmp_path: Path) -> None:
    many = [row(f"t{i}", f"{i} {i * 7919 % 10_007} {i**5}") for i in range(2_000)]
    path = folder(tmp_path, train=many, b_dev=[row("d", "apart")])
    loose = OutcomeFolder.open(path)
    file = path / "train.utterances.jsonl"
    packed = gzip.compress(file.read_bytes())
    (path / "train.utterances.jsonl.gz").write_bytes(packed)
    with pytest.raises(OutcomeError, match=r"both train\.utterances\.jsonl and train\.utterances\.jsonl\.gz"):
        OutcomeFolder.open(path)
    file.unlink()
    assert same(OutcomeFolder.open(path).table(), loose.table())
    (path / "train.utterances.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    cut = OutcomeFolder.open(path)
    assert 1 < len(cut.queries) < 2_001 and [*cut.queries] == [*loose.queries][: len(cut.queries)]
    assert len(cut.problems) == 1 and "the archive is damaged from here on" in cut.problems[0]


# ---------------------------------------------------------------------------- the folder's own split


@pytest.mark.parametrize(
    "name", ["val", "VALID", "oos_val", "my.dev", "dev-2", "test", "a_validation_b", "2024-test.x"]
)
def test_a_held_out_file_is_known_by_a_word_of_its_name(tmp_path: Path, name: str) -> None:
    found = opened(tmp_path, **{name: [row("h", "held")], "train": [row("t", "learned")]})
    assert {key: record.meta["split"] for key, record in found.queries.items()} == {"h": "test", "t": "train"}
    alone = opened(tmp_path / "alone", **{name: [row("h")]})
    assert "split" not in alone.queries["h"].meta


@pytest.mark.parametrize("name", ["latest", "devices", "valid1", "utterances", "contest_a", "interval"])
def test_other_names_are_for_training(tmp_path: Path, name: str) -> None:
    files = {name: [row("a", "one")], "train": [row("t", "two")]}
    found = opened(tmp_path / "both", **files)
    assert all("split" not in record.meta for record in found.queries.values())
    three = opened(tmp_path / "three", **files, dev=[row("h", "three")])
    assert [three.queries[key].meta["split"] for key in "ath"] == ["train", "train", "test"]


@patient
@given(labelled, labelled.filter(bool), st.integers(0, 3), st.booleans())
def test_no_text_is_learned_that_is_held_out_and_none_is_lost_without_a_word(
    tmp_path_factory: pytest.TempPathFactory,
    train: list[tuple[str, list[str]]],
    held: list[tuple[str, list[str]]],
    seed: int,
    held_out: bool,
) -> None:
    found = opened(tmp_path_factory.mktemp("u"), train=rows("t", train), val=rows("v", held))
    apart = {plain(text) for text, _ in held}
    kept = [f"t{i}" for i, (text, _) in enumerate(train) if plain(text) not in apart]
    assert [*found.queries] == kept + [f"v{i}" for i in range(len(held))]
    lost = len(train) - len(kept)
    more = [int(line.split()[0]) for line in found.problems if "more train utterances" in line]
    assert len(found.problems) - len(more) + sum(more) == lost
    for line in found.problems[:3]:
        number = int(line.removeprefix("train.utterances.jsonl:").partition(":")[0])
        place = int(line.partition("held out at val.utterances.jsonl:")[2].partition(";")[0])
        assert plain(train[number - 1][0]) == plain(held[place - 1][0])

    records = tuple(found.queries.values())
    split = split_queries(records, seed, held_out)
    parts = (split.train, split.validation, split.test)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(records)))
    if kept and held_out:
        assert [records[i].query.id for i in split.test] == [f"v{i}" for i in range(len(held))]
    seen = [{plain(records[i].query.text) for i in part} for part in parts]
    assert sum(map(len, seen)) == len(set().union(*seen))


def test_the_turns_of_a_dialogue_stay_together(tmp_path: Path) -> None:
    def turns(prefix: str, count: int) -> list[dict[str, Any]]:
        return [row(f"{prefix}{i}", dialogue=f"d{i % (count // 4)}") for i in range(count)]

    with_dev = opened(tmp_path / "own", train=turns("t", 120), dev=turns("v", 40))
    without = opened(tmp_path / "hashed", train=turns("t", 120))
    for found in (with_dev, without):
        table = found.table()
        split = split_queries(table.queries, 1)
        parts = [
            {table.queries[i].meta["template"] for i in part} for part in (split.train, split.validation)
        ]
        assert all(parts) and not parts[0] & parts[1] and len(split.test)
        learned = table.take(np.sort(np.concatenate([split.train, split.validation])))
        dealt = folds(learned.queries, 1, 3)
        assert sorted(np.concatenate(dealt).tolist()) == list(range(len(learned)))
        templates = [{learned.queries[i].meta["template"] for i in part} for part in dealt]
        assert all(templates) and sum(map(len, templates)) == len(set().union(*templates))
    assert len(split_queries(tuple(with_dev.queries.values()), 1).test) == 40


# ---------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('"a text"', "not a JSON object"),
        ("[]", "not a JSON object"),
        ("{", "not a JSON object"),
        (row("") | {"text": "x"}, "id is ''"),
        (row("b") | {"id": 7}, "id is 7"),
        (row("b") | {"id": None}, "id is missing"),
        (row("b") | {"text": " \t"}, r"text of b is ' \t'"),
        (row("b") | {"text": ["x"]}, "text of b is ['x']"),
        ({"id": "b", "labels": ["travel"]}, "text of b is missing"),
        ({"id": "b", "text": "x"}, "labels of b is missing"),
        (row("b") | {"labels": []}, "labels of b is []"),
        (row("b") | {"labels": "travel"}, "labels of b is 'travel'"),
        (row("b") | {"labels": ["travel", 7]}, "labels of b is ['travel', 7]"),
        (row("b") | {"labels": [""]}, "labels of b is ['']"),
        (row("b", "x", OOS, "travel"), "'oos' stands alone"),
        (row("b", "x", "travle"), "agents.yaml has no agent 'travle'; did you mean 'travel'?"),
        (row("b", "x", "travel", "Weather"), "agents.yaml has no agent 'Weather'; did you mean 'weather'?"),
        (row("b", "x", "OOS"), "agents.yaml has no agent 'OOS'; did you mean 'oos'?"),
        (row("b", "x", "xyzzy"), "no agent 'xyzzy'; there are billing, travel, weather"),
        (row("first"), "'first' was there before, at train.utterances.jsonl:1; the first one counts"),
        (row("b", history="user: hello"), "history of b is 'user: hello'"),
        (row("b", history={}), "history of b is {}"),
        (row("b", history=["hello"]), "history of b is ['hello']"),
        (row("b", history=["user: "]), "history of b is ['user: ']"),
        (row("b", history=["narrator: meanwhile"]), "history of b is"),
        (row("b", history=["user: a", 7]), "history of b is"),
        (row("b", history=[{"role": "user"}]), "history of b is"),
        (row("b", history=[{"role": ["user"], "text": "x"}]), "history of b is"),
        (row("b", dialogue=["d"]), "dialogue of b is ['d']"),
        (row("b", dialogue=True), "dialogue of b is True"),
    ],
)
def test_a_bad_line_is_left_out_with_its_place_and_the_others_are_used(
    tmp_path: Path, line: Any, said: str
) -> None:
    found = opened(tmp_path, train=[row("first"), line, row("last")])
    assert [*found.queries] == ["first", "last"] and len(found.table()) == 2
    assert len(found.problems) == 1
    assert found.problems[0].startswith("train.utterances.jsonl:2: ") and said in found.problems[0]


def test_an_id_counts_once_in_the_folder(tmp_path: Path) -> None:
    found = opened(tmp_path, b=[row("x", "later")], a=[row("x", "earlier")])
    assert [record.query.text for record in found.queries.values()] == ["earlier"]
    assert found.problems == (
        "b.utterances.jsonl:1: utterance 'x' was there before, at a.utterances.jsonl:1; the first one counts",
    )


def test_labels_of_another_registry_are_told_in_few_lines(tmp_path: Path) -> None:
    strangers = [row(f"s{i}", f"text {i}", f"stranger{i // 5}") for i in range(1_000)]
    found = opened(tmp_path, train=[row("first"), *strangers])
    assert [*found.queries] == ["first"] and len(found.problems) < 100
    assert "1 more utterances of the unknown agent 'stranger0'" not in found.problems
    assert "2 more utterances of the unknown agent 'stranger0'" in found.problems
    assert found.problems[-1] == "897 more utterances of unknown agents"


def test_when_nothing_is_left_the_reasons_are_told(tmp_path: Path) -> None:
    with pytest.raises(OutcomeError) as refused:
        opened(tmp_path / "one", a=["nothing"], b=[row("b", "x", "nobody")])
    said = str(refused.value).splitlines()
    assert "no usable utterance in a.utterances.jsonl, b.utterances.jsonl" in said[0]
    assert said[1].startswith("a.utterances.jsonl:1: ") and said[2].startswith("b.utterances.jsonl:1: ")
    with pytest.raises(OutcomeError, match="no usable utterance"):
        opened(tmp_path / "empty", train=[])


def test_a_file_of_which_nothing_can_be_used_makes_no_split(tmp_path: Path) -> None:
    found = opened(tmp_path / "dev", train=[row("t")], dev=[row("d", "x", "nobody")])
    assert [*found.queries] == ["t"] and "split" not in found.queries["t"].meta and len(found.problems) == 1
    copied = opened(tmp_path / "train", train=[row("t", "The same")], dev=[row("d", "the  same")])
    assert [*copied.queries] == ["d"] and "split" not in copied.queries["d"].meta
    assert "left out of the train part" in copied.problems[0]


def test_an_agent_may_not_be_called_as_the_label_for_none(tmp_path: Path) -> None:
    path = folder(tmp_path, train=[row("t")])
    (path / "agents.yaml").write_text(registry("travel", OOS).to_yaml())
    with pytest.raises(OutcomeError, match=r"agents\.yaml has an agent 'oos': .* give the agent another id"):
        OutcomeFolder.open(path)


def test_what_is_missing_or_too_much_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = folder(tmp_path / "a", train=[row("t")])
    (path / "agents.yaml").write_text("version: 1\nagents: 7\n")
    with pytest.raises(RegistryError):
        OutcomeFolder.open(path)
    (path / "agents.yaml").unlink()
    with pytest.raises(OutcomeError, match=r"has no agents\.yaml: write a registry there"):
        OutcomeFolder.open(path)
    for name in ("queries.jsonl", "queries.jsonl.gz", "outcomes.jsonl"):
        both = folder(tmp_path / name, train=[row("t")])
        (both / name).touch()
        with pytest.raises(OutcomeError, match=rf"has both train\.utterances\.jsonl and {name}: .* move one"):
            OutcomeFolder.open(both)
    with pytest.raises(OutcomeError, match=r"is not a folder: .*NAME\.utterances\.jsonl"):
        UtteranceFolder.open(tmp_path / "nowhere")
    outcomes = create_folder(
        tmp_path / "o", registry(), [QueryRecord(query=Query(text="Who?", id="q"), gold=("I",))]
    )
    (outcomes / "._train.utterances.jsonl").touch()  # as some systems leave beside a copy
    assert OutcomeFolder.open(outcomes).labelled is False
    with pytest.raises(OutcomeError, match=r"has no utterances: such a folder has agents\.yaml and NAME"):
        UtteranceFolder.open(outcomes)
    (tmp_path / "empty").mkdir()
    with pytest.raises(OutcomeError, match=r"has no queries\.jsonl: .* NAME\.utterances\.jsonl"):
        OutcomeFolder.open(tmp_path / "empty")
    with pytest.raises(InputError, match="did you mean 'travel'"):
        opened(tmp_path / "b", train=[row("t")]).table(["travle"])


# ---------------------------------------------------------------------------- who needs answers


def test_utterances_are_no_questions_and_no_place_for_outcomes(tmp_path: Path) -> None:
    path = folder(tmp_path / "u", train=[row("t")])
    before = sorted(path.iterdir())
    for place in (path, path / "train.utterances.jsonl"):
        with pytest.raises(OutcomeError, match=r"holds utterances, .* read from queries\.jsonl"):
            read_queries(place)
        with pytest.raises(OutcomeError, match=r"holds utterances, .* read from queries\.jsonl"):
            collect(registry(), place, tmp_path / "out")
    record = QueryRecord(query=Query(text="Who?", id="q"), gold=("I",))
    for write in (lambda: create_folder(path, registry(), [record]), lambda: OutcomeWriter(path)):
        with pytest.raises(OutcomeError, match="never both; choose another folder"):
            write()
    assert sorted(path.iterdir()) == before and not (tmp_path / "out").exists()


def test_recorded_agents_say_that_utterances_hold_no_answers(tmp_path: Path) -> None:
    path = folder(tmp_path, train=[row("t")])
    agent = build_team(AgentRegistry.from_yaml(path / "agents.yaml"))["travel"]
    with pytest.raises(OutcomeError, match=r"nothing of what they answer: .* set `outcomes` to one"):
        asyncio.run(agent.answer(Query(text="what of t?"), NoClient(), None, Limits()))


def test_outcomes_of_labels_are_whole_records(tmp_path: Path) -> None:
    found = opened(tmp_path, train=[row("t", "x", "weather"), row("o", "y", OOS)])
    assert list(found.read()) == [
        Outcome(query=name, agent=agent, score=float((name, agent) == ("t", "weather")))
        for name in ("t", "o")
        for agent in AGENTS
    ]
