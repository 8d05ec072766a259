"""The split by query, where routers of agents look for it; ``outcomes.split`` owns it."""

from agentroute.outcomes.split import TEST_SHARE, VALIDATION_SHARE, Split, folds, split_queries

__all__ = ["TEST_SHARE", "VALIDATION_SHARE", "Split", "folds", "split_queries"]
