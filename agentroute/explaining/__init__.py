"""Why agents were chosen: reasons that are computed from the decision, and checked by changing it."""

from agentroute.explaining.explanation import Explanation
from agentroute.explaining.gather import explain
from agentroute.explaining.retelling import retell

__all__ = ["Explanation", "explain", "retell"]
