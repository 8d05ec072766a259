"""The journal against a list: whatever happens in whatever order, what was acknowledged is what is read."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from agentroute.errors import InputError
from agentroute.running.keeping.journal import Journal

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
AGENTS = st.sampled_from(["ann", "bob", "cem"])


class JournalMachine(RuleBasedStateMachine):
    """A journal that is closed and opened again at any moment, and what it is to know."""

    runs = Bundle("runs")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.journal = Journal(self.folder / "runs.db")
        self.said: dict[str, list[tuple[str, str]]] = {}
        self.state: dict[str, str] = {}
        self.count = 0

    @rule(target=runs, question=TEXT)
    def begin(self, question: str) -> str:
        run = f"run-{self.count}"
        self.count += 1
        self.journal.begin(run, {"query": {"text": question}, "notes": [], "origin": {}}).result()
        self.said[run], self.state[run] = [], "running"
        return run

    @rule(run=runs, agent=AGENTS, text=TEXT)
    def add(self, run: str, agent: str, text: str) -> None:
        if run not in self.state:
            return  # it was pruned
        self.journal.add(run, "answered", {"text": text}, agent, durable=False).result()
        self.said[run].append((agent, text))

    @rule(run=runs)
    def begin_again(self, run: str) -> None:
        if run not in self.state:
            return  # it was pruned
        try:
            self.journal.begin(run, {}).result()
        except InputError:
            return
        raise AssertionError("two runs of one name")

    @rule(run=runs, status=st.sampled_from(["complete", "degraded", "failed"]))
    def end(self, run: str, status: str) -> None:
        if run not in self.state:
            return  # it was pruned
        self.journal.end(run, status, {"text": "the end"}, durable=False).result()
        self.said[run].append(("", "the end"))
        self.state[run] = status

    @rule(run=runs)
    def release(self, run: str) -> None:
        if run not in self.state:
            return  # it was pruned
        self.journal.release(run).result()
        if self.state[run] == "running":
            self.state[run] = "unfinished"

    @rule(run=runs, anew=st.booleans())
    def claim(self, run: str, anew: bool) -> None:
        if run not in self.state:
            return  # it was pruned
        may = self.state[run] in ("running", "unfinished") or (anew and self.state[run] == "failed")
        try:
            self.journal.claim(run, anew=anew)
        except InputError:
            assert not may
        else:
            assert may
            self.state[run] = "running"

    @rule()
    def reopen(self) -> None:
        """End the process, as far as others can see, and begin another."""
        self.journal.close()
        self.journal = Journal(self.folder / "runs.db")
        self.state = {run: "unfinished" if s == "running" else s for run, s in self.state.items()}

    @rule(unfinished=st.booleans())
    def prune(self, unfinished: bool) -> None:
        kept = {
            run
            for run, state in self.state.items()
            if state == "running" or (state == "unfinished" and not unfinished)
        }
        gone = self.state.keys() - kept
        assert self.journal.prune(-1.0, unfinished=unfinished) == len(gone)
        self.said = {run: self.said[run] for run in kept}
        self.state = {run: self.state[run] for run in kept}
        for run in gone:
            with pytest.raises(InputError, match="no run"):
                self.journal.story(run)

    @invariant()
    def it_knows_what_it_was_told(self) -> None:
        rows = self.journal.runs(10_000)
        assert {row.id: row.state for row in rows} == self.state
        for run, said in self.said.items():
            story = self.journal.story(run)
            assert [(entry.agent or "", entry.data["text"]) for entry in story.entries] == said
            assert story.damaged == 0 and story.row.id == run

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.folder)


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
