"""Files that were cut, flipped, half written, written twice or by two: what was acknowledged is there."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from agentroute.errors import AgentRouteError, RouterFileError
from agentroute.knowledge import files
from agentroute.knowledge.cache import CachedEmbedder
from agentroute.knowledge.embed import HashingEmbedder
from agentroute.outcomes import Outcome, OutcomeFolder, OutcomeWriter, QueryRecord, create_folder
from agentroute.registry import AgentRegistry
from agentroute.registry.watch import WatchedRegistry
from agentroute.types import AgentSpec, Query

TEAM = AgentRegistry.from_specs(
    AgentSpec(id=name, kind="function", description=f"Is {name}.", function="a:b") for name in ("one", "two")
)
RECORDS = [QueryRecord(query=Query(text=f"question {n}", id=f"q{n}")) for n in range(3)]
LOG = [Outcome(query=f"q{n % 3}", agent=("one", "two")[n % 2], score=n / 8, answer="é" * n) for n in range(6)]


def folder(path: Path) -> Path:
    create_folder(path, TEAM, RECORDS)
    with OutcomeWriter(path) as writer:
        writer.append(*LOG)
    return path


def flipped(data: bytes, place: int, bit: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


# ----------------------------------------------------------------------------- flipped bits


@pytest.mark.fault("F40", "one line with file and line", "every other record, whatever was flipped in one")
def test_a_flipped_bit_in_a_log_harms_its_own_record_at_most(tmp_path: Path) -> None:
    """A log has no checksums: people may edit it. A flip within a text or a number stays unseen."""
    path = folder(tmp_path / "folder")
    file, opened = path / "outcomes.jsonl", OutcomeFolder.open(path)
    data = file.read_bytes()
    seen = 0
    for place in range(len(data)):
        number = data.count(b"\n", 0, place)
        file.write_bytes(flipped(data, place, place % 8))
        found = list(opened.read())
        others = [outcome for n, outcome in enumerate(LOG) if n not in (number, number + 1)]
        assert [outcome for outcome in found if outcome in others] == others
        assert len(found) <= len(LOG) + 1
        seen += bool(opened.problems)
    assert seen > len(data) / 4


@pytest.mark.fault("F40", "`the archive is damaged from here on`", "the records before the damage")
def test_a_flipped_bit_in_an_archive_is_told(tmp_path: Path) -> None:
    path = folder(tmp_path / "folder")
    plain = (path / "outcomes.jsonl").read_bytes()
    (path / "outcomes.jsonl").unlink()
    data = gzip.compress(plain, mtime=0)
    (path / "outcomes.jsonl.gz").write_bytes(data)
    opened = OutcomeFolder.open(path)
    for place in range(len(data)):
        (path / "outcomes.jsonl.gz").write_bytes(flipped(data, place, place % 8))
        found = list(opened.read())
        assert found == LOG or opened.problems, place
    for cut in range(len(data)):
        (path / "outcomes.jsonl.gz").write_bytes(data[:cut])
        found = list(opened.read())
        assert found == LOG[: len(found)]
        assert opened.problems or not cut


@pytest.mark.fault("F52", "exit 2, `file:line`, the rule and the remedy", "the registry in use")
@pytest.mark.parametrize("name", ["agents.yaml", "queries.jsonl"])
def test_no_prefix_and_no_flip_of_what_people_write_raises_anything_else(tmp_path: Path, name: str) -> None:
    path = folder(tmp_path / "folder")
    file = path / name
    data = file.read_bytes()
    variants = [data[:cut] for cut in range(len(data))]
    variants += [flipped(data, place, place % 8) for place in range(len(data))]
    refused = 0
    for variant in variants:
        file.write_bytes(variant)
        try:
            for _ in OutcomeFolder.open(path).read():
                pass
        except AgentRouteError as error:
            assert error.exit_code == 2 and name.partition(".")[0] in str(error)
            refused += 1
    assert 0 < refused < len(variants)


@pytest.mark.fault("F41", "nothing; at worst a warning that names the file", "vectors, computed anew")
def test_no_prefix_and_no_flip_of_a_cache_gives_another_vector(tmp_path: Path) -> None:
    texts = [f"text {n}" for n in range(4)]
    inner = HashingEmbedder(8)
    expected, path = inner.embed(texts), tmp_path / "v.sqlite"
    cached = CachedEmbedder(inner, path)
    cached.embed(texts)
    cached.close()
    data = path.read_bytes()
    used = [place for place in range(len(data)) if data[place]]  # most of a page is empty
    variants = [
        flipped(data, place, place % 8) for place in used[:100] + used[100::3] + [*range(0, 8192, 199)]
    ]
    variants += [data[:cut] for cut in range(0, len(data), 257)]
    for number, variant in enumerate(variants):
        home = tmp_path / "damaged"
        home.mkdir()
        (home / "v.sqlite").write_bytes(variant)
        for _ in range(2):  # what is moved aside is begun anew
            damaged = CachedEmbedder(inner, home / "v.sqlite")
            assert np.array_equal(damaged.embed(texts), expected), number
            damaged.close()
        shutil.rmtree(home)
    assert len(variants) > 250


# ----------------------------------------------------------------------------- killed while saving

SAVER = """
import sys
import numpy as np
from agentroute.knowledge import files
number = 0
while True:
    files.save(sys.argv[1], {"number": number}, {"x": np.full(20_000, number, np.float32)})
    print(number, flush=True)
    number += 1
"""


def whole(router: Path) -> int:
    manifest, tensors = files.load(router)
    assert (tensors["x"] == manifest["number"]).all()
    return int(manifest["number"])


@pytest.mark.fault("F36", "nothing", "the router that was saved last")
def test_a_router_is_whole_whenever_its_writer_is_killed(tmp_path: Path) -> None:
    rng = random.Random(0)
    for _ in range(5):
        saver = subprocess.Popen([sys.executable, "-c", SAVER, tmp_path], stdout=subprocess.PIPE, text=True)
        assert saver.stdout is not None and saver.stdout.readline() == "0\n"
        time.sleep(rng.uniform(0.0, 0.1))
        saver.kill()
        acknowledged = ["0", *saver.communicate(timeout=60)[0].split()][-1]
        assert whole(tmp_path) in (int(acknowledged), int(acknowledged) + 1)
    # What the killed ones left half-written is swept up by the next one that saves.
    files.save(tmp_path, {"number": 7}, {"x": np.full(3, 7, np.float32)})
    assert [path.name for path in tmp_path.iterdir()] == [files.FILE_NAME]


@pytest.mark.control(
    "F36", "a file that is overwritten is cut off where its writer dies, and nothing can be read"
)
def test_written_in_place_it_would_be_lost(tmp_path: Path) -> None:
    """The negative control: a file that is overwritten is cut off wherever its writer dies."""
    path = files.save(tmp_path, {"number": 1}, {"x": np.ones(9, np.float32)})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(RouterFileError):
        files.load(tmp_path)


@pytest.mark.fault("F36", "nothing", "what a writer that lives is about to put in place")
def test_only_what_the_dead_left_is_swept_up(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for owner in (dead.pid, os.getppid(), "notes"):
        (tmp_path / f"{files.FILE_NAME}.{owner}.tmp").write_text("half")
    files.save(tmp_path, {}, {"x": np.ones(1, np.float32)})
    left = {path.name.removeprefix(f"{files.FILE_NAME}.") for path in tmp_path.iterdir()}
    assert left == {files.FILE_NAME, f"{os.getppid()}.tmp", "notes.tmp"}


@pytest.mark.fault("F38", "nothing", "one of the two routers, whole")
def test_two_who_save_one_router_leave_a_whole_one_at_any_time(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SAVER, str(tmp_path)]
    savers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for saver in savers:
            assert saver.stdout is not None and saver.stdout.readline() == "0\n"
        for _ in range(50):
            whole(tmp_path)
    finally:
        for saver in savers:
            saver.kill()
            saver.communicate(timeout=60)
    whole(tmp_path)


# ----------------------------------------------------------------------------- a full disk

FILLER = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from agentroute.errors import StorageError
from agentroute.knowledge.cache import CachedEmbedder
from agentroute.knowledge.embed import HashingEmbedder
from agentroute.outcomes import Outcome, OutcomeWriter
from agentroute.knowledge import files

home, limit = Path(sys.argv[1]), int(sys.argv[2])
if limit:  # no disk of our own: the size of every file has a limit instead
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
with OutcomeWriter(home / "folder") as writer:
    count = 0
    try:
        while True:
            writer.append(Outcome(query="q0", agent="one", score=1.0, answer=f"{count} " * (count % 90)))
            count += 1
    except StorageError as error:
        print(count, type(error).__name__)
        assert "outcomes.jsonl" in str(error)
try:
    files.save(home / "router", {"number": 2}, {"x": np.full(90_000, 2, np.float32)})
except StorageError as error:
    print("refused")
    assert "an older one is intact" in str(error)
inner = HashingEmbedder(64)
texts = [f"text {number}" for number in range(800)]
cached = CachedEmbedder(inner, home / "v.sqlite")
assert np.array_equal(cached.embed(texts), inner.embed(texts))
print("computed")
"""


@contextmanager
def small_disk(home: Path) -> Iterator[int]:
    """A disk of 300 kB where this process may mount one, else a limit for the size of a file."""
    home.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(home)]
    mounted = shutil.which("mount") and subprocess.run(mount, capture_output=True).returncode == 0
    try:
        yield 0 if mounted else 60_000
    finally:
        if mounted:
            subprocess.run(["umount", str(home)], check=True)


@pytest.mark.fault("F39", "exit 23, what could not be written, and where", "all that was acknowledged")
def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as limit:
        home = tmp_path / "disk"
        create_folder(home / "folder", TEAM, RECORDS)
        files.save(home / "router", {"number": 1}, {"x": np.full(3, 1, np.float32)})
        command = [sys.executable, "-c", FILLER, str(home), str(limit)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        acknowledged, error, refused, computed = done.stdout.split()
        assert (error, refused, computed) == ("StorageError", "refused", "computed")
        opened = OutcomeFolder.open(home / "folder")
        found = list(opened.read())
        assert len(found) == int(acknowledged) > 100 and opened.problems == ()
        assert whole(home / "router") == 1
        for path in home.glob("v.sqlite*"):
            path.unlink()
        with OutcomeWriter(home / "folder") as writer:  # there is room again
            writer.append(LOG[0])
        assert list(OutcomeFolder.open(home / "folder").read()) == [*found, LOG[0]]


# ----------------------------------------------------------------------------- the clock


@pytest.mark.fault("F46", "nothing", "the last change, however old its date is")
def test_a_clock_that_steps_back_hides_no_change(tmp_path: Path) -> None:
    path = tmp_path / "team.yaml"
    path.write_text(TEAM.to_yaml())
    os.utime(path, (2e9, 2e9))  # written in the year 2033
    watched = WatchedRegistry(path)
    for number, date in enumerate((1e9, 0.0, 4e9)):  # the clock goes back, then far ahead
        path.write_text(TEAM.to_yaml().replace("Is one", f"Is number {number}"))
        os.utime(path, (date, date))
        taken: list[AgentRegistry] = []
        assert watched.take(taken.append) is None
        assert [team["one"].description for team in taken] == [f"Is number {number}."]


@pytest.mark.fault("F46", "nothing", "records in the order they were written")
def test_what_is_written_last_is_last_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder"
    create_folder(path, TEAM, RECORDS)
    for number, outcome in enumerate(LOG):
        monkeypatch.setattr(time, "time", lambda: 1e9 - 3600.0 * number)  # noqa: B023
        with OutcomeWriter(path) as writer:
            writer.append(outcome)
        files.save(tmp_path / "router", {"number": number}, {"x": np.full(3, number, np.float32)})
        assert whole(tmp_path / "router") == number
    assert list(OutcomeFolder.open(path).read()) == LOG


# ----------------------------------------------------------------------------- no permission

FORBIDDEN = """
import os, sys
from pathlib import Path
import numpy as np
from agentroute.errors import AgentRouteError
from agentroute.outcomes import OutcomeFolder, OutcomeWriter, create_folder
from agentroute.registry import AgentRegistry
from agentroute.knowledge import files
from agentroute.routing.router import GraphRouter
from agentroute.types import AgentSpec

home = Path(sys.argv[1])
TEAM = AgentRegistry.from_specs([AgentSpec(id="one", kind="function", description="One.", function="a:b")])
if os.geteuid() == 0:  # nothing is forbidden to root
    os.setgid(65534)
    os.setuid(65534)
attempts = {
    "registry": lambda: AgentRegistry.from_yaml(home / "agents.yaml"),
    "folder": lambda: OutcomeFolder.open(home / "closed"),
    "queries": lambda: OutcomeFolder.open(home / "folder"),
    "append": lambda: OutcomeWriter(home / "folder"),
    "create": lambda: create_folder(home / "new", TEAM, []),
    "router": lambda: files.load(home / "router"),
    "load": lambda: GraphRouter.load(home / "closed"),
    "save": lambda: files.save(home / "router", {}, {"x": np.ones(2, np.float32)}),
}
for name, attempt in attempts.items():
    try:
        attempt()
        print(name, "went well")
    except AgentRouteError as error:
        print(name, type(error).__name__, "|", str(error).replace("\\n", " "))
"""


@pytest.mark.fault("F42", "exit 2 or 23, the path and the reason", "everything that is there")
def test_what_is_forbidden_is_an_error_that_names_the_path(tmp_path: Path) -> None:
    home = tmp_path / "home"
    folder(home / "folder")
    files.save(home / "router", {"number": 1}, {"x": np.ones(3, np.float32)})
    shutil.copy(home / "folder" / "agents.yaml", home / "agents.yaml")
    (home / "closed").mkdir()
    for path, mode in [
        (home / "agents.yaml", 0),
        (home / "folder" / "queries.jsonl", 0),
        (home / "folder" / "outcomes.jsonl", 0o444),
        (home / "router" / files.FILE_NAME, 0),
        (home / "router", 0o555),
        (home / "folder", 0o555),
        (home / "closed", 0),
        (home, 0o555),
    ]:
        path.chmod(mode)
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)  # pytest keeps its folders to their owner
    try:
        done = subprocess.run(
            [sys.executable, "-c", FORBIDDEN, str(home)], capture_output=True, text=True, timeout=60
        )
    finally:
        for path in (home, home / "closed", home / "folder", home / "router"):
            path.chmod(0o755)
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert len(lines) == 8
    for name, said in lines.items():
        kind, _, message = said.partition(" | ")
        assert kind.endswith("Error"), (name, said)
        assert str(home) in message and "ermission" in message, (name, said)
