"""The deletion test: do the words that an explanation names matter more than other words?"""

from __future__ import annotations

import numpy as np

from agentroute.explaining.case import Case
from agentroute.explaining.explanation import Deletion, Reason, Word
from agentroute.explaining.words import MOST_WORDS, is_word, without_words, words_of

NAMED = 3
"""Words that are deleted together, at most."""
DRAWS = 24
"""Draws of other words."""


def left_out(case: Case, column: int) -> tuple[Word, ...]:
    """Leave out each word alone, and see how far an agent's score falls.

    Args:
        case: What was decided.
        column: The agent.

    Returns:
        The words, the strongest first; those without an effect are not among them.
    """
    words = words_of(case.query.text)[:MOST_WORDS]
    if len(words) < 2:
        return ()
    scores = case.score([without_words(case.query.text, {word}) for word in words])
    falls = (case.logits - scores)[:, column]
    order = np.argsort(-np.abs(falls), kind="stable").tolist()
    return tuple(Word(text=words[i], log_odds=float(falls[i])) for i in order if falls[i])


def named(reason: Reason, factor: float, most: int = NAMED) -> tuple[str, ...]:
    """Return the words that an explanation names for an agent, the strongest first.

    Args:
        reason: What was found for it.
        factor: How much of what words add is in its score. Where that is below 0, words that add nothing
            good speak for it; so the negative of it names the words that speak against it.
        most: How many.

    Returns:
        Words that speak for the agent.
    """
    speak = []
    for word in reason.words:
        adds = word.points if word.points is not None else word.log_odds
        if is_word(word.text) and factor * (adds or 0.0) > 0:
            speak.append(word.text)
    return tuple(speak[:most])


def deletion(case: Case, agent: str, speak: tuple[str, ...], seed: int) -> Deletion | None:
    """Delete the words that speak for an agent, and as many others, and score all again.

    This is the comprehensiveness of DeYoung et al. 2020 (arXiv:1911.03429), beside that of random words.

    Args:
        case: What was decided.
        agent: The agent.
        speak: The words named for it, the strongest first.
        seed: Of the draws.

    Returns:
        Both falls; ``None`` when no word is named, or there are too few others.
    """
    question = case.query.text
    every = words_of(question)
    speak = speak[: len(every) // 2]
    others = [word for word in every if word not in speak]
    if not speak:
        return None
    rng = np.random.default_rng(seed)
    drawn = [{*rng.choice(others, len(speak), replace=False).tolist()} for _ in range(DRAWS)]
    texts = [without_words(question, words) for words in ({*speak}, *drawn)]
    column = case.column[agent]
    falls = (case.logits - case.score(texts))[:, column].astype(np.float64)
    return Deletion(
        agent=agent,
        words=speak,
        left=texts[0],
        drop=float(falls[0]),
        others_drop=float(falls[1:].mean()),
        draws=DRAWS,
        seed=seed,
    )
