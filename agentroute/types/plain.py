"""Values to plain data and back, for checkpoints and files."""

from __future__ import annotations

from typing import Any, TypeVar, cast

_T = TypeVar("_T")


def to_plain(value: Any) -> dict[str, Any]:
    """Turn a value of this package into dicts, lists, strings and numbers.

    Args:
        value: An instance of one of its dataclasses.

    Returns:
        The same content without classes or tuples, as JSON and msgpack give it back.
    """
    return cast("dict[str, Any]", _adapter(type(value)).dump_python(value, mode="json", warnings=False))


def from_plain(cls: type[_T], data: Any) -> _T:
    """Read a value back from what ``to_plain`` gave.

    Args:
        cls: The dataclass to build.
        data: Dicts, lists, strings and numbers.

    Returns:
        An instance of ``cls``, nested values and tuples included.
    """
    return cast("_T", _adapter(cls).validate_python(data))


_adapters: dict[type[Any], Any] = {}


def _adapter(cls: type[Any]) -> Any:
    if cls not in _adapters:
        from pydantic import TypeAdapter  # only needed where values are stored or read back

        _adapters[cls] = TypeAdapter(cls)
    return _adapters[cls]
