"""The cache gives back what was computed, bit for bit; what is wrong with it never reaches the caller."""

import hashlib
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from agentroute.errors import InputError
from agentroute.knowledge.cache import CachedEmbedder
from agentroute.knowledge.embed import HashingEmbedder
from agentroute.knowledge.store import VectorStore
from agentroute.types import Embedder

TEXTS = ["one", "two", "", "one", "nul\0", "\ud800", "三", "long " * 5000]


class Counting:
    """An embedder that notes what it was asked."""

    def __init__(self, fingerprint="counting", dim=16):
        self.fingerprint, self.dim, self.asked = fingerprint, dim, []
        self.inner = HashingEmbedder(dim)

    def embed(self, texts):
        self.asked.append(list(texts))
        return self.inner.embed(texts)


def rows_in(path):
    with sqlite3.connect(path) as connection:
        count = connection.execute("SELECT count(*) FROM vectors").fetchone()[0]
    connection.close()
    return count


def test_it_is_an_embedder_with_the_inner_ones_name(tmp_path):
    cached = CachedEmbedder(HashingEmbedder(8), tmp_path / "v.sqlite")
    assert isinstance(cached, Embedder)
    assert (cached.fingerprint, cached.dim) == (HashingEmbedder(8).fingerprint, 8)


def test_cached_equals_computed_bit_for_bit(tmp_path):
    inner = Counting()
    expected = inner.inner.embed(TEXTS)
    path = tmp_path / "deep" / "v.sqlite"
    for _ in range(2):  # computed, then from memory, then from disk by a newcomer
        cached = CachedEmbedder(inner, path)
        assert np.array_equal(cached.embed(TEXTS), expected)
        assert np.array_equal(cached.embed(TEXTS[::-1]), expected[::-1])
        cached.close()
    assert len(inner.asked) == 1 and len(inner.asked[0]) == len(set(TEXTS))


def test_only_what_is_missing_is_computed(tmp_path):
    inner = Counting()
    cached = CachedEmbedder(inner, tmp_path / "v.sqlite")
    cached.embed(["a", "b"])
    cached.embed(["b", "c", "a", "d"])
    assert inner.asked == [["a", "b"], ["c", "d"]]


def test_nothing_asked_nothing_given(tmp_path):
    inner = Counting()
    assert CachedEmbedder(inner, tmp_path / "v.sqlite").embed([]).shape == (0, 16)
    assert inner.asked == []


def test_a_bare_string_is_refused(tmp_path):
    with pytest.raises(InputError, match="takes a list"):
        CachedEmbedder(Counting(), tmp_path / "v.sqlite").embed("word")


def test_the_caller_may_change_what_it_got(tmp_path):
    cached = CachedEmbedder(Counting(), tmp_path / "v.sqlite")
    first = cached.embed(["a"])
    kept = first.copy()
    first[:] = 7
    assert np.array_equal(cached.embed(["a"]), kept)


def test_another_fingerprint_never_reads_these_vectors(tmp_path):
    path = tmp_path / "v.sqlite"
    CachedEmbedder(Counting("old"), path).embed(["a"])
    new = Counting("new", dim=32)
    assert CachedEmbedder(new, path).embed(["a"]).shape == (1, 32)
    assert new.asked == [["a"]]


def test_memory_is_bounded_and_the_disk_remembers_the_rest(tmp_path):
    inner = Counting()
    cached = CachedEmbedder(inner, tmp_path / "v.sqlite", memory=3)
    texts = [str(i) for i in range(50)]
    cached.embed(texts)
    assert len(cached._recent) == 3
    cached.embed(texts)
    assert len(inner.asked) == 1


def test_more_keys_than_one_statement_takes(tmp_path):
    inner = Counting()
    texts = [f"text {i}" for i in range(3000)]
    first = CachedEmbedder(inner, tmp_path / "v.sqlite").embed(texts)
    assert np.array_equal(CachedEmbedder(inner, tmp_path / "v.sqlite").embed(texts), first)
    assert len(inner.asked) == 1


def test_no_text_reaches_the_disk(tmp_path):
    path = tmp_path / "v.sqlite"
    cached = CachedEmbedder(Counting(), path)
    cached.embed(["the quick secret"])
    cached.close()
    assert b"secret" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


def damage_text(path):
    path.write_bytes(b"this is no database" * 500)


def damage_middle(path):
    data = bytearray(path.read_bytes())
    data[100:] = hashlib.sha256(b"noise").digest() * (len(data[100:]) // 32)
    path.write_bytes(bytes(data))


def damage_cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_foreign(path):
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE vectors (something TEXT)")
    connection.close()


@pytest.mark.fault("F41", "a warning; the file is moved to `.damaged`", "vectors, computed anew")
@pytest.mark.parametrize("damage", [damage_text, damage_middle, damage_cut, damage_foreign])
def test_a_damaged_file_is_moved_aside_and_a_new_one_begun(tmp_path, damage):
    path = tmp_path / "v.sqlite"
    texts = [f"text {i}" for i in range(500)]
    first = CachedEmbedder(Counting(), path)
    expected = first.embed(texts)
    first.close()
    damage(path)
    second = CachedEmbedder(Counting(), path)
    assert np.array_equal(second.embed(texts), expected)
    second.close()
    assert (tmp_path / "v.sqlite.damaged").exists()
    third = Counting()
    assert np.array_equal(CachedEmbedder(third, path).embed(texts), expected)
    assert third.asked == []


def test_an_empty_file_is_a_new_cache(tmp_path):
    path = tmp_path / "v.sqlite"
    path.touch()
    CachedEmbedder(Counting(), path).embed(["a"])
    assert rows_in(path) == 1


@pytest.mark.parametrize("edit", ["vector = zeroblob(64)", "vector = x'00'", "vector = 'text'", "crc = 0"])
def test_a_vector_that_was_changed_on_disk_is_computed_again(tmp_path, edit):
    path = tmp_path / "v.sqlite"
    expected = CachedEmbedder(Counting(), path).embed(["a"])
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE vectors SET {edit}")
    connection.close()
    inner = Counting()
    assert np.array_equal(CachedEmbedder(inner, path).embed(["a"]), expected)
    assert inner.asked == [["a"]]
    inner = Counting()
    CachedEmbedder(inner, path).embed(["a"])
    assert inner.asked == []


def test_without_a_usable_folder_it_works_from_memory(tmp_path):
    (tmp_path / "file").write_text("")
    inner = Counting()
    cached = CachedEmbedder(inner, tmp_path / "file" / "v.sqlite")
    assert np.array_equal(cached.embed(["a"]), cached.embed(["a"]))
    assert inner.asked == [["a"]]


def test_a_folder_in_the_files_place_is_left_alone(tmp_path):
    (tmp_path / "v.sqlite").mkdir()
    inner = Counting()
    cached = CachedEmbedder(inner, tmp_path / "v.sqlite")
    assert np.array_equal(cached.embed(["a"]), cached.embed(["a"]))
    assert inner.asked == [["a"]] and (tmp_path / "v.sqlite").is_dir()


def test_a_file_that_another_process_holds_is_neither_waited_for_nor_moved(tmp_path):
    path = tmp_path / "v.sqlite"
    vector = {b"k": np.ones(4, np.float32)}
    VectorStore(path).write({b"first": vector[b"k"]})
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    store = VectorStore(path, busy_s=0.05)
    store.write(vector)
    assert store.read([b"k"]) == {}
    other.execute("ROLLBACK")
    other.close()
    store.write(vector)
    assert set(store.read([b"k", b"first"])) == {b"k", b"first"}
    assert not list(tmp_path.glob("*.damaged"))


def test_threads_share_one_cache(tmp_path):
    cached = CachedEmbedder(HashingEmbedder(16), tmp_path / "v.sqlite", memory=8)
    texts = [f"text {i}" for i in range(40)]
    expected = HashingEmbedder(16).embed(texts)
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda k: cached.embed(texts[k % 7 :]), range(64)))
    assert all(np.array_equal(part, expected[k % 7 :]) for k, part in enumerate(parts))


WRITER = """
import sys
import numpy as np
from agentroute.knowledge.cache import CachedEmbedder
from agentroute.knowledge.embed import HashingEmbedder
path, first = sys.argv[1], int(sys.argv[2])
sys.stdin.readline()
for i in range(first, first + 60):
    texts = [f"shared {i % 10}", f"own {i}"]
    rows = CachedEmbedder(HashingEmbedder(16), path).embed(texts)
    assert np.array_equal(rows, HashingEmbedder(16).embed(texts))
"""


@pytest.mark.fault("F38", "nothing", "the vectors of both")
def test_two_processes_write_one_file(tmp_path):
    path = tmp_path / "v.sqlite"
    writers = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", WRITER, str(path), str(first)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for first in (0, 1000)
    ]
    errors = []
    for writer in writers:  # both are waiting for this line, so that they begin together
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        errors.append(writer.communicate(timeout=60)[1])
    assert [writer.returncode for writer in writers] == [0, 0], errors
    assert rows_in(path) == 10 + 60 + 60
    assert not list(tmp_path.glob("*.damaged"))
