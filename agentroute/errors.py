"""Every error that agentroute raises on purpose.

AgentRouteError                 catch this one to catch them all
├── InputError                  the caller gave something unusable          exit 2
│   ├── QueryError              an empty or oversized query
│   ├── RegistryError           a registry file that breaks a rule; names file:line
│   ├── OutcomeError            an outcome folder that cannot be read
│   ├── RouterFileError         a router file that is damaged or does not fit
│   └── MissingExtraError       an optional package is not installed
└── RunError                    a run ended without an answer
    ├── AllAgentsFailedError    nobody answered                             exit 20
    ├── QuorumError             fewer answered than min_answers             exit 20
    ├── BudgetError             the cap was reached before any answer       exit 21
    ├── DeadlineError           the time ran out before any answer          exit 22
    └── StorageError            the answer could not be recorded            exit 23

A message says what was given, the rule, and the remedy. An agent's own failure is never one of these:
it is an ``Answer`` with a status, and a line in ``RunResult.problems``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any


class AgentRouteError(Exception):
    """The root of the tree."""

    exit_code = 1


class InputError(AgentRouteError):
    """The caller gave something that cannot be used; nothing was run and nothing was lost."""

    exit_code = 2


class QueryError(InputError):
    """The query is empty, too long, or not text."""


class RegistryError(InputError):
    """A registry breaks a rule.

    Args:
        problems: One line per broken rule, each beginning with ``file:line``.
    """

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class OutcomeError(InputError):
    """An outcome folder is missing, incomplete, or has records that break the format."""


class RouterFileError(InputError):
    """A router file is damaged, of another version, or was trained for another embedder."""


class MissingExtraError(InputError):
    """A feature needs a package that is not installed.

    Args:
        feature: What was asked for, as a noun phrase.
        extra: The optional dependency group that brings it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        self.feature, self.extra = feature, extra
        super().__init__(f"{feature} needs the extra '{extra}': pip install 'agentroute-graph[{extra}]'")

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        return type(self), (self.feature, self.extra)  # by default it would be rebuilt from its message


class RunError(AgentRouteError):
    """A run ended without an answer.

    Args:
        message: What happened, in one sentence.
        run_id: The run's name.
        problems: What was tried, one line for each agent.
        cost_usd: What it cost in US dollars, or ``None`` when that is unknown.
        resume: How to go on with it, or ``None`` when it is not on record.
    """

    def __init__(
        self,
        message: str,
        *,
        run_id: str | None = None,
        problems: Sequence[str] = (),
        cost_usd: float | None = None,
        resume: str | None = None,
    ) -> None:
        self.message = message
        self.run_id, self.problems = run_id, tuple(problems)
        self.cost_usd, self.resume = cost_usd, resume
        lines = [message, *(f"  {line}" for line in self.problems)]
        if run_id is not None:
            cost = "an unknown amount" if cost_usd is None else f"${cost_usd:.6f}".rstrip("0").rstrip(".")
            lines.append(f"  run {run_id} cost {cost}")
        if resume is not None:
            lines.append(f"  to go on with it: {resume}")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[Any, ...]:
        # By default it would be rebuilt from its whole text.
        keys = {name: getattr(self, name) for name in ("run_id", "problems", "cost_usd", "resume")}
        return partial(type(self), **keys), (self.message,)


class AllAgentsFailedError(RunError):
    """Every agent that was asked failed, timed out, or answered nothing."""

    exit_code = 20


class QuorumError(RunError):
    """Some agents answered, but fewer than ``min_answers``."""

    exit_code = 20


class BudgetError(RunError):
    """The cap on money, requests or tokens was reached before there was an answer."""

    exit_code = 21


class DeadlineError(RunError):
    """The run's time ran out before there was an answer."""

    exit_code = 22


class StorageError(RunError):
    """A result exists but could not be written down."""

    exit_code = 23
