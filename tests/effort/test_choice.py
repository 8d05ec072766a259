"""Which setting is chosen: the one that saves most within the loss, without its luck."""

from __future__ import annotations

import numpy as np
import pytest

from agentroute.effort.choice import Choice, by_episode, choose
from agentroute.effort.walks import Walk

STEPS = 100
PRICE = np.tile([1.0, 10.0], (STEPS, 1))


def walk(lost: int, cheap: int) -> Walk:
    """Ask the lower rung on some steps, and lose some of them."""
    score = np.ones(STEPS)
    score[:lost] = 0.0
    asked = np.zeros((STEPS, 2), bool)
    asked[:, 1], asked[:cheap, 1], asked[:cheap, 0] = True, False, True
    return Walk(score, asked, asked.argmax(axis=1), score)


def chosen(*walks: Walk, max_loss: float = 0.02, doubt: float = 0.0) -> Choice:
    settings = [(at, 0.0, one) for at, one in enumerate(walks)]
    return choose(settings, np.ones(STEPS), PRICE, None, max_loss, doubt)


def test_the_setting_that_saves_most_within_the_loss_is_chosen() -> None:
    found = chosen(walk(0, 10), walk(2, 40), walk(9, 80))
    assert (found.at, found.saved, found.loss) == (1, pytest.approx(0.36), pytest.approx(0.02))


def test_doubt_asks_for_more() -> None:
    assert chosen(walk(0, 10), walk(2, 40), doubt=1.0).at == 0


def test_nothing_lost_on_so_many_steps_is_no_certainty() -> None:
    found = chosen(walk(0, 40), max_loss=0.02, doubt=1.0)
    assert (found.at, found.loss) == (0, 0.0) and found.doubt == pytest.approx(0.5**0.5 / (STEPS + 0.5))
    # That nothing at all is lost cannot be promised with doubt, however many steps say so.
    assert chosen(walk(0, 40), max_loss=0.0, doubt=1.0).at is None
    assert chosen(walk(0, 40), max_loss=0.0, doubt=0.0).at == 0


def test_a_lucky_setting_shares_the_fate_of_those_that_save_less() -> None:
    assert chosen(walk(0, 10), walk(6, 40), walk(2, 50)).at == 0


def test_where_nothing_is_within_the_loss_the_highest_rung_is_asked() -> None:
    assert chosen(walk(9, 80)).at is None
    assert chosen(walk(0, 0)).at is None


def test_points_to_be_gained_are_a_loss_below_0() -> None:
    assert chosen(walk(0, 10), max_loss=-0.01).at is None


def test_an_episode_is_the_product_of_its_steps() -> None:
    score, episodes = np.array([1.0, 0.0, 1.0, 0.5]), np.array([0, 0, 1, 1])
    np.testing.assert_allclose(by_episode(score, episodes), [0.0, 0.5])
    assert by_episode(score, None) is score
