"""Fine-tuning the sentence encoder on labelled utterances, in minutes on a CPU.

Utterances of one agent, and the agent's own card, are drawn together, others pushed apart: the supervised
contrastive loss of Khosla et al. 2020 (arXiv:2004.11362). Because cards take part, an agent that is known
by its card alone profits too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agentroute.errors import InputError
from agentroute.knowledge.minilm import MiniLMEmbedder
from agentroute.knowledge.tuning.body import (
    encode,
    fresh_body,
    one_thread,
    rate,
    tokens_of,
    tools,
    write_tuned,
)

Indices = npt.NDArray[np.int64]

AGENTS_IN_BATCH, UTTERANCES_EACH = 32, 3
"""A batch holds so many utterances of so many agents, and the agents' cards."""

PARTS_BY_LENGTH = 4
"""A batch is computed in so many parts."""

OTHERS_IN_BATCH = 8
"""Utterances in a batch that no agent fits, where there are some."""

MOST_SEEN = 24_000
"""Utterances that are seen in all, at most, counted each time: of a large folder, fewer passes do."""

KEPT = 0.7
"""How far the weights go from what they were to what was learned, 0 to 1 (Wortsman et al. 2021,
arXiv:2109.01903). All the way, agents that join later, known by their cards alone, would be found less often
than without any tuning; most of the way, little is lost on the others."""

LEARNING_RATE = 2e-4
TEMPERATURE = 0.07


def tune_encoder(
    texts: Sequence[str],
    fits: npt.NDArray[np.bool_],
    cards: Sequence[str],
    folder: Path,
    *,
    epochs: float = 3.0,
    seed: int = 0,
    tell: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> MiniLMEmbedder:
    """Fine-tune MiniLM so that an utterance is near those of the agents that fit it, and near their cards.

    Args:
        texts: The utterances to learn from.
        fits: Which agents fit each; a row without any is an example of "none fits". Shapes: ``(texts,
            agents)``.
        cards: What each agent says of itself.
        folder: Where the tuned encoder goes; made if missing.
        epochs: How often each utterance is seen, in the mean; less often of more than ``MOST_SEEN`` in all.
        seed: Decides every random choice.
        tell: Called as the work goes on.

    Returns:
        An embedder that reads the folder.

    Raises:
        InputError: Fewer than two agents have utterances.
        MissingExtraError: torch or transformers is not installed.
    """
    torch = tools()
    if (fits.any(axis=0)).sum() < 2:
        raise InputError("tuning the encoder needs utterances of two agents at least; record more")
    everything = tokens_of([*texts, *cards])
    epochs = min(epochs, MOST_SEEN / max(len(texts), 1))
    batches = list(_batches(fits, epochs, np.random.default_rng(seed)))
    with one_thread(torch), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body = fresh_body(attention="sdpa")
        before = {name: value.clone() for name, value in body.state_dict().items()}
        trained = [parameter for parameter in body.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0.01)
        steps = len(batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, steps))
        for done, (rows, same) in enumerate(batches):
            vectors = encode(torch, body, [everything[row] for row in rows.tolist()], PARTS_BY_LENGTH)
            loss = _contrast(torch, vectors, torch.from_numpy(same))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            schedule.step()
            tell("tuning the encoder", done + 1, steps)
        state = {
            name: torch.lerp(before[name], value, KEPT) if value.is_floating_point() else value
            for name, value in body.state_dict().items()
        }
        return write_tuned(state, folder)


def _batches(
    fits: npt.NDArray[np.bool_], epochs: float, draw: np.random.Generator
) -> Iterator[tuple[Indices, npt.NDArray[np.bool_]]]:
    """Yield the texts of each batch, and which of them belong together.

    Agents take turns, whatever the number of their utterances, so that a rare one is not drowned.
    """
    texts, agents = fits.shape
    stacks = {agent: np.flatnonzero(fits[:, agent]) for agent in range(agents)}
    known = np.array([agent for agent, stack in stacks.items() if len(stack)])
    others = np.flatnonzero(~fits.any(axis=1))
    size = min(AGENTS_IN_BATCH, len(known))
    order: list[int] = []
    for _ in range(max(round(epochs * texts / (size * UTTERANCES_EACH)), 1)):
        if len(order) < size:
            # Those left over come first; nobody is in a batch twice.
            order += [agent for agent in draw.permutation(known).tolist() if agent not in order]
        chosen, order = order[:size], order[size:]
        rows = [draw.permutation(stacks[agent])[:UTTERANCES_EACH] for agent in chosen]
        some = draw.permutation(others)[:OTHERS_IN_BATCH]
        taken = np.concatenate([*rows, some])
        labels = np.concatenate([fits[taken], np.eye(agents, dtype=bool)[chosen]])
        same = (labels.astype(np.float32) @ labels.T.astype(np.float32)) > 0
        np.fill_diagonal(same, False)
        yield np.concatenate([taken, texts + np.array(chosen, np.int64)]), same


def _contrast(torch: Any, vectors: Any, same: Any) -> Any:
    """Return the mean surprise of each text's companions among all others in the batch."""
    likeness = vectors @ vectors.T / TEMPERATURE
    likeness = likeness.masked_fill(torch.eye(len(vectors), dtype=torch.bool), -1e9)
    said = torch.log_softmax(likeness, dim=1)
    count = same.sum(1)
    return -((said * same).sum(1)[count > 0] / count[count > 0]).mean()
