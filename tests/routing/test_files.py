"""Router files: read back whole, or refused; replaced whole, or left alone."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save as to_bytes

from agentroute.errors import RouterFileError
from agentroute.knowledge import files

MANIFEST = {"seed": 3, "words": ["größe", "三", 'a "quote"', "\ud800"], "nested": {"none": None, "x": 0.1}}
TENSORS = {
    "record.score": np.array([[1.0, np.nan]], np.float32),
    "gnn.b": np.array([1.5, -2.0], np.float32),
    "record.task": np.array([-1, 4], np.int64),
    "record.empty": np.zeros((0, 3), np.float32),
}


def same(one, two):
    return set(one) == set(two) and all(
        one[k].dtype == two[k].dtype and np.array_equal(one[k], two[k], equal_nan=one[k].dtype.kind == "f")
        for k in one
    )


def test_what_is_saved_is_read_back(tmp_path):
    path = files.save(tmp_path / "new" / "router", MANIFEST, TENSORS)
    for where in (path, path.parent, str(path.parent)):
        manifest, tensors = files.load(where)
        assert manifest == {**MANIFEST, "format": files.FORMAT}
        assert same(tensors, TENSORS)
    assert [p.name for p in path.parent.iterdir()] == [files.FILE_NAME]


def test_the_order_of_the_parts_does_not_count(tmp_path):
    files.save(tmp_path / "a", MANIFEST, TENSORS)
    files.save(tmp_path / "b", dict(reversed(MANIFEST.items())), dict(reversed(TENSORS.items())))
    headers = []
    for name in "ab":
        data = (tmp_path / name / files.FILE_NAME).read_bytes()
        headers.append(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]))
    assert headers[0] == headers[1]


def test_no_single_byte_can_change_unseen(tmp_path):
    path = files.save(tmp_path, {"a": [1, None]}, TENSORS)
    data, expected = path.read_bytes(), files.load(path)
    for place in range(len(data)):
        for flip in (0x01, 0x20):
            if flip:
                path.write_bytes(data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :])
                try:
                    manifest, tensors = files.load(path)
                except RouterFileError as error:
                    assert str(path) in str(error)
                else:  # white space of the header's padding, say
                    assert manifest == expected[0]
                    assert same(tensors, expected[1])


def test_no_beginning_of_a_file_passes_for_it(tmp_path):
    path = files.save(tmp_path, {"a": 1}, TENSORS)
    data = path.read_bytes()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(RouterFileError, match="not a whole router file"):
            files.load(path)
    path.write_bytes(data + b"\0")
    with pytest.raises(RouterFileError):
        files.load(path)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "x"
    path.write_bytes(data)
    with pytest.raises(RouterFileError):
        files.load(path)


def signed(manifest, tensors):
    """A file whose checksum is right, whatever it says."""
    text = json.dumps(manifest)
    return to_bytes(
        tensors, metadata={"manifest": text, "sha256": files._digest(text, dict(sorted(tensors.items())))}
    )


@pytest.mark.parametrize("manifest", [[], "x", None, 3, {}], ids=str)
def test_a_manifest_must_be_a_router_s(tmp_path, manifest):
    (tmp_path / files.FILE_NAME).write_bytes(signed(manifest, TENSORS))
    with pytest.raises(RouterFileError):
        files.load(tmp_path)


def test_a_newer_format_is_refused_by_name(tmp_path):
    data = signed({"format": files.FORMAT + 1, "written_by": "9.9"}, TENSORS)
    (tmp_path / files.FILE_NAME).write_bytes(data)
    with pytest.raises(RouterFileError, match=r"has format 2, this agentroute reads 1; .*\(9\.9\)"):
        files.load(tmp_path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["gnn.weight", "baseline.weight"])
def test_weights_that_are_not_finite_are_refused(tmp_path, bad, name):
    files.save(tmp_path, {}, {name: np.array([0.0, bad], np.float32)})
    with pytest.raises(RouterFileError, match=f"'{name}' holds numbers that are not finite"):
        files.load(tmp_path)


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("kind", ["pickle", "torch", "zip", "nothing"])
def test_other_files_are_refused_and_nothing_in_them_runs(tmp_path, kind):
    path, sprung = tmp_path / files.FILE_NAME, tmp_path / "sprung"
    if kind == "torch":
        torch.save({"weights": Trap(sprung)}, path)
    else:
        path.write_bytes({"pickle": pickle.dumps(Trap(sprung)), "zip": b"PK\3\4" + b"\0" * 60}.get(kind, b""))
    with pytest.raises(RouterFileError, match="not a whole router file"):
        files.load(tmp_path)
    assert not sprung.exists()


def test_a_missing_router_says_how_to_get_one(tmp_path):
    for where in (tmp_path, tmp_path / "nowhere", tmp_path / "nul\0"):
        with pytest.raises(
            RouterFileError, match=r"no router to read there.*agentroute train FOLDER --out ROUTER"
        ):
            files.load(where)


def test_a_router_is_saved_into_a_folder(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RouterFileError, match="is a file; a router is saved into a folder"):
        files.save(tmp_path / "file", {}, TENSORS)
    assert (tmp_path / "file").read_text() == "mine"


_WRITE = """
import resource, signal, sys
import numpy as np
from agentroute.errors import AgentRouteError
from agentroute.knowledge import files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    files.save(sys.argv[1], {"new": True}, {"x": np.ones(100_000, np.float32)})
except (OSError, AgentRouteError) as error:
    print("refused")
"""

_KILLED = """
import os, sys
import numpy as np
from agentroute.knowledge import files
os.fsync = lambda descriptor: os._exit(9)
files.save(sys.argv[1], {"new": True}, {"x": np.ones(100_000, np.float32)})
"""


def test_a_full_disk_leaves_the_old_router_whole(tmp_path):
    files.save(tmp_path, {"old": True}, TENSORS)
    found = subprocess.run(
        [sys.executable, "-c", _WRITE, tmp_path], capture_output=True, text=True, timeout=60
    )
    assert found.stdout == "refused\n", found.stderr
    assert files.load(tmp_path)[0]["old"] is True
    assert [path.name for path in tmp_path.iterdir()] == [files.FILE_NAME]


def test_a_process_that_dies_while_writing_leaves_the_old_router_whole(tmp_path):
    files.save(tmp_path, {"old": True}, TENSORS)
    found = subprocess.run([sys.executable, "-c", _KILLED, tmp_path], capture_output=True, timeout=60)
    assert found.returncode == 9
    manifest, tensors = files.load(tmp_path)
    assert manifest["old"] is True
    assert same(tensors, TENSORS)
