"""The words of questions: which are remembered, what they weigh, and what they say of agents."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentroute.knowledge.regression import Regression
from agentroute.knowledge.terms import EARLIER, SEEN_IN, TEXT_LIMIT, Sparse, Vocabulary, _terms

MANY = settings(max_examples=60, deadline=None)
AGENTS, DIM, TASKS = 3, 5, 2

# The first four begin the same way, and nothing else stands in two of them.
TEXTS = [
    "Which river is in London?",
    "Which river is longest, which river is shortest?",
    "which river of 1987",
    "Which river? Ada's!",
    "",
    "東京 の 川",
]
ANY = st.text(st.characters(exclude_categories=()), max_size=60)  # lone surrogates as well
WORDY = st.lists(st.sampled_from(["a", "B", "river", "7", "42", "?", "Ä", "ß", " ", "_"])).map(" ".join)


def dense(rows: Sparse, columns: int):
    table = np.zeros((len(rows.starts) - 1, columns))
    for row, (start, end) in enumerate(pairwise(rows.starts.tolist())):
        assert len({*rows.columns[start:end].tolist()}) == end - start
        table[row, rows.columns[start:end]] = rows.values[start:end]
    return table


def weights(vocabulary: Vocabulary, texts):
    return dense(vocabulary(texts), len(vocabulary.terms))


def regression(texts=TEXTS, seed=0, tasks=TASKS):
    rng, vocabulary = np.random.default_rng(seed), Vocabulary.of(texts)

    def drawn(rows):
        return rng.normal(size=(rows, AGENTS)).astype(np.float32)

    assert len(vocabulary.terms)
    return Regression(
        vocabulary.terms, vocabulary.rarity, drawn(len(vocabulary.terms)), drawn(DIM), drawn(tasks + 1)
    )


# ---------------------------------------------------------------------------- the vocabulary


@MANY
@given(st.lists(WORDY | ANY, max_size=8), st.lists(WORDY | ANY, max_size=4))
def test_weights_are_what_they_say_they_are(known, texts):
    vocabulary = Vocabulary.of(known)
    texts = [*texts, *known]
    every = [_terms(text) for text in known]
    holders = Counter(term for counted in every for term in counted)
    assert vocabulary.terms.tolist() == sorted(term for term, seen in holders.items() if seen >= SEEN_IN)
    place = {term: column for column, term in enumerate(vocabulary.terms.tolist())}
    slow = np.zeros((len(texts), len(place)))
    for row, text in enumerate(texts):
        for term, count in _terms(text).items():
            if term in place:
                rarity = math.log((1 + len(known)) / (1 + holders[term])) + 1
                slow[row, place[term]] = (1 + math.log(count)) * rarity
    slow /= np.maximum(np.linalg.norm(slow, axis=1, keepdims=True), 1e-9)
    np.testing.assert_allclose(weights(vocabulary, texts), slow, atol=1e-5)


def test_only_terms_of_several_texts_are_remembered():
    vocabulary = Vocabulary.of(["alpha beta", "beta alpha", "gamma gamma gamma", "Alpha delta"])
    alpha, beta, gamma, delta = weights(vocabulary, ["alpha", "beta", "gamma gamma", "delta"])
    assert alpha.any() and beta.any()
    assert not (alpha * beta).any()
    assert not gamma.any() and not delta.any()


def test_what_stands_in_more_texts_weighs_less():
    vocabulary = Vocabulary.of(["a rare one", "a rare two", "a three", "a four", "a five"])
    often, seldom, both = weights(vocabulary, ["x a", "x rare", "x a rare"])
    assert both @ seldom > both @ often > 0
    again = weights(vocabulary, ["x a a a a a a a a rare"])[0]
    assert both @ often < again @ often  # and what stands there more often weighs more


def test_terms_stand_in_one_order_whatever_the_order_of_texts():
    vocabulary = Vocabulary.of(TEXTS)
    assert (np.diff(vocabulary.terms.astype(np.int64)) > 0).all()
    assert vocabulary.terms.dtype == np.uint32
    moved = Vocabulary.of(TEXTS[::-1])
    assert np.array_equal(moved.terms, vocabulary.terms)
    assert np.array_equal(moved.rarity, vocabulary.rarity)


def test_a_word_of_an_earlier_turn_is_another_term():
    now, then = f"book it{EARLIER}a table", f"a table{EARLIER}book it"
    vocabulary = Vocabulary.of([now, then] * 2)
    one, other = weights(vocabulary, [now, then])
    assert not (one * other).any()
    assert one.any() and other.any()


def test_pairs_of_words_are_terms_in_their_order():
    texts = ["man bites dog", "dog bites man"]
    one, two = weights(Vocabulary.of(texts * 2), texts)
    assert 0.1 < one @ two < 0.9  # the words alone are the same
    further = ["man bites the dog", "dog bites the man"]
    assert (weights(Vocabulary.of(texts * 2), further) @ one).argmax() == 0


def test_names_are_alike_in_the_form_of_a_question_and_words_of_their_own_beside_it():
    texts = ["Is the Swift Apology longer than Emma?", "Is the Great Gatsby longer than Ulysses?"]
    vocabulary = Vocabulary.of([*texts, "Emma is a novel", "Which one has Emma in it"])
    one, two, other = weights(vocabulary, [*texts, "Which river is in London?"])
    assert one @ two > 0.8 > 0.5 > one @ other
    assert one @ two < 0.999  # Emma is known


def test_a_name_is_one_however_long_it_is_and_a_capital_that_begins_a_sentence_is_none():
    vocabulary = Vocabulary.of(["we saw Oslo bridges", "they saw Rome bridges. Where? Bridges fell", "fell?"])
    short, long, small = weights(
        vocabulary, ["it saw Paris bridges", "it saw Xyz Paris Nord bridges", "it saw paris bridges"]
    )
    assert np.array_equal(short, long)
    assert (small != 0).sum() < (short != 0).sum()
    capital, plain = weights(vocabulary, ["gone? Bridges fell", "gone? bridges fell"])
    assert np.array_equal(capital, plain) and plain.any()


def test_digits_are_alike_and_so_are_the_capitals_that_begin_a_text():
    vocabulary = Vocabulary.of(["in 1987", "In 2024", "in 87", "in 42", "in ٤٢"])
    years = weights(vocabulary, ["In 1987", "in 2024", "iN 0000"])
    assert (years == years[0]).all()
    assert (years[0] != weights(vocabulary, ["in 87"])[0]).any()  # how many there are still counts
    assert np.array_equal(*weights(vocabulary, ["in 87", "in ٤٢"]))


@pytest.mark.parametrize("texts", [[], [""], ["only one text"], ["", " \n"], ["\ud800"]])
def test_a_vocabulary_of_nothing_knows_nothing(texts):
    vocabulary = Vocabulary.of(texts)
    assert len(vocabulary.terms) == len(vocabulary.rarity) == 0
    assert weights(vocabulary, ["only one text", ""]).shape == (2, 0)
    assert len(vocabulary([]).starts) == 1


@MANY
@given(st.lists(WORDY | ANY, min_size=1, max_size=6))
def test_rows_are_of_unit_length_or_empty_and_a_batch_equals_its_singles(texts):
    vocabulary = Vocabulary.of([*texts, *texts[::2], *TEXTS])
    found = weights(vocabulary, texts)
    length = np.linalg.norm(found, axis=1)
    assert ((np.abs(length - 1.0) < 1e-5) | (length == 0.0)).all()
    assert np.array_equal(found, np.concatenate([weights(vocabulary, [text]) for text in texts]))


def test_a_text_is_read_to_its_limit():
    start = "which river " * (TEXT_LIMIT // 12 + 1)
    vocabulary = Vocabulary.of([start, "which river", "the poem", "the poem"])
    one, two, late = weights(vocabulary, [start[:TEXT_LIMIT], start[:TEXT_LIMIT] + " the poem", "the poem"])
    assert np.array_equal(one, two)
    assert not (one * late).any() and late.any()


def test_every_process_remembers_the_same_terms():
    """Python's own hashes differ from process to process; those in a router file must not."""
    code = (
        f"from agentroute.knowledge.terms import Vocabulary\nprint(Vocabulary.of({TEXTS!r}).terms.tolist())"
    )
    for seed in ("1", "2"):
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, env={"PYTHONHASHSEED": seed}, timeout=60
        )
        assert ran.stdout.decode().strip() == str(Vocabulary.of(TEXTS).terms.tolist()), ran.stderr


# ---------------------------------------------------------------------------- rows with few entries


@MANY
@given(st.lists(st.lists(st.integers(0, 6), unique=True, max_size=4), max_size=7), st.integers(1, 3))
def test_few_entries_multiply_as_a_full_matrix_does(rows, width):
    rng = np.random.default_rng(len(rows))
    columns = np.array([column for row in rows for column in row], np.int64)
    values = rng.normal(size=len(columns)).astype(np.float32)
    matrix = Sparse(np.cumsum([0, *map(len, rows)]), columns, values)
    table = rng.normal(size=(7, width)).astype(np.float32)
    found = matrix @ table
    assert found.shape == (len(rows), width)
    np.testing.assert_allclose(found, dense(matrix, 7) @ table, atol=1e-5)


# ---------------------------------------------------------------------------- the regression


def asked(texts, seed=1):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(len(texts), DIM)).astype(np.float32)
    return texts, vectors, rng.integers(-1, TASKS, len(texts))


def test_what_is_said_is_the_sum_of_words_vector_and_task():
    learned = regression()
    texts, vectors, task = asked([*TEXTS, "a river", "which which"])
    words = weights(Vocabulary(learned.terms, learned.rarity), texts)
    expected = words @ learned.by_term + vectors @ learned.by_vector
    expected += [learned.by_task[label] if label >= 0 else learned.by_task[TASKS] for label in task.tolist()]
    found = learned(texts, vectors, task)
    assert found.dtype == np.float32
    assert {*task.tolist()} == {-1, 0, 1}
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_batch_equals_its_singles_in_any_order():
    learned = regression()
    texts, vectors, task = asked(TEXTS * 3)
    batch = learned(texts, vectors, task)
    order = np.random.default_rng(2).permutation(len(texts))
    np.testing.assert_allclose(
        learned([texts[i] for i in order], vectors[order], task[order]), batch[order], atol=1e-5
    )
    for row, text in enumerate(texts):
        one = learned([text], vectors[[row]], task[[row]])
        np.testing.assert_allclose(one[0], batch[row], atol=1e-5)
    assert learned([], vectors[:0], task[:0]).shape == (0, AGENTS)


STRANGE = {
    "empty": "",
    "spaces": " \n\t ",
    "unseen words": "xyzzy plugh",
    "surrogate": "\ud800",
    "NUL": "\0",
    "1 MB in one word": "x" * 1_000_000,
    "1 MB of other words": "xyzzy " * 170_000,
    "1 MB of lines": "\n" * 1_000_000,
}


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE.keys())
@pytest.mark.parametrize("label", [-1, 1])
def test_what_was_never_seen_leaves_vector_and_task_alone(text, label):
    learned, task, nothing = regression(), np.array([label]), np.zeros((1, DIM), np.float32)
    assert np.array_equal(learned([text], nothing, task), learned.by_task[[label]])
    _, vectors, _ = asked([text])
    np.testing.assert_allclose(
        learned([text], vectors, task), vectors @ learned.by_vector + learned.by_task[label], atol=1e-5
    )


@pytest.mark.parametrize("text", ["which river " * 90_000, "which \ud800 river \udfff?", "WHICH RIVER\0"])
def test_known_words_are_heard_in_any_text(text):
    learned, nothing = regression(), np.zeros((1, DIM), np.float32)
    found = learned([text], nothing, np.array([-1]))
    assert np.isfinite(found).all()
    assert np.abs(found - learned.by_task[-1]).max() > 0.01


@MANY
@given(st.lists(WORDY | ANY, min_size=1, max_size=4))
def test_any_texts_give_finite_numbers(texts):
    assert np.isfinite(regression()(*asked(texts))).all()


def test_without_tasks_and_without_terms_it_still_says_something():
    learned = regression(tasks=0)
    bare = replace(learned, terms=learned.terms[:0], rarity=learned.rarity[:0], by_term=learned.by_term[:0])
    nothing, task = np.zeros((2, DIM), np.float32), np.array([-1, -1])
    assert np.array_equal(bare(TEXTS[:2], nothing, task), learned.by_task[[0, 0]])


# ---------------------------------------------------------------------------- files


def test_a_regression_survives_its_file():
    learned = regression()
    arrays = learned.arrays()
    again = Regression.restore({**arrays, "score": np.zeros(3)})
    assert again is not None
    assert np.array_equal(again(*asked(TEXTS)), learned(*asked(TEXTS)))
    assert {name: value.tobytes() for name, value in again.arrays().items()} == {
        name: value.tobytes() for name, value in arrays.items()
    }


def test_nothing_is_no_regression_and_a_part_of_one_is_refused():
    assert Regression.restore({}) is None
    assert Regression.restore({"score": np.zeros(3)}) is None
    arrays = regression().arrays()
    assert len(arrays) == 5
    for lost in arrays:
        with pytest.raises(KeyError, match=lost):
            Regression.restore({name: value for name, value in arrays.items() if name != lost})
