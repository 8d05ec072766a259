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

from agentroute.knowledge.foresight import TunedForesight
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


PRIOR = 5.0
"""Scores of the pool's mean that an agent begins with beside its own."""

READ = 256
"""Tokens that the tuned encoder reads of a question, as ``export`` has it by default."""


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
) -> tuple[TunedForesight, Floats]:
    """Tune an encoder on all questions, and one more for each part of them, on the others.

    Args:
        texts: The questions. Equal ones belong to the same part.
        score: Recorded scores, NaN where an agent did not run. Shapes: ``(texts, agents)``.
        parts: Positions in ``texts``, each in one part.
        seed: Decides every random choice.
        tell: Called as the work goes on.

    Returns:
        What foresees scores on any question; and what was foreseen of these, each by what was tuned without
        it. Shapes: ``(texts, agents)``.

    Raises:
        MissingExtraError: torch or transformers is not installed.
    """
    torch = tools()
    tokens, whole = tokens_of(texts), tokens_of(texts, READ)
    with torch.random.fork_rng(devices=[]):
        body = fresh_body(attention="eager")
    everyone, stop = np.arange(len(texts)), Event()

    def learn(part: Indices) -> _Learned | Floats:
        rows = np.setdiff1d(everyone, part)
        with one_thread(torch):  # each thread has a number of its own
            found = _tuned(torch, deepcopy(body), tokens, score, rows, seed, stop)
            # A body is large: those of the parts are not kept.
            return _said(torch, found, [whole[row] for row in part.tolist()], stop) if len(part) else found

    nobody = np.zeros(0, np.int64)
    parts = [part for part in parts if len(part)]
    foreseen = np.zeros(score.shape, np.float32)
    with one_thread(torch), ThreadPoolExecutor(_cores()) as pool:
        runs = {pool.submit(learn, part): part for part in (nobody, *parts)}
        try:
            tell("tuning the encoder", 0, len(runs))
            for done, run in enumerate(as_completed(runs), 1):
                found = run.result()
                if isinstance(found, _Learned):
                    learned = found
                else:
                    foreseen[runs[run]] = found
                tell("tuning the encoder", done, len(runs))
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    weight, bias = (part.detach().numpy() for part in (learned.weight, learned.bias))
    return TunedForesight(_exported(learned.body), weight, bias), foreseen


def _cores() -> int:
    """Return how many cores this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # not everywhere
    return len(allowed(0)) if allowed else os.cpu_count() or 1


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
    # Of whom nothing is known in these rows, the mean of the pool is expected.
    total, count = (known[rows] * ran[rows]).sum(0), ran[rows].sum(0)
    pool = total.sum() / count.sum() if count.sum() else torch.tensor(0.5)
    mean = (total + PRIOR * pool) / (count + PRIOR)
    weight = torch.zeros(body.config.hidden_size, score.shape[1], requires_grad=True)
    bias = torch.logit(mean.clamp(0.02, 0.98)).requires_grad_(True)
    moving = [parameter for parameter in body.parameters() if parameter.requires_grad]
    head = {"params": [weight, bias], "lr": LEARNING_RATE * HEAD_PACE}
    optimizer = torch.optim.AdamW([{"params": moving}, head], lr=LEARNING_RATE, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, STEPS))
    left = np.zeros(0, np.int64)
    for _ in range(STEPS if len(rows) else 0):
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


def _said(torch: Any, learned: _Learned, tokens: Sequence[list[int]], stop: Event) -> Floats:
    """Foresee scores with what was just learned. Shapes: ``(questions, agents)``."""
    order = np.argsort([len(ids) for ids in tokens], kind="stable")
    said = np.zeros((len(tokens), len(learned.bias)), np.float32)
    for start in range(0, len(order), BATCH):
        if stop.is_set():
            break
        rows = order[start : start + BATCH]
        with torch.no_grad():
            vectors = encode(torch, learned.body, [tokens[row] for row in rows.tolist()], exact=True)
            said[rows] = torch.sigmoid(vectors @ learned.weight + learned.bias).numpy()
    return said
