"""A process that spends from a shared budget as fast as it can: ten runs at once, again and again."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from typing import Any

from teams import function, team

from agentroute.errors import BudgetError
from agentroute.running.spending.shared import Budget

PRICE = 0.01


async def main(store: str, usd: float, rounds: int) -> None:
    budget = Budget("all", max_cost_usd=usd, store=store)
    specs = [function(name, PRICE) for name in ("paris", "rome", "good")]
    group = team(["paris", "rome", "good"], specs=specs, budget=budget)
    found: Counter[str] = Counter()

    async def one(_: int) -> None:
        try:
            result: Any = await group.arun("why?")
        except BudgetError:
            found["refused"] += 1
        else:
            found["paid"] += sum(answer.status == "ok" for answer in result.answers)

    for _ in range(rounds):
        await asyncio.gather(*(one(i) for i in range(10)))
    print(found["paid"], found["refused"])


asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
