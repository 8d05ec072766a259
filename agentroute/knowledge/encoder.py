"""The files of a sentence encoder: written whole or not at all, checked when read, copied beside a router.

A folder holds ``encoder.json`` (the manifest) and the two files that it names by their content. The manifest
is written last, and every file is written under another name and then renamed: whoever reads the folder,
while one or several processes write it, sees a whole encoder or none.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from agentroute.errors import InputError

MANIFEST = "encoder.json"
_RECIPE = 1
"""How weights become vectors (mean pooling, unit length); a change here must change every fingerprint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoder:
    """What a manifest says.

    Args:
        folder: Where the files are.
        name: The model's name.
        weights_sha256: Of the weights that were exported.
        dim: The length of a vector.
        max_tokens: Tokens read of a text, the two marks at its ends included.
        onnx: File name of the network, which begins with ``encoder-`` and its sha256.
        onnx_sha256: Of that file.
        tokenizer: File name of the tokenizer.
        tokenizer_sha256: Of that file.
    """

    folder: Path
    name: str
    weights_sha256: str
    dim: int
    max_tokens: int
    onnx: str
    onnx_sha256: str
    tokenizer: str
    tokenizer_sha256: str

    @property
    def fingerprint(self) -> str:
        """Name, weights, tokenizer, reading length and size in one string."""
        return fingerprint(self.name, self.weights_sha256, self.tokenizer_sha256, self.max_tokens, self.dim)


def fingerprint(name: str, weights: str, tokenizer: str, max_tokens: int, dim: int) -> str:
    """Write down what a vector depends on; the exported file's own bytes are left out, as they may vary.

    Args:
        name: The model's name.
        weights: The sha256 of its weights.
        tokenizer: The sha256 of its tokenizer.
        max_tokens: Tokens read of a text.
        dim: The length of a vector.

    Returns:
        One line.
    """
    return f"{name}@{weights[:16]}+{tokenizer[:8]}/tokens={max_tokens}/dim={dim}/recipe={_RECIPE}"


def read_encoder(folder: Path) -> Encoder:
    """Read a manifest; the files that it names are checked when they are loaded.

    Args:
        folder: A folder that ``export_encoder`` or ``copy_encoder`` wrote.

    Returns:
        What the manifest says.

    Raises:
        InputError: There is no manifest, or it is not one of ours.
    """
    path = folder / MANIFEST
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("recipe") != _RECIPE:
            raise ValueError("it is of another version")
        encoder = Encoder(folder=folder, **data)
        if Path(encoder.onnx).name != encoder.onnx or Path(encoder.tokenizer).name != encoder.tokenizer:
            raise ValueError("it names files outside its folder")
        if not all(isinstance(value, int) and value > 0 for value in (encoder.dim, encoder.max_tokens)):
            raise ValueError("its sizes are not whole numbers")
    except FileNotFoundError:
        raise InputError(
            f"{folder} holds no encoder: there is no {MANIFEST}; write one with bundle()"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} cannot be used: {error}; write the folder anew with bundle()") from None
    return encoder


def read_checked(folder: Path, name: str, sha256: str) -> bytes:
    """Read one file whose sha256 is known.

    Args:
        folder: Where it is.
        name: Its name.
        sha256: What its content must hash to.

    Returns:
        Its content.

    Raises:
        InputError: It is missing, or its content is another.
    """
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise InputError(f"{folder / name} cannot be read ({error.strerror}); write it anew") from None
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise InputError(
            f"{folder / name} has sha256 {found[:12]}..., expected {sha256[:12]}...: it is damaged or "
            "another file; delete it and try again"
        )
    return data


def copy_encoder(encoder: Encoder, folder: Path) -> Encoder:
    """Copy an encoder into another folder, such as a router's.

    Args:
        encoder: What to copy.
        folder: Where to; made when missing.

    Returns:
        The copy.

    Raises:
        InputError: A file of the encoder is damaged, or the folder cannot be written.
    """
    network = read_checked(encoder.folder, encoder.onnx, encoder.onnx_sha256)
    tokenizer = read_checked(encoder.folder, encoder.tokenizer, encoder.tokenizer_sha256)
    fields = {name: getattr(encoder, name) for name in Encoder.__slots__}
    return write_encoder(Encoder(**{**fields, "folder": folder}), network, tokenizer)


def write_encoder(encoder: Encoder, network: bytes, tokenizer: bytes) -> Encoder:
    """Write the files, then the manifest.

    Args:
        encoder: What the manifest is to say, and the folder to write into; made when missing.
        network: The ONNX file's content.
        tokenizer: The tokenizer file's content.

    Returns:
        The same encoder.

    Raises:
        InputError: The folder cannot be written.
    """
    fields = {name: getattr(encoder, name) for name in Encoder.__slots__ if name != "folder"}
    manifest = json.dumps({"recipe": _RECIPE, **fields}, indent=2) + "\n"
    try:
        encoder.folder.mkdir(parents=True, exist_ok=True)
        _replace(encoder.folder / encoder.onnx, network)
        _replace(encoder.folder / encoder.tokenizer, tokenizer)
        _replace(encoder.folder / MANIFEST, manifest.encode())
    except OSError as error:
        raise InputError(
            f"{encoder.folder} cannot be written ({error.strerror}); free it, or name another folder "
            "(the cache folder with AGENTROUTE_CACHE)"
        ) from None
    return encoder


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
