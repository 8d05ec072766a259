"""Who can be asked: the rows of a registry, with the rule of every key beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal, get_args

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]
EFFORTS: tuple[Effort, ...] = get_args(Effort)
THINKING_TOKENS: Mapping[Effort, int] = {
    "none": 0,
    "minimal": 512,
    "low": 1_024,
    "medium": 2_048,
    "high": 4_096,
    "xhigh": 8_192,
}
"""Tokens of thinking that a step is taken to need at each level, where no outcome tells: the budgets that
litellm gives to models that take one. Models that decide by themselves may think more."""
AgentKind = Literal["llm", "function", "runnable", "recorded"]
Strategy = Literal["direct", "cot", "self-consistency", "react"]


@dataclass(frozen=True, slots=True)
class Key:
    """What one key of a registry row means and takes; ``registry`` checks files and writes the schema by it.

    Args:
        doc: What the key says, in one or two sentences.
        rule: The pattern in words, for messages.
        pattern: What the text, or each text of a list, must match as a whole.
        at_least: The smallest number allowed.
        above: The number that must be exceeded.
        at_most: The largest number allowed.
        max_length: Characters allowed in the text, or in each text of a list.
        max_items: Texts allowed in a list.
        kinds: The agent kinds that use the key; a ``recorded`` row may keep any key of the agent it replays.
        needed_by: The agent kinds that cannot do without it.
        shared: Whether ``defaults:`` may give it for all rows.
        private: Whether messages must not repeat the value, because a key or a password may sit in it.
    """

    doc: str
    rule: str = ""
    pattern: str | None = None
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    max_length: int = 500
    max_items: int = 100
    kinds: tuple[AgentKind, ...] = get_args(AgentKind)
    needed_by: tuple[AgentKind, ...] = ()
    shared: bool = True
    private: bool = False

    def used_by(self, kind: AgentKind) -> bool:
        """Whether a row of this kind may have the key."""
        return kind in self.kinds or kind == "recorded"


# The rungs of a recorded ladder, one level of an agent each, are called AGENT@LEVEL.
_ID = rf"[a-z0-9][a-z0-9._-]{{0,63}}(@({'|'.join(EFFORTS)}))?"
_ID_RULE = "must be 1 to 64 of a-z, 0-9, '.', '_', '-', a letter or digit first, such as web-researcher"
_IMPORT = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z][A-Za-z0-9_]*"
_IMPORT_RULE = "must be an import path, such as my_app.tools:search"
_VARIABLE = r"[A-Z][A-Z0-9_]{0,99}"
_VARIABLE_RULE = (
    "must be the name of an environment variable in capitals, such as OPENAI_API_KEY, never the key itself"
)
_KEY_ENV = Key("Name of the variable that holds the key.", _VARIABLE_RULE, _VARIABLE, private=True)
_BASE = Key("Another address of the same protocol.", "must be an address", max_length=2_000, private=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """What an agent costs; ``None`` means unknown, never free."""

    input: Annotated[float | None, Key("US dollars per million input tokens.", at_least=0, at_most=1e6)] = (
        None
    )
    output: Annotated[float | None, Key("US dollars per million output tokens.", at_least=0, at_most=1e6)] = (
        None
    )
    call: Annotated[
        float | None, Key("US dollars per answer, whatever its length.", at_least=0, at_most=1e6)
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EffortRange:
    """The reasoning-effort levels an agent may run at, and the one to use when nothing else decides."""

    levels: Annotated[tuple[Effort, ...], Key("The levels that may be asked for.")]
    default: Annotated[Effort, Key("The level when nothing else decides; one of `levels`.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentSpec:
    """One row of a registry: who an agent is, what it says of itself, and how to run it."""

    id: Annotated[str, Key("The agent's name, unique whatever the case.", _ID_RULE, _ID, shared=False)]
    kind: Annotated[
        AgentKind,
        Key(
            "`llm` asks a model, `function` calls Python, `runnable` a LangChain Runnable, "
            "`recorded` repeats answers from an outcome folder.",
            shared=False,
        ),
    ]
    description: Annotated[
        str,
        Key(
            "What the agent is good at, in a sentence or two. The router reads it.",
            max_length=8_000,
            shared=False,
        ),
    ]
    examples: Annotated[
        tuple[str, ...],
        Key("Questions it answers well. The router reads them too.", max_length=4_000, shared=False),
    ] = ()
    tags: Annotated[
        tuple[str, ...], Key("Short labels, such as `math`. The router reads them.", max_length=64)
    ] = ()
    model: Annotated[
        str | None,
        Key("A litellm model name, such as `openai/gpt-5-mini`.", needed_by=("llm",)),
    ] = None
    system: Annotated[str | None, Key("The system prompt.", max_length=100_000, kinds=("llm",))] = None
    strategy: Annotated[
        str | None,
        Key(
            "How the model is asked: `direct`, `cot`, `self-consistency` or `react`. "
            "Free text where no model is asked."
        ),
    ] = None
    prompt: Annotated[
        str | None,
        Key(
            "Your own prompt, in place of the strategy's; `{question}` and `{context}` are filled in.",
            max_length=100_000,
            kinds=("llm",),
        ),
    ] = None
    tools: Annotated[
        tuple[str, ...],
        Key(
            "Import paths of Python functions that `react` may call. The caller must allow their modules.",
            _IMPORT_RULE,
            _IMPORT,
            kinds=("llm",),
        ),
    ] = ()
    effort: Annotated[
        EffortRange | None,
        Key("The reasoning effort: one level, or `{levels: [low, high], default: low}` to leave a choice."),
    ] = None
    price: Annotated[
        Price | None,
        Key("What it costs; overrides the built-in price list. What is left out is unknown, not free."),
    ] = None
    api_key_env: Annotated[str | None, _KEY_ENV] = None
    api_base: Annotated[str | None, replace(_BASE, kinds=("llm",))] = None
    temperature: Annotated[
        float | None, Key("Sampling temperature.", at_least=0, at_most=2, kinds=("llm",))
    ] = None
    max_tokens: Annotated[
        int | None, Key("Cap on the tokens of one reply.", at_least=1, at_most=10_000_000, kinds=("llm",))
    ] = None
    samples: Annotated[
        int,
        Key("Replies that `self-consistency` draws and votes over.", at_least=1, at_most=100, kinds=("llm",)),
    ] = 5
    function: Annotated[
        str | None,
        Key(
            "Import path of the Python function to call.",
            _IMPORT_RULE,
            _IMPORT,
            kinds=("function",),
            needed_by=("function",),
            shared=False,
        ),
    ] = None
    runnable: Annotated[
        str | None,
        Key(
            "Import path of the LangChain Runnable to invoke.",
            _IMPORT_RULE,
            _IMPORT,
            kinds=("runnable",),
            needed_by=("runnable",),
            shared=False,
        ),
    ] = None
    outcomes: Annotated[
        str | None,
        Key(
            "The outcome folder to answer from, relative to this file.", max_length=4_000, kinds=("recorded",)
        ),
    ] = None
    timeout_s: Annotated[float, Key("Seconds that one answer may take.", above=0, at_most=86_400)] = 30.0
    max_steps: Annotated[
        int, Key("Model and tool calls that one answer may take.", at_least=1, at_most=1_000)
    ] = 8

    @property
    def card(self) -> str:
        """The text that the router embeds: description, then tags."""
        return f"{self.description} ({', '.join(self.tags)})" if self.tags else self.description


@dataclass(frozen=True, kw_only=True, slots=True)
class RefinerSpec:
    """How several answers become one: ``vote`` asks no model, ``llm`` asks the named one."""

    kind: Annotated[
        Literal["vote", "llm"], Key("`vote` counts equal answers by weight, `llm` asks a model.")
    ] = "vote"
    model: Annotated[str | None, Key("A litellm model name; needed by `llm`.", needed_by=("llm",))] = None
    api_key_env: Annotated[str | None, _KEY_ENV] = None
    api_base: Annotated[str | None, _BASE] = None
    price: Annotated[Price | None, Key("What the model costs; overrides the built-in price list.")] = None
    effort: Annotated[EffortRange | None, Key("The reasoning effort, as in a row.")] = None
    max_tokens: Annotated[
        int | None, Key("Cap on the tokens of its reply.", at_least=1, at_most=10_000_000)
    ] = None
    timeout_s: Annotated[float, Key("Seconds that refining may take.", above=0, at_most=86_400)] = 60.0
