"""What families of models make of a level of effort, as data.

Each row was read off the requests that litellm 1.106.2 builds, and the tests hold it to the litellm that is
installed. Where litellm passes on what a provider refuses, the provider's own documents count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from agentroute.types import EFFORTS, Effort

Effects = tuple[Effort, ...] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """Models that treat levels alike.

    Args:
        name: What the family is called.
        pattern: Found in the lower-case name of each of its models, litellm's prefix included.
        effects: What comes of asking for each of ``EFFORTS``; ``None`` when each level is dropped or refused.
            A level that is refused stands as the nearest one that is taken, the higher of two. Where thinking
            is only on or off, on stands as ``low``.
        breaks_cache: Whether another level makes the provider read the history again; ``None`` is unknown.
        budgets: Tokens of thinking that litellm asks for at a level. Claude counts them within
            ``max_tokens``, which must be more: the client raises a smaller one by the budget.
        told: How the level travels, in a few words.
        models: Some of the family, for the tests and the documents.
    """

    name: str
    pattern: re.Pattern[str]
    effects: Effects
    breaks_cache: bool | None = None
    budgets: Mapping[Effort, int] = field(default_factory=dict)
    told: str
    models: tuple[str, ...]


_LOW_TO_HIGH: Effects = ("low", "low", "low", "medium", "high", "high")
_BUDGETS: Mapping[Effort, int] = {"low": 1024, "medium": 2048, "high": 4096}
_EFFORT = "reasoning_effort"
_REFUSED = "litellm refuses it"


def _family(
    name: str,
    pattern: str,
    effects: Effects,
    told: str,
    *models: str,
    breaks_cache: bool | None = None,
    budgets: Mapping[Effort, int] | None = None,
) -> Family:
    one_level = effects is None or len(set(effects)) == 1
    return Family(
        name=name,
        pattern=re.compile(pattern),
        effects=effects,
        breaks_cache=False if one_level else breaks_cache,
        budgets=budgets or {},
        told=told,
        models=models,
    )


# The first row whose pattern is found counts, so that gateways come before the makers of models.
# OpenAI and Anthropic write that another effort, or another setting of thinking, makes a prompt's cache void.
FAMILIES: tuple[Family, ...] = (
    _family(
        "OpenRouter",
        r"^openrouter/",
        EFFORTS,
        _EFFORT,
        "openrouter/openai/gpt-5-mini",
        "openrouter/anthropic/claude-sonnet-4.5",
    ),
    _family(
        "gateways that take no level",
        r"^(deepinfra|sambanova|nvidia_nim|huggingface|openai_like|custom_openai|lm_studio|moonshot|zai|cohere"
        r"(_chat)?|github)/",
        None,
        _REFUSED,
        "deepinfra/openai/gpt-oss-120b",
        "custom_openai/my-model",
        "moonshot/kimi-k2-thinking",
    ),
    _family(
        "gpt-oss, anywhere else",
        r"gpt-oss",
        _LOW_TO_HIGH,
        f"{_EFFORT}; Ollama: think",
        "groq/openai/gpt-oss-120b",
        "together_ai/openai/gpt-oss-120b",
        "cerebras/gpt-oss-120b",
        "ollama_chat/gpt-oss:20b",
        "bedrock/openai.gpt-oss-120b-1:0",
        "hosted_vllm/openai/gpt-oss-20b",
        breaks_cache=True,  # its level stands in the system message
    ),
    _family(
        "Groq and Together, other models",
        r"^(groq|together_ai)/",
        None,
        _REFUSED,
        "groq/llama-3.3-70b-versatile",
        "groq/qwen/qwen3-32b",
        "together_ai/Qwen/Qwen2.5-7B-Instruct-Turbo",
        "together_ai/deepseek-ai/DeepSeek-R1",
    ),
    _family(
        "Grok Code Fast", r"^xai/grok-code-fast", None, "passed on, and refused there", "xai/grok-code-fast-1"
    ),
    _family("xAI", r"^xai/", None, _REFUSED, "xai/grok-4", "xai/grok-3-mini"),
    _family(
        "Ollama",
        r"^ollama(_chat)?/",
        ("none", "none", "low", "low", "low", "none"),
        "think: on or off; xhigh turns it off",
        "ollama/qwen3:8b",
        "ollama_chat/qwen3:8b",
    ),
    _family(
        "DeepSeek",
        r"^deepseek/",
        ("none", "low", "low", "low", "low", "low"),
        "thinking: on or off",
        "deepseek/deepseek-chat",
        "deepseek/deepseek-reasoner",
        breaks_cache=False,  # it caches the messages' prefix, of which this is no part
    ),
    _family(
        "DeepSeek on Bedrock and Vertex",
        r"^(bedrock|vertex_ai)/.*deepseek",
        None,
        _REFUSED,
        "bedrock/us.deepseek.r1-v1:0",
    ),
    _family(
        "Magistral",
        r"magistral",
        ("low", "low", "low", "low", "low", "low"),
        "one and the same system prompt for every level, none too",
        "mistral/magistral-medium-latest",
        "mistral/magistral-small-latest",
    ),
    _family(
        "Mistral Small 4, Medium 3.5",
        r"^mistral/mistral-(small-(latest|2603)|medium-(latest|3-5))",
        ("none", "high", "high", "high", "high", "high"),
        f"{_EFFORT}: none or high",
        "mistral/mistral-small-latest",
        "mistral/mistral-medium-3-5",
    ),
    _family(
        "Mistral, other models",
        r"^mistral/",
        None,
        _REFUSED,
        "mistral/mistral-large-latest",
        "mistral/codestral-latest",
    ),
    _family(
        "Gemini 3 Flash",
        r"gemini-(3.*flash|flash-latest)",
        ("minimal", "minimal", "low", "medium", "high", "high"),
        "thinkingLevel",
        "gemini/gemini-3-flash-preview",
        "gemini/gemini-flash-latest",
    ),
    _family(
        "Gemini 3 Pro",  # medium came with 3.1
        r"gemini-3-pro",
        ("low", "low", "low", "high", "high", "high"),
        "thinkingLevel",
        "gemini/gemini-3-pro-preview",
    ),
    _family(
        "Gemini 3.1 Pro and later",
        r"gemini-3",
        _LOW_TO_HIGH,
        "thinkingLevel",
        "gemini/gemini-3.1-pro-preview",
    ),
    _family(
        "Gemini 2.5 Pro",  # which cannot leave thinking off
        r"gemini-2\.5-pro",
        ("minimal", "minimal", "low", "medium", "high", "high"),
        "thinkingBudget",
        "gemini/gemini-2.5-pro",
        "vertex_ai/gemini-2.5-pro",
        budgets={"minimal": 128, **_BUDGETS},
    ),
    _family(
        "Gemini 2.5 Flash-Lite",
        r"gemini-2\.5-flash-lite",
        ("none", "minimal", "low", "medium", "high", "high"),
        "thinkingBudget",
        "gemini/gemini-2.5-flash-lite",
        budgets={"none": 0, "minimal": 512, **_BUDGETS},
    ),
    _family(
        "Gemini 2.5 Flash",
        r"gemini-2\.5",
        ("none", "minimal", "low", "medium", "high", "high"),
        "thinkingBudget",
        "gemini/gemini-2.5-flash",
        budgets={"none": 0, "minimal": 1, **_BUDGETS},
    ),
    _family(
        "Gemini before 2.5, Gemma",
        r"gemini-|gemma-",
        None,
        _REFUSED,
        "gemini/gemini-2.0-flash",
        "gemini/gemini-1.5-pro",
    ),
    _family(
        "Claude before 3.7",
        r"claude-3[-.](5|opus|sonnet|haiku)|claude-2|claude-instant",
        None,
        _REFUSED,
        "anthropic/claude-3-5-haiku-latest",
        "vertex_ai/claude-3-5-sonnet",
    ),
    _family(
        "Claude 4.6",  # xhigh came with the next one
        r"claude-(opus|sonnet|haiku)-4[-.]6",
        ("none", "low", "low", "medium", "high", "high"),
        "adaptive thinking and output_config.effort",
        "anthropic/claude-opus-4-6",
        "anthropic/claude-sonnet-4-6",
        "vertex_ai/claude-opus-4-6",
        "bedrock/us.anthropic.claude-opus-4-6-v1",
        breaks_cache=True,
    ),
    _family(
        "Claude 3.7 to 4.5",
        r"claude-(3[-.]7|(opus|sonnet|haiku)-4(?![-.][6-9]))",
        ("none", "low", "low", "medium", "high", "xhigh"),
        "a budget of thinking",
        "anthropic/claude-3-7-sonnet-20250219",
        "anthropic/claude-sonnet-4-20250514",
        "anthropic/claude-opus-4-1",
        "anthropic/claude-sonnet-4-5",
        "anthropic/claude-haiku-4-5",
        "vertex_ai/claude-sonnet-4-5",
        "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0",
        "databricks/databricks-claude-sonnet-4-5",
        breaks_cache=True,
        budgets={"none": 0, **_BUDGETS, "xhigh": 8192},
    ),
    _family(
        "Claude from 4.7",
        r"claude-",
        ("none", "low", "low", "medium", "high", "xhigh"),
        "adaptive thinking and output_config.effort",
        "anthropic/claude-opus-4-7",
        breaks_cache=True,
    ),
    _family(
        "GPT chat models",
        r"gpt-(4|3\.5)|gpt-5(\.\d+)?-chat|chatgpt-",
        None,
        "refused by litellm or by OpenAI",
        "openai/gpt-4o",
        "openai/gpt-4.1",
        "openai/gpt-5-chat-latest",
        "azure/gpt-4o",
    ),
    _family(
        "GPT-5 Pro",
        r"gpt-5-pro",
        ("high", "high", "high", "high", "high", "high"),
        f"{_EFFORT}: high alone",
        "openai/gpt-5-pro",
    ),
    _family(
        "GPT-5.2 Pro and later",
        r"gpt-5\.\d+-pro",
        ("medium", "medium", "medium", "medium", "high", "xhigh"),
        _EFFORT,
        "openai/gpt-5.2-pro",
        "openai/gpt-5.4-pro",
        breaks_cache=True,
    ),
    _family(
        "GPT-5 Codex, to 5.2",
        r"gpt-5(\.[12])?-codex",
        _LOW_TO_HIGH,
        _EFFORT,
        "openai/gpt-5-codex",
        "openai/gpt-5.1-codex-max",
        "openai/gpt-5.2-codex",
        breaks_cache=True,
    ),
    _family(
        "GPT-5.1",
        r"gpt-5\.1",
        ("none", "low", "low", "medium", "high", "high"),
        _EFFORT,
        "openai/gpt-5.1",
        breaks_cache=True,
    ),
    _family(
        "GPT-5.2 and later",
        r"gpt-5\.",
        ("none", "low", "low", "medium", "high", "xhigh"),
        _EFFORT,
        "openai/gpt-5.2",
        "openai/gpt-5.4-mini",
        "azure/gpt-5.2",
        breaks_cache=True,
    ),
    _family(
        "GPT-5",
        r"gpt-5",
        ("minimal", "minimal", "low", "medium", "high", "high"),
        _EFFORT,
        "openai/gpt-5",
        "openai/gpt-5-mini",
        "azure/gpt-5-mini",
        breaks_cache=True,
    ),
    _family("o1-mini, o1-preview", r"(^|/)o1-(mini|preview)", None, "refused by OpenAI", "openai/o1-mini"),
    _family(
        "OpenAI o-series",
        r"(^|/)o[134](-|$)",
        _LOW_TO_HIGH,
        _EFFORT,
        "openai/o1",
        "openai/o3",
        "openai/o3-mini",
        "openai/o4-mini",
        "azure/o4-mini",
        breaks_cache=True,
    ),
    _family("Nova", r"^bedrock/.*nova-", None, _REFUSED, "bedrock/amazon.nova-pro-v1:0"),
)

UNKNOWN = _family(
    "anything else",
    "",
    _LOW_TO_HIGH,
    f"{_EFFORT}; low, medium and high alone",
    "hosted_vllm/Qwen/Qwen3-8B",
    "openai/my-own-model",
    "perplexity/sonar-reasoning",
    "dashscope/qwen3-32b",
)
"""The safe reading of a model that no row fits.

Three levels are common to all that know any; of the others some models make an error, and some make less
thinking out of ``xhigh``. So ``none`` and ``minimal`` stand as ``low``, rather too much than too little.
"""


@lru_cache(maxsize=4096)
def family_of(model: str) -> Family:
    """Find the family of a model.

    Args:
        model: A litellm model name.

    Returns:
        The first row that fits, else ``UNKNOWN``.
    """
    name = model.lower()
    return next((row for row in FAMILIES if row.pattern.search(name)), UNKNOWN)
