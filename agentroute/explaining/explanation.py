"""An explanation as plain data: what was decided, what speaks for it, what changes would make of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agentroute.errors import InputError
from agentroute.types import RoutingDecision, Usage, from_plain, to_plain

if TYPE_CHECKING:
    from rich.text import Text

Role = Literal["selected", "runner-up"]
ChangeKind = Literal["entity", "task", "word", "example", "agent", "budget"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One part of an agent's score; the parts sum to it.

    Args:
        name: ``mean``, ``task``, ``neighbours``, ``words``, ``network`` and ``calibration`` of a trained
            router, with ``nearness`` where it was trained on utterances; ``likeness`` and ``calibration`` of
            one that ranks by descriptions.
        log_odds: What it adds, as log-odds.
    """

    name: str
    log_odds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """A word of the question, or a pair of words near each other, and what it does for an agent.

    Args:
        text: In clear text. Of a pair, ``...`` stands for words between, ``NAME`` for any name and ``^`` for
            the start of the text.
        points: What the regression on words adds to the agent's expected score for it, in points from -1 to
            1; ``None`` where no regression speaks.
        log_odds: How far the agent's log-odds fall when this word alone is left out; ``None`` where
            ``points`` is known.
    """

    text: str
    points: float | None = None
    log_odds: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Points:
    """What the question itself says of an agent; the parts sum to its expected score before clipping.

    Args:
        mean: The agent's mean score, 0 to 1.
        words: What the words of the question add, in points from -1 to 1, as all below.
        earlier: What the words of earlier turns add.
        vector: What the meaning of the whole adds, by its vector.
        task: What the task adds, or having none.
        foresight: Half of what an encoder tuned on scores foresees above the mean, where there is one; the
            four before are halved then.
    """

    mean: float
    words: float
    earlier: float
    vector: float
    task: float
    foresight: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Tie:
    """What ties an agent to an entity of the question.

    Args:
        entity: Its name.
        weight: 1 when the agent's card names it; else how far the agent does better or worse where it is
            named, in points from -1 to 1.
    """

    entity: str
    weight: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """What speaks for one agent, and against it.

    Args:
        agent: The agent's id.
        role: Whether it was selected, or is the runner-up.
        weight: Its voting weight; 0 for the runner-up.
        log_odds: Its score.
        chance: The same as the expected score, 0 to 1.
        cost_usd: Expected price of asking it in US dollars, or ``None``.
        known: Whether anything was recorded of it.
        parts: What its score is made of.
        points: What the regression on words makes of the question; ``None`` where it has no say.
        words: The words of the question that move it most, the strongest first.
        terms: The same for words and pairs as the regression counts them; empty where it has no say.
        card: Cosine of the question with its card.
        example: Its nearest example; ``None`` when it has none.
        example_cosine: Cosine of the question with that.
        ties: The entities of the question that it is tied to.
    """

    agent: str
    role: Role
    weight: float
    log_odds: float
    chance: float
    cost_usd: float | None
    known: bool
    parts: tuple[Part, ...]
    points: Points | None
    words: tuple[Word, ...]
    terms: tuple[Word, ...]
    card: float
    example: str | None
    example_cosine: float | None
    ties: tuple[Tie, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """A recorded question that is like this one.

    Args:
        row: Where the record holds it.
        id: Its name in the outcome folder; ``None`` when the router's file does not say.
        text: The question; ``None`` when the texts were not at hand.
        cosine: How like it is.
        weight: Its share of all that neighbours say, 0 to 1.
        scores: What each agent of the reasons scored there; ``None`` where one did not run.
    """

    row: int
    id: str | None
    text: str | None
    cosine: float
    weight: float
    scores: Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What is decided when one thing is different; found by routing again.

    Args:
        kind: What is left out; ``budget`` is halved.
        what: Which one; of a budget, the US dollars that are left.
        first: Who is asked first then; ``None`` when nobody is.
        selected: Who is asked then.
        log_odds: The score of the one who was first before the change, or of the runner-up when nobody was;
            ``None`` when it is not ranked any more.
        moved: How far that is from what it was.
        tips: Whether somebody else is asked first.
    """

    kind: ChangeKind
    what: str
    first: str | None
    selected: tuple[str, ...]
    log_odds: float | None
    moved: float | None
    tips: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Deletion:
    """Whether the words named for an agent matter: how its score falls without them, and without others.

    Args:
        agent: The first choice.
        words: The words named for it that were deleted.
        left: The question without them.
        drop: How far the agent's log-odds fell.
        others_drop: How far they fell on average when as many other words were deleted.
        draws: How many draws of other words that is the mean of.
        seed: Of the draws.
    """

    agent: str
    words: tuple[str, ...]
    left: str
    drop: float
    others_drop: float
    draws: int
    seed: int

    @property
    def holds(self) -> bool:
        """Whether the words named matter more than others."""
        return self.drop > max(self.others_drop, 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Retold:
    """What a model made of an explanation. It is no cause of the decision, and nobody checked it.

    Args:
        model: Who said it.
        text: Its words.
        usage: What they cost.
        causal: Always false: for programs that read the JSON.
    """

    model: str
    text: str
    usage: Usage
    causal: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """Why the agents of a first round were chosen.

    Args:
        query: The question.
        decision: What was decided.
        policy: The name and settings of what turned scores into a choice.
        first: The first choice; ``None`` when nobody was chosen.
        runner_up: The best of those not chosen, or the second choice when all were; ``None`` for one agent.
        margin: The score of the first choice above the runner-up's, in log-odds; ``None`` without the one or
            the other. Below 0 when the policy did not go by scores alone.
        reasons: One for each agent that was selected, then the runner-up's.
        past: Recorded questions that are like this one, the nearest first.
        changes: What would have been decided otherwise.
        tip: The smallest of these changes by which somebody else is asked first; ``None`` when none does.
        deletion: Whether the words named for the first choice matter; ``None`` when it could not be tested.
        notes: What a reader has to know.
        retold: The same in a model's words; ``None`` where none was asked.
        graph: The knowledge graph, for ``picture``; it is no part of the JSON.
    """

    query: str
    decision: RoutingDecision
    policy: Mapping[str, Any]
    first: str | None
    runner_up: str | None
    margin: float | None
    reasons: tuple[Reason, ...]
    past: tuple[Past, ...]
    changes: tuple[Change, ...]
    tip: Change | None
    deletion: Deletion | None
    notes: tuple[str, ...] = ()
    retold: Retold | None = None
    graph: Any = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return plain data; ``None`` is unknown."""
        data = to_plain(replace(self, graph=None))
        del data["graph"]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Explanation:
        """Read what ``to_json`` gave; it has no graph to draw."""
        return from_plain(cls, dict(data))

    def lines(self) -> tuple[str, ...]:
        """Return the explanation in plain sentences; headings end with a colon and begin at the margin."""
        from agentroute.explaining.telling import tell

        return tuple(tell(self))

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __rich__(self) -> Text:
        from rich.text import Text

        shown = Text()
        for i, line in enumerate(self.lines()):
            style = "bold" if i == 0 or not line.startswith(" ") else ""
            shown.append(f"{line}\n" if i + 1 < len(self.lines()) else line, style=style)
        return shown

    def picture(self, path: str | os.PathLike[str]) -> Path:
        """Draw the knowledge graph with the weights of its ties, and what each agent is expected to score.

        Args:
            path: Where to; its ending decides the format, such as ``.svg``.

        Returns:
            The path.

        Raises:
            InputError: The path cannot be written or has an ending that is no picture, or this explanation
                was read from JSON, which holds no graph.
            MissingExtraError: matplotlib is not installed.
        """
        if self.graph is None:
            raise InputError("this explanation was read from JSON, which holds no graph; explain again")
        from agentroute.explaining.scenery import draw_reasons

        return draw_reasons(self, Path(path))
