"""The workflow's state: all that a run knows, as plain data that any checkpointer can hold."""

from __future__ import annotations

from typing import Annotated, Any

from langchain_core.messages import AnyMessage
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12

Plain = dict[str, Any]


def gather(old: list[Any] | None, new: list[Any] | None) -> list[Any]:
    """Add to a list in the state; ``None`` empties it, which begins a new run on an old thread."""
    return [] if new is None else [*(old or ()), *new]


class WorkflowInput(TypedDict, total=False):
    """What to ask: a ``question``, or ``messages`` whose last human one is the question."""

    question: str | Plain | None
    messages: Annotated[list[AnyMessage], add_messages]


class WorkflowOutput(TypedDict, total=False):
    """What came of it; ``status`` is ``failed`` and ``answer`` empty when nobody answered."""

    answer: str
    status: str
    sources: list[str]
    confidence: float | None
    coverage: float
    problems: Annotated[list[str], gather]
    messages: Annotated[list[AnyMessage], add_messages]


class State(TypedDict, total=False):
    """All that a run knows, as plain data."""

    question: str | Plain | None
    messages: Annotated[list[AnyMessage], add_messages]
    run_id: str
    query: Plain
    notes: list[str]
    answers: Annotated[list[Plain], gather]
    decisions: Annotated[list[Plain], gather]
    problems: Annotated[list[str], gather]
    wave: list[str]
    weights: dict[str, float]
    halt: str
    answer: str
    status: str
    sources: list[str]
    confidence: float | None
    coverage: float
    refining: Plain
    earlier: Plain
    failure: Plain | None


class Asked(TypedDict):
    """What a ``Send`` carries."""

    agent: str
    round: int
    run_id: str
