"""One question, one answer, and who gave it. The agents run on this machine and need no key.

Run `make demo` once before, and a trained router decides. Without one, the agents are ranked by their
descriptions, and the result says so.
"""

from pathlib import Path

from agentroute import AgentRoute

ROOT = Path(__file__).resolve().parent.parent
trained = ROOT / "routers" / "workbench"

team = AgentRoute.from_yaml(ROOT / "agents/workbench.yaml", router=trained if trained.exists() else None)
result = team.run("How many minutes are there in 3.5 days?")
print(result.answer)
for agent, weight in result.decisions[-1].selected:
    print(f"{agent:<16}{weight:.2f}")
print(result.usage)

for problem in result.problems:
    print("note:", problem)
