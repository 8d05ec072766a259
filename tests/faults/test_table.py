"""The page of faults is made of the tests, and current."""

from __future__ import annotations

from faults import table


def test_the_page_is_current() -> None:
    assert table.PAGE.read_text(encoding="utf-8") == table.page(), "run: python tests/faults/table.py"


def test_there_are_at_least_sixty_cells_and_every_fault_is_known() -> None:
    cells = {row.cell for row in table.rows()}
    assert len(cells) >= 60, sorted({*table.FAULTS} - cells)
