"""A run, told: the events of a compiled workflow while it goes on, and its result at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, cast

from agentroute.errors import AgentRouteError
from agentroute.pipeline.recording import Recording
from agentroute.running.result import OUTPUT, Event, broken, read_event, read_result
from agentroute.types import Query, RunResult, to_plain

if TYPE_CHECKING:
    from agentroute.running.context import RunContext


async def told(
    workflow: Callable[[], Any],
    query: str | Query,
    context: RunContext,
    recording: Recording,
    *,
    only_end: bool = False,
) -> AsyncIterator[Event]:
    """Run a workflow, and leave nothing open behind it.

    Args:
        workflow: Gives the compiled workflow.
        query: The question.
        context: The run.
        recording: Where the run is put on record.
        only_end: Tell nothing but the result.

    Yields:
        Events; the last one is of kind ``result``.

    Raises:
        RunError: Nobody answered, or the run broke off.
    """
    run_id = context.run_id
    call: dict[str, Any] = {
        "input": {"question": to_plain(query) if isinstance(query, Query) else query},
        "config": {"configurable": {"thread_id": run_id}},
        "context": context,
        "output_keys": OUTPUT,
    }
    state: dict[str, Any] = {}
    ended = False
    try:
        if only_end:
            state = await workflow().ainvoke(**call)
        else:
            async for mode, chunk in workflow().astream(stream_mode=["custom", "values"], **call):
                if mode == "values":
                    state = chunk
                elif (event := read_event(chunk)) is not None:
                    yield event
        ended = True
    except AgentRouteError:
        raise
    except Exception as error:
        raise broken(run_id, error, recording.how_to_resume(run_id)) from error
    finally:
        if not ended:
            recording.release(run_id)
    yield Event(kind="result", data=read_result(state, recording.how_to_resume))


async def result_of(events: AsyncIterator[Event]) -> RunResult:
    """Return the result that the events of a run end with."""
    last: Any = None
    async for event in events:
        last = event.data
    return cast(RunResult, last)
