"""The values that travel, and the Protocols at the seams.

Every value is frozen, keyword-only and holds plain data, so that a checkpoint can keep it: ``to_plain`` turns
one into dicts and lists, ``from_plain`` reads it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeVar, get_args, runtime_checkable

if TYPE_CHECKING:
    import numpy as np

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]
EFFORTS: tuple[Effort, ...] = get_args(Effort)
AgentKind = Literal["llm", "function", "runnable", "recorded"]
AnswerStatus = Literal["ok", "failed", "timed_out", "skipped"]
RunStatus = Literal["complete", "degraded", "failed"]
Strategy = Literal["direct", "cot", "self-consistency", "react"]
StepRole = Literal["plan", "tool", "answer", "refine"]

# ---------------------------------------------------------------------------- what is asked


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A titled piece of text that comes with a query."""

    title: str = ""
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """An earlier turn of the conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """What is asked, with all that came along.

    Args:
        text: The question itself.
        context: Passages given with it.
        history: Earlier turns, oldest first.
        task: A label such as a subject or a data set, when one is known.
        entities: Names already known to matter; the extractor adds to them.
        id: The name of this query in an outcome folder, when it comes from one.
    """

    text: str
    context: tuple[Passage, ...] = ()
    history: tuple[Message, ...] = ()
    task: str | None = None
    entities: tuple[str, ...] = ()
    id: str | None = None


# ---------------------------------------------------------------------------- what is known


@dataclass(frozen=True, kw_only=True, slots=True)
class Entity:
    """A thing that a text names.

    Args:
        name: The surface form, as first written.
        kind: ``name | number | date | quote | term``, or a label of the extractor's own.
        count: How often it occurs in query and context together.
    """

    name: str
    kind: str
    count: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Relation:
    """A labelled tie between two entities, by their names."""

    head: str
    label: str
    tail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Extraction:
    """The entities of a text and the ties between them."""

    entities: tuple[Entity, ...] = ()
    relations: tuple[Relation, ...] = ()


# ---------------------------------------------------------------------------- who can be asked


@dataclass(frozen=True, slots=True)
class Key:
    """What one key of a registry row means and takes; ``rows.py`` checks files and writes the schema by it.

    Args:
        doc: What the key says, in one or two sentences.
        rule: The pattern in words, for messages.
        pattern: What the text, or each text of a list, must match as a whole.
        at_least: The smallest number allowed.
        above: The number that must be exceeded.
        at_most: The largest number allowed.
        max_length: Characters allowed in the text, or in each text of a list.
        max_items: Texts allowed in a list.
        kinds: The agent kinds that use the key; a ``recorded`` row may keep any key of the agent it replays.
        needed_by: The agent kinds that cannot do without it.
        shared: Whether ``defaults:`` may give it for all rows.
        private: Whether messages must not repeat the value, because a key or a password may sit in it.
    """

    doc: str
    rule: str = ""
    pattern: str | None = None
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    max_length: int = 500
    max_items: int = 100
    kinds: tuple[AgentKind, ...] = get_args(AgentKind)
    needed_by: tuple[AgentKind, ...] = ()
    shared: bool = True
    private: bool = False

    def used_by(self, kind: AgentKind) -> bool:
        """Whether a row of this kind may have the key."""
        return kind in self.kinds or kind == "recorded"


_ID = r"[a-z0-9][a-z0-9._-]{0,63}"
_ID_RULE = "must be 1 to 64 of a-z, 0-9, '.', '_', '-', a letter or digit first, such as web-researcher"
_IMPORT = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z][A-Za-z0-9_]*"
_IMPORT_RULE = "must be an import path, such as my_app.tools:search"
_VARIABLE = r"[A-Z][A-Z0-9_]{0,99}"
_VARIABLE_RULE = (
    "must be the name of an environment variable in capitals, such as OPENAI_API_KEY, never the key itself"
)
_KEY_ENV = Key("Name of the variable that holds the key.", _VARIABLE_RULE, _VARIABLE, private=True)
_BASE = Key("Another address of the same protocol.", "must be an address", max_length=2_000, private=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """What an agent costs; ``None`` means unknown, never free."""

    input: Annotated[float | None, Key("US dollars per million input tokens.", at_least=0, at_most=1e6)] = (
        None
    )
    output: Annotated[float | None, Key("US dollars per million output tokens.", at_least=0, at_most=1e6)] = (
        None
    )
    call: Annotated[
        float | None, Key("US dollars per answer, whatever its length.", at_least=0, at_most=1e6)
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EffortRange:
    """The reasoning-effort levels an agent may run at, and the one to use when nothing else decides."""

    levels: Annotated[tuple[Effort, ...], Key("The levels that may be asked for.")]
    default: Annotated[Effort, Key("The level when nothing else decides; one of `levels`.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentSpec:
    """One row of a registry: who an agent is, what it says of itself, and how to run it."""

    id: Annotated[str, Key("The agent's name, unique whatever the case.", _ID_RULE, _ID, shared=False)]
    kind: Annotated[
        AgentKind,
        Key(
            "`llm` asks a model, `function` calls Python, `runnable` a LangChain Runnable, "
            "`recorded` repeats answers from an outcome folder.",
            shared=False,
        ),
    ]
    description: Annotated[
        str,
        Key(
            "What the agent is good at, in a sentence or two. The router reads it.",
            max_length=8_000,
            shared=False,
        ),
    ]
    examples: Annotated[
        tuple[str, ...],
        Key("Questions it answers well. The router reads them too.", max_length=4_000, shared=False),
    ] = ()
    tags: Annotated[
        tuple[str, ...], Key("Short labels, such as `math`. The router reads them.", max_length=64)
    ] = ()
    model: Annotated[
        str | None,
        Key("A litellm model name, such as `openai/gpt-5-mini`.", needed_by=("llm",)),
    ] = None
    system: Annotated[str | None, Key("The system prompt.", max_length=100_000, kinds=("llm",))] = None
    strategy: Annotated[
        str | None,
        Key(
            "How the model is asked: `direct`, `cot`, `self-consistency` or `react`. "
            "Free text where no model is asked."
        ),
    ] = None
    prompt: Annotated[
        str | None,
        Key(
            "Your own prompt, in place of the strategy's; `{question}` and `{context}` are filled in.",
            max_length=100_000,
            kinds=("llm",),
        ),
    ] = None
    tools: Annotated[
        tuple[str, ...],
        Key(
            "Import paths of Python functions that `react` may call. The caller must allow their modules.",
            _IMPORT_RULE,
            _IMPORT,
            kinds=("llm",),
        ),
    ] = ()
    effort: Annotated[
        EffortRange | None,
        Key("The reasoning effort: one level, or `{levels: [low, high], default: low}` to leave a choice."),
    ] = None
    price: Annotated[
        Price | None,
        Key("What it costs; overrides the built-in price list. What is left out is unknown, not free."),
    ] = None
    api_key_env: Annotated[str | None, _KEY_ENV] = None
    api_base: Annotated[str | None, replace(_BASE, kinds=("llm",))] = None
    temperature: Annotated[
        float | None, Key("Sampling temperature.", at_least=0, at_most=2, kinds=("llm",))
    ] = None
    max_tokens: Annotated[
        int | None, Key("Cap on the tokens of one reply.", at_least=1, at_most=10_000_000, kinds=("llm",))
    ] = None
    samples: Annotated[
        int,
        Key("Replies that `self-consistency` draws and votes over.", at_least=1, at_most=100, kinds=("llm",)),
    ] = 5
    function: Annotated[
        str | None,
        Key(
            "Import path of the Python function to call.",
            _IMPORT_RULE,
            _IMPORT,
            kinds=("function",),
            needed_by=("function",),
            shared=False,
        ),
    ] = None
    runnable: Annotated[
        str | None,
        Key(
            "Import path of the LangChain Runnable to invoke.",
            _IMPORT_RULE,
            _IMPORT,
            kinds=("runnable",),
            needed_by=("runnable",),
            shared=False,
        ),
    ] = None
    outcomes: Annotated[
        str | None,
        Key(
            "The outcome folder to answer from, relative to this file.", max_length=4_000, kinds=("recorded",)
        ),
    ] = None
    timeout_s: Annotated[float, Key("Seconds that one answer may take.", above=0, at_most=86_400)] = 30.0
    max_steps: Annotated[
        int, Key("Model and tool calls that one answer may take.", at_least=1, at_most=1_000)
    ] = 8

    @property
    def card(self) -> str:
        """The text that the router embeds: description, then tags."""
        return f"{self.description} ({', '.join(self.tags)})" if self.tags else self.description


@dataclass(frozen=True, kw_only=True, slots=True)
class RefinerSpec:
    """How several answers become one: ``vote`` asks no model, ``llm`` asks the named one."""

    kind: Annotated[
        Literal["vote", "llm"], Key("`vote` counts equal answers by weight, `llm` asks a model.")
    ] = "vote"
    model: Annotated[str | None, Key("A litellm model name; needed by `llm`.", needed_by=("llm",))] = None
    api_key_env: Annotated[str | None, _KEY_ENV] = None
    api_base: Annotated[str | None, _BASE] = None
    price: Annotated[Price | None, Key("What the model costs; overrides the built-in price list.")] = None
    effort: Annotated[EffortRange | None, Key("The reasoning effort, as in a row.")] = None
    max_tokens: Annotated[
        int | None, Key("Cap on the tokens of its reply.", at_least=1, at_most=10_000_000)
    ] = None
    timeout_s: Annotated[float, Key("Seconds that refining may take.", above=0, at_most=86_400)] = 60.0


# ---------------------------------------------------------------------------- what came back


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What was spent. ``None`` is unknown; a sum with an unknown part is unknown.

    Args:
        requests: Calls that left this process for a model.
        input_tokens: Tokens read, or ``None``.
        output_tokens: Tokens written, reasoning included, or ``None``.
        reasoning_tokens: The part of ``output_tokens`` spent on reasoning, or ``None``.
        cost_usd: US dollars, or ``None``.
    """

    requests: int = 0
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    reasoning_tokens: int | None = 0
    cost_usd: float | None = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            requests=self.requests + other.requests,
            input_tokens=_add(self.input_tokens, other.input_tokens),
            output_tokens=_add(self.output_tokens, other.output_tokens),
            reasoning_tokens=_add(self.reasoning_tokens, other.reasoning_tokens),
            cost_usd=_add(self.cost_usd, other.cost_usd),
        )


_Number = TypeVar("_Number", int, float)


def _add(a: _Number | None, b: _Number | None) -> _Number | None:
    return None if a is None or b is None else a + b


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One model call or tool call of an agent.

    Args:
        role: What the step was for.
        requested: The effort that was asked for, or ``None`` where effort has no meaning.
        applied: The effort that was really sent; differs from ``requested`` when the model has no such level.
        tool: The tool's name, for a tool call.
        text: A short excerpt of what came back.
        usage: What the step spent.
    """

    role: StepRole
    requested: Effort | None = None
    applied: Effort | None = None
    tool: str | None = None
    text: str = ""
    usage: Usage = Usage()


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What one agent gave back; a failure is a status and an error, never an exception.

    Args:
        agent: The agent's id.
        text: The answer; empty unless ``status`` is ``ok``.
        status: ``ok``, or why there is no answer.
        usage: What it spent, failures included.
        steps: Its model and tool calls, in order.
        error: What went wrong, in one line.
        latency_s: Wall-clock seconds, or ``None`` when it was not measured.
        score: The recorded score of a replayed answer, 0 to 1; ``None`` everywhere else.
    """

    agent: str
    text: str = ""
    status: AnswerStatus = "ok"
    usage: Usage = Usage()
    steps: tuple[Step, ...] = ()
    error: str | None = None
    latency_s: float | None = None
    score: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranked:
    """One agent's place in a routing decision.

    Args:
        agent: The agent's id.
        score: Expected score of its answer, 0 to 1.
        cost_usd: Expected price of asking it in US dollars, or ``None``.
        reason: Why it was selected or left out, in a few words.
    """

    agent: str
    score: float
    cost_usd: float | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RoutingDecision:
    """Whom to ask in one round, and how everybody ranked.

    Args:
        ranking: All agents, best first.
        selected: ``(agent, weight)`` pairs; the weights sum to 1. Empty when the run stops here or abstains.
        expected_score: Chance that the refined answer of the selection is right, 0 to 1.
        expected_cost_usd: Expected price of the selection in US dollars, or ``None`` if any part is unknown.
        coverage: Share of the selected weight whose agents answered in earlier rounds; 1 before the first.
        abstained: True when no agent fits.
        stop: True when what has been answered is enough; then ``selected`` carries the final voting weights.
        reason: Why it asks, stops or abstains, in one sentence.
        round: 1 for the first decision of a run.
        router_version: Which router decided.
        registry_hash: Which registry it decided over.
    """

    ranking: tuple[Ranked, ...]
    selected: tuple[tuple[str, float], ...]
    expected_score: float | None = None
    expected_cost_usd: float | None = None
    coverage: float = 1.0
    abstained: bool = False
    stop: bool = False
    reason: str = ""
    round: int = 1
    router_version: str = ""
    registry_hash: str = ""

    @property
    def weights(self) -> dict[str, float]:
        """The selected agents and their weights."""
        return dict(self.selected)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The caps of one run; ``None`` means no cap.

    Args:
        max_cost_usd: US dollars for the whole run.
        max_requests: Model calls for the whole run.
        max_tokens: Input and output tokens together, for the whole run.
        max_rounds: Routing decisions that may send agents.
        max_agents: Agents in one wave.
        deadline_s: Wall-clock seconds for the whole run.
        concurrency: Agents that run at the same time.
        effort_floor: No step runs below this level.
        effort_ceiling: No step runs above this level.
    """

    max_cost_usd: float | None = None
    max_requests: int | None = None
    max_tokens: int | None = None
    max_rounds: int = 3
    max_agents: int = 16
    deadline_s: float | None = 300.0
    concurrency: int = 8
    effort_floor: Effort | None = None
    effort_ceiling: Effort | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    """What a run came to.

    Args:
        answer: The refined answer; empty only when ``status`` is ``failed``.
        status: ``complete``; ``degraded`` when somebody did not do their part; ``failed`` without an answer.
        decisions: One per round, in order.
        answers: Every agent's answer, failures included, in the order they were asked.
        sources: The ids of the agents behind ``answer``, the one quoted first.
        confidence: Share of the answering weight that stands behind ``answer``, 0 to 1.
        usage: All that was spent.
        problems: One line for each thing that did not go as it should.
        run_id: The run's name.
    """

    answer: str
    status: RunStatus
    decisions: tuple[RoutingDecision, ...] = ()
    answers: tuple[Answer, ...] = ()
    sources: tuple[str, ...] = ()
    confidence: float | None = None
    usage: Usage = Usage()
    problems: tuple[str, ...] = ()
    run_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refined:
    """One answer made of several.

    Args:
        text: The answer.
        sources: The ids of the agents behind it, the one quoted first.
        confidence: Share of the answering weight that stands behind it, 0 to 1.
        usage: What refining spent.
        problems: What did not go as it should, such as a refiner that failed.
    """

    text: str
    sources: tuple[str, ...]
    confidence: float
    usage: Usage = Usage()
    problems: tuple[str, ...] = ()


# ---------------------------------------------------------------------------- talking to a model


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRequest:
    """One call to a chat model, in litellm's words.

    Args:
        model: A litellm model name such as ``openai/gpt-5-mini``.
        messages: OpenAI-style messages.
        tools: OpenAI-style tool schemas.
        effort: The reasoning effort to ask for, or ``None`` to send none.
        temperature: Sampling temperature, or the provider's own.
        max_tokens: Cap on output tokens, or the provider's own.
        api_key_env: The name of the variable that holds the key.
        api_base: Another address of the same protocol.
        price: Overrides litellm's price map.
        timeout_s: Seconds for the call, retries included.
    """

    model: str
    messages: tuple[dict[str, Any], ...]
    tools: tuple[dict[str, Any], ...] = ()
    effort: Effort | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    api_key_env: str | None = None
    api_base: str | None = None
    price: Price | None = None
    timeout_s: float = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCall:
    """A model's wish to call a tool; ``arguments`` is the raw JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatReply:
    """What a chat model gave back.

    Args:
        text: Its words; may be empty when it calls tools.
        tool_calls: The tools it wants called.
        finish_reason: As the provider said it.
        usage: What the call spent, every attempt included.
        applied_effort: The effort that was really sent.
        attempts: Requests made, retries included.
        notes: What was not as it should be, such as usage that cannot be believed.
    """

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = "stop"
    usage: Usage = Usage()
    applied_effort: Effort | None = None
    attempts: int = 1
    notes: tuple[str, ...] = ()


# ---------------------------------------------------------------------------- the seams


@runtime_checkable
class Embedder(Protocol):
    """Text to vectors."""

    @property
    def fingerprint(self) -> str:
        """Name, revision and size in one string; routers refuse vectors of another fingerprint."""

    @property
    def dim(self) -> int:
        """The length of a vector."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return one unit-length float32 vector per text. Shapes: ``(len(texts), dim)``."""


@runtime_checkable
class Extractor(Protocol):
    """Text to entities and relations."""

    def extract(self, query: Query) -> Extraction:
        """Return what the query, its history and its context name."""


@runtime_checkable
class Router(Protocol):
    """A query and what has been answered so far, to whom to ask next. Pure and synchronous."""

    @property
    def version(self) -> str:
        """Which router this is, for the record."""

    def route(
        self,
        query: Query,
        agents: Sequence[AgentSpec],
        *,
        answers: Sequence[Answer] = (),
        limits: Limits = Limits(),
        round: int = 1,
        budget_left_usd: float | None = None,
    ) -> RoutingDecision:
        """Decide one round. Same arguments, same decision."""


@runtime_checkable
class EffortRouter(Protocol):
    """A step to the lowest reasoning effort that should do."""

    def select(
        self,
        *,
        history: Sequence[dict[str, Any]],
        observation: str,
        spec: AgentSpec,
        role: StepRole,
        step: int,
        limits: Limits,
    ) -> Effort | None:
        """Return the level for the next call, or ``None`` when the agent has no levels."""


@runtime_checkable
class ChatClient(Protocol):
    """The one door to chat models."""

    async def chat(self, request: ChatRequest) -> ChatReply:
        """Send one request. Raises ``ClientError`` of ``running.client`` when no reply can be had."""


@runtime_checkable
class Refiner(Protocol):
    """Several weighted answers to one."""

    async def refine(
        self, query: Query, answers: Sequence[Answer], weights: dict[str, float], client: ChatClient
    ) -> Refined:
        """Merge the answers whose status is ``ok``; there is at least one."""


@runtime_checkable
class Agent(Protocol):
    """Something that answers queries."""

    @property
    def spec(self) -> AgentSpec:
        """The registry row behind it."""

    async def answer(self, query: Query, client: ChatClient, effort: EffortRouter, limits: Limits) -> Answer:
        """Answer, or raise: the caller turns what is raised into an ``Answer`` with a status."""


# ---------------------------------------------------------------------------- plain data

_T = TypeVar("_T")


def to_plain(value: Any) -> dict[str, Any]:
    """Turn one of the values above into dicts, lists, strings and numbers.

    Args:
        value: An instance of a dataclass of this module.

    Returns:
        The same content without classes or tuples, as JSON and msgpack give it back.
    """
    return {key: _listed(item) for key, item in asdict(value).items()}


def _listed(item: Any) -> Any:
    if isinstance(item, dict):
        return {key: _listed(value) for key, value in item.items()}
    return [_listed(value) for value in item] if isinstance(item, (list, tuple)) else item


def from_plain(cls: type[_T], data: Any) -> _T:
    """Read a value back from what ``to_plain`` gave.

    Args:
        cls: The dataclass to build.
        data: Dicts, lists, strings and numbers.

    Returns:
        An instance of ``cls``, nested values and tuples included.
    """
    return _reader(cls)(data)


@lru_cache(maxsize=64)
def _reader(cls: type[Any]) -> Any:
    from pydantic import TypeAdapter  # pydantic is only needed where values are read back

    return TypeAdapter(cls).validate_python
