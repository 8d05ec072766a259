from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from evaluation import pupils

from agentroute.errors import InputError, OutcomeError
from agentroute.evaluation.collect import acollect, collect
from agentroute.outcomes import OutcomeFolder, QueryRecord
from agentroute.registry import AgentRegistry
from agentroute.testing import FakeClient
from agentroute.types import AgentSpec, Answer, ChatClient, EffortRouter, Limits, Price, Query

ALLOW = ("evaluation.pupils",)
RECORDS = [
    QueryRecord(query=Query(id=f"q{i}", text=f"What is the capital of {country}?"), gold=(capital,))
    for i, (country, capital) in enumerate(pupils.CAPITALS.items())
]


def pupil(name: str, **more: object) -> AgentSpec:
    given = {"kind": "function", "description": f"{name}.", "function": f"evaluation.pupils:{name}"} | more
    return AgentSpec(id=name, **given)  # type: ignore[arg-type]


def school(*names: str) -> AgentRegistry:
    return AgentRegistry.from_specs(pupil(name) for name in names)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    pupils.asked.clear()
    pupils.moods["broken"] = True
    pupils.busiest = 0
    yield


def scores(folder: Path, name: str) -> list[float]:
    table = OutcomeFolder.open(folder).table()
    return table.score[:, table.agent_ids.index(name)].tolist()


def test_wrong_declined_and_failed_are_three_things(tmp_path: Path) -> None:
    report = collect(school("knows", "guesses", "declines", "fails"), RECORDS, tmp_path / "o", allow=ALLOW)
    assert (report.total, report.kept, report.recorded, report.declined) == (16, 0, 16, 4)
    assert (
        report.failed == 4 and "no pencil" in report.problems[0] and report.problems[0].startswith("fails:")
    )
    found = {(o.query, o.agent): o for o in OutcomeFolder.open(tmp_path / "o").read()}
    assert len(found) == 16
    assert [found[f"q{i}", "knows"].score for i in range(4)] == [1.0] * 4
    assert [found[f"q{i}", "guesses"].score for i in range(4)] == [1.0, 0.0, 0.0, 0.0]
    assert (found["q0", "declines"].score, found["q0", "declines"].answer) == (0.0, "")
    assert found["q0", "fails"].score is None and "no pencil" in (found["q0", "fails"].error or "")
    assert all(o.latency_s is not None and o.cost_usd is None for o in found.values())


def test_the_same_call_again_asks_nobody(tmp_path: Path) -> None:
    team = school("knows", "fails")
    collect(team, RECORDS, tmp_path / "o", allow=ALLOW)
    before = (tmp_path / "o" / "outcomes.jsonl").read_bytes()
    pupils.asked.clear()
    report = collect(team, RECORDS, tmp_path / "o", allow=ALLOW)
    assert (report.kept, report.recorded) == (8, 0) and not pupils.asked
    assert (tmp_path / "o" / "outcomes.jsonl").read_bytes() == before


def test_retry_asks_only_those_that_failed(tmp_path: Path) -> None:
    team = school("knows", "fails")
    collect(team, RECORDS, tmp_path / "o", allow=ALLOW)
    pupils.asked.clear()
    pupils.moods["broken"] = False
    report = collect(team, RECORDS, tmp_path / "o", allow=ALLOW, retry=True)
    assert (report.kept, report.recorded, report.failed) == (4, 4, 0)
    assert pupils.asked == {"fails": 4}
    assert scores(tmp_path / "o", "fails") == [0.0, 1.0, 0.0, 0.0]


def test_a_torn_record_is_asked_again_and_nothing_else(tmp_path: Path) -> None:
    team = school("knows", "guesses")
    collect(team, RECORDS, tmp_path / "o", allow=ALLOW, concurrency=1)
    path = tmp_path / "o" / "outcomes.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    pupils.asked.clear()
    report = collect(team, RECORDS, tmp_path / "o", allow=ALLOW)
    assert report.recorded == 1 and pupils.asked == {"guesses": 1}
    assert OutcomeFolder.open(tmp_path / "o").table().ran.all()


async def test_a_cancelled_collection_keeps_what_was_done_and_goes_on(tmp_path: Path) -> None:
    team = school("slow", "knows")
    records = [
        QueryRecord(query=Query(id=f"r{i}", text="What is the capital of Italy?"), gold=("Rome",))
        for i in range(40)
    ]
    told: list[int] = []
    task = asyncio.create_task(
        acollect(
            team,
            records,
            tmp_path / "o",
            allow=ALLOW,
            concurrency=3,
            progress=lambda _, n, __: told.append(n),
        )
    )
    while not told or told[-1] < 10:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    folder = OutcomeFolder.open(tmp_path / "o")
    kept = len(list(folder.read()))
    assert told[-1] <= kept < 80 and not folder.problems
    report = await acollect(team, records, tmp_path / "o", allow=ALLOW, concurrency=20)
    assert (report.kept, report.recorded) == (kept, 80 - kept)
    assert OutcomeFolder.open(tmp_path / "o").table().ran.all()
    assert told == sorted(told)


def test_no_more_agents_work_at_once_than_allowed(tmp_path: Path) -> None:
    records = [QueryRecord(query=Query(text=f"Italy {i}?"), gold=("Rome",)) for i in range(12)]
    collect(school("slow"), records, tmp_path / "o", allow=ALLOW, concurrency=3)
    assert 2 <= pupils.busiest <= 3
    assert [q.query.id for q in OutcomeFolder.open(tmp_path / "o").queries.values()][:2] == [
        "q00001",
        "q00002",
    ]
    with pytest.raises(InputError, match="concurrency is 0"):
        collect(school("slow"), records, tmp_path / "p", allow=ALLOW, concurrency=0)


def test_the_budget_of_a_collection_is_never_passed_and_can_be_raised(tmp_path: Path) -> None:
    team = AgentRegistry.from_specs([pupil("knows", price=Price(call=0.01))])
    report = collect(team, RECORDS, tmp_path / "o", allow=ALLOW, limits=Limits(max_cost_usd=0.031))
    assert report.recorded == 3 and report.usage.cost_usd == pytest.approx(0.03)
    assert report.stopped is not None and "budget of $0.031 reached" in report.stopped
    assert pupils.asked == {"knows": 3}
    report = collect(team, RECORDS, tmp_path / "o", allow=ALLOW, limits=Limits(max_cost_usd=1.0))
    assert (report.kept, report.recorded, report.stopped) == (3, 1, None)


def test_the_time_of_a_collection_ends_it_and_blames_no_agent(tmp_path: Path) -> None:
    began = time.monotonic()
    report = collect(
        school("knows", "sleeps"), RECORDS, tmp_path / "o", allow=ALLOW, limits=Limits(deadline_s=0.5)
    )
    assert time.monotonic() - began < 10
    assert report.stopped is not None and "0.5 s" in report.stopped
    assert report.recorded == report.total - 4 and report.failed == 0


def test_model_calls_are_metered_scored_and_recorded(tmp_path: Path) -> None:
    model = AgentSpec(id="m", kind="llm", description="A model.", model="openai/fake", strategy="direct")
    client = FakeClient(lambda request: "Paris")
    report = collect(AgentRegistry.from_specs([model]), RECORDS, tmp_path / "o", client=client)
    assert report.recorded == len(client.requests) == 4
    assert report.usage.requests == 4 and report.usage.cost_usd == pytest.approx(0.004)
    outcome = next(OutcomeFolder.open(tmp_path / "o").read())
    assert (outcome.score, outcome.input_tokens, outcome.cost_usd) == (1.0, 10, 0.001)
    capped = collect(
        AgentRegistry.from_specs([model]),
        RECORDS,
        tmp_path / "p",
        client=client,
        limits=Limits(max_requests=2),
        concurrency=1,
    )
    assert capped.recorded == 2 and "2 requests" in (capped.stopped or "")


def test_each_query_may_bring_its_own_metric(tmp_path: Path) -> None:
    def questions(**meta: str) -> list[tuple[Query, str, dict[str, str]]]:
        return [(Query(id="a", text="France?"), "the city of Paris", meta)]

    collect(school("guesses"), questions(), tmp_path / "1", allow=ALLOW)
    collect(school("guesses"), questions(metric="token_f1"), tmp_path / "2", allow=ALLOW)
    collect(
        school("guesses"), questions(metric="token_f1"), tmp_path / "3", allow=ALLOW, metric="exact_match"
    )
    collect(school("guesses"), questions(), tmp_path / "4", allow=ALLOW, metric=lambda answer, gold: 0.25)
    found = [scores(tmp_path / str(i), "guesses")[0] for i in range(1, 5)]
    assert found == pytest.approx([0.0, 0.5, 0.0, 0.25])


def test_an_unknown_metric_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no metric 'exact'"):
        collect(school("knows"), RECORDS, tmp_path / "o", allow=ALLOW, metric="exact")
    assert not pupils.asked and not (tmp_path / "o").exists()


def test_an_answer_survives_a_metric_that_fails(tmp_path: Path) -> None:
    def broken(answer: str, gold: Sequence[str]) -> float:
        raise RuntimeError("no ruler")

    with pytest.raises(InputError, match="no ruler"):
        collect(school("knows"), RECORDS[:1], tmp_path / "o", allow=ALLOW, metric=broken)
    outcome = next(OutcomeFolder.open(tmp_path / "o").read())
    assert outcome.answer == "Paris" and outcome.score is None and "no ruler" in (outcome.error or "")
    report = collect(school("knows"), RECORDS[:1], tmp_path / "o", allow=ALLOW, retry=True)
    assert report.recorded == 1 and scores(tmp_path / "o", "knows") == [1.0]


def test_without_a_right_answer_there_is_no_score_and_no_failure(tmp_path: Path) -> None:
    records = [QueryRecord(query=Query(id="a", text="France?"))]
    report = collect(school("knows"), records, tmp_path / "o", allow=ALLOW)
    assert (report.recorded, report.unscored, report.failed) == (1, 1, 0)
    assert np.isnan(scores(tmp_path / "o", "knows")[0])
    assert collect(school("knows"), records, tmp_path / "o", allow=ALLOW, retry=True).kept == 1


def test_teams_and_questions_come_in_several_forms(tmp_path: Path) -> None:
    class Echo:
        spec = AgentSpec(id="echo", kind="recorded", description="Says it again.")

        async def answer(
            self, query: Query, client: ChatClient, effort: EffortRouter, limits: Limits
        ) -> Answer:
            return Answer(agent="echo", text=query.text)

    (tmp_path / "team.yaml").write_text(school("knows").to_yaml())
    (tmp_path / "q.jsonl").write_text("".join(f"{record.to_json()}\n" for record in RECORDS))
    assert collect(tmp_path / "team.yaml", tmp_path / "q.jsonl", tmp_path / "1", allow=ALLOW).recorded == 4
    assert collect([Echo()], str(tmp_path / "q.jsonl"), tmp_path / "2").recorded == 4
    assert OutcomeFolder.open(tmp_path / "2").table().answers[0][0] == RECORDS[0].query.text


@pytest.mark.parametrize(
    ("questions", "message"),
    [
        ([], "no questions"),
        (["France?"], "question 1 is 'France"),
        ([(Query(text=" "), "x", {})], "question 1 has no text"),
        ([RECORDS[0], RECORDS[0]], "is given 2 times"),
        ("/nowhere/q.jsonl", "not a file"),
    ],
)
def test_questions_that_are_none_are_refused(tmp_path: Path, questions: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        collect(school("knows"), questions, tmp_path / "o", allow=ALLOW)  # type: ignore[arg-type]
    assert not pupils.asked


def test_a_folder_of_other_questions_is_left_alone(tmp_path: Path) -> None:
    collect(school("knows"), RECORDS, tmp_path / "o", allow=ALLOW)
    with pytest.raises(OutcomeError, match="differs"):
        collect(school("knows"), RECORDS[:2], tmp_path / "o", allow=ALLOW)


async def test_inside_an_event_loop_the_async_form_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="await acollect"):
        collect(school("knows"), RECORDS, tmp_path / "o", allow=ALLOW)


async def test_a_second_collection_in_one_folder_is_refused_while_the_first_is_at_work(
    tmp_path: Path,
) -> None:
    first = asyncio.create_task(acollect(school("slow"), RECORDS, tmp_path / "o", allow=ALLOW, concurrency=1))
    while not pupils.busiest:
        await asyncio.sleep(0.005)
    with pytest.raises(OutcomeError, match="another collection is at work"):
        await acollect(school("slow"), RECORDS, tmp_path / "o", allow=ALLOW)
    assert (await first).recorded == 4
    assert (await acollect(school("slow"), RECORDS, tmp_path / "o", allow=ALLOW)).kept == 4


def test_outcomes_do_not_go_into_a_file(tmp_path: Path) -> None:
    (tmp_path / "o").write_text("mine")
    with pytest.raises(OutcomeError, match="is a file"):
        collect(school("knows"), RECORDS, tmp_path / "o", allow=ALLOW)
    assert (tmp_path / "o").read_text() == "mine"


def test_a_question_may_be_a_plain_text(tmp_path: Path) -> None:
    collect(school("knows"), [("Of France?", "Paris", {})], tmp_path / "o", allow=ALLOW)
    assert scores(tmp_path / "o", "knows") == [1.0]
