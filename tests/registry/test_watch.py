"""A watched registry file: every change is seen, none is seen twice, and nothing else is read."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from agentroute.errors import RegistryError
from agentroute.registry import AgentRegistry, watch
from agentroute.registry.watch import WatchedRegistry

TEAM = "version: 1\nagents:\n  - {{id: {0}, kind: recorded, description: Repeats.}}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "team.yaml"
    path.write_text(TEAM.format("one"))
    return path


def look(watched: WatchedRegistry) -> tuple[list[str], str | None]:
    """Who was taken up, and what was wrong."""
    taken: list[AgentRegistry] = []
    problem = watched.take(taken.append)
    assert len(taken) <= 1
    return [name for registry in taken for name in registry.ids], problem


def test_the_first_reading_is_that_of_from_yaml(path: Path) -> None:
    assert WatchedRegistry(path).first == AgentRegistry.from_yaml(path)
    assert WatchedRegistry(path).first.folder == path.parent
    path.write_text("version: 2\n")
    with pytest.raises(RegistryError, match="version is '2'"):
        WatchedRegistry(path)


def test_a_change_is_taken_up_once(path: Path) -> None:
    watched = WatchedRegistry(path)
    assert look(watched) == ([], None)
    path.write_text(TEAM.format("other"))
    assert watched.moved()
    assert look(watched) == (["other"], None)
    assert look(watched) == ([], None)


def test_a_change_that_leaves_size_and_time_as_they_were_is_seen(path: Path) -> None:
    watched = WatchedRegistry(path)
    before = path.stat()
    path.write_text(TEAM.format("two"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size and path.stat().st_mtime_ns == before.st_mtime_ns
    assert look(watched) == (["two"], None)


def test_a_file_at_rest_is_not_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert WatchedRegistry(path).moved()  # too fresh to be believed
    monkeypatch.setattr(watch, "SETTLED_S", -1e9)
    watched = WatchedRegistry(path)
    assert not watched.moved()
    os.utime(path)
    assert watched.moved()
    assert look(watched) == ([], None)  # the same words
    assert not watched.moved()


@pytest.mark.fault("F52", "a running process says so once, in a result", "the team from before")
def test_a_broken_file_is_told_of_once_and_the_mended_one_is_taken_up(path: Path) -> None:
    watched = WatchedRegistry(path)
    path.write_text(TEAM.format("BAD") + "colour: red\n")
    taken, problem = look(watched)
    assert taken == [] and problem is not None
    assert problem.startswith(f"{path}:3: agents[0]: id is 'BAD', but must be")
    assert problem.endswith(" (and 1 more); the team from before stays")
    assert look(watched) == ([], None)
    os.utime(path)
    assert look(watched) == ([], None)  # the same mistake
    path.write_text(TEAM.format("good"))
    assert look(watched) == (["good"], None)


def test_a_team_that_its_user_refuses_is_a_problem_of_the_file(path: Path) -> None:
    watched = WatchedRegistry(path)

    def refuse(registry: AgentRegistry) -> None:
        raise RegistryError(f"{registry.ids[0]} is not wanted")

    path.write_text(TEAM.format("spy"))
    assert watched.take(refuse) == "spy is not wanted; the team from before stays"
    assert watched.take(refuse) is None


def test_a_file_that_goes_and_comes(path: Path) -> None:
    watched = WatchedRegistry(path)
    path.unlink()
    taken, problem = look(watched)
    assert taken == [] and problem is not None and "No such file" in problem
    assert look(watched) == ([], None)
    path.write_text(TEAM.format("back"))
    assert look(watched) == (["back"], None)
    path.unlink()
    path.mkdir()
    assert "is a folder" in str(look(watched)[1])


def test_the_file_stays_where_it_was_when_the_process_moves(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    watched = WatchedRegistry("team.yaml")
    monkeypatch.chdir("/")
    path.write_text(TEAM.format("other"))
    taken: list[AgentRegistry] = []
    assert watched.take(taken.append) is None
    assert taken[0].ids == ("other",) and taken[0].folder == path.parent == watched.first.folder


def test_a_copy_looks_for_itself(path: Path) -> None:
    watched = WatchedRegistry(path)
    twin = pickle.loads(pickle.dumps(watched))
    path.write_text(TEAM.format("other"))
    assert look(watched) == look(twin) == (["other"], None)
