"""The workflow: route, ask a wave of agents, route again, until it is enough; then refine.

    START -> begin -> route -> ask x k -> route -> ... -> refine -> END

Once the question is read, a node never raises: an exception in one branch would cancel the others and lose
what they were paid for. State holds plain data only, the question once; a ``Send`` carries ids. What lives as
long as a run (client, bill, clock) is in ``RunContext``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from langgraph.graph import END, START, StateGraph

from agentroute.running.breaker import Breaker
from agentroute.running.context import Contexts, RunContext
from agentroute.running.finishing import Finishing
from agentroute.running.keeping.journal import Journal
from agentroute.running.nodes import Nodes
from agentroute.running.spending.ledger import Purse
from agentroute.running.state import Asked, State, WorkflowInput, WorkflowOutput
from agentroute.types import (
    Agent,
    AgentSpec,
    ChatClient,
    EffortRouter,
    Limits,
    Refiner,
    Router,
)

_NO_LIMITS = Limits()


def build_workflow(
    router: Router,
    team: Mapping[str, Agent],
    specs: Sequence[AgentSpec],
    refiner: Refiner,
    effort: EffortRouter,
    limits: Limits = _NO_LIMITS,
    *,
    client: Callable[[], ChatClient] | None = None,
    caveats: Sequence[str] = (),
    target_coverage: float | None = None,
    default_agent: str | None = None,
    breaker: Breaker | None = None,
    journal: Journal | None = None,
    budget: Purse | None = None,
    origin: Mapping[str, object] | None = None,
) -> StateGraph[State, RunContext, WorkflowInput, WorkflowOutput]:
    """Lay out the workflow; compile it yourself, with the checkpointer and the store you like, or nest it.

    Args:
        router: Decides each round; it runs in a thread.
        team: The agents by id.
        specs: The rows that the router chooses from.
        refiner: Makes one answer of several.
        effort: Decides the reasoning effort of each model call.
        limits: The caps of each run.
        client: Makes the client for model calls, for runs whose ``RunContext`` brings none.
        caveats: What every result shall say of itself; it is ``degraded`` then.
        target_coverage: The share of right answers that the router was told to promise. A result that does
            not keep the promise says so in its problems, and is ``degraded``.
        default_agent: Who is asked when the router says at once that nobody fits, one of ``team``. The result
            says so in its problems.
        breaker: Leaves agents out that failed again and again; ``None`` leaves nobody out.
        journal: Where runs are put on record, beside what a checkpointer keeps; ``None`` keeps no record.
        budget: What all runs share, beside the caps of each.
        origin: What the record says of where the team came from.

    Returns:
        The uncompiled graph. It takes ``{"question": ...}`` or ``{"messages": [...]}``, and gives ``answer``,
        ``status``, ``sources``, ``confidence``, ``problems`` and ``messages``. Do not run it with
        ``max_concurrency``: that keeps finished answers from being stored; use ``Limits.concurrency``.
    """
    contexts = Contexts(limits, client, journal, budget)
    finishing = Finishing(refiner, caveats, target_coverage, limits.min_answers)
    nodes = Nodes(router, team, specs, effort, limits, contexts, finishing, default_agent, breaker, origin)
    graph = StateGraph(
        State, context_schema=RunContext, input_schema=WorkflowInput, output_schema=WorkflowOutput
    )
    graph.add_node("begin", nodes.begin)
    graph.add_node("route", nodes.route, destinations=("ask", "refine"))
    graph.add_node("ask", nodes.ask, input_schema=Asked)
    graph.add_node("refine", nodes.refine)
    graph.add_edge(START, "begin")
    graph.add_edge("begin", "route")
    graph.add_edge("ask", "route")
    graph.add_edge("refine", END)
    return graph
