"""Questions about the table of facts, forwards and backwards."""

from __future__ import annotations

from collections.abc import Iterator

from agentroute.workbench.items import Item, accepted, rows, section, shuffled, worded


def facts(split: str) -> Iterator[Item]:
    """Ask for values of subjects, and for subjects by their values.

    Args:
        split: ``train`` or ``test``; a third of the subjects of each kind serves for the test.

    Yields:
        Questions whose answers stand in the table.
    """
    table = rows("facts.csv")
    for kind in dict.fromkeys(row["kind"] for row in table):
        subjects = shuffled({row["subject"] for row in table if row["kind"] == kind}, "facts")
        cut = max(2, len(subjects) // 3)
        kept = set(subjects[:cut] if split == "test" else subjects[cut:])
        for row in table:
            if row["kind"] == kind and row["subject"] in kept:
                yield from _about(row, split)


def _about(row: dict[str, str], split: str) -> Iterator[Item]:
    name, subject, value = f"{row['kind']}.{row['attribute']}", row["subject"], row["value"]
    said = subject.lower() if row["kind"] == "element" else subject
    known = (f"{subject}/{row['attribute']}",)
    for template, wording in worded(section("facts")[name], name, split):
        yield Item(text=wording.format(x=said), gold=accepted(value), template=template, facts=known)
    backwards = section("facts_reverse")
    if name in backwards:
        for template, wording in worded(backwards[name], f"reverse.{name}", split):
            yield Item(text=wording.format(v=value), gold=(subject,), template=template, facts=known)
