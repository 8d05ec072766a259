"""Code named by import path in a registry: found, allowed, loaded."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any

from agentroute.errors import RegistryError

DEFAULT_ALLOW = ("agentroute.workbench",)


def check_path(owner: str, path: str, allow: Sequence[str]) -> None:
    """Refuse an import path that the caller has not allowed, without loading it.

    Args:
        owner: Who names it, for the message.
        path: ``module:name``.
        allow: Allowed modules, beside ``agentroute.workbench``; their submodules are included.

    Raises:
        RegistryError: The path is malformed, not allowed, or its module does not exist.
    """
    module, _, name = path.partition(":")
    if (
        not all(part.isidentifier() for part in module.split("."))
        or not name.isidentifier()
        or name[0] == "_"
    ):
        raise RegistryError(f"{owner}: {path!r} is not an import path: write module:name, with a public name")
    allowed = (*DEFAULT_ALLOW, *((allow,) if isinstance(allow, str) else allow))
    if not any(module == root or module.startswith(f"{root}.") for root in allowed):
        top = module.partition(".")[0]
        raise RegistryError(
            f"{owner}: {path!r} is refused, a registry may only name code in {', '.join(allowed)}:"
            f" if you trust it, pass allow=[{top!r}] or --allow {top}"
        )
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError) as error:
        raise RegistryError(f"{owner}: module {module!r} cannot be found: {error}") from error
    if found is None:
        raise RegistryError(f"{owner}: module {module!r} cannot be found: check its name and the Python path")


def load_path(owner: str, path: str) -> Any:
    """Import what a checked path names.

    Args:
        owner: Who names it, for the message.
        path: ``module:name``, as ``check_path`` let it pass.

    Returns:
        The object.

    Raises:
        RegistryError: The module does not import, or has no such name.
    """
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError as error:
        raise RegistryError(f"{owner}: module {module!r} has no {name!r}") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise RegistryError(f"{owner}: module {module!r} does not import: {reason}") from error
