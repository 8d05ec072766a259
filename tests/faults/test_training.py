"""Training that is interrupted goes on where it was, and ends with the same router, bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from routing.folders import make_folder, random_graphs

from agentroute.errors import StorageError
from agentroute.knowledge import files
from agentroute.knowledge.hetero import PackedGraphs
from agentroute.routing import unfinished
from agentroute.routing.config import TrainConfig
from agentroute.routing.fit import Fitted, fit
from agentroute.routing.gnn import GNNConfig
from agentroute.routing.unfinished import Unfinished

TESTS = Path(__file__).parents[1]
CONFIG = TrainConfig(epochs=5, batch_size=4)
ROWS, HELD = np.arange(8), np.arange(8, 12)


@pytest.fixture(scope="module")
def graphs() -> PackedGraphs:
    torch.set_num_threads(1)
    return PackedGraphs([graph for seed in (2, 4) for graph in random_graphs(seed, 4, answers=3)])


def learn(
    graphs: PackedGraphs, home: Path | None, tell: Callable[..., None] = lambda *step: None, **more: Any
) -> Fitted:
    rng = np.random.default_rng(0)
    score = rng.random((len(graphs), graphs.agents)).astype(np.float32)
    network = GNNConfig(embedding=48)
    given = {"rows": ROWS, "held_out": HELD, "config": CONFIG, **more}
    return fit(graphs, score, gnn_config=network, tell=tell, unfinished=Unfinished(home), **given)


def bits(fitted: Fitted) -> tuple[object, ...]:
    weights = {name: value.tobytes() for name, value in fitted.weights.items()}
    return weights, fitted.losses, fitted.passes


def dying(after: int, told: list[object]) -> Callable[..., None]:
    def tell(*step: object) -> None:
        told.append(step)
        if len(told) == after:
            raise KeyboardInterrupt

    return tell


@pytest.fixture
def kept_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "EVERY_S", 0.0)


@pytest.mark.fault("F43", "exit 130, with how to go on", "all but the last seconds of training")
@pytest.mark.parametrize("held", [HELD, HELD[:0]], ids=["judged", "not judged"])
@pytest.mark.usefixtures("kept_at_once")
def test_wherever_it_is_interrupted_it_ends_with_the_same_weights(
    graphs: PackedGraphs, tmp_path: Path, held: np.ndarray
) -> None:
    expected = bits(learn(graphs, None, held_out=held))
    for death in range(1, CONFIG.epochs + 1):
        home, told, again = tmp_path / str(death), [], []
        with pytest.raises(KeyboardInterrupt):
            learn(graphs, home, dying(death, told), held_out=held)
        assert bits(learn(graphs, home, lambda *step: again.append(step), held_out=held)) == expected  # noqa: B023
        # What is told before the pass is kept is done again, and nothing else.
        assert len(again) - 1 == CONFIG.epochs - (death - 1)
        assert bits(learn(graphs, home, dying(2, []), held_out=held)) == expected, (
            "done: nothing is left to do"
        )


@pytest.mark.control("F43", "every pass is done again")
def test_without_checkpoints_all_of_it_is_done_again(graphs: PackedGraphs, tmp_path: Path) -> None:
    """The negative control: an interruption within ``EVERY_S`` finds nothing kept."""
    again: list[object] = []
    with pytest.raises(KeyboardInterrupt):
        learn(graphs, tmp_path, dying(4, []))
    learn(graphs, tmp_path, lambda *step: again.append(step))
    assert len(again) - 1 == CONFIG.epochs


@pytest.mark.parametrize(
    "more",
    [
        {"config": TrainConfig(epochs=5, batch_size=4, seed=1)},
        {"config": TrainConfig(epochs=6, batch_size=4)},
        {"rows": ROWS[::-1]},
        {"held_out": HELD[:-1]},
    ],
    ids=["seed", "epochs", "rows", "held out"],
)
def test_another_training_never_goes_on_from_it(
    graphs: PackedGraphs, tmp_path: Path, more: dict[str, Any]
) -> None:
    learn(graphs, tmp_path)
    assert bits(learn(graphs, tmp_path, **more)) == bits(learn(graphs, None, **more))
    assert len(list((tmp_path / "unfinished").iterdir())) == 2


def test_other_graphs_are_another_training() -> None:
    one, same, other = (PackedGraphs(random_graphs(seed, 4, answers=2)) for seed in (2, 2, 4))
    assert one.digest() == same.digest() != other.digest()


@pytest.mark.fault("F43", "a warning; that network is trained anew", "everything but the damaged checkpoint")
@pytest.mark.usefixtures("kept_at_once")
def test_a_damaged_checkpoint_is_not_believed(
    graphs: PackedGraphs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = bits(learn(graphs, None))
    with pytest.raises(KeyboardInterrupt):
        learn(graphs, tmp_path, dying(4, []))
    [path] = (tmp_path / "unfinished").iterdir()
    data = path.read_bytes()
    for bad in (b"", data[: len(data) // 2], data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]):
        path.write_bytes(bad)
        again: list[object] = []
        assert bits(learn(graphs, tmp_path, lambda *step: again.append(step))) == expected  # noqa: B023
        assert len(again) - 1 == CONFIG.epochs
        assert "cannot be used" in caplog.text
        caplog.clear()


@pytest.mark.fault("F39", "a warning; training ends well", "the router")
@pytest.mark.usefixtures("kept_at_once")
def test_where_no_checkpoint_can_be_written_training_goes_on(
    graphs: PackedGraphs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "unfinished").write_text("a file in the folder's place")
    assert bits(learn(graphs, tmp_path)) == bits(learn(graphs, None))
    assert caplog.text.count("goes on without checkpoints") == 1
    with pytest.raises(StorageError):
        files.write(tmp_path / "unfinished" / "x", {}, {})


# One process imports torch once, and trains in children of its own that die where they are told to.
TRAINER = """
import os, signal, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from agentroute.cli.app import app
from agentroute.routing import unfinished
from agentroute.routing.config import TrainConfig
from agentroute.routing.train import train

folder, home, *deaths = sys.argv[1:]
unfinished.EVERY_S = 0.0
config = TrainConfig(epochs=3)

def attempt(work, watch=lambda child: None):
    child = os.fork()
    if child:
        watch(child)
        return os.waitpid(child, 0)[1]
    code = 70
    try:
        code = work() or 0
    except SystemExit as end:
        code = end.code or 0
    finally:
        os._exit(code)

def by_library(out, death=0):
    steps = []
    def tell(what, done, total):
        steps.append(what)
        if len(steps) == death:
            os.kill(os.getpid(), signal.SIGKILL)
    train(folder, out, config=config, embedder="hashing", progress=tell)
    Path(home, "steps").write_text(str(len(steps)))

def by_command():
    app(["train", folder, "--out", f"{home}/command", "--embedder", "hashing", "--epochs", "3"])

def interrupt(child):
    while not list(Path(home, "command", "unfinished").glob("*.safetensors")):
        time.sleep(0.002)
    os.kill(child, signal.SIGINT)

assert attempt(lambda: by_library(f"{home}/whole")) == 0
last = int(Path(home, "steps").read_text())
for death in (int(last * float(share)) for share in deaths):
    assert attempt(lambda: by_library(f"{home}/killed", death)) == signal.SIGKILL
    assert list(Path(home, "killed", "unfinished").iterdir())
assert attempt(lambda: by_library(f"{home}/killed")) == 0
print(os.waitstatus_to_exitcode(attempt(by_command, interrupt)))
assert attempt(by_command) == 0
"""


def content(router: Path) -> tuple[object, object]:
    """All that decides what a router does, and none of the times."""
    manifest, tensors = files.load(router)
    del manifest["seconds"]
    return manifest, {name: (value.dtype, value.shape, value.tobytes()) for name, value in tensors.items()}


@pytest.mark.fault("F43", "exit 130, `run the same command again`", "all but the last seconds of training")
@pytest.mark.fault("F43b", "the same command goes on, to the same router bit for bit", "every checkpoint")
def test_killed_or_interrupted_the_command_ends_with_the_same_router(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "folder", queries=24)
    paths = os.pathsep.join((str(TESTS), str(TESTS.parent)))
    env = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", TRAINER, str(folder), str(tmp_path), "0.4", "0.7"]
    found = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[0] == "130"
    assert "run the same command again to go on" in found.stderr
    expected = content(tmp_path / "whole")
    for name in ("killed", "command"):
        assert content(tmp_path / name) == expected, name
        assert [path.name for path in (tmp_path / name).iterdir()] == [files.FILE_NAME]
