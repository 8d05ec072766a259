"""Trained routers: read from their folders, and held to a way of asking or to a promise."""

from __future__ import annotations

import os
from collections.abc import Callable
from numbers import Real
from typing import Any, cast

from agentroute.errors import InputError
from agentroute.types import EffortRouter, Router


def load_router(path: str | os.PathLike[str], preset: str | None = None) -> Router:
    """Load a trained router.

    Args:
        path: The folder it was saved to.
        preset: One way of asking to hold it to, such as ``growing``; see ``GraphRouter.with_preset``.

    Returns:
        The router.

    Raises:
        RouterFileError: It cannot be read or does not fit.
        InputError: It has no such preset.
    """
    from agentroute.routing.router import GraphRouter

    router = GraphRouter.load(path)
    return router if preset is None else router.with_preset(preset)


def load_effort(path: str | os.PathLike[str]) -> EffortRouter:
    """Load an effort router.

    Args:
        path: The folder it was saved to.

    Returns:
        The effort router.

    Raises:
        RouterFileError: It cannot be read or does not fit.
    """
    from agentroute.effort.step_router import StepRouter

    return StepRouter.load(path)


def held_to(router: Router | None, preset: str | None, target_coverage: float | None) -> Router | None:
    """Hold a router to a way of asking, then to a promise: each way keeps it from another confidence on.

    Args:
        router: The router.
        preset: The way of asking.
        target_coverage: Share of the answers that the router calls sure which are to be right.

    Returns:
        The router; the same one where neither is asked for.

    Raises:
        InputError: A value is of another type, or the router has no such preset, or cannot promise that.
    """
    if preset is not None:
        if not isinstance(preset, str):
            raise InputError(f"preset is {preset!r}; it takes a name, such as 'growing'")
        router = _able("preset", preset, router, "with_preset")(preset)
    if target_coverage is not None:
        given: object = target_coverage
        if isinstance(given, bool) or not isinstance(given, Real):
            raise InputError(f"target_coverage is {target_coverage!r}; it takes a share above 0 and below 1")
        router = _able("target_coverage", target_coverage, router, "assuring")(float(target_coverage))
    return router


def _able(name: str, value: object, router: Router | None, method: str) -> Callable[[Any], Router]:
    found = getattr(router, method, None)
    if not callable(found):
        whose = "there is none" if router is None else f"{type(router).__name__} has no {method}()"
        raise InputError(f"{name}={value!r} needs a router made by `agentroute train`; {whose}")
    return cast("Callable[[Any], Router]", found)
