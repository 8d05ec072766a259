"""The values that travel, and the Protocols at the seams.

Every value is frozen, keyword-only and holds plain data, so that a checkpoint can keep it: ``to_plain`` turns
one into dicts and lists, ``from_plain`` reads it back.
"""

from agentroute.types.chat import ChatReply, ChatRequest, ToolCall
from agentroute.types.looks import Look, Tried
from agentroute.types.plain import from_plain, to_plain
from agentroute.types.queries import Entity, Extraction, Message, Passage, Query, Relation
from agentroute.types.results import (
    Answer,
    AnswerStatus,
    Limits,
    Ranked,
    Refined,
    RoutingDecision,
    RunResult,
    RunStatus,
    Step,
    StepRole,
    Usage,
)
from agentroute.types.seams import (
    Agent,
    ChatClient,
    EffortRouter,
    Embedder,
    Extractor,
    Refiner,
    Router,
    SecondLook,
    StepEffort,
)
from agentroute.types.specs import (
    EFFORTS,
    THINKING_TOKENS,
    AgentKind,
    AgentSpec,
    Effort,
    EffortRange,
    Key,
    Price,
    RefinerSpec,
    Strategy,
)

__all__ = [
    "Agent",
    "AgentKind",
    "AgentSpec",
    "Answer",
    "AnswerStatus",
    "ChatClient",
    "ChatReply",
    "ChatRequest",
    "EFFORTS",
    "THINKING_TOKENS",
    "Effort",
    "EffortRange",
    "EffortRouter",
    "Embedder",
    "Entity",
    "Extraction",
    "Extractor",
    "Key",
    "Limits",
    "Look",
    "Message",
    "Passage",
    "Price",
    "Query",
    "Ranked",
    "Refined",
    "Refiner",
    "RefinerSpec",
    "Relation",
    "Router",
    "RoutingDecision",
    "RunResult",
    "RunStatus",
    "SecondLook",
    "Step",
    "StepEffort",
    "StepRole",
    "Strategy",
    "ToolCall",
    "Tried",
    "Usage",
    "from_plain",
    "to_plain",
]
