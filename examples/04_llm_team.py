"""A team of language models: the rows of agents/llm.yaml that this machine has keys for.

    export OPENAI_API_KEY=...
    python examples/04_llm_team.py "Which is longer, the Danube or the Rhine?"

With --api-base all rows ask one OpenAI-compatible address instead, such as a proxy or a local server.
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from agentroute import AgentRegistry, AgentRoute, AgentRouteError, Limits
from agentroute.types import RefinerSpec

LLM_YAML = Path(__file__).resolve().parent.parent / "agents" / "llm.yaml"


def with_keys(registry: AgentRegistry, local: bool) -> AgentRegistry | None:
    """Keep the rows whose key is set, and those that need none when ``local``."""
    keys = {spec.id: spec.api_key_env for spec in registry}
    missing = [agent for agent, name in keys.items() if (not os.environ.get(name) if name else not local)]
    if len(missing) == len(registry):
        return None
    kept, refiner = registry.without(*missing), registry.refiner
    if refiner.api_key_env and not os.environ.get(refiner.api_key_env):
        refiner = RefinerSpec()  # no model to merge answers with: vote
    return AgentRegistry.from_specs(kept, refiner)


def at_address(registry: AgentRegistry, base: str) -> AgentRegistry:
    """Point every row, and the refiner, to one OpenAI-compatible address."""

    def there(row: Any) -> Any:
        name = str(row.model).partition("/")[2]
        return replace(row, model=f"openai/{name}", api_base=base, api_key_env=None)

    return AgentRegistry.from_specs(map(there, registry), there(registry.refiner))


def main() -> int:
    """Ask one question."""
    parser = argparse.ArgumentParser(description="Ask a team of language models.")
    parser.add_argument("question", nargs="?", default="Which is longer, the Danube or the Rhine?")
    parser.add_argument("--api-base", help="one OpenAI-compatible address for all rows")
    parser.add_argument("--local", action="store_true", help="ask the Ollama rows too")
    given = parser.parse_args()

    registry = AgentRegistry.from_yaml(LLM_YAML)
    names = sorted({spec.api_key_env for spec in registry if spec.api_key_env})
    ready = at_address(registry, given.api_base) if given.api_base else with_keys(registry, given.local)
    if ready is None:
        print(f"No key is set. Set one of {', '.join(names)}, or give --local or --api-base.")
        return 2

    team = AgentRoute(ready, limits=Limits(max_cost_usd=0.50, deadline_s=120))
    try:
        result = team.run(given.question)
    except AgentRouteError as error:
        print(error)
        return error.exit_code
    print(result.answer)
    for answer in result.answers:
        print(f"{answer.agent:<16}{answer.status:<10}{answer.error or answer.text[:60]}")
    spent = "unknown" if result.usage.cost_usd is None else f"${result.usage.cost_usd:.4f}"
    print(f"{result.status}; requests: {result.usage.requests}; cost: {spent}")
    for problem in result.problems:
        print("note:", problem)
    return 0


if __name__ == "__main__":
    sys.exit(main())
