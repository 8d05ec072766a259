"""The faults of files and of input without the protection: through plain files, json, PyYAML and sqlite."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors import SafetensorError
from safetensors.numpy import load, save

from agentroute.knowledge.embed import HashingEmbedder
from agentroute.running.cleaning import clean

WEIGHTS = {"x": np.arange(1, 9, dtype=np.float32)}

# ---------------------------------------------------------------------------- router files


@pytest.mark.control("F30", "safetensors raises an error of its own, which does not name the file")
def test_a_cut_file_is_a_foreign_error(tmp_path: Path) -> None:
    path = tmp_path / "router.safetensors"
    path.write_bytes(save(WEIGHTS)[:-1])
    with pytest.raises(SafetensorError) as caught:
        load(path.read_bytes())
    assert path.name not in str(caught.value)


@pytest.mark.control("F31", "safetensors loads it: one weight is another number, and nothing is said")
def test_a_flipped_bit_in_a_weight_is_loaded() -> None:
    data = save(WEIGHTS)
    flipped = load(data[:-1] + bytes([data[-1] ^ 0x40]))
    assert flipped["x"].shape == (8,) and flipped["x"][-1] != WEIGHTS["x"][-1]


@pytest.mark.control("F32", "the router loads, and the first question is numpy's error")
@pytest.mark.control("F33", "the router loads, and takes other questions for the nearest: nothing is said")
def test_vectors_of_another_embedder_are_compared() -> None:
    texts = [f"question {number} about {word}" for number in range(20) for word in ("rivers", "primes")]
    record = load(save({"vectors": HashingEmbedder(16).embed(texts)}))["vectors"]
    assert (record @ HashingEmbedder(16).embed(texts).T).argmax(0).tolist() == [*range(40)]
    with pytest.raises(ValueError, match="mismatch"):
        record @ HashingEmbedder(24).embed(texts).T
    other = HashingEmbedder(32).embed(texts)[:, ::2]  # as long, and from another embedder
    nearest = (record @ other.T).argmax(0)
    assert (nearest != np.arange(40)).mean() > 0.5


@pytest.mark.control("F34", "the agent whose score is no number is ranked first")
@pytest.mark.control("T19", "the agent whose score is no number is ranked first")
def test_what_is_no_number_wins() -> None:
    scores = load(save({"x": np.array([0.1, np.nan, 0.9], np.float32)}))["x"]
    assert scores.argmax() == 1
    assert torch.from_numpy(scores).topk(1).indices.tolist() == [1]


@pytest.mark.control("F35", "a part that is missing keeps its random weights, and nothing is said")
def test_a_missing_part_is_passed_over() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 3)
    before = layer.bias.detach().clone()
    layer.load_state_dict({"weight": torch.ones(3, 3), "from_version_2": torch.ones(1)}, strict=False)
    assert torch.equal(layer.bias, before) and bool((before != 0).all())


@pytest.mark.control("F43b", "from the weights alone, without the optimiser's state, it ends elsewhere")
def test_weights_alone_are_not_where_training_was() -> None:
    def trained(stops: int) -> list[float]:
        torch.manual_seed(0)
        layer = torch.nn.Linear(4, 1)
        rows = torch.randn(8, 4)
        for _ in range(stops):
            optimiser = torch.optim.Adam(layer.parameters(), lr=0.1)
            for _ in range(12 // stops):
                optimiser.zero_grad()
                layer(rows).square().mean().backward()
                optimiser.step()
        return layer.weight.flatten().tolist()

    assert trained(1) == trained(1) != trained(2)


# ---------------------------------------------------------------------------- logs and databases


@pytest.mark.control("F37", "the next record is glued to the torn one, and both are lost")
@pytest.mark.control("F40", "the first bad line is an error: none of the records behind it is read")
def test_a_torn_line_takes_the_next_record_with_it(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    path.write_text('{"n": 1}\n{"n": 2')
    for number in (3, 4):
        with path.open("a") as file:
            file.write(json.dumps({"n": number}) + "\n")
    lines = path.read_text().splitlines()
    assert lines == ['{"n": 1}', '{"n": 2{"n": 3}', '{"n": 4}']
    found = []
    with pytest.raises(json.JSONDecodeError):
        for line in lines:
            found.append(json.loads(line))
    assert found == [{"n": 1}]


@pytest.mark.control("F38", "of two who read, change and write a file, one loses its record")
@pytest.mark.control("F38", "a file that is written in place is empty for whoever reads meanwhile")
def test_two_who_write_a_plain_file_lose_a_record(tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    path.write_text("[]")
    ours, theirs = json.loads(path.read_text()), json.loads(path.read_text())
    path.write_text(json.dumps([*ours, "ours"]))
    path.write_text(json.dumps([*theirs, "theirs"]))
    assert json.loads(path.read_text()) == ["theirs"]
    with path.open("w") as file:
        file.write("[]")
        assert path.read_text() == ""


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
open(sys.argv[1], "wb").write(b"new" * 10_000)
"""


@pytest.mark.control("F39", "a file that is written in place is neither the old one nor the new one")
def test_a_full_disk_destroys_what_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "router"
    path.write_bytes(b"old" * 2_000)
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, timeout=60)
    assert done.returncode != 0 and b"File too large" in done.stderr
    assert len(path.read_bytes()) == 4096 and b"old" not in path.read_bytes()


@pytest.mark.control("F41", "sqlite gives back a changed answer as it stands, and raises an error of its own")
@pytest.mark.control("F42", "sqlite's error does not say which file it is about")
def test_plain_sqlite_believes_its_file(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE answers (text)")
        db.execute("INSERT INTO answers VALUES ('the bridge holds')")
    db.close()
    path.write_bytes(path.read_bytes().replace(b"bridge holds", b"bridge folds"))
    db = sqlite3.connect(path)
    assert db.execute("SELECT text FROM answers").fetchall() == [("the bridge folds",)]
    db.close()
    path.write_bytes(b"something else entirely" * 100)
    db = sqlite3.connect(path)
    with pytest.raises(sqlite3.DatabaseError) as damaged:
        db.execute("SELECT text FROM answers")
    db.close()
    with pytest.raises(sqlite3.OperationalError) as forbidden:
        sqlite3.connect(path / "below" / "runs.db")
    assert path.name not in str(damaged.value) + str(forbidden.value)


# ---------------------------------------------------------------------------- registries


@pytest.mark.control("F51", "in a dict by id the last row wins, and the first is gone")
@pytest.mark.control("F52", "PyYAML takes the last of two keys, `no` for false and 010 for eight")
@pytest.mark.control("F58", "PyYAML reads a team of nobody")
@pytest.mark.control("T06", "PyYAML makes ten thousand rows of five lines of aliases")
def test_plain_yaml_takes_what_it_gets() -> None:
    rows = yaml.safe_load(
        "- {id: coder, model: first}\n- {id: coder, model: second}\n- {id: no, timeout_s: 5, timeout_s: 010}"
    )
    team = {row["id"]: row for row in rows}
    assert len(rows) == 3 and [*team] == ["coder", False] and team["coder"]["model"] == "second"
    assert team[False]["timeout_s"] == 8
    assert yaml.safe_load("version: 1\nagents: []") == {"version": 1, "agents": []}
    lines = ["a0: &a0 x", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 5))]
    assert len(json.dumps(yaml.safe_load("\n".join(lines))["a4"]).split(",")) == 10_000


# ---------------------------------------------------------------------------- questions

SCRIPTS = ["नमस्ते\u200c दुनिया", "👩\u200d👩\u200d👧", "שלום\u200f עולם", "tab\tand\nlines", "e\u0301 and é"]


@pytest.mark.control("F55", "cleaned by `isprintable` or normalised, every one of five scripts is changed")
def test_a_coarser_cleaning_changes_words() -> None:
    for text in SCRIPTS:
        assert clean(text) == text
        coarse = "".join(character for character in text if character.isprintable())
        assert unicodedata.normalize("NFC", coarse) != text


@pytest.mark.control("F56", "half a character empties the file it is written to; sqlite counts up to a NUL")
@pytest.mark.control("F56", "in an f-string a question that is none is asked as `None`")
def test_half_characters_and_nuls_reach_the_file(tmp_path: Path) -> None:
    path = tmp_path / "question.txt"
    path.write_text("the question before", encoding="utf-8")
    with pytest.raises(UnicodeEncodeError):
        path.write_text("half \ud800", encoding="utf-8")
    assert path.read_bytes() == b""
    db = sqlite3.connect(":memory:")
    assert db.execute("SELECT length(?)", ("why\0 not?",)).fetchone() == (3,)
    db.close()
    question = None
    assert f"Question: {question}" == "Question: None"
