"""What tuning an encoder takes, whatever it learns: texts as tokens, a body that may move, its export."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np

from agentroute.errors import MissingExtraError
from agentroute.knowledge.export import MINILM, export_encoder, load_body, minilm_weights
from agentroute.knowledge.minilm import MiniLMEmbedder
from agentroute.knowledge.vectors import clean

MAX_TOKENS = 64
"""Tokens read of a text in a step; the encoder itself reads more."""

FROZEN_LAYERS = 3
"""Layers that stay as they are, the first ones: what they say of words holds for any text."""

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises; then it falls to zero."""


def tools() -> Any:
    """Import torch.

    Returns:
        The module.

    Raises:
        MissingExtraError: It is not installed, or what tuning needs beside it.
    """
    try:
        import tokenizers  # noqa: F401
        import torch
        import transformers  # noqa: F401
    except ImportError:
        raise MissingExtraError("tuning the encoder", "train") from None
    return torch


def tokens_of(texts: Sequence[str], most: int = MAX_TOKENS) -> list[list[int]]:
    """Turn texts into token ids, as MiniLM reads them.

    Args:
        texts: Any strings.
        most: Tokens to read of each.

    Returns:
        The ids of each.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(minilm_weights() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(most)
    return [encoding.ids for encoding in tokenizer.encode_batch([clean(text) for text in texts])]


def fresh_body(*, attention: str) -> Any:
    """Return MiniLM as it comes, its first layers frozen.

    Args:
        attention: How attention is computed: ``sdpa``, or ``eager``, which is faster on short texts.

    Returns:
        A torch module.
    """
    # Without dropout, which cost a tenth of the time and gained nothing.
    body = load_body(minilm_weights(), attention=attention).eval()
    for part in (body.embeddings, *body.encoder.layer[:FROZEN_LAYERS]):
        part.requires_grad_(False)
    return body


def encode(
    torch: Any, body: Any, tokens: Sequence[Sequence[int]], parts: int = 1, exact: bool = False
) -> Any:
    """Turn token ids into unit vectors.

    Args:
        torch: The module.
        body: Runs them.
        tokens: The ids of each text.
        parts: How many parts of like length a batch is computed in, so that little is computed for padding.
        exact: Whether to compute as the exported encoder does.

    Returns:
        Shapes: ``(texts, dim)``.
    """
    order = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
    found = []
    # Three times as fast where the processor multiplies in this format, and slower where it does not.
    short = not exact and torch.cpu._is_avx512_bf16_supported()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=short):
        for rows in np.array_split(np.array(order), min(parts, len(order))):
            longest = max(len(tokens[row]) for row in rows)
            ids = torch.tensor([[*tokens[row], *[0] * (longest - len(tokens[row]))] for row in rows])
            mask = torch.tensor([[1] * len(tokens[row]) + [0] * (longest - len(tokens[row])) for row in rows])
            hidden = body(input_ids=ids, attention_mask=mask, token_type_ids=torch.zeros_like(ids))
            hidden, keep = hidden.last_hidden_state.float(), mask.unsqueeze(-1).float()
            found.append((hidden * keep).sum(1) / keep.sum(1))
    return torch.nn.functional.normalize(torch.cat(found)[np.argsort(order)], dim=1)


def rate(step: int, steps: int) -> float:
    """Return the share of the learning rate at a step, of so many in all."""
    rising = max(WARM_UP * steps, 1.0)
    return min((step + 1) / rising, (steps - step) / max(steps - rising, 1.0), 1.0)


@contextmanager
def one_thread(torch: Any) -> Iterator[None]:
    """Batches this small are no faster on two threads, and far slower beside other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def write_tuned(state: Mapping[str, Any], folder: Path) -> MiniLMEmbedder:
    """Export a tuned body.

    Args:
        state: Its weights.
        folder: Where the encoder goes; made if missing.

    Returns:
        An embedder that reads the folder.
    """
    from safetensors.torch import save_file

    weights = minilm_weights()
    with tempfile.TemporaryDirectory() as made:
        for name in ("config.json", "tokenizer.json"):
            copyfile(weights / name, Path(made) / name)
        whole = {name: value.contiguous() for name, value in state.items()}
        save_file(whole, Path(made) / "model.safetensors")
        export_encoder(Path(made), folder, name=f"{MINILM}-tuned")
    return MiniLMEmbedder(folder)
