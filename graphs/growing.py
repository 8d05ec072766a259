"""The default workflow, for a LangGraph server: ask, look at the answers, ask on only while it pays.

It takes ``{"question": "..."}`` or ``{"messages": [...]}``. A router trained into ``routers/workbench`` is
used when it is there, held to the preset ``growing``. Without one the agents are ranked by their
descriptions, and asked once.
"""

from __future__ import annotations

from pathlib import Path

from agentroute.pipeline import AgentRoute

ROOT = Path(__file__).resolve().parent.parent
ROUTER = ROOT / "routers" / "workbench"
TRAINED = ROUTER.exists()

team = AgentRoute.from_yaml(
    ROOT / "agents" / "workbench.yaml",
    router=ROUTER if TRAINED else None,
    preset="growing" if TRAINED else None,
)
graph = team.workflow().compile(name="growing")
