"""Several agents, one good answer at a known price.

A query becomes a knowledge graph of query, entity and agent nodes; a graph neural network picks a weighted
set of agents; LangGraph runs them; a refining agent makes one answer of theirs.

    >>> from agentroute import AgentRoute
    >>> team = AgentRoute.from_yaml("agents/workbench.yaml", router="routers/workbench")
    >>> print(team.run("How many minutes are there in 3.5 days?").answer)

Every name below is loaded when it is first used: ``import agentroute`` brings in none of torch, litellm or
langgraph.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentroute.errors import AgentRouteError as AgentRouteError
    from agentroute.errors import InputError as InputError
    from agentroute.errors import RunError as RunError
    from agentroute.evaluation.collect import collect as collect
    from agentroute.evaluation.compare import evaluate as evaluate
    from agentroute.evaluation.effort_collect import collect_effort as collect_effort
    from agentroute.evaluation.sets import evaluate_sets as evaluate_sets
    from agentroute.outcomes import OutcomeFolder as OutcomeFolder
    from agentroute.pipeline import AgentRoute as AgentRoute
    from agentroute.registry import AgentRegistry as AgentRegistry
    from agentroute.routing.router import GraphRouter as GraphRouter
    from agentroute.routing.train import train as train
    from agentroute.running.chat_effort import with_effort as with_effort
    from agentroute.running.chat_middleware import EffortMiddleware as EffortMiddleware
    from agentroute.running.spending.shared import Budget as Budget
    from agentroute.types import AgentSpec as AgentSpec
    from agentroute.types import Answer as Answer
    from agentroute.types import Limits as Limits
    from agentroute.types import Query as Query
    from agentroute.types import RoutingDecision as RoutingDecision
    from agentroute.types import RunResult as RunResult

__version__ = "0.1.0"

_HOME = {
    "AgentRegistry": "registry",
    "AgentRoute": "pipeline",
    "AgentRouteError": "errors",
    "AgentSpec": "types",
    "Answer": "types",
    "Budget": "running.spending.shared",
    "EffortMiddleware": "running.chat_middleware",
    "GraphRouter": "routing.router",
    "InputError": "errors",
    "Limits": "types",
    "OutcomeFolder": "outcomes",
    "Query": "types",
    "RoutingDecision": "types",
    "RunError": "errors",
    "RunResult": "types",
    "collect": "evaluation.collect",
    "collect_effort": "evaluation.effort_collect",
    "evaluate": "evaluation.compare",
    "evaluate_sets": "evaluation.sets",
    "train": "routing.train",
    "with_effort": "running.chat_effort",
}

__all__ = [
    "AgentRegistry",
    "AgentRoute",
    "AgentRouteError",
    "AgentSpec",
    "Answer",
    "Budget",
    "EffortMiddleware",
    "GraphRouter",
    "InputError",
    "Limits",
    "OutcomeFolder",
    "Query",
    "RoutingDecision",
    "RunError",
    "RunResult",
    "collect",
    "collect_effort",
    "evaluate",
    "evaluate_sets",
    "train",
    "with_effort",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module 'agentroute' has no attribute {name!r}") from None
    value = getattr(import_module(f"agentroute.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted((*__all__, "__version__"))
