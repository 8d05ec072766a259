"""The questions: enough of them, the same every time, and nothing shared between training and test."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

from agentroute.workbench.items import rows, section
from agentroute.workbench.passages import passages
from agentroute.workbench.questions import records

RECORDS = records()
TRAIN = [record for record in RECORDS if record[2]["split"] == "train"]
TEST = [record for record in RECORDS if record[2]["split"] == "test"]


def test_there_are_enough_and_every_family_is_in_both_splits():
    assert len(RECORDS) >= 600
    assert len(TEST) >= 220
    assert len(passages()) >= 150
    counts = Counter((meta["family"], meta["split"]) for _, _, meta in RECORDS)
    families = {meta["family"] for _, _, meta in RECORDS}
    assert len(families) == 10
    for family in families:
        assert counts[family, "train"] >= 30 and counts[family, "test"] >= 20, family


def test_training_and_test_share_no_wording_no_fact_no_question():
    for what in (
        lambda record: {record[2]["template"]},
        lambda record: set(record[2]["facts"]),
        lambda record: {record[0].text.lower()},
        lambda record: {record[0].id},
    ):
        seen = set().union(*map(what, TRAIN))
        asked = set().union(*map(what, TEST))
        assert seen and asked and not seen & asked


def test_no_wording_serves_both_splits():
    names = "attributes described links reverse comparisons same derived facts facts_reverse sums units dates"
    for name in names.split():
        for kind, entry in section(name).items():
            assert entry["train"] and entry["test"], kind
            assert not set(entry["train"]) & set(entry["test"]), kind


def test_ids_and_texts_are_unique_and_every_question_has_gold():
    assert len({query.id for query, _, _ in RECORDS}) == len(RECORDS)
    assert len({query.text for query, _, _ in RECORDS}) == len(RECORDS)
    for query, gold, meta in RECORDS:
        assert gold and all(gold), query.id
        assert meta["facts"] and meta["metric"] in ("exact_match", "numeric", "token_f1")
        assert "{" not in query.text and query.text[0].isupper() | query.text[0].isdigit(), query.text


def test_the_same_questions_in_another_process_with_other_hashes():
    code = "from agentroute.workbench.questions import records; print(hash(0), *records(), sep='\\n')"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_passages_say_what_the_gold_table_says():
    texts = {passage.title: passage.text for passage in passages()}
    assert len(texts) == len(passages())
    for row in rows("gold.csv"):
        if row["attribute"] != "described":
            assert row["value"] in texts[row["title"]], row


def test_yes_and_no_are_balanced_so_that_neither_wins_by_itself():
    for split in (TRAIN, TEST):
        verdicts = Counter(gold[0] for _, gold, meta in split if meta["family"] == "comparison")
        assert 0.5 <= verdicts["yes"] / verdicts["no"] <= 2


def test_passages_are_prose_of_their_own():
    lengths = [len(passage.text.split()) for passage in passages()]
    assert min(lengths) >= 35 and max(lengths) <= 80
    openings = Counter(" ".join(passage.text.split()[:3]) for passage in passages())
    assert max(openings.values()) <= 3
