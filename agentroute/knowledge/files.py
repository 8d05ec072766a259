"""Router files: one safetensors file with everything in it, checked before use and replaced whole.

The header's metadata holds the manifest as JSON, and a sha256 over the manifest and every tensor: a flipped
bit anywhere is found. Nothing in such a file can run code.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agentroute.errors import RouterFileError, StorageError

FILE_NAME = "router.safetensors"
FORMAT = 1
"""Raised whenever an older reader would misread a newer file."""

Tensors = dict[str, npt.NDArray[Any]]


def save(folder: str | os.PathLike[str], manifest: Mapping[str, Any], tensors: Tensors) -> Path:
    """Write a router file: to a temporary file, fsynced, then put in place of the old one.

    Args:
        folder: The router's folder; made if missing.
        manifest: Plain data about the router.
        tensors: Its arrays by name.

    Returns:
        The file's path.

    Raises:
        RouterFileError: The folder is a file.
        StorageError: The disk refused; an older file is intact.
    """
    return write(home_of(folder) / FILE_NAME, manifest, tensors)


def home_of(folder: str | os.PathLike[str]) -> Path:
    """Return a router's folder as a path.

    Args:
        folder: Where it is or will be.

    Returns:
        The same.

    Raises:
        RouterFileError: It is a file.
    """
    home = Path(folder)
    if os.path.exists(home) and not os.path.isdir(home):
        raise RouterFileError(f"{home} is a file; a router is saved into a folder: give another --out")
    return home


def write(path: Path, manifest: Mapping[str, Any], tensors: Tensors) -> Path:
    """Write one such file under any name; see ``save``.

    Args:
        path: The file; its folder is made if missing.
        manifest: Plain data.
        tensors: Arrays by name.

    Returns:
        The path.

    Raises:
        StorageError: The disk refused; an older file is intact.
    """
    from safetensors.numpy import save as to_bytes

    text = json.dumps({"format": FORMAT, **manifest}, sort_keys=True)
    tensors = {name: np.ascontiguousarray(value) for name, value in sorted(tensors.items())}
    data = to_bytes(tensors, metadata={"manifest": text, "sha256": _digest(text, tensors)})
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise StorageError(
            f"{path} could not be written: {error.strerror}; an older one is intact"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # what went wrong above must not be hidden by what goes wrong here
            temporary.unlink(missing_ok=True)
    return path


def _sweep(path: Path) -> None:
    """Remove what processes that were killed while writing left behind."""
    for left in path.parent.glob(f"{glob.escape(path.name)}.*.tmp"):
        writer = left.name.removeprefix(f"{path.name}.").removesuffix(".tmp")
        if writer.isdigit() and not _alive(int(writer)):
            left.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    if sys.platform == "win32":  # where asking would end the process
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # somebody else's
        return True
    return True


def load(folder: str | os.PathLike[str]) -> tuple[dict[str, Any], Tensors]:
    """Read a router file and check all of it.

    Args:
        folder: The router's folder, or the file itself.

    Returns:
        The manifest and the tensors.

    Raises:
        RouterFileError: It is missing, damaged, of a newer format, or holds numbers that are not finite.
    """
    path = Path(folder)
    # A folder whose parents may not be entered is told of when the file in it is read.
    return read(path / FILE_NAME if os.path.isdir(path) else path, folder)


def read(path: Path, given: str | os.PathLike[str] | None = None) -> tuple[dict[str, Any], Tensors]:
    """Read one such file under any name; see ``load``.

    Args:
        path: The file.
        given: What messages call it when it is not there.

    Returns:
        The manifest and the tensors.

    Raises:
        RouterFileError: As for ``load``.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    remedy = "train it again with 'agentroute train FOLDER --out ROUTER'"
    try:
        # Reading a pipe or a device might never end.
        data = path.read_bytes() if path.is_file() or not path.exists() else b""
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise RouterFileError(f"{given or path}: no router to read there ({why}); {remedy}") from None
    try:
        tensors: Tensors = from_bytes(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        text, expected = header["__metadata__"]["manifest"], header["__metadata__"]["sha256"]
        manifest: dict[str, Any] = dict(json.loads(text))
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        kind = type(error).__name__
        raise RouterFileError(f"{path} is not a whole router file ({kind}); {remedy}") from None
    if _digest(text, dict(sorted(tensors.items()))) != expected:
        raise RouterFileError(f"{path} is damaged: its content does not match its sha256; {remedy}")
    if manifest.get("format") != FORMAT:
        raise RouterFileError(
            f"{path} has format {manifest.get('format')}, this agentroute reads {FORMAT}; "
            f"use the version that wrote it ({manifest.get('written_by')}), or {remedy}"
        )
    for name, tensor in tensors.items():
        # NaN in the record means "did not run"; anywhere else it is damage.
        if tensor.dtype.kind == "f" and not name.startswith("record.") and not np.isfinite(tensor).all():
            raise RouterFileError(f"{path}: '{name}' holds numbers that are not finite; {remedy}")
    return manifest, tensors


def _digest(text: str, tensors: Tensors) -> str:
    digest = hashlib.sha256(text.encode())
    for name, tensor in tensors.items():
        digest.update(f"{name}|{tensor.dtype}|{tensor.shape}|".encode())
        digest.update(np.ascontiguousarray(tensor).tobytes())
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power loss, where the system lets folders be synced."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
