from __future__ import annotations

import gzip
import json
import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentroute.errors import InputError, OutcomeError, RegistryError, StorageError
from agentroute.outcomes import (
    Outcome,
    OutcomeFolder,
    OutcomeWriter,
    QueryRecord,
    create_folder,
    outcome_from_answer,
    read_queries,
)
from agentroute.outcomes.jsonl import MAX_LINE, Problems, read_jsonl
from agentroute.registry import AgentRegistry
from agentroute.types import AgentSpec, Answer, Passage, Query, Step, Usage

AGENTS = ("one", "two", "three")


def registry(*ids: str) -> AgentRegistry:
    specs = [AgentSpec(id=name, kind="recorded", description=f"answers as {name}") for name in ids or AGENTS]
    return AgentRegistry.from_specs(specs)


def records(count: int = 4) -> list[QueryRecord]:
    return [QueryRecord(query=Query(text=f"What is {i}?", id=f"q{i}"), gold=(str(i),)) for i in range(count)]


def folder(tmp_path: Path, *outcomes: Outcome, queries: int = 4) -> Path:
    path = create_folder(tmp_path / "folder", registry(), records(queries))
    with OutcomeWriter(path) as writer:
        writer.append(*outcomes)
    return path


def add_lines(path: Path, *lines: str | bytes) -> None:
    with (path / "outcomes.jsonl").open("ab") as file:
        file.writelines(line if isinstance(line, bytes) else f"{line}\n".encode() for line in lines)


patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
texts = st.text(max_size=20)
unknown = st.none()
amounts = st.floats(0, 1e6) | unknown
counts = st.integers(0, 2**63 - 1) | unknown
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | texts, lambda x: st.lists(x, max_size=3), max_leaves=4
)
outcomes = st.builds(
    Outcome,
    query=st.text(min_size=1, max_size=8),
    agent=st.text(min_size=1, max_size=8),
    score=st.floats(0, 1) | unknown,
    answer=texts | unknown,
    input_tokens=counts,
    output_tokens=counts,
    reasoning_tokens=counts,
    cost_usd=amounts,
    latency_s=amounts,
    effort=st.sampled_from(["low", "high"]) | unknown,
    error=texts | unknown,
    response=texts | unknown,
    steps=st.lists(st.dictionaries(texts, plain, max_size=2), max_size=2).map(tuple),
    extra=st.dictionaries(texts.map(lambda key: f"x {key}"), plain, max_size=2),
)


# ---------------------------------------------------------------------------- records


@patient
@given(outcomes)
def test_an_outcome_comes_back_as_it_was_written(outcome: Outcome) -> None:
    line = outcome.to_json()
    assert "\n" not in line and line.isascii()
    assert Outcome.from_json(json.loads(line)) == outcome


@patient
@given(
    st.builds(
        QueryRecord,
        query=st.builds(
            Query,
            text=st.text(min_size=1).filter(str.strip),
            context=st.lists(st.builds(Passage, title=texts, text=texts), max_size=2).map(tuple),
            task=st.none() | st.text(min_size=1, max_size=5),
            entities=st.lists(texts, max_size=3).map(tuple),
            id=st.text(min_size=1, max_size=8),
        ),
        gold=st.lists(texts, max_size=3).map(tuple),
        input_tokens=counts,
        meta=st.dictionaries(texts, plain, max_size=2),
    )
)
def test_a_query_comes_back_as_it_was_written(record: QueryRecord) -> None:
    assert QueryRecord.from_json(json.loads(record.to_json())) == record


@pytest.mark.parametrize(
    "values",
    [
        {"score": 1.1},
        {"score": -0.1},
        {"score": math.nan},
        {"score": True},
        {"score": "1"},
        {"cost_usd": -1.0},
        {"cost_usd": math.inf},
        {"latency_s": math.nan},
        {"input_tokens": -1},
        {"output_tokens": 1.5},
        {"output_tokens": 10**20},
        {"answer": 7},
        {"steps": "many"},
        {"query": ""},
        {"agent": None},
    ],
)
def test_impossible_values_are_refused_on_both_ways(values: dict[str, object]) -> None:
    data = {"query": "q0", "agent": "one", "score": 1.0} | values
    with pytest.raises(OutcomeError, match=next(iter(values))):
        Outcome.from_json(data)
    if isinstance(data.get("steps", []), list):
        with pytest.raises(OutcomeError, match=next(iter(values))):
            Outcome(**data).to_json()


def test_steps_may_be_a_number_only() -> None:
    outcome = Outcome.from_json({"query": "q", "agent": "a", "score": 1, "steps": 3, "em": 0.5})
    assert (outcome.steps, outcome.extra) == ((), {"steps": 3, "em": 0.5})
    assert json.loads(outcome.to_json())["steps"] == 3


def test_an_answer_becomes_an_outcome() -> None:
    usage = Usage(requests=2, input_tokens=10, output_tokens=5, reasoning_tokens=None, cost_usd=0.25)
    step = Step(role="answer", requested="high", applied="medium", usage=usage)
    ok = outcome_from_answer(
        "q", Answer(agent="a", text="Paris", usage=usage, steps=(step,), latency_s=1.5), 0.75
    )
    assert (ok.score, ok.answer, ok.error, ok.effort, ok.latency_s) == (0.75, "Paris", None, "medium", 1.5)
    assert (ok.input_tokens, ok.output_tokens, ok.reasoning_tokens, ok.cost_usd) == (10, 5, None, 0.25)
    assert Outcome.from_json(json.loads(ok.to_json())) == ok
    declined = outcome_from_answer("q", Answer(agent="a", status="skipped", error="declined"), None)
    assert (declined.score, declined.answer, declined.error) == (0.0, "", None)
    late = outcome_from_answer("q", Answer(agent="a", status="timed_out", error="30 s passed"), 1.0)
    assert (late.score, late.answer, late.error) == (None, None, "30 s passed")
    unscored = outcome_from_answer("q", Answer(agent="a", text="Paris"), None)
    assert (unscored.score, unscored.answer, unscored.error) == (None, "Paris", None)


# ---------------------------------------------------------------------------- reading


def test_a_folder_that_was_made_opens_empty_and_gives_its_queries_back(tmp_path: Path) -> None:
    path = create_folder(tmp_path / "new", registry(), records())
    opened = OutcomeFolder.open(path)
    assert list(opened.queries.values()) == records() == list(read_queries(path).values())
    assert opened.registry.ids == AGENTS and opened.problems == () and list(opened.read()) == []
    table = opened.table()
    assert table.score.shape == (4, 3) and not table.ran.any() and not table.has_answers
    assert table.sparse_agents() == AGENTS


def test_compressed_folders_read_the_same(tmp_path: Path) -> None:
    path = folder(tmp_path, Outcome(query="q0", agent="one", score=0.5, answer="x"))
    plain_outcomes = list(OutcomeFolder.open(path).read())
    for name in ("queries.jsonl", "outcomes.jsonl"):
        with gzip.open(path / f"{name}.gz", "wb") as file:
            file.write((path / name).read_bytes())
        with pytest.raises(OutcomeError, match="has both"):
            OutcomeFolder.open(path)
        (path / name).unlink()
    assert list(OutcomeFolder.open(path).read()) == plain_outcomes
    with pytest.raises(OutcomeError, match="gunzip"):
        OutcomeWriter(path)


def test_a_cut_archive_gives_what_is_before_the_cut(tmp_path: Path) -> None:
    many = [
        Outcome(query=f"q{i % 4}", agent="one", score=0.5, answer=os.urandom(300).hex()) for i in range(300)
    ]
    path = folder(tmp_path, *many)
    packed = gzip.compress((path / "outcomes.jsonl").read_bytes())
    (path / "outcomes.jsonl").unlink()
    (path / "outcomes.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    opened = OutcomeFolder.open(path)
    found = list(opened.read())
    assert 0 < len(found) < 300 and found == many[: len(found)]
    assert len(opened.problems) == 1 and "damaged from here on" in opened.problems[0]


@pytest.mark.fault("F40", "one line with file and line, the rest counted", "every other record")
def test_bad_lines_are_counted_with_their_place_and_the_others_are_used(tmp_path: Path) -> None:
    path = folder(tmp_path, Outcome(query="q0", agent="one", score=1.0))
    add_lines(
        path,
        "not json",
        "[1, 2]",
        b"\x00\x00\xff\n",
        "{" * 5_000,
        '{"query": "q0", "agent": "one", "score": ' + "1" * 5_000 + "}",
        "",
        '{"query": "q1", "agent": "one", "score": NaN}',
        '{"query": "q1", "agent": "nobody", "score": 1}',
        '{"query": "q1", "agent": "nobody", "score": 0}',
        '{"query": "q99", "agent": "one", "score": 1}',
        '{"query": "q1", "agent": "two", "score": 0, "answer": "bad \\ud800 half"}',
        '{"query": "q2", "agent": "two", "sco',
    )
    with (path / "outcomes.jsonl").open("r+b") as file:
        file.truncate(file.seek(0, os.SEEK_END) - 1)
    opened = OutcomeFolder.open(path)
    assert [(o.query, o.agent, o.score) for o in opened.read()] == [("q0", "one", 1.0), ("q1", "two", 0)]
    said = "\n".join(opened.problems)
    for line in (
        "outcomes.jsonl:2: not a JSON object",
        "2 more lines that are not records",
        "outcomes.jsonl:8: score is nan",
        "outcomes.jsonl:9: agents.yaml has no agent 'nobody'",
        "outcomes.jsonl:11: no query 'q99'",
        "1 unfinished record at the end was set aside",
    ):
        assert line in said
    assert len(opened.problems) == 9
    answer = opened.table().answers[1][1]
    assert answer is not None and answer.encode()  # nothing that cannot be written as UTF-8


@pytest.mark.fault("F40", "one line with file and line", "every other record; memory")
def test_an_endless_line_is_one_problem(tmp_path: Path) -> None:
    path = tmp_path / "big.jsonl"
    with path.open("wb") as file:
        file.write(b'{"id": 1}\n')
        file.seek(MAX_LINE + 10, os.SEEK_CUR)  # a hole: no disk is used
        file.write(b'"}\n{"id": 2}\n')
    problems = Problems()
    assert [record["id"] for _, record in read_jsonl(path, problems)] == [1, 2]
    assert problems.lines() == ("big.jsonl:2: not a JSON object; left out",)


def test_queries_that_break_the_format_are_named(tmp_path: Path) -> None:
    path = folder(tmp_path)
    with (path / "queries.jsonl").open("a") as file:
        file.write('{"id": "q0", "text": "again"}\n{"id": "q9"}\n{"id": 9, "text": "x"}\n')
        file.write('{"id": "q8", "text": "x", "gold": "bare"}\n')
        file.write('{"id": "q7", "text": "x", "context": [{"title": "no text"}]}\n')
    opened = OutcomeFolder.open(path)
    assert (
        list(opened.queries) == ["q0", "q1", "q2", "q3"] and opened.queries["q0"].query.text == "What is 0?"
    )
    said = "\n".join(opened.problems)
    assert "queries.jsonl:5: query 'q0' was there before" in said
    assert "queries.jsonl:6: text of q9 is missing" in said and "queries.jsonl:7: id is 9" in said
    with pytest.raises(OutcomeError, match="was there before"):
        read_queries(path)


def test_what_is_missing_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(OutcomeError, match=r"is not a folder: give a folder with agents\.yaml"):
        OutcomeFolder.open(tmp_path / "nowhere")
    for name in ("agents.yaml", "queries.jsonl", "outcomes.jsonl"):
        path = folder(tmp_path / name)
        (path / name).unlink()
        with pytest.raises(OutcomeError, match=f"has no {name}"):
            OutcomeFolder.open(path)
    bad = folder(tmp_path / "bad")
    (bad / "agents.yaml").write_text("version: 1\nagents: 7\n")
    with pytest.raises(RegistryError):
        OutcomeFolder.open(bad)
    (bad / "agents.yaml").write_text(registry().to_yaml())
    (bad / "queries.jsonl").write_text("nothing\n")
    with pytest.raises(OutcomeError, match="no usable query"):
        OutcomeFolder.open(bad)


# ---------------------------------------------------------------------------- the table

cells = st.tuples(st.integers(0, 3), st.integers(0, 2), st.floats(0, 1, width=16) | unknown, texts | unknown)


@settings(patient, max_examples=30)
@given(st.lists(cells, max_size=25))
def test_the_table_says_what_the_records_say(tmp_path_factory: pytest.TempPathFactory, made: list) -> None:
    written = [
        Outcome(query=f"q{q}", agent=AGENTS[a], score=score, answer=answer, cost_usd=score)
        for q, a, score, answer in made
    ]
    table = OutcomeFolder.open(folder(tmp_path_factory.mktemp("t"), *written)).table()
    for q in range(4):
        for a in range(3):
            scores = [score for i, j, score, _ in made if (i, j) == (q, a) and score is not None]
            said = [answer for i, j, _, answer in made if (i, j) == (q, a) and answer is not None]
            assert table.answers[q][a] == (said[0] if said else None)
            assert table.ran[q, a] == bool(scores)
            for array in (table.score, table.cost_usd):
                assert (
                    math.isnan(array[q, a])
                    if not scores
                    else array[q, a] == pytest.approx(np.mean(scores), abs=1e-6)
                )
    assert table.has_answers == any(answer is not None for *_, answer in made)
    assert (table.score.dtype, table.cost_usd.dtype) == (np.float32, np.float64)
    assert set(table.sparse_agents(0.5)) == {AGENTS[a] for a in range(3) if table.ran[:, a].mean() < 0.5}


@settings(patient, max_examples=30)
@given(st.lists(cells, max_size=25))
def test_each_run_of_a_query_is_a_row_of_its_own(
    tmp_path_factory: pytest.TempPathFactory, made: list
) -> None:
    written = [
        Outcome(query=f"q{q}", agent=AGENTS[a], score=score, answer=answer) for q, a, score, answer in made
    ]
    opened = OutcomeFolder.open(folder(tmp_path_factory.mktemp("t"), *written))
    runs, means = opened.table(each_run=True), opened.table()
    assert runs.queries[:4] == means.queries
    assert runs.ran[4:].any(axis=1).all()  # a later run has a row only where somebody ran again
    for q in range(4):
        mine = np.array([row.query.id == f"q{q}" for row in runs.queries])
        for a in range(3):
            scores = [score for i, j, score, _ in made if (i, j) == (q, a) and score is not None]
            found = runs.score[mine, a]
            assert sorted(found[~np.isnan(found)].tolist()) == pytest.approx(sorted(scores), abs=1e-6)


def test_rows_and_columns_can_be_picked(tmp_path: Path) -> None:
    written = [
        Outcome(query=f"q{q}", agent=agent, score=q / 4, answer=f"{q}{agent}", latency_s=a)
        for q in range(4)
        for a, agent in enumerate(AGENTS)
    ]
    opened = OutcomeFolder.open(folder(tmp_path, *written))
    table = opened.table()
    part = table.take([3, 1]).without(["two"])
    assert [record.query.id for record in part.queries] == ["q3", "q1"] and part.agent_ids == ("one", "three")
    assert part.answers == (("3one", "3three"), ("1one", "1three"))
    assert part.score.tolist() == [[0.75, 0.75], [0.25, 0.25]] and part.latency_s.tolist() == [[0, 2], [0, 2]]
    assert table.take(np.array([False, True, False, False])).answers == (table.answers[1],)
    assert opened.table(["three", "one"]).answers == table.only(["three", "one"]).answers
    assert len(table.take([])) == 0 and table.take([]).sparse_agents() == ()
    for broken in (lambda: table.without(["on"]), lambda: table.only(["on"]), lambda: opened.table(["on"])):
        with pytest.raises(InputError, match="did you mean 'one'"):
            broken()


def test_a_response_stands_in_for_an_answer_that_was_not_taken_out_of_it(tmp_path: Path) -> None:
    path = folder(tmp_path, Outcome(query="q0", agent="one", score=1.0, response="So it is 5."))
    opened = OutcomeFolder.open(path)
    assert opened.table().answers[0][0] == "So it is 5." == next(opened.read()).said


# ---------------------------------------------------------------------------- appending

LOG = [
    Outcome(query=f"q{i % 4}", agent=AGENTS[i % 3], score=i / 20, answer="é\n" * (i % 3)) for i in range(20)
]


@pytest.mark.fault(
    "F37",
    "`1 unfinished record at the end was set aside`",
    "every whole record",
)
def test_every_prefix_of_a_log_gives_its_whole_records_and_takes_more(tmp_path: Path) -> None:
    path = folder(tmp_path, *LOG)
    file = path / "outcomes.jsonl"
    whole = file.read_bytes()
    ends = [i for i, byte in enumerate(whole) if byte == ord("\n")]
    more = Outcome(query="q3", agent="three", score=1.0)
    opened = OutcomeFolder.open(path)
    for cut in range(len(whole) + 1):
        file.write_bytes(whole[:cut])
        complete = sum(end <= cut for end in ends)  # a record is whole when only its end of line is missing
        torn = cut not in (0, *(end + 1 for end in ends), *ends)
        assert list(opened.read()) == LOG[:complete]
        assert len(opened.problems) == torn
        if cut % 7 == 0 or not torn:
            with OutcomeWriter(path) as writer:
                writer.append(more)
            assert list(opened.read()) == [*LOG[:complete], more] and opened.problems == ()
            aside = list(path.glob("outcomes.jsonl.torn-*"))
            start = ends[complete - 1] + 1 if complete else 0
            assert [one.read_bytes() for one in aside] == ([whole[start:cut]] if torn else [])
            for one in aside:
                one.unlink()


def test_torn_tails_are_kept_apart_and_numbered(tmp_path: Path) -> None:
    path = folder(tmp_path, *LOG[:2])
    with OutcomeWriter(path) as writer:
        for number in (1, 2):
            add_lines(path, b'{"torn": %d' % number)  # another writer died in the middle
            writer.append(LOG[2])
    assert list(OutcomeFolder.open(path).read()) == [*LOG[:2], LOG[2], LOG[2]]
    assert [(path / f"outcomes.jsonl.torn-{n}").read_bytes() for n in (1, 2)] == [
        b'{"torn": 1',
        b'{"torn": 2',
    ]


def test_a_huge_torn_tail_is_found(tmp_path: Path) -> None:
    path = folder(tmp_path, LOG[0])
    add_lines(path, b'{"answer": "' + b"x" * 300_000)
    with OutcomeWriter(path) as writer:
        writer.append(LOG[1])
    assert list(OutcomeFolder.open(path).read()) == LOG[:2]
    assert (path / "outcomes.jsonl.torn-1").stat().st_size == 300_012


APPENDER = """
import sys
from agentroute.outcomes import Outcome, OutcomeWriter
path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
with OutcomeWriter(path) as writer:
    for i in range(count):
        writer.append(Outcome(query="q0", agent=name, score=1.0, answer=f"{name}-{i}-{'x' * (i * 37 % 999)}"))
        print(i, flush=True)
"""


def start_appender(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", APPENDER, str(path), name, str(count)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def say(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.flush()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.fault("F38", "nothing", "every record of both")
def test_two_processes_append_at_once_and_lose_nothing(tmp_path: Path) -> None:
    path = folder(tmp_path)
    processes = [start_appender(path, name, 150) for name in ("one", "two")]
    assert [heard(process) for process in processes] == ["ready", "ready"]
    for process in processes:
        say(process, "go\n")
    assert [process.communicate(timeout=60) and process.returncode for process in processes] == [0, 0]
    opened = OutcomeFolder.open(path)
    found = [(o.agent, (o.answer or "").split("-")[1]) for o in opened.read()]
    assert opened.problems == ()
    for name in ("one", "two"):
        assert [number for agent, number in found if agent == name] == [str(i) for i in range(150)]


@pytest.mark.fault("F37", "`1 unfinished record at the end was set aside`", "all that was acknowledged")
def test_a_killed_process_loses_no_acknowledged_record(tmp_path: Path) -> None:
    path = folder(tmp_path)
    process = start_appender(path, "one", 100_000)
    assert heard(process) == "ready"
    say(process, "go\n")
    while int(heard(process)) < 20:
        pass
    process.kill()
    rest, _ = process.communicate(timeout=60)
    acknowledged = int(([20] + [int(line) for line in rest.split("\n")[:-1]])[-1])
    with OutcomeWriter(path) as writer:
        writer.append(Outcome(query="q1", agent="two", score=0.0))
    found = list(OutcomeFolder.open(path).read())
    assert [(o.answer or "").split("-")[1] for o in found[:-1]] == [str(i) for i in range(len(found) - 1)]
    assert len(found) - 1 > acknowledged and found[-1].agent == "two"


def test_what_is_done_is_counted(tmp_path: Path) -> None:
    path = folder(tmp_path, *LOG[:3], LOG[0], Outcome(query="q3", agent="one", error="timed out"))
    with OutcomeWriter(path) as writer:
        assert writer.done() == Counter(
            {("q0", "one"): 2, ("q1", "two"): 1, ("q2", "three"): 1, ("q3", "one"): 1}
        )
        assert ("q3", "one") not in writer.done(failures=False)


def test_a_batch_with_an_impossible_outcome_writes_nothing(tmp_path: Path) -> None:
    path = folder(tmp_path, LOG[0])
    with OutcomeWriter(path) as writer:
        with pytest.raises(OutcomeError, match="score is 2"):
            writer.append(LOG[1], Outcome(query="q0", agent="one", score=2.0))
        with pytest.raises(OutcomeError, match="cannot be written as JSON"):
            writer.append(Outcome(query="q0", agent="one", score=1.0, extra={"x": object()}))
        writer.append()
    assert list(OutcomeFolder.open(path).read()) == LOG[:1]


def test_a_disk_that_refuses_is_a_storage_error_and_leaves_no_torn_tail(tmp_path: Path) -> None:
    path = folder(tmp_path, LOG[0])
    script = """
import resource, signal, sys
from agentroute.errors import StorageError
from agentroute.outcomes import Outcome, OutcomeWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with OutcomeWriter(sys.argv[1]) as writer:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, resource.RLIM_INFINITY))
    try:
        writer.append(Outcome(query="q0", agent="one", score=1.0, answer="x" * 5_000))
    except StorageError as error:
        sys.exit(f"refused: {error}")
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=60
    )
    assert "refused:" in done.stderr and "outcomes.jsonl" in done.stderr
    opened = OutcomeFolder.open(path)
    assert list(opened.read()) == LOG[:1] and opened.problems == ()


def test_a_folder_is_made_once_and_never_mixed(tmp_path: Path) -> None:
    path = create_folder(tmp_path / "deep" / "folder", registry(), records())
    with OutcomeWriter(path) as writer:
        writer.append(*LOG)
    (path / "agents.yaml").write_text("# the same agents, by hand\n" + (path / "agents.yaml").read_text())
    assert create_folder(path, registry(), records()) == path
    assert list(OutcomeFolder.open(path).read()) == LOG
    with pytest.raises(OutcomeError, match=r"agents\.yaml is there and differs"):
        create_folder(path, registry("one", "two"), records())
    with pytest.raises(OutcomeError, match=r"queries\.jsonl is there and differs"):
        create_folder(path, registry(), records(3))
    assert sorted(one.name for one in path.iterdir()) == ["agents.yaml", "outcomes.jsonl", "queries.jsonl"]
    with pytest.raises(OutcomeError, match="id of its own"):
        create_folder(tmp_path / "twice", registry(), [*records(), records()[0]])
    with pytest.raises(OutcomeError, match="id of its own"):
        create_folder(tmp_path / "none", registry(), [QueryRecord(query=Query(text="x"))])


def test_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(OutcomeError, match=r"create_folder\(\)"):
        OutcomeWriter(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        create_folder(tmp_path / "file" / "below", registry(), records())
    path = folder(tmp_path)
    (path / "outcomes.jsonl").unlink()
    (path / "outcomes.jsonl").mkdir()
    with pytest.raises(StorageError, match="cannot be written"):
        OutcomeWriter(path)
