"""Python functions as tools that a model may call."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from agentroute.errors import RegistryError
from agentroute.running.calling.faults import one_line
from agentroute.running.imports import load_path
from agentroute.running.threads import in_thread, named

MAX_RESULT_CHARS = 20_000
"""Characters of a tool's result that the model sees."""


class Tool(NamedTuple):
    """A function, and how a model is told of it.

    Args:
        name: Its name.
        call: The function.
        arguments: A model of its parameters.
        schema: The OpenAI-style description.
    """

    name: str
    call: Callable[..., Any]
    arguments: type[BaseModel]
    schema: dict[str, Any]

    async def run(self, arguments: str) -> str:
        """Call the tool with a model's arguments.

        Args:
            arguments: A JSON object, as the model wrote it.

        Returns:
            The result as text; an error is text that begins with ``error:``, for the model to read.
        """
        try:
            checked = self.arguments.model_validate_json(arguments or "{}")
        except ValidationError as error:
            faults = [f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors()]
            return f"error: {'; '.join(faults)}"
        given = {name: getattr(checked, name) for name in type(checked).model_fields}
        try:
            if inspect.iscoroutinefunction(self.call):
                found = await self.call(**given)
            else:
                found = await in_thread(lambda: self.call(**given))
            text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, default=str)
        except Exception as error:  # whatever a tool raises is something for the model to react to
            text = f"error: {one_line(named(error))}"
        if len(text) > MAX_RESULT_CHARS:
            return f"{text[:MAX_RESULT_CHARS]}\n[cut: {len(text):,} characters in all]"
        return text


def load_tools(owner: str, paths: Sequence[str]) -> dict[str, Tool]:
    """Import tools and describe them from their signatures and docstrings.

    Args:
        owner: Whose tools they are, for messages.
        paths: ``module:name`` of functions; ``check_path`` let them pass.

    Returns:
        The tools by name, in order.

    Raises:
        RegistryError: A path does not import, is no function, or has parameters that JSON cannot carry.
    """
    tools: dict[str, Tool] = {}
    for path in paths:
        call = load_path(owner, path)
        if not callable(call):
            raise RegistryError(f"{owner}: tool {path!r} is {type(call).__name__}, not a function")
        tool = _describe(owner, path, call)
        if tool.name in tools:
            raise RegistryError(f"{owner}: two tools are called {tool.name!r}: rename one of the functions")
        tools[tool.name] = tool
    return tools


def _describe(owner: str, path: str, call: Callable[..., Any]) -> Tool:
    name = getattr(call, "__name__", path.partition(":")[2])
    try:
        hints = get_type_hints(call)
        fields: dict[str, Any] = {}
        for parameter in inspect.signature(call).parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
                raise TypeError(f"parameter {parameter.name!r} cannot be given by name")
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[parameter.name] = (hints.get(parameter.name, Any), default)
        strict = ConfigDict(extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=False)
        arguments: type[BaseModel] = create_model(f"{name}_arguments", __config__=strict, **fields)
        parameters = arguments.model_json_schema()
    except Exception as error:
        raise RegistryError(f"{owner}: tool {path!r} cannot be described to a model: {error}") from error
    parameters.pop("title", None)
    function = {"name": name, "description": inspect.getdoc(call) or "", "parameters": parameters}
    return Tool(name, call, arguments, {"type": "function", "function": function})
