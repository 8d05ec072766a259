"""all-MiniLM-L6-v2 without torch: tokenizers in front, onnxruntime behind."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from agentroute.errors import InputError
from agentroute.knowledge.encoder import Encoder, copy_encoder, fingerprint, read_checked, read_encoder
from agentroute.knowledge.export import MINILM, TOKENIZER_SHA256, WEIGHTS_SHA256, prepare_minilm
from agentroute.knowledge.vectors import cache_folder, checked, clean

_DIM, _MAX_TOKENS = 384, 256
_BATCH = 32
"""Texts in one run of the network: more were no faster on two cores, and longer batches pad more."""
_CHUNK = 8192
"""Texts tokenized and sorted by length at once, which bounds the memory."""


class MiniLMEmbedder:
    """Sentence vectors of all-MiniLM-L6-v2 (Reimers and Gurevych 2019, arXiv:1908.10084), run by onnxruntime.

    Without a folder, the encoder is exported once into the cache folder, which needs the extra ``train``; a
    file there that is damaged is exported again. With a folder, only what ``bundle`` wrote there is used.
    Nothing is loaded before the first text, and vectors of equal texts are computed once per call.

    Args:
        folder: A folder that ``bundle`` wrote, or ``None`` for the cache folder.
        threads: Threads inside one run of the network.
    """

    def __init__(self, folder: str | Path | None = None, *, threads: int = 2) -> None:
        self._bundled = None if folder is None else read_encoder(Path(folder))
        self._threads = threads
        self._lock = Lock()
        self._loaded: tuple[Any, Any] | None = None

    @property
    def fingerprint(self) -> str:
        """Name, weights, tokenizer, reading length and size in one string."""
        if self._bundled is not None:
            return self._bundled.fingerprint
        return fingerprint(MINILM, WEIGHTS_SHA256, TOKENIZER_SHA256, _MAX_TOKENS, _DIM)

    @property
    def dim(self) -> int:
        """The length of a vector: 384."""
        return _DIM if self._bundled is None else self._bundled.dim

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return one unit vector per text; an empty text has a fixed one.

        Args:
            texts: Any strings; 256 tokens of each are read.

        Returns:
            float32 rows in the order of the texts.

        Raises:
            InputError: A bare string was given, or the encoder cannot be had.

        Shapes:
            ``(len(texts), dim)``.
        """
        cleaned = [clean(text) for text in checked(texts)]
        distinct = list(dict.fromkeys(cleaned))
        rows = np.empty((len(distinct), self.dim), dtype=np.float32)
        for start in range(0, len(distinct), _CHUNK):
            self._embed_chunk(distinct[start : start + _CHUNK], rows[start : start + _CHUNK])
        if len(distinct) == len(cleaned):
            return rows
        place = {text: i for i, text in enumerate(distinct)}
        return rows[[place[text] for text in cleaned]]

    def open(self) -> None:
        """Load what is otherwise loaded before the first text.

        Raises:
            InputError: The encoder cannot be had, or is damaged.
        """
        self._load()

    def bundle(self, folder: str | Path) -> None:
        """Copy the encoder into a folder, from where ``MiniLMEmbedder(folder)`` loads it without torch.

        Args:
            folder: Where to; made when missing.

        Raises:
            InputError: The encoder cannot be had, or the folder cannot be written.
        """
        self._load()
        copy_encoder(self._bundled or read_encoder(_cached()), Path(folder))

    def _embed_chunk(self, texts: Sequence[str], rows: np.ndarray) -> None:
        session, tokenizer = self._load()
        tokens = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            ids = np.zeros((len(batch), len(tokens[batch[-1]])), dtype=np.int64)
            mask = np.zeros_like(ids)
            for row, i in enumerate(batch):
                ids[row, : len(tokens[i])] = tokens[i]
                mask[row, : len(tokens[i])] = 1
            rows[batch] = session.run(None, {"ids": ids, "mask": mask})[0]

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            with self._lock:
                if self._loaded is None:
                    self._loaded = self._open_cached() if self._bundled is None else self._open(self._bundled)
        return self._loaded

    def _open_cached(self) -> tuple[Any, Any]:
        try:
            encoder = read_encoder(_cached())
            if encoder.fingerprint != self.fingerprint:
                raise InputError(f"{_cached()} holds another encoder")
            return self._open(encoder)
        except InputError:  # missing, damaged, foreign or of an older version: all have the same remedy
            return self._open(prepare_minilm(_cached()))

    def _open(self, encoder: Encoder) -> tuple[Any, Any]:
        # The file is hashed while onnxruntime is imported, so that checking it costs no time.
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(read_checked, encoder.folder, encoder.onnx, encoder.onnx_sha256)
            import onnxruntime
            from tokenizers import Tokenizer

            words = read_checked(encoder.folder, encoder.tokenizer, encoder.tokenizer_sha256)
            tokenizer = Tokenizer.from_str(words.decode("utf-8"))
            tokenizer.no_padding()
            tokenizer.enable_truncation(encoder.max_tokens)
            network = reading.result()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # Idle threads that spin would take the cores from numpy, which comes next.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # errors only: its warnings are about machines, not about results
        session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        return session, tokenizer


def _cached() -> Path:
    return cache_folder() / MINILM
