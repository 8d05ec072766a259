"""Outcome folders: who answered what, how well, at what cost. One format for all uses."""

from agentroute.outcomes.extend import extend_folder
from agentroute.outcomes.folder import OutcomeFolder, read_queries
from agentroute.outcomes.records import Outcome, QueryRecord, outcome_from_answer
from agentroute.outcomes.table import OutcomeTable
from agentroute.outcomes.utterances import OOS, UtteranceFolder
from agentroute.outcomes.writer import OutcomeWriter, alone, create_folder

__all__ = [
    "OOS",
    "Outcome",
    "OutcomeFolder",
    "OutcomeTable",
    "OutcomeWriter",
    "QueryRecord",
    "UtteranceFolder",
    "alone",
    "create_folder",
    "extend_folder",
    "outcome_from_answer",
    "read_queries",
]
