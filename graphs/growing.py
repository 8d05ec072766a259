"""The default workflow, for a LangGraph server: ask, look at the answers, ask on only while it pays.

It takes ``{"question": "..."}`` or ``{"messages": [...]}``. A router trained into ``routers/workbench`` is
used when it is there; without one the agents are ranked by their descriptions.
"""

from __future__ import annotations

from pathlib import Path

from agentroute.pipeline import AgentRoute

ROOT = Path(__file__).resolve().parent.parent
ROUTER = ROOT / "routers" / "workbench"

team = AgentRoute.from_yaml(ROOT / "agents" / "workbench.yaml", router=ROUTER if ROUTER.exists() else None)
graph = team.workflow().compile(name="growing")
