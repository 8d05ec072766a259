"""What came back: answers, decisions, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Literal, TypeVar

from agentroute.errors import InputError
from agentroute.types.specs import EFFORTS, Effort

AnswerStatus = Literal["ok", "failed", "timed_out", "skipped"]
RunStatus = Literal["complete", "degraded", "failed"]
StepRole = Literal["plan", "tool", "answer", "refine"]


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
        requested: The effort that was asked for, if only by the row; ``None`` where effort has no meaning.
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
        fault: In one word what went wrong, for programs: an ``ErrorKind`` of ``running.calling.client``,
            ``deadline``, or ``None`` where no word fits.
        notes: What was odd about a model's replies, such as usage that was not believed.
    """

    agent: str
    text: str = ""
    status: AnswerStatus = "ok"
    usage: Usage = Usage()
    steps: tuple[Step, ...] = ()
    error: str | None = None
    latency_s: float | None = None
    score: float | None = None
    fault: str | None = None
    notes: tuple[str, ...] = ()


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
        ranking: All agents, best first: by what each would add to the answers there are.
        selected: ``(agent, weight)`` pairs; the weights sum to 1. Empty when the run stops here or abstains.
        expected_score: Chance that the refined answer of the selection is right, 0 to 1.
        expected_cost_usd: Expected price of the selection in US dollars, or ``None`` if any part is unknown.
        coverage: Share of the selected weight whose agents answered in earlier rounds; 1 before the first.
        abstained: True when no agent fits. In a run, ``selected`` is then the registry's default agent, if it
            names one.
        stop: True when what has been answered is enough; then ``selected`` carries the final voting weights.
        confidence: Chance that the answer to be given is right, 0 to 1, from a router that judges answers and
            stops here; else ``None``.
        assured: Whether that chance keeps the promise that was asked for (``target_coverage``); ``None``
            without one.
        reason: Why it asks, stops or abstains, in one sentence.
        round: 1 for the first decision of a run.
        router_version: Which router decided.
        registry_hash: Which agents it decided over, with all that their cards say.
    """

    ranking: tuple[Ranked, ...]
    selected: tuple[tuple[str, float], ...]
    expected_score: float | None = None
    expected_cost_usd: float | None = None
    coverage: float = 1.0
    abstained: bool = False
    stop: bool = False
    confidence: float | None = None
    assured: bool | None = None
    reason: str = ""
    round: int = 1
    router_version: str = ""
    registry_hash: str = ""

    @property
    def weights(self) -> dict[str, float]:
        """The selected agents and their weights."""
        return dict(self.selected)


_COUNTS = {"max_rounds": 1, "max_agents": 1, "concurrency": 1, "min_answers": 1}
_LEAST = {"max_cost_usd": 0, "max_requests": 0, "max_tokens": 0, "deadline_s": 0, **_COUNTS}
_LEAST |= {"unpriced_cost_usd": 0, "requests_at_once": 1}
_UNPRICED = ("error", "treat_as", "allow")


def checked_cap(name: str, value: object, least: float = 0) -> None:
    """Refuse what is no number, or below the least; ``None`` is no cap.

    Args:
        name: What to call it.
        value: What was given.
        least: The smallest number allowed.

    Raises:
        InputError: It cannot be a cap.
    """
    # Written so that NaN, which compares as false, is refused too: it would be no cap at all.
    number = not isinstance(value, bool) and isinstance(value, Real) and float(value) >= least
    if value is not None and not number:
        raise InputError(f"{name} is {value!r}; it takes a number, {least:g} or more")


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
        min_answers: The quorum: with fewer answers than these there is no result, and the run fails.
        stop_early: End a wave once the agents that are still at work cannot change which answer wins. It only
            happens where answers vote with weights that are fixed beforehand. Agents that are cut short have
            been paid for all the same.
        unpriced: Under a cap in dollars, what becomes of a call whose price nobody knows: ``error`` refuses
            it, ``treat_as`` counts it as ``unpriced_cost_usd``, ``allow`` lets it through uncounted.
        unpriced_cost_usd: US dollars that such a call counts as.
        requests_per_second: Model requests that may leave for one provider each second, over all runs of a
            team.
        requests_at_once: Model requests that may be under way at one provider, over all runs of a team.
        effort_floor: No step runs below this level.
        effort_ceiling: No step runs above this level.

    Raises:
        InputError: A cap is negative or not a number, or a level does not exist.
    """

    max_cost_usd: float | None = None
    max_requests: int | None = None
    max_tokens: int | None = None
    max_rounds: int = 8
    max_agents: int = 16
    deadline_s: float | None = 300.0
    concurrency: int = 8
    min_answers: int = 1
    stop_early: bool = False
    unpriced: Literal["error", "treat_as", "allow"] = "error"
    unpriced_cost_usd: float | None = None
    requests_per_second: float | None = None
    requests_at_once: int | None = None
    effort_floor: Effort | None = None
    effort_ceiling: Effort | None = None

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is None and name in _COUNTS:
                raise InputError(f"{name} is None; it takes a number, {least} or more")
            checked_cap(name, value, least)
        rate: object = self.requests_per_second
        checked_cap("requests_per_second", rate)
        if rate == 0:
            raise InputError("requests_per_second is 0; it takes a number above 0")
        if self.unpriced not in _UNPRICED:
            raise InputError(f"unpriced is {self.unpriced!r}; it is one of {', '.join(_UNPRICED)}")
        if (self.unpriced == "treat_as") != (self.unpriced_cost_usd is not None):
            raise InputError("unpriced='treat_as' and unpriced_cost_usd go together: give both, or neither")
        for name in ("effort_floor", "effort_ceiling"):
            if (level := getattr(self, name)) not in (None, *EFFORTS):
                raise InputError(f"{name} is {level!r}; the levels are {', '.join(EFFORTS)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    """What a run came to.

    Args:
        answer: The refined answer; empty only when ``status`` is ``failed``.
        status: ``complete``; ``degraded`` when somebody did not do their part, or a promise was not kept;
            ``failed`` without an answer.
        decisions: One per round, in order.
        answers: Every agent's answer, failures included, in the order they were asked.
        sources: The ids of the agents behind ``answer``, the one quoted first.
        coverage: Share of the voting weight whose agents answered, 0 to 1; the answer was made with their
            weights alone.
        confidence: Chance that ``answer`` is right, from a router that judges answers; else the share of the
            answering weight that stands behind it. 0 to 1.
        usage: All that was spent. Unknown where a call was lost with a process that was killed.
        problems: One line for each thing that did not go as it should.
        run_id: The run's name.
    """

    answer: str
    status: RunStatus
    decisions: tuple[RoutingDecision, ...] = ()
    answers: tuple[Answer, ...] = ()
    sources: tuple[str, ...] = ()
    confidence: float | None = None
    coverage: float = 1.0
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
