"""Whatever comes in, an error of ours comes out, and what is accepted keeps its promises.

``make fuzz`` looks longer: FUZZ_EXAMPLES says how many examples each of these gets.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from agentroute.answers import group_equal, vote
from agentroute.errors import AgentRouteError, InputError, OutcomeError, RegistryError
from agentroute.outcomes import Outcome, OutcomeFolder, OutcomeWriter
from agentroute.outcomes.records import check_outcome
from agentroute.registry import AgentRegistry
from agentroute.running.calling.client import ClientError, LiteLLMClient
from agentroute.running.cleaning import clean
from agentroute.running.keeping.journal import Journal
from agentroute.running.refine import render
from agentroute.testing import LoopbackServer
from agentroute.types import Answer, ChatRequest, Price, Query

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "200"))
fuzz = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[*HealthCheck], derandomize=EXAMPLES <= 200
)
few = settings(fuzz, max_examples=max(20, EXAMPLES // 8))

any_text = st.text(max_size=30)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=8,
)

# ------------------------------------------------------------------------------- the registry

TEAM = """\
version: 1
defaults: {timeout_s: 30}
agents:
  - id: coder
    kind: llm
    description: "Writes code."
    examples: [Sort a list.]
    model: openai/gpt-5
    price: {input: 0.25, output: 2.0}
    effort: {levels: [low, high], default: low}
  - id: counter
    kind: function
    description: Counts.
    function: "agentroute.workbench.arithmetic:answer"
default_agent: coder
refiner: {kind: vote}
"""
LINES = TEAM.splitlines()
BITS = st.sampled_from(
    ["&a", "*a", "!!python/object", "<<: ", "---", "\t", "'", '"', "[", "]", "{", "}", ":", "- ", "# ", "|",
     ">", "? ", "%YAML", "\x00", "\u200b", "\ud7ff", "null", "~", ".inf", "0o17", "12:30:45", "no", "1e400",
     "agents:", "id: coder", "id: CODER", "model: ", "api_key: sk-x", "  ", "\n", "../..", "\u0430"]
)  # fmt: skip


@st.composite
def spoiled(draw: st.DrawFn) -> str:
    """A registry with a few lines dropped, doubled, swapped, or with something put into them."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(lines) - 1))
        how = draw(st.sampled_from(["drop", "double", "swap", "insert", "cut", "indent"]))
        if how == "drop" and len(lines) > 1:
            lines.pop(place)
        elif how == "double":
            lines.insert(place, lines[place])
        elif how == "swap":
            other = draw(st.integers(0, len(lines) - 1))
            lines[place], lines[other] = lines[other], lines[place]
        elif how == "insert":
            at = draw(st.integers(0, len(lines[place])))
            lines[place] = lines[place][:at] + draw(BITS | any_text) + lines[place][at:]
        elif how == "cut":
            lines[place] = lines[place][: draw(st.integers(0, len(lines[place])))]
        else:
            lines[place] = " " * draw(st.integers(0, 9)) + lines[place].lstrip()
    return "\n".join(lines) + "\n"


@pytest.mark.fault("F52", "exit 2, `file:line`, the rule", "whatever is accepted is written and read alike")
@fuzz
@given(spoiled() | st.builds(lambda data: yaml.safe_dump(data, allow_unicode=True), plain))
def test_any_registry_is_refused_by_line_or_comes_back_as_it_was(text: str) -> None:
    try:
        team = AgentRegistry.from_text(text, "team.yaml")
    except RegistryError as error:
        assert error.problems
        for problem in error.problems:
            file, line, rest = problem.split(":", 2)
            assert file == "team.yaml" and int(line) >= 1 and rest.strip() and problem.isprintable()
            assert len(problem) < 1_000
        return
    assert AgentRegistry.from_text(team.to_yaml(), "again.yaml").hash == team.hash
    assert len({name.casefold() for name in team.ids}) == len(team.ids)


# ------------------------------------------------------------------------------- outcomes

KEYS = [
    "query",
    "agent",
    "score",
    "answer",
    "cost_usd",
    "latency_s",
    "input_tokens",
    "effort",
    "error",
    "steps",
]
record = st.dictionaries(st.sampled_from(KEYS) | any_text, plain, max_size=8)
likely = st.fixed_dictionaries(
    {"query": st.sampled_from(["q0", "q1", "q9"]), "agent": st.sampled_from(["coder", "counter", "x"])},
    optional={
        "score": st.none() | st.floats(-0.1, 1.1),
        "answer": st.none() | st.text(max_size=20),
        "cost_usd": st.none() | st.floats(),
        "steps": st.lists(plain, max_size=2) | st.integers(),
    },
)
line = st.one_of(
    st.binary(max_size=60),
    st.builds(lambda data: json.dumps(data).encode(), record | likely | plain),
    st.builds(lambda data, cut: json.dumps(data).encode()[:cut], likely, st.integers(0, 40)),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fuzz")
    (path / "agents.yaml").write_text(TEAM)
    (path / "queries.jsonl").write_text('{"id": "q0", "text": "a"}\n{"id": "q1", "text": "b"}\n')
    return path


@pytest.mark.fault(
    "F40", "one line with file and line, the rest counted", "every record that keeps the format"
)
@fuzz
@given(st.lists(line, max_size=8), st.booleans())
def test_any_log_gives_records_that_keep_the_format_and_takes_more(
    folder: Path, lines: list[bytes], ended: bool
) -> None:
    file = folder / "outcomes.jsonl"
    file.write_bytes(b"\n".join(lines) + (b"\n" if ended else b""))
    for aside in folder.glob("*.torn-*"):
        aside.unlink()
    opened = OutcomeFolder.open(folder)
    before = list(opened.read())
    table = opened.table()
    for outcome in before:
        assert check_outcome(json.loads(outcome.to_json())) is None
        assert outcome.agent in opened.registry and outcome.query in opened.queries
    assert not math.isinf(float(table.score.max(initial=0.0, where=table.ran)))
    more = Outcome(query="q1", agent="counter", score=1.0, answer="after")
    with OutcomeWriter(folder) as writer:
        writer.append(more)
    after = list(opened.read())
    assert after == [*before, more]


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> pytest.TempPathFactory:
    return tmp_path_factory


@pytest.mark.fault("F40", "one line with file and line", "every query that keeps the format")
@fuzz
@given(st.lists(line | st.just(b'{"id": "q5", "text": "fine"}'), max_size=6))
def test_any_queries_open_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed-queries"
    path.mkdir(exist_ok=True)
    (path / "agents.yaml").write_text(TEAM)
    (path / "outcomes.jsonl").touch()
    (path / "queries.jsonl").write_bytes(b"\n".join(lines))
    try:
        opened = OutcomeFolder.open(path)
    except OutcomeError:
        assert b'{"id": "q5", "text": "fine"}' not in lines
        return
    assert all(name and record.query.text.strip() for name, record in opened.queries.items())


# ------------------------------------------------------------------------------- what a model answers

message = st.fixed_dictionaries(
    {},
    optional={
        "role": plain,
        "content": st.none() | any_text | plain,
        "tool_calls": plain
        | st.lists(
            st.fixed_dictionaries(
                {"id": plain, "type": st.just("function")},
                optional={"function": st.dictionaries(st.sampled_from(["name", "arguments"]), plain)},
            ),
            max_size=2,
        ),
    },
)
reply = st.fixed_dictionaries(
    {},
    optional={
        "id": plain,
        "model": plain,
        "choices": plain
        | st.lists(
            st.fixed_dictionaries(
                {}, optional={"message": message | plain, "finish_reason": plain, "index": plain}
            ),
            max_size=2,
        ),
        "usage": plain
        | st.dictionaries(
            st.sampled_from(
                ["prompt_tokens", "completion_tokens", "total_tokens", "completion_tokens_details"]
            ),
            plain,
        ),
        "error": plain,
    },
)


class Asking:
    """One server, one client and one event loop for all examples."""

    def __init__(self) -> None:
        self.body = b""
        self.server = LoopbackServer(models={"fuzz": lambda request: self.body})
        self.runner = asyncio.Runner()
        self.client = LiteLLMClient(max_retries=0)

    def ask(self, body: bytes) -> Any:
        self.body = body
        request = ChatRequest(
            model="openai/fuzz",
            messages=({"role": "user", "content": "?"},),
            api_base=self.server.url,
            price=Price(input=1.0, output=1.0),
            timeout_s=20.0,
        )
        return self.runner.run(self.client.chat(request))


@pytest.fixture(scope="module")
def asking() -> Iterator[Asking]:
    made = Asking()
    with made.server, made.runner:
        yield made
        made.runner.run(made.client.aclose())


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.fault("F15", "an answer, or `failed` with what was odd about it", "the bill; the other answers")
@fuzz
@given(st.builds(lambda data: json.dumps(data).encode(), reply | plain) | st.binary(max_size=80))
def test_any_body_is_an_answer_or_an_error_with_a_kind(asking: Asking, body: bytes) -> None:
    try:
        found = asking.ask(body)
    except ClientError as error:
        assert error.kind in ("unreadable", "empty", "cut", "refused", "server")
        assert str(error) == clean(str(error)) and "\n" not in str(error)
        usage = error.usage
    else:
        assert found.text.strip() or found.tool_calls
        assert found.text == clean(found.text)
        usage = found.usage
    assert usage.requests == 1
    for count in (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens):
        assert count is None or (type(count) is int and 0 <= count <= 10_000_000)
    assert usage.cost_usd is None or 0.0 <= usage.cost_usd <= 20.0


@pytest.mark.fault("F28", "the same answer", "every answer, as data")
@fuzz
@given(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=5), st.text(max_size=40))
def test_any_answers_read_back_from_the_refiners_prompt(texts: list[str], question: str) -> None:
    texts = [clean(text) for text in texts]
    assume(all(texts))
    given_answers = [Answer(agent=f"a{n}", text=text) for n, text in enumerate(texts)]
    prompt = render(Query(text=question), given_answers, {}, "0123456789abcdef")
    block = prompt.rsplit("=== answers 0123456789abcdef ===\n", 1)[1]
    rows = json.loads(block.removesuffix("\n=== end of answers 0123456789abcdef ==="))
    assert [row["answer"] for row in rows] == texts
    prompt.encode()


@fuzz
@given(st.lists(st.text(max_size=40), min_size=1, max_size=6), st.data())
def test_any_answers_are_grouped_and_counted(texts: list[str], data: st.DataObject) -> None:
    groups = group_equal(texts)
    assert len(groups) == len(texts)
    weights = data.draw(st.lists(st.floats(0.0, 1.0), min_size=len(texts), max_size=len(texts)))
    ballot = vote(texts, weights)
    if ballot is not None:
        assert texts[ballot.leader].strip() and ballot.leader in ballot.members
        assert 0.0 <= ballot.share <= 1.0 + 1e-9


# ------------------------------------------------------------------------------- the journal

RUN_NAMES = ["ra", "rb", "rc"]


def journal_machine(home: Path) -> type[RuleBasedStateMachine]:
    """A journal beside a model of it in plain lists, closed and opened again at any moment."""

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            Machine.count += 1
            self.path = home / f"{Machine.count}.db"
            self.journal = Journal(self.path)
            self.order: list[str] = []
            self.said: dict[str, list[tuple[str, str, str]]] = {}
            self.ended: dict[str, str] = {}

        @rule(run=st.sampled_from(RUN_NAMES))
        def begin(self, run: str) -> None:
            data = {"query": {"text": run}, "notes": [], "origin": {}}
            if run in self.said:
                with pytest.raises(InputError):
                    self.journal.begin(run, data).result()
                return
            self.journal.begin(run, data).result()
            self.order.append(run)
            self.said[run] = []

        @rule(
            run=st.sampled_from(RUN_NAMES),
            agent=st.sampled_from("ab"),
            text=st.text(max_size=12),
            durable=st.booleans(),
        )
        def answer(self, run: str, agent: str, text: str, durable: bool) -> None:
            if run in self.said and run not in self.ended:
                text = clean(text)
                self.journal.add(run, "answered", {"text": text}, agent, durable=durable).result()
                self.said[run].append(("answered", agent, text))

        @rule(run=st.sampled_from(RUN_NAMES), status=st.sampled_from(["complete", "degraded", "failed"]))
        def end(self, run: str, status: str) -> None:
            if run in self.said and run not in self.ended:
                self.journal.end(run, status, {}).result()
                self.ended[run] = status

        @rule()
        def reopen(self) -> None:
            self.journal.close()
            self.journal = Journal(self.path)

        @rule(run=st.sampled_from(RUN_NAMES), anew=st.booleans())
        def claim(self, run: str, anew: bool) -> None:
            status = self.ended.get(run)
            if (
                run not in self.said
                or status in ("complete", "degraded")
                or (status == "failed" and not anew)
            ):
                with pytest.raises(InputError):
                    self.journal.claim(run, anew=anew)
                return
            self.journal.claim(run, anew=anew)
            self.ended.pop(run, None)

        @rule(unfinished=st.booleans())
        def prune(self, unfinished: bool) -> None:
            kept = [run for run in self.order if run not in self.ended]
            self.journal.prune(-1.0, unfinished=unfinished)
            there = [row.id for row in self.journal.runs()][::-1]
            assert set(there) <= set(kept), "what has ended is gone"
            if not unfinished:
                assert there == kept
            self.order = there
            self.said = {run: self.said[run] for run in there}
            self.ended = {}

        @invariant()
        def holds_what_was_acknowledged(self) -> None:
            assert [row.id for row in self.journal.runs()] == self.order[::-1]
            for run, said in self.said.items():
                story = self.journal.story(run)
                found = [
                    (entry.kind, str(entry.agent), entry.data["text"])
                    for entry in story.entries
                    if entry.kind == "answered"
                ]
                assert found == said and story.damaged == 0
                assert [e.seq for e in story.entries] == sorted(e.seq for e in story.entries)

        def teardown(self) -> None:
            self.journal.close()

    Machine.count = 0  # type: ignore[attr-defined]
    return Machine


@pytest.mark.fault("F44", "`agentroute runs resume NAME`", "what was acknowledged, in its order, and no more")
def test_a_journal_keeps_its_promises_whatever_is_done_to_it(tmp_path: Path) -> None:
    machine = journal_machine(tmp_path)
    run_state_machine_as_test(machine, settings=settings(few, stateful_step_count=15))  # type: ignore[no-untyped-call]


def test_a_question_of_any_kind_is_asked_or_refused() -> None:
    from agentroute.running.question import read_question

    @fuzz
    @given(plain | st.text() | st.builds(lambda text: {"text": text}, plain))
    def ask(question: Any) -> None:
        try:
            query, _ = read_question(question)
        except AgentRouteError as error:
            assert error.exit_code == 2
        else:
            assert query.text.strip() and "\0" not in query.text
            query.text.encode()

    ask()
