"""Fine-tuning the sentence encoder in minutes on a CPU: on labelled utterances, or on recorded scores."""

from agentroute.knowledge.tuning.labels import tune_encoder
from agentroute.knowledge.tuning.scores import foresee

__all__ = ["foresee", "tune_encoder"]
