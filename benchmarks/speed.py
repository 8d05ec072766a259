"""How fast is it? Every figure beside its budget; nothing here leaves the machine.

    python benchmarks/speed.py [--json OUT] [--router R] [--data DIR] [--quick] [--embedder hashing]

Times are medians unless they say otherwise. Fresh processes are started one at a time. A busy machine makes
every figure worse, so the load is printed too. Without ``--router``, a router is trained on the workbench
into a folder that is thrown away; ``--data DIR`` also trains on an outcome folder, which takes minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, cycle
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
REGISTRY = ROOT / "agents" / "workbench.yaml"
HEAVY = ("torch", "torch_geometric", "litellm", "langgraph", "networkx", "transformers")
AGENTS, RECORDED, BATCH = 30, 4_000, 1_024


@dataclass(frozen=True)
class Figure:
    """One measurement; a budget of ``None`` is only for information."""

    name: str
    value: float
    unit: str
    budget: float | None = None
    note: str = ""
    more_is_better: bool = False

    @property
    def kept(self) -> bool | None:
        """Whether the budget was kept; ``None`` without one."""
        if self.budget is None:
            return None
        return self.value >= self.budget if self.more_is_better else self.value <= self.budget


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def spread(name: str, seconds: Sequence[float], budget_ms: float | None) -> Figure:
    p50, p95 = 1e3 * np.percentile(seconds, (50, 95))
    return Figure(name, float(p50), "ms", budget_ms, f"p95 {p95:.2f} ms, best {1e3 * min(seconds):.2f} ms")


# ---------------------------------------------------------------------------- fresh processes


def fresh(code: str, *arguments: str) -> str:
    """Run code in a new interpreter and return what it printed."""
    ran = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT)
    if ran.returncode:
        raise RuntimeError(f"{arguments or code} ended with {ran.returncode}:\n{ran.stderr}")
    return ran.stdout


def processes(
    name: str, budget: float | None, times: int, code: str, *arguments: Callable[[], str] | str
) -> Figure:
    """Time whole processes, the start of Python included; their last line names the heavy modules loaded."""
    seconds, heavy = [], ""
    for _ in range(times):
        given = [argument() if callable(argument) else argument for argument in arguments]
        began = time.perf_counter()
        heavy = fresh(code, *given).splitlines()[-1]
        seconds.append(time.perf_counter() - began)
    note = f"best {min(seconds):.2f} s; heavy: {heavy}"
    return Figure(name, float(np.median(seconds)), "s", budget, note)


TELL = f"print(','.join(m for m in {HEAVY!r} if m in sys.modules) or 'none')"
IMPORT = f"import sys, agentroute; {TELL}"
COMMAND = f"""
import sys
from agentroute.cli import main
try:
    main()
except SystemExit as end:
    if end.code:
        raise
{TELL}
"""


def command(*arguments: str) -> str:
    return fresh(COMMAND, *arguments)


def starts(router: Path, times: int) -> Iterator[Figure]:
    yield processes("python itself", None, times, "print('none')")
    yield processes("import agentroute", 0.3, times, IMPORT)
    number = count(int(time.time()) % 10_000_000)  # a text that no cache knows
    asked = (lambda: f"How many minutes are there in {next(number)} days?", "-r", str(REGISTRY))
    chosen = ("--router", str(router), "--json")
    route = processes("agentroute route, fresh process", 1.0, times, COMMAND, "route", *asked, *chosen)
    if not route.note.endswith("heavy: none"):
        raise RuntimeError(f"agentroute route must decide without heavy modules; {route.note}")
    yield route
    ask = processes("agentroute ask, fresh process", 2.5, times, COMMAND, "ask", *asked, *chosen)
    if "torch" in ask.note or "litellm" in ask.note:
        raise RuntimeError(f"asking local agents needs neither torch nor litellm; {ask.note}")
    yield ask


# ---------------------------------------------------------------------------- deciding

_PEOPLE = "Ada Lovelace,Niels Bohr,Marie Curie,Alan Turing,Grace Hopper,Emmy Noether,Paul Erdos".split(",")
_PLACES = "Oslo,New Haven,Buenos Aires,Kyoto,Cape Town,Lake Geneva,Nova Scotia,Port Moresby".split(",")
_THINGS = "suspension bridge,steam engine,coral reef,prime number,tax treaty,glacier,string quartet".split(
    ","
)


def question(draw: Random) -> str:
    """A question that names about 20 things."""
    people, places, things = (draw.sample(words, 4) for words in (_PEOPLE, _PLACES, _THINGS))
    year, size = draw.randint(1500, 2020), draw.randint(10, 10**6)
    return (
        f"In {year}, when {people[0]} met {people[1]} in {places[0]} and {people[2]} had left {places[1]} "
        f"for {places[2]}, which {things[0]} of {size} km did {people[3]} compare with the {things[1]} near "
        f"{places[3]}, and why was the {things[2]} of {year + 7} called a {things[3]} by its 'first owner'?"
    )


def deciding(router: Path, embedder: str, quick: bool, home: Path) -> Iterator[Figure]:
    """Time ``route()`` with a record of thousands of questions and the network of a trained router."""
    from agentroute.knowledge.embed import CachedEmbedder, MiniLMEmbedder, make_embedder
    from agentroute.knowledge.record import TrackRecord
    from agentroute.routing.router import GraphRouter
    from agentroute.types import AgentSpec, Price, Query

    inner = MiniLMEmbedder() if embedder == "minilm" else make_embedder(embedder)
    draw, times = Random(0), 20 if quick else 300
    yield Figure("encoder, first text", timed(lambda: inner.embed(["hello"])), "s", 0.4, "loading included")
    texts = [question(draw) for _ in range(times)]
    short = [f"Which of the {n} bridges in Oslo is the longest?" for n in range(times)]
    yield spread("one query's vector", [timed(lambda t=t: inner.embed([t])) for t in short], 6.0)

    specs = tuple(
        AgentSpec(
            id=f"agent-{n}",
            kind="llm",
            model="none/none",
            description=f"Knows all about the {thing} and about {place}, row {n}.",
            examples=(f"What is a {thing}?", f"Where is {place}?"),
            price=Price(input=0.1 * (n + 1), output=0.4 * (n + 1)),
        )
        for n, thing, place in zip(range(AGENTS), cycle(_THINGS), cycle(_PLACES))
    )
    trained = GraphRouter.load(router)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(RECORDED, inner.dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    score = (rng.random((RECORDED, AGENTS)) < 0.5).astype(np.float32)
    past = [Query(text=question(draw)) for _ in range(RECORDED)]
    record = TrackRecord.build(
        [spec.id for spec in specs],
        vectors,
        score,
        [None] * RECORDED,
        [[entity.name for entity in trained.extractor.extract(query).entities] for query in past[:500]]
        + [[] for _ in past[500:]],
        np.full(score.shape, 0.001),
        np.full(score.shape, 1.0),
        np.full(score.shape, 100.0),
    )
    # Only now, so that loading the encoder is timed without what learning loads.
    from agentroute.routing.regress import Examples, fit_regression

    examples = Examples(
        [query.text for query in past], vectors, record.task, len(record.tasks), score, record.mean
    )
    record = replace(record, regression=fit_regression(examples, 4.0))

    def team_router(encoder: object) -> GraphRouter:
        return GraphRouter(
            embedder=encoder,  # type: ignore[arg-type]
            extractor=trained.extractor,
            record=record,
            weights=trained.weights,
            tried=trained.tried,
            setting=trained.setting,
            baseline=trained.baseline,
            manifest=trained.manifest,
        )

    queries = [Query(text=text) for text in texts]
    nodes = [len(trained.extractor.extract(query).entities) for query in queries]
    what = f"route(), {AGENTS} agents, {np.mean(nodes):.0f} entities"
    cached = CachedEmbedder(inner, home / "vectors.sqlite")
    cached.embed(texts)
    known, new = team_router(cached), team_router(inner)
    for ready in (known, new):
        ready.route(Query(text="Who is there?"), specs)
    yield spread(f"{what}, vector known", [timed(lambda q=q: known.route(q, specs)) for q in queries], 3.0)
    # A short question, as most are; what it is about came with it. The long ones are 60 words each.
    things = (*_PEOPLE, *_PLACES, *_THINGS)
    briefs = [Query(text=text, entities=tuple(draw.sample(things, 16))) for text in short]
    yield spread(f"{what}, new text", [timed(lambda q=q: new.route(q, specs)) for q in briefs], 10.0)
    yield spread(
        "the same, new text of 70 words", [timed(lambda q=q: new.route(q, specs)) for q in queries], None
    )

    many = [Query(text=question(draw)) for _ in range(64 if quick else BATCH)]
    cached.embed([query.text for query in many])
    seconds = [timed(lambda: known.score(many, specs)) for _ in range(3)]
    rate = len(many) / float(np.median(seconds))
    note = f"score() of {len(many)} queries, vectors known; best {len(many) / min(seconds):,.0f}"
    yield Figure("graphs a second, in batches", rate, "/s", 1_000.0, note, more_is_better=True)
    graphs = known.builder(specs).build(many[:128])
    forward = np.median([timed(lambda: known.logits(graphs)) for _ in range(5)])
    yield Figure("the network's part of that", len(graphs) / float(forward), "/s", None, "graphs at hand")


# ---------------------------------------------------------------------------- growing larger


class AnyVectors:
    """Unit vectors drawn by a text's hash: what the encoder costs is measured elsewhere."""

    def __init__(self, dim: int) -> None:
        self.dim, self.fingerprint = dim, f"any/{dim}"

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return one vector per text."""
        rows = [np.random.default_rng(crc32(text.encode())).normal(size=self.dim) for text in texts]
        vectors = np.array(rows, np.float32).reshape(len(texts), self.dim)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def scaling(router: Path, quick: bool) -> Iterator[Figure]:
    """Time ``route()`` as the team, the question and the answers grow, with the vectors at hand."""
    from agentroute.routing.deciding import EXACT, SHORTLIST
    from agentroute.routing.router import GraphRouter
    from agentroute.types import AgentSpec, Answer, Query

    trained = GraphRouter.load(router)
    trained.embedder = AnyVectors(trained.embedder.dim)
    judging = trained.with_preset("growing")
    times = 5 if quick else 60
    specs = [
        AgentSpec(id=f"agent-{n}", kind="recorded", description=f"Knows {thing} of row {n}.")
        for n, thing in zip(range(1_000 if quick else 10_000), cycle(_THINGS))
    ]

    def timings(
        one: GraphRouter, team: Sequence[AgentSpec], queries: Sequence[Query], **rest: Any
    ) -> list[float]:
        one.route(queries[-1], team, **rest)
        return [timed(lambda q=q: one.route(q, team, **rest)) for q in queries[:-1]]

    def asked(entities: int) -> list[Query]:
        return [
            Query(text=f"Who knows thing {n}?", entities=tuple(f"Thing {n} {e}" for e in range(entities)))
            for n in range(times + 1)
        ]

    for agents in (10, 100, EXACT, 1_000, len(specs)):
        budget = 50.0 if agents == 10_000 else None
        rss = memory()
        seconds = timings(trained, specs[:agents], asked(10))
        note = f"; {memory() - rss:,.0f} MB more memory" if agents == len(specs) else ""
        figure = spread(f"route(), {agents:,} agents", seconds, budget)
        closely = f"; {SHORTLIST} looked at closely" if agents > EXACT else ""
        yield replace(figure, note=figure.note + closely + note)
    for entities in (10, 100, 1_000):
        yield spread(
            f"route(), 30 agents, {entities:,} entities", timings(trained, specs[:30], asked(entities)), None
        )
    for answers in (1, 10, 100):
        given = [Answer(agent=f"agent-{n}", text=f"It is {n % 7} of them.") for n in range(answers)]
        seconds = timings(judging, specs[:110], asked(10), answers=given, round=2)
        yield spread(f"second round, 110 agents, {answers} answers", seconds, None)


def memory() -> float:
    """Return how many megabytes this process holds, or held at most where that is all there is to know."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(status.read_text().partition("VmRSS:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# ---------------------------------------------------------------------------- running, registry, training


async def instant(text: str) -> str:
    """An agent that takes no time, so that all time is the workflow's."""
    return "42"


def running(quick: bool) -> Figure:
    """Time whole runs whose agents and router take no time."""
    from agentroute.pipeline import AgentRoute
    from agentroute.registry import AgentRegistry
    from agentroute.testing import StaticRouter
    from agentroute.types import AgentSpec

    module = Path(__file__).stem
    specs = [
        AgentSpec(id=f"a{n}", kind="function", description="Instant.", function=f"{module}:instant")
        for n in range(5)
    ]
    registry = AgentRegistry.from_specs(specs)
    team = AgentRoute(registry, StaticRouter(registry.ids), allow=[module])

    async def runs(times: int) -> list[float]:
        seconds = []
        for _ in range(times):
            began = time.perf_counter()
            result = await team.arun("What is it?")
            seconds.append(time.perf_counter() - began)
            assert result.status == "complete" and len(result.answers) == 5
        return seconds

    return spread("a run of 5 instant agents", asyncio.run(runs(20 if quick else 320))[10:], 6.0)


def big_registry(agents: int, home: Path) -> Figure:
    from agentroute.registry import AgentRegistry

    path = home / "big.yaml"
    rows = (
        f"  - id: agent-{n}\n    kind: llm\n    model: openai/model-{n % 7}\n"
        f"    description: Answers questions about topic {n}.\n    examples: [What is topic {n}?]\n"
        f"    price: {{input: 0.{n % 9 + 1}, output: {n % 5 + 1}.0}}\n"
        for n in range(agents)
    )
    path.write_text("version: 1\nagents:\n" + "".join(rows), "utf-8")
    seconds = [timed(lambda: len(AgentRegistry.from_yaml(path))) for _ in range(3)]
    return Figure(f"registry of {agents:,} agents", float(np.median(seconds)), "s", 2.0, "read and checked")


def learn(home: Path, embedder: str, quick: bool) -> Iterator[Figure]:
    """Collect on the workbench and train there; ``home/router`` holds what came of it."""
    out, router = str(home / "outcomes"), str(home / "router")
    questions = str(some_questions(home)) if quick else "workbench"
    collect = timed(lambda: command("collect", str(REGISTRY), questions, "--out", out))
    yield Figure("collect on the workbench", collect, "s", None, "11 agents; one process")
    epochs = ("--epochs", "1") if quick else ()
    train = timed(lambda: command("train", out, "--out", router, "--embedder", embedder, *epochs))
    yield Figure("train on the workbench", train, "s", None, "one process, vectors included")


def some_questions(home: Path) -> Path:
    """The workbench's questions about units, as a file: enough to learn whom to ask about units."""
    from agentroute.outcomes import QueryRecord
    from agentroute.workbench.questions import records

    path = home / "queries.jsonl"
    chosen = [
        QueryRecord(query=query, gold=gold, meta=meta)
        for query, gold, meta in records()
        if meta["family"] == "units"
    ]
    path.write_text("".join(record.to_json() + "\n" for record in chosen), "utf-8")
    return path


def train_on(data: Path, embedder: str, home: Path) -> Figure:
    out = str(home / "data-router")
    told = json.loads(
        command("train", str(data), "--out", out, "--embedder", embedder, "--json").rpartition("}")[0] + "}"
    )
    parts = ", ".join(f"{n:,} {name}" for name, n in told["queries"].items())
    return Figure(
        f"train on {data.name}", told["seconds"], "s", 300.0, f"{len(told['agents'])} agents; {parts}"
    )


# ---------------------------------------------------------------------------- the table


def measure(given: argparse.Namespace, home: Path) -> Iterator[Figure]:
    router = given.router
    if router is None:
        yield from learn(home, given.embedder, given.quick)
        router = home / "router"
    yield from starts(router.resolve(), 1 if given.quick else 7)
    yield from deciding(router, given.embedder, given.quick, home)
    yield from scaling(router, given.quick)
    yield running(given.quick)
    yield big_registry(200 if given.quick else 10_000, home)
    if given.data is not None:
        yield train_on(given.data, given.embedder, home)


def show(figures: Sequence[Figure]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("what", "measured", "budget", "", "note"):
        table.add_column(name, justify="right" if name in ("measured", "budget") else "left")
    for figure in figures:
        budget = "" if figure.budget is None else f"{figure.budget:,g} {figure.unit}"
        kept = "" if figure.kept is None else "kept" if figure.kept else "MISSED"
        value = f"{figure.value:,.0f}" if figure.unit == "/s" else f"{figure.value:,.2f}"
        style = "bold red" if figure.kept is False else None
        table.add_row(figure.name, f"{value} {figure.unit}", budget, kept, figure.note, style=style)
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--router", type=Path, help="a router trained on the workbench, instead of a new one")
    parser.add_argument("--data", type=Path, help="an outcome folder to train on as well; takes minutes")
    parser.add_argument("--embedder", default="minilm", help="minilm or hashing")
    parser.add_argument("--quick", action="store_true", help="few repetitions: does it work at all?")
    given = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    figures = []
    with tempfile.TemporaryDirectory() as home:
        for figure in measure(given, Path(home)):
            figures.append(figure)
            sys.stderr.write(f"{figure.name}: {figure.value:.4g} {figure.unit}\n")
    show(figures)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{cores} cores, load {'unknown' if load is None else f'{load:.1f}'} at the start")
    if given.json is not None:
        plain = [
            {
                "name": f.name,
                "value": f.value,
                "unit": f.unit,
                "budget": f.budget,
                "kept": f.kept,
                "note": f.note,
            }
            for f in figures
        ]
        text = json.dumps({"cores": cores, "load": load, "figures": plain}, indent=2, allow_nan=False)
        given.json.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
