"""A run in a process of its own that kills itself in the middle: two agents have answered, one is at work."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import crew
from teams import function, team

from agentroute.running.spending.shared import Budget


def suicide() -> None:
    while crew.CALLS.get("behind_gate") is None:
        time.sleep(0.01)
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGKILL)


crew.GATE["open"] = False
specs = [function("good", 0.25), function("paris", 0.25), function("behind_gate", 0.25)]
budget = Budget("b", max_cost_usd=10.0, store=sys.argv[1])
group = team(["good", "paris", "behind-gate"], specs=specs, journal=sys.argv[1], budget=budget)
threading.Thread(target=suicide, daemon=True).start()
group.run("why?", run_id="killed")
