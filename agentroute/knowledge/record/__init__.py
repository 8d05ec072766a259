"""What agents scored before: the track record that the graph draws on.

Only training queries enter it, and never a gold answer. A query that is itself in a record would see its own
outcome there; training therefore builds each query's graph from a record of other queries (``take``).
"""

from agentroute.knowledge.record.estimates import ESTIMATES_DIM, NEAR, logit
from agentroute.knowledge.record.joining import with_agent
from agentroute.knowledge.record.track_record import TrackRecord, entity_key

__all__ = ["ESTIMATES_DIM", "NEAR", "TrackRecord", "entity_key", "logit", "with_agent"]
