"""What there is to learn from: what holds for labels is set once, and how many networks learn it."""

from __future__ import annotations

import pytest
from routing.folders import EMBEDDER, make_folder
from routing.labelled import make_labelled

from agentroute.outcomes import OutcomeFolder
from agentroute.routing import lesson as lessons
from agentroute.routing import train as training
from agentroute.routing.config import TrainConfig
from agentroute.routing.lesson import LABEL_PACE, Lesson
from agentroute.routing.train import train


def test_what_is_set_for_labels_is_set_once(tmp_path) -> None:
    labelled = OutcomeFolder.open(make_labelled(tmp_path / "errands"))
    given = TrainConfig(learning_rate=0.002, patience=7)
    first = Lesson.read(labelled, given).config
    assert first.labels and first.learning_rate == pytest.approx(LABEL_PACE * 0.002) and first.patience == 7
    # A router's manifest has these settings: another training with them must take the same steps.
    assert Lesson.read(labelled, first).config == first
    scored = OutcomeFolder.open(make_folder(tmp_path / "topics"))
    assert Lesson.read(scored, given).config == given


@pytest.mark.parametrize("many, members", [(10_000, 3), (0, 1)])
def test_few_utterances_are_learned_by_several_networks_and_many_by_one(
    tmp_path, monkeypatch, many: int, members: int
) -> None:
    monkeypatch.setattr(lessons, "SMALL", 0)  # some are set aside for validation
    monkeypatch.setattr(training, "MANY", many)
    folder = make_labelled(tmp_path / "errands")
    router = train(folder, config=TrainConfig(epochs=2, committee=3), embedder=EMBEDDER)
    assert len(router.manifest["losses"]) == 2 * members
