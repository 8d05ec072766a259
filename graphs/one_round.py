"""One routing decision, one wave, one vote, for a LangGraph server: AgentRouter's way.

A router trained into ``routers/workbench`` is used when it is there, held to the preset ``one_round``. There
is no second wave, even if nobody answers.
"""

from __future__ import annotations

from pathlib import Path

from agentroute.pipeline import AgentRoute
from agentroute.types import Limits

ROOT = Path(__file__).resolve().parent.parent
ROUTER = ROOT / "routers" / "workbench"
TRAINED = ROUTER.exists()

team = AgentRoute.from_yaml(
    ROOT / "agents" / "workbench.yaml",
    router=ROUTER if TRAINED else None,
    preset="one_round" if TRAINED else None,
    limits=Limits(max_rounds=1),
)
graph = team.workflow().compile(name="one_round")
