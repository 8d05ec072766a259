"""Training that was interrupted: what was learned so far, kept until the router is saved.

A checkpoint is named by a digest of all that decides what it holds: graphs, scores, settings, code. So a
training that is begun again finds its own and goes on to the same weights, bit for bit, and never finds one
of another training.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import shutil
import time
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agentroute.errors import RouterFileError, StorageError
from agentroute.knowledge import files
from agentroute.knowledge.files import Tensors
from agentroute.knowledge.hetero import PackedGraphs

EVERY_S = 15.0
"""Seconds of training that an interruption may cost."""

_log = logging.getLogger(__name__)


class Unfinished:
    """Keeps checkpoints in a folder of their own beside the router.

    Args:
        out: The router's folder; without one nothing is kept.
    """

    def __init__(self, out: Path | None) -> None:
        self.folder = None if out is None else out / "unfinished"

    def clear(self) -> None:
        """Remove all checkpoints: the router is saved."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def checkpoint(self, *parts: object) -> Checkpoint:
        """Return the checkpoint of one network.

        Args:
            parts: All that decides what it becomes: graphs, arrays, settings, and the modules at work.

        Returns:
            A checkpoint; one that keeps nothing where there is no folder.
        """
        # What keeps nothing needs no name, which takes time for large folders.
        return Checkpoint(None if self.folder is None else self.folder / f"{digest(*parts)}.safetensors")


NOTHING_KEPT = Unfinished(None)


class Checkpoint:
    """The state of one network's training, replaced whole at every write.

    Args:
        path: The file, or ``None`` to keep nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._written = path, time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to write again."""
        return self._path is not None and time.monotonic() - self._written >= EVERY_S

    def write(self, facts: dict[str, Any], tensors: Tensors) -> None:
        """Keep a state. Where the disk refuses, training goes on without.

        Args:
            facts: Plain data.
            tensors: Arrays by name.
        """
        if self._path is None:
            return
        try:
            files.write(self._path, facts, tensors)
        except StorageError as error:
            _log.warning("training goes on without checkpoints: %s", error)
            self._path = None
        self._written = time.monotonic()

    def read(self) -> tuple[dict[str, Any], Tensors] | None:
        """Return the state that was kept, or ``None`` when there is none, or it is damaged."""
        if self._path is None or not self._path.exists():
            return None
        try:
            return files.read(self._path)
        except RouterFileError as error:
            _log.warning("a checkpoint cannot be used, so that its network is trained anew: %s", error)
            return None


def pack(model: nn.Module, optimizer: torch.optim.Optimizer, best: dict[str, Tensor]) -> Tensors:
    """Turn the state of torch's side of a training into arrays.

    Args:
        model: The network.
        optimizer: Its optimizer.
        best: The weights that did best so far.

    Returns:
        Arrays by name, torch's random numbers included.
    """
    found = {f"model.{name}": value for name, value in model.state_dict().items()}
    found |= {f"best.{name}": value for name, value in best.items()}
    for place, state in optimizer.state_dict()["state"].items():
        found |= {f"optimizer.{place}.{name}": value for name, value in state.items()}
    return {"random": torch.get_rng_state().numpy(), **{name: value.numpy() for name, value in found.items()}}


def unpack(tensors: Tensors, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Put torch back into a state that ``pack`` made arrays of.

    Args:
        tensors: The arrays.
        model: The network, freshly made.
        optimizer: Its optimizer, freshly made.

    Returns:
        The weights that did best so far.
    """
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}, "random": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = torch.from_numpy(value.copy())
    model.load_state_dict(parts["model"])
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts["optimizer"].items():
        place, _, what = name.partition(".")
        # A file holds a single number as an array of one.
        states.setdefault(int(place), {})[what] = tensor.reshape(()) if what == "step" else tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": states, "param_groups": groups})
    torch.set_rng_state(parts["random"][""])
    return parts["best"]


def _source(module: ModuleType) -> bytes:
    try:
        return inspect.getsource(module).encode()
    except OSError:  # installed without its source: then the version has to do
        return version("agentroute-graph").encode()


def digest(*parts: object) -> str:
    """Return a sha256 over graphs, arrays, settings and the source of modules, in their order."""
    found = hashlib.sha256(torch.__version__.encode())
    for part in parts:
        if isinstance(part, ModuleType):
            found.update(_source(part))
        elif isinstance(part, PackedGraphs):
            found.update(part.digest().encode())
        elif isinstance(part, np.ndarray):
            found.update(f"{part.dtype} {part.shape}".encode() + np.ascontiguousarray(part).tobytes())
        else:
            found.update(f"{part!r}\0".encode())
    return found.hexdigest()
