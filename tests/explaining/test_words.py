"""What each word adds: the parts are all there is, and what is deleted is gone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from routing.folders import FILLERS, TOPICS, random_record

from agentroute.explaining.words import spoken, strongest, without_words, words_of
from agentroute.knowledge.regression import Regression
from agentroute.knowledge.terms import EARLIER, FORM_LENGTH, TURN, Vocabulary, _terms, located, spans

AGENTS = ("one", "two", "three")
RECORD = random_record(np.random.default_rng(0), AGENTS)
KNOWN = [word for words in TOPICS.values() for word in words] + [*FILLERS, "Which", "is", "number", "7", "?"]

TEXTS = st.one_of(
    st.text(max_size=80),
    st.lists(st.sampled_from([*KNOWN, "Ada Lovelace", "London", "İ", "ǆ", "...", "A", "*"]), max_size=60).map(
        " ".join
    ),
)


def regression() -> Regression:
    assert RECORD.regression is not None
    return RECORD.regression


@settings(max_examples=150, deadline=None)
@given(TEXTS)
@example("Is the Swift Apology longer than 815 words? Yes, the Great Big One is.")
@example("a " * 60 + "B C D")
@example(f"Yes, do so{EARLIER}Shall I book 2?{EARLIER}Is it the Old Inn?")
def test_located_terms_are_those_that_the_regression_counts(text):
    found, tokens = located(text), spans(text)
    assert Counter(term.code for term in found) == _terms(text)
    for term in found:
        assert 1 <= len(term.parts) <= 2 and any(len(part) for part in term.parts)
        assert all(0 <= part.start <= part.stop <= len(tokens) for part in term.parts)
        if len(term.parts) == 1:
            start, end = tokens[term.parts[0][0]]
            plain = term.text.removeprefix(TURN)
            assert text[start:end].casefold() == plain or any(c.isdigit() for c in text[start:end])


def test_of_a_long_text_the_parts_of_pairs_are_single_words():
    text = " ".join(f"word{chr(97 + i % 26)}" for i in range(60))
    pairs = [term for term in located(text) if len(term.parts) == 2]
    assert {len(part) for term in pairs for part in term.parts} == {0, 1}
    assert max(part.stop for term in pairs for part in term.parts) == FORM_LENGTH


@settings(max_examples=150, deadline=None)
@given(TEXTS, TEXTS)
def test_what_words_add_sums_to_what_the_regression_says(before, question):
    text = f"{question}{EARLIER}{before}"
    said = spoken(regression(), text, question, [2, 0])
    row = Vocabulary(regression().terms, regression().rarity)([text])
    total = (row @ regression().by_term)[0][[2, 0]]
    np.testing.assert_allclose(said.points.sum(0) + said.earlier, total, atol=1e-5)
    np.testing.assert_allclose(said.term_points.sum(0), total, atol=1e-5)
    assert len(said.words) == len(said.points) and len(said.terms) == len(said.term_points)
    assert set(words_of(question)) <= set(said.words)


def test_each_word_has_what_its_own_term_adds():
    """With weights on single words alone, each word has its weight times its share of the row."""
    learned = regression()
    single = {term.code: term.text for word in KNOWN for term in located(word) if len(term.parts) == 1}
    only = np.array([code in single for code in learned.terms])
    alone = replace(learned, by_term=np.where(only[:, None], learned.by_term, 0.0).astype(np.float32))
    question = "river old river 7"
    said = spoken(alone, question, question, [0])
    row = Vocabulary(learned.terms, learned.rarity)([question])
    adds = dict(
        zip(
            learned.terms[row.columns].tolist(),
            (row.values * alone.by_term[row.columns, 0]).tolist(),
            strict=True,
        )
    )
    assert said.words == ["river", "old", "7"]
    for word, points in zip(said.words, said.points[:, 0], strict=True):
        (code,) = [term.code for term in located(word) if len(term.parts) == 1]
        assert points == pytest.approx(adds[code], abs=1e-6)


def test_a_pair_is_shared_by_its_words_and_a_name_by_all_of_its_words():
    terms = {term.text: term for term in located("find Ada Lovelace now")}
    code = terms["find A"].code
    learned = Regression(
        terms=np.array([code], np.uint32),
        rarity=np.ones(1, np.float32),
        by_term=np.array([[0.8]], np.float32),
        by_vector=np.zeros((4, 1), np.float32),
        by_task=np.zeros((1, 1), np.float32),
    )
    said = spoken(learned, "find Ada Lovelace now", "find Ada Lovelace now", [0])
    assert dict(zip(said.words, said.points[:, 0].tolist(), strict=True)) == pytest.approx(
        {"find": 0.4, "ada": 0.2, "lovelace": 0.2, "now": 0.0}
    )
    assert said.terms == ["find NAME"]


def test_terms_are_told_in_clear_text():
    text = "Who wrote 815 lines?"
    learned = regression()
    every = {term.code for term in located(text)}
    known = replace(
        learned,
        terms=np.array(sorted(every), np.uint32),
        rarity=np.ones(len(every), np.float32),
        by_term=np.ones((len(every), len(AGENTS)), np.float32),
    )
    said = set(spoken(known, text, text, [0]).terms)
    assert {"who", "815", "^ who", "wrote 815", "who ... 815", "lines ?"} <= said
    assert not any("000" in term for term in said)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.data())
def test_deleted_words_are_gone_and_all_others_stay(text, data):
    words = words_of(text)
    gone = set(data.draw(st.lists(st.sampled_from(words), unique=True))) if words else set()
    left = without_words(text, gone)
    assert words_of(left) == [word for word in words if word not in gone]
    if not gone:
        assert left == text


def test_deleting_closes_the_gap():
    assert without_words("Which old River is it?", {"old", "it"}) == "Which River is?"
    assert without_words("River, RIVER and river.", {"river"}) == ", and."
    assert without_words("one\ntwo  three", {"two"}) == "one\n three"


def test_the_strongest_come_first_and_what_does_nothing_is_left_out():
    found = strongest(["a", "b", "c", "d"], np.array([0.1, -0.3, 0.0, 0.2]), 3)
    assert [(word.text, word.points) for word in found] == [("b", -0.3), ("d", 0.2), ("a", 0.1)]
