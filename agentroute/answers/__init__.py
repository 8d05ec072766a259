"""What an answer says: its kind, its normal form, which answers are equal, and how they vote."""

from agentroute.answers.forms import REFUSAL, Ballot, answer_kind, group_equal, normal_form, vote

__all__ = ["Ballot", "REFUSAL", "answer_kind", "group_equal", "normal_form", "vote"]
