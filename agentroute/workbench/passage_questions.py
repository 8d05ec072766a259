"""Questions that the passages answer, made from what the passages say (``gold.csv``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from agentroute.workbench.items import Item, accepted, metric_of, rows, section, shuffled, worded

TEST_REGIONS = frozenset({"Kestrelle", "Lathrin", "Morwick", "Nethersay"})

_BARE = frozenset({"town", "person", "mountain", "bridge", "book"})  # kinds that are said without "the"
_SECOND = {
    # what a second hop asks of a thing
    "person": ("born", "birthplace", "job"),
    "town": ("founded", "founder", "population", "known", "river"),
    "river": ("length", "source", "mouth"),
    "mountain": ("height", "climbed", "climber"),
}
_ASKED_BY_DESCRIPTION = (
    "founded founder length height born birthplace captain architect designer opened".split()
)
_FACTORS = {"in-feet": 1 / 0.3048, "in-miles": 1 / 1.609344}  # feet in a metre, miles in a kilometre
_PAIRS = 60


@dataclass(frozen=True, slots=True)
class Thing:
    """What the passages say of one entity."""

    name: str
    kind: str
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def said(self) -> str:
        """Its name as a sentence holds it."""
        return self.name if self.kind in _BARE or self.name == "Kite Week" else f"the {self.name}"

    def number(self, attribute: str) -> int:
        """A fact that is a number, with or without a unit."""
        return int(self.facts[attribute].split(" ")[0].replace(",", ""))

    def known(self, *attributes: str) -> tuple[str, ...]:
        """The keys of some of its facts."""
        return tuple(f"{self.name}/{attribute}" for attribute in attributes)


def things(split: str) -> dict[str, Thing]:
    """Read what the passages of one split's regions say.

    Args:
        split: ``train`` or ``test``.

    Returns:
        Each thing by its name, which is its passage's title.
    """
    found: dict[str, Thing] = {}
    for row in rows("gold.csv"):
        if (row["region"] in TEST_REGIONS) == (split == "test"):
            thing = found.setdefault(row["title"], Thing(row["title"], row["kind"]))
            thing.facts[row["attribute"]] = row["value"]
    return found


def _wordings(name: str, thing: Thing, attribute: str, split: str) -> list[tuple[str, str]]:
    """The wordings for an attribute, those of the thing's own kind before the general ones."""
    table, key = section(name), f"{thing.kind}.{attribute}"
    key = key if key in table else attribute
    return worded(table[key], key, split) if key in table else []


def single(split: str) -> Iterator[Item]:
    """Ask a thing by its name for one fact.

    Args:
        split: ``train`` or ``test``.

    Yields:
        Questions that one passage answers.
    """
    for thing in things(split).values():
        for attribute, value in thing.facts.items():
            for template, wording in _wordings("attributes", thing, attribute, split):
                yield Item(
                    text=wording.format(x=thing.said),
                    gold=accepted(value),
                    template=template,
                    facts=thing.known(attribute),
                    metric=metric_of(attribute),
                )


def paraphrase(split: str) -> Iterator[Item]:
    """Ask for the name or a fact of a thing that is only described, in other words than its passage's.

    Args:
        split: ``train`` or ``test``.

    Yields:
        Questions that name nothing.
    """
    for thing in things(split).values():
        described = thing.facts["described"]
        for template, wording in worded(section("described")["named"], f"named.{thing.kind}", split):
            known = thing.known("described")
            yield Item(text=wording.format(x=described), gold=(thing.name,), template=template, facts=known)
        for attribute in (name for name in _ASKED_BY_DESCRIPTION if name in thing.facts):
            for template, wording in _wordings("attributes", thing, attribute, split):
                yield Item(
                    text=wording.format(x=described),
                    gold=accepted(thing.facts[attribute]),
                    template=template,
                    facts=thing.known("described", attribute),
                )


def two_hop(split: str) -> Iterator[Item]:
    """Ask for a fact of a thing that is known only as the founder, river or so of another.

    Args:
        split: ``train`` or ``test``.

    Yields:
        Questions that take two passages, the second not named.
    """
    found = things(split)
    for thing in found.values():
        for link, target in thing.facts.items():
            if target not in found:
                continue
            bridge = found[target]
            for link_template, phrase in _wordings("links", thing, link, split):
                for attribute in _SECOND.get(bridge.kind, ()):
                    if bridge.facts[attribute] == thing.name:
                        continue  # the question would hold its answer
                    for template, wording in _wordings("attributes", bridge, attribute, split):
                        yield Item(
                            text=wording.format(x=phrase.format(x=thing.said)),
                            gold=accepted(bridge.facts[attribute]),
                            template=f"{link_template}.{template}",
                            facts=thing.known(link) + bridge.known(attribute),
                            metric=metric_of(attribute),
                        )


def _pairs(split: str, name: str, entry: dict[str, Any]) -> Iterator[tuple[Thing, Thing]]:
    """Pairs of things of one kind whose numbers differ and have the same unit."""
    attribute = entry["attribute"]
    for kind in entry["kinds"]:
        pool = [t for t in things(split).values() if t.kind == kind and attribute in t.facts]
        pairs = [
            (a, b)
            for a in pool
            for b in pool
            if a.number(attribute) != b.number(attribute)
            and a.facts[attribute].split(" ")[1:] == b.facts[attribute].split(" ")[1:]
        ]
        yield from shuffled(pairs, f"{name}/{split}")[:_PAIRS]


def comparison(split: str) -> Iterator[Item]:
    """Ask which of two things is larger, earlier and so on, or whether one is, or whether both are alike.

    Args:
        split: ``train`` or ``test``.

    Yields:
        Questions answered by yes, no or a name; as many by yes as by no.
    """
    for name, entry in section("comparisons").items():
        attribute = entry["attribute"]
        for a, b in _pairs(split, name, entry):
            true = (a.number(attribute) > b.number(attribute)) == entry["greater"]
            known = a.known(attribute) + b.known(attribute)
            asked, which = (wording.format(a=a.said, b=b.said) for wording in entry[split])
            # Yes and no are templates of their own, so that choosing evenly takes as many of each.
            verdict, winner = "yes" if true else "no", a if true else b
            yield Item(text=asked, gold=(verdict,), template=f"{name}.{split}.{verdict}", facts=known)
            yield Item(text=which, gold=(winner.name,), template=f"{name}.{split}.which", facts=known)
    for name, entry in section("same").items():
        kind, attribute = name.split(".")
        pool = [thing for thing in things(split).values() if thing.kind == kind]
        for a, b in ((a, b) for a in pool for b in pool if a is not b):
            verdict = "yes" if a.facts[attribute] == b.facts[attribute] else "no"
            for template, wording in worded(entry, f"same-{attribute}", split):
                yield Item(
                    text=wording.format(a=a.said, b=b.said),
                    gold=(verdict,),
                    template=f"{template}.{verdict}",
                    facts=a.known(attribute) + b.known(attribute),
                )


def reverse(split: str) -> Iterator[Item]:
    """Ask for the thing, or the number of things, that have a value.

    Args:
        split: ``train`` or ``test``.

    Yields:
        Questions whose answer is the title of a passage, or a count of passages.
    """
    for name, entry in section("reverse").items():
        counted = name.startswith("count.")
        kind, attribute = name.removeprefix("count.").split(".")
        holders: dict[str, list[Thing]] = {}
        for thing in things(split).values():
            if thing.kind == kind and attribute in thing.facts:
                holders.setdefault(thing.facts[attribute], []).append(thing)
        for value, having in holders.items():
            for template, wording in worded(entry, name, split):
                yield Item(
                    text=wording.format(v=value),
                    gold=(str(len(having)),) if counted else tuple(thing.name for thing in having),
                    template=template,
                    facts=tuple(key for thing in having for key in thing.known(attribute)),
                    metric="numeric" if counted else "exact_match",
                )


def derived(split: str) -> Iterator[Item]:
    """Ask for what has to be calculated from one or two passages.

    Args:
        split: ``train`` or ``test``.

    Yields:
        Questions answered by a number that stands in no passage.
    """
    for name, entry in section("derived").items():
        for a, b, known, value in _calculated(split, name, entry):
            for template, wording in worded(entry, name, split):
                text = wording.format(a=a.said, b=b.said)
                gold = str(value) if isinstance(value, int) else f"{value:.6g}"
                yield Item(text=text, gold=(gold,), template=template, facts=known, metric="numeric")


def _calculated(
    split: str, name: str, entry: dict[str, Any]
) -> Iterator[tuple[Thing, Thing, tuple[str, ...], float]]:
    attribute, found = entry["attribute"], things(split)
    if name == "founder-age":
        for town in (thing for thing in found.values() if thing.kind == "town"):
            founder = found[town.facts["founder"]]
            known = town.known("founded") + founder.known("born")
            yield town, founder, known, town.number("founded") - founder.number("born")
    elif name in _FACTORS:
        for thing in (thing for thing in found.values() if thing.kind in entry["kinds"]):
            yield thing, thing, thing.known(attribute), thing.number(attribute) * _FACTORS[name]
    else:
        for a, b in _pairs(split, name, entry):
            x, y = a.number(attribute), b.number(attribute)
            if x > y:
                known = a.known(attribute) + b.known(attribute)
                yield a, b, known, x + y if name == "together" else x - y
