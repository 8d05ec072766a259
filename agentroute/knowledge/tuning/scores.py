"""Tuning the sentence encoder on recorded scores, to foresee them from a question alone.

MiniLM's last layers and a logistic regression on its vectors learn together. An encoder knows the questions
it was tuned on by heart; so for each part of them another one is tuned, without that part, and what a router
learns from is what these foresaw.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from copy import deepcopy
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from threading import Event
from typing import Any, NamedTuple
from weakref import finalize

import numpy as np

from agentroute.knowledge.foresight import Foreseen, TunedForesight
from agentroute.knowledge.minilm import MiniLMEmbedder
from agentroute.knowledge.terms import Floats, Indices
from agentroute.knowledge.tuning.body import (
    encode,
    fresh_body,
    one_thread,
    rate,
    tokens_of,
    tools,
    write_tuned,
)

BATCH = 32
"""Questions in one step."""

STEPS = 160
"""Steps, whatever the number of questions. With twice as many, choices by what is foreseen were worse on each
set that was measured, and so were chances on some."""

LEARNING_RATE = 1e-4
HEAD_PACE = 50.0
"""How much larger the steps of the regression are: it begins at nothing."""

DROPOUT = 0.1
"""Share of a vector's numbers that are hidden in a step."""

RANKING, SHARPNESS = 0.3, 0.25
"""Weight of the ranking loss beside that of each single score, and the temperature of its target."""


class _Learned(NamedTuple):
    body: Any
    weight: Any
    bias: Any


def foresee(
    texts: Sequence[str],
    score: Floats,
    parts: Sequence[Indices],
    *,
    seed: int = 0,
    tell: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> tuple[TunedForesight, Foreseen]:
    """Tune an encoder on all questions, and one more for each part of them, on the others.

    Args:
        texts: The questions.
        score: Recorded scores, NaN where an agent did not run. Shapes: ``(texts, agents)``.
        parts: Positions in ``texts``, each in one part.
        seed: Decides every random choice.
        tell: Called as the work goes on.

    Returns:
        What foresees scores on any question, and what was foreseen of these.

    Raises:
        MissingExtraError: torch or transformers is not installed.
    """
    torch = tools()
    tokens = tokens_of(texts)
    with torch.random.fork_rng(devices=[]):
        body = fresh_body(attention="eager")
    everyone, stop = np.arange(len(texts)), Event()

    def learn(part: Indices) -> tuple[_Learned, Floats]:
        rows = np.setdiff1d(everyone, part)
        with one_thread(torch):  # each thread has a number of its own
            found = _tuned(torch, deepcopy(body), tokens, score, rows, seed, stop)
            return found, _said(torch, found, [tokens[row] for row in part.tolist()])

    nobody = np.zeros(0, np.int64)
    foreseen = np.zeros(score.shape, np.float32)
    with one_thread(torch), ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        runs = {pool.submit(learn, part): part for part in (nobody, *parts)}
        tell("tuning the encoder", 0, len(runs))
        try:
            for done, run in enumerate(as_completed(runs), 1):
                learned, said = run.result()
                foreseen[runs[run]] = said
                if runs[run] is nobody:
                    whole = learned
                tell("tuning the encoder", done, len(runs))
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    weight, bias = (part.detach().numpy() for part in (whole.weight, whole.bias))
    return TunedForesight(_exported(whole.body), weight, bias), Foreseen(texts, foreseen)


def _exported(body: Any) -> MiniLMEmbedder:
    """Export a tuned body into a folder that lasts as long as what reads it."""
    folder = Path(mkdtemp(prefix="agentroute-"))
    try:
        encoder = write_tuned(body.state_dict(), folder)
    except BaseException:
        rmtree(folder, ignore_errors=True)
        raise
    finalize(encoder, rmtree, folder, ignore_errors=True)
    return encoder


def _tuned(
    torch: Any, body: Any, tokens: Sequence[list[int]], score: Floats, rows: Indices, seed: int, stop: Event
) -> _Learned:
    """Tune a body and a regression on some of the questions."""
    order, hidden = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    known, ran = torch.from_numpy(np.nan_to_num(score)), torch.from_numpy(~np.isnan(score))
    mean = (known[rows] * ran[rows]).sum(0) / ran[rows].sum(0).clamp(min=1)
    weight = torch.zeros(body.config.hidden_size, score.shape[1], requires_grad=True)
    bias = torch.logit(mean.clamp(0.02, 0.98)).requires_grad_(True)
    moving = [parameter for parameter in body.parameters() if parameter.requires_grad]
    head = {"params": [weight, bias], "lr": LEARNING_RATE * HEAD_PACE}
    optimizer = torch.optim.AdamW([{"params": moving}, head], lr=LEARNING_RATE, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, STEPS))
    left = np.zeros(0, np.int64)
    for _ in range(STEPS):
        if stop.is_set():
            break
        if len(left) < min(BATCH, len(rows)):
            left = np.concatenate([left, order.permutation(rows)])
        taken, left = left[:BATCH], left[BATCH:]
        vectors = encode(torch, body, [tokens[row] for row in taken.tolist()])
        kept = torch.rand(vectors.shape, generator=hidden) >= DROPOUT
        said = (vectors * kept / (1.0 - DROPOUT)) @ weight + bias
        loss = _loss(torch, said, known[taken], ran[taken])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(moving, 1.0)
        optimizer.step()
        schedule.step()
    return _Learned(body, weight, bias)


def _loss(torch: Any, said: Any, score: Any, ran: Any) -> Any:
    """Return the surprise at each score, and at which agents do best; what did not run says nothing."""
    single = torch.nn.functional.binary_cross_entropy_with_logits(said, score, reduction="none")
    aim = torch.softmax((score / SHARPNESS).masked_fill(~ran, -1e9), dim=1)
    ranked = -(aim * torch.log_softmax(said.masked_fill(~ran, -1e9), dim=1)).sum(1)
    return (single * ran).sum() / ran.sum().clamp(min=1) + RANKING * ranked.mean()


def _said(torch: Any, learned: _Learned, tokens: Sequence[list[int]]) -> Floats:
    """Foresee scores with what was just learned. Shapes: ``(questions, agents)``."""
    with torch.no_grad():
        chances = [
            torch.sigmoid(
                encode(torch, learned.body, tokens[start : start + 256]) @ learned.weight + learned.bias
            )
            for start in range(0, len(tokens), 256)
        ]
    return np.concatenate(
        [part.numpy() for part in chances] or [np.zeros((0, len(learned.bias)), np.float32)]
    )
