"""The page of faults is made of the tests, and current; each fault has its test and its control."""

from __future__ import annotations

from faults import table


def test_the_page_is_current() -> None:
    assert table.PAGE.read_text(encoding="utf-8") == table.page(), "run: python tests/faults/table.py"


def test_there_are_at_least_sixty_cells_and_every_fault_is_known() -> None:
    cells = {row.cell for row in table.rows() if row.mark == "fault"}
    assert len(cells) >= 60, sorted({*table.FAULTS} - cells)
    assert cells == {*table.FAULTS}


def test_every_fault_is_shown_without_the_protection() -> None:
    found = table.rows()
    assert table.uncontrolled(found) == []
    # And this test can fail: one control less is one cell too few.
    assert table.uncontrolled([row for row in found if (row.mark, row.cell) != ("control", "F12")]) == ["F12"]
