"""One routing decision, one wave, one vote, for a LangGraph server: AgentRouter's way."""

from __future__ import annotations

from pathlib import Path

from agentroute.pipeline import AgentRoute
from agentroute.types import Limits

ROOT = Path(__file__).resolve().parent.parent
ROUTER = ROOT / "routers" / "workbench"

team = AgentRoute.from_yaml(
    ROOT / "agents" / "workbench.yaml",
    router=ROUTER if ROUTER.exists() else None,
    limits=Limits(max_rounds=1),
)
graph = team.workflow().compile(name="one_round")
