"""Rows that are levels of one agent, and who is left when every ladder stands at one level."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentroute.registry.ladders import ladders_of, one_level
from agentroute.types import EFFORTS, AgentSpec, Effort, EffortRange


def row(name: str, level: Effort | None, model: str = "m") -> AgentSpec:
    effort = None if level is None else EffortRange(levels=(level,), default=level)
    return AgentSpec(id=name, kind="recorded", description="d", model=model, effort=effort)


LEVELS = st.lists(st.sampled_from(EFFORTS), min_size=1, unique=True)


@given(st.lists(LEVELS, max_size=4), st.randoms())
def test_every_ladder_keeps_one_rung_the_nearest_that_is_enough(ladders: list[list[Effort]], order) -> None:  # type: ignore[no-untyped-def]
    rows = [row(f"{m}-{level}", level, f"m{m}") for m, levels in enumerate(ladders) for level in levels]
    order.shuffle(rows)
    plain = row("plain", None)
    team, found = [plain, *rows], ladders_of([plain, *rows])
    climbed = {f"m{m}": levels for m, levels in enumerate(ladders) if len(levels) > 1}
    assert found.keys() == climbed.keys()
    fixed = one_level(team)
    assert list(fixed) == [level for level in EFFORTS if any(level in levels for levels in climbed.values())]
    for level, left_out in fixed.items():
        kept = {spec.id for spec in team} - left_out
        assert "plain" in kept and kept >= {f"{m}-{v[0]}" for m, v in enumerate(ladders) if len(v) == 1}
        for name, levels in climbed.items():
            (stands,) = [each for each in levels if f"{name[1:]}-{each}" in kept]
            enough = [each for each in EFFORTS[EFFORTS.index(level) :] if each in levels]
            assert stands == (enough[0] if enough else max(levels, key=EFFORTS.index))


def test_a_level_that_two_rows_share_makes_no_ladder() -> None:
    direct, reasoned = row("direct", "low"), row("reasoned", "low")
    assert ladders_of([direct, reasoned, row("more", "high")]) == {}
    assert one_level([direct, reasoned]) == {}


def test_ids_with_a_level_name_their_agent() -> None:
    rows = [row("reader@low", "low", "other"), row("reader@high", "high")]
    assert list(ladders_of(rows)) == ["reader"]
