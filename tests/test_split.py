"""The split: by question, the same everywhere, and no question on both sides."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentroute.outcomes import QueryRecord
from agentroute.outcomes.split import TEST_SHARE, VALIDATION_SHARE, folds, split_queries
from agentroute.types import Query


def records(*texts, **metas):
    known = metas.get("meta") or [{}] * len(texts)
    return [
        QueryRecord(query=Query(text=t, id=f"q{i}"), meta=m)
        for i, (t, m) in enumerate(zip(texts, known, strict=True))
    ]


def parts(split):
    return {name: set(getattr(split, name).tolist()) for name in ("train", "validation", "test")}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=4), max_size=40), st.integers(0, 5), st.booleans())
def test_three_parts_that_share_nothing_and_lose_nothing(texts, seed, held_out):
    given_ = records(*texts)
    found = parts(split_queries(given_, seed, held_out))
    assert sorted(i for part in found.values() for i in part) == list(range(len(texts)))
    assert held_out or not found["test"]


def test_shares_are_as_said():
    found = split_queries(records(*(f"question {i}" for i in range(4000))), 0)
    assert len(found.test) / 4000 == pytest.approx(TEST_SHARE, abs=0.02)
    kept = 4000 - len(found.test)
    assert len(found.validation) / kept == pytest.approx(VALIDATION_SHARE, abs=0.02)


def test_equal_questions_stay_together_whatever_their_case_and_spaces():
    texts = [f"{'Where  IS' if i % 2 else 'where is'} number {i // 2}?" for i in range(400)]
    found = parts(split_queries(records(*texts), 0))
    assert all(
        len({name for name, part in found.items() if part & {i, i + 1}}) == 1 for i in range(0, 400, 2)
    )


def test_where_a_question_goes_does_not_depend_on_the_others():
    texts = [f"question {i}" for i in range(200)]
    whole, half = split_queries(records(*texts), 0), split_queries(records(*texts[:100]), 0)
    for name in ("train", "validation", "test"):
        assert getattr(half, name).tolist() == [i for i in getattr(whole, name).tolist() if i < 100]


def test_every_process_splits_alike_and_every_seed_otherwise():
    script = (
        "from agentroute.outcomes.split import split_queries\n"
        "from agentroute.outcomes import QueryRecord\n"
        "from agentroute.types import Query\n"
        "rows = [QueryRecord(query=Query(text=f'question {i}')) for i in range(100)]\n"
        "print(split_queries(rows, 4).test.tolist())"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    mine = [
        split_queries(records(*(f"question {i}" for i in range(100))), seed).test.tolist() for seed in (4, 5)
    ]
    assert found.stdout.strip() == str(mine[0]), found.stderr
    assert mine[0] != mine[1]


def test_a_folders_own_split_is_kept():
    metas = [{"split": "test" if i % 3 else "train"} for i in range(90)]
    found = split_queries(records(*(f"question {i}" for i in range(90)), meta=metas), 0)
    assert found.test.tolist() == [i for i in range(90) if i % 3]
    assert len(found.validation)
    everything = split_queries(records(*(f"question {i}" for i in range(90)), meta=metas), 0, held_out=False)
    assert not len(everything.test)
    assert len(everything.train) + len(everything.validation) == 90


def test_a_split_that_is_not_said_of_every_question_is_no_split():
    texts = [f"question {i}" for i in range(90)]
    plain = parts(split_queries(records(*texts), 0))
    for other in ({}, {"split": "dev"}, {"split": None}):
        metas = [{"split": "train"}] * 89 + [other]
        assert parts(split_queries(records(*texts, meta=metas), 0)) == plain


@pytest.mark.parametrize("own", [{"split": "train"}, {}])
def test_questions_of_one_template_stay_together(own):
    metas = [{**own, "template": f"t{i % 30}"} for i in range(300)]
    found = parts(split_queries(records(*(f"question {i}" for i in range(300)), meta=metas), 0))
    assert found["validation"]
    templates = [{i % 30 for i in part} for part in found.values()]
    assert sum(map(len, templates)) == 30


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=2), max_size=40), st.integers(0, 3), st.integers(1, 6))
def test_folds_deal_every_query_once_and_keep_equal_ones_together(texts, seed, count):
    rows = records(*texts)
    dealt = folds(rows, seed, count)
    assert len(dealt) == count
    assert sorted(np.concatenate(dealt).tolist()) == list(range(len(texts)))
    keys = [{" ".join(texts[i].casefold().split()) for i in part} for part in dealt]
    assert sum(map(len, keys)) == len({" ".join(text.casefold().split()) for text in texts})
    assert [part.tolist() for part in folds(rows, seed, count)] == [part.tolist() for part in dealt]
    if len(set().union(*keys)) >= count:
        assert all(len(part) for part in dealt)


def test_folds_are_of_like_size_and_other_for_another_seed():
    metas = [{"template": "large"} if i < 30 else {} for i in range(120)]
    rows = records(*(f"question {i}" for i in range(120)), meta=metas)
    assert [len(part) for part in folds(rows, 0, 4)] == [30] * 4
    assert {frozenset(part.tolist()) for part in folds(rows, 0, 4)} != {
        frozenset(part.tolist()) for part in folds(rows, 1, 4)
    }


def test_any_text_can_be_split():
    found = split_queries(records("\ud800", "\0", "", "x" * 1_000_000), 0)
    assert sum(map(len, parts(found).values())) == 4
    assert split_queries([], 0).train.dtype == np.int64
