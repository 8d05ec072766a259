"""Draw one question's graph as it grows: before the first round, after it, and at the stop.

    python examples/draw_graph.py [FILE] [--every N] [--epochs N]

This made the picture in docs/growing-graph.md. It trains a small router for it, in about a minute, on what
the local agents answer to every Nth training question of the workbench. They are free; where all are, each
call counts the same.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from agentroute import AgentRegistry, AgentRoute, Answer, Query, RoutingDecision, collect, train
from agentroute.knowledge.drawing import draw_scenes
from agentroute.knowledge.scene import Scene
from agentroute.routing.config import TrainConfig
from agentroute.routing.growth import ran
from agentroute.routing.rounds import Growing
from agentroute.workbench import dense_reader
from agentroute.workbench.questions import records

REGISTRY = Path(__file__).resolve().parent.parent / "agents" / "workbench.yaml"
QUESTION = Query(text="What town is home to Kite Week?")
POLICY = Growing(price_weight=0.04, first=2, most=2)
"""A call must add 4 points of score; two agents are asked first, then two at most. Validation was not asked
about this: it is set so that there are a few rounds to see."""

parser = argparse.ArgumentParser()
parser.add_argument("file", nargs="?", type=Path, default="growing-graph.svg", help=".svg, .png or .pdf")
parser.add_argument("--every", type=int, default=2, help="take every Nth training question (default: 2)")
parser.add_argument("--epochs", type=int, default=40, help="passes over them, at most (default: 40)")
options = parser.parse_args()

# 1. A small router. The questions it learns from have neither this wording nor this event.
registry = AgentRegistry.from_yaml(REGISTRY)
questions = [record for record in records() if record[2]["split"] == "train"][:: options.every]
dense_reader.answer(QUESTION.text)  # the first use of the sentence encoder may take longer than a call may
with TemporaryDirectory() as folder:
    collect(registry, questions, folder + "/outcomes")
    router = train(folder + "/outcomes", config=TrainConfig(epochs=options.epochs), embedder="hashing")
tried = next(setting for setting in router.tried if isinstance(setting.policy, Growing))
router = router.using(replace(tried, policy=POLICY))

# 2. The team answers the question, round by round.
result = AgentRoute(registry, router).run(QUESTION)


# 3. At each decision: the graph as it stood, and what the network said of it.
def look(decision: RoutingDecision, answers: Sequence[Answer]) -> Scene:
    """Return what the router saw when it took a decision."""
    builder = router.builder(tuple(registry))
    graph = builder.build([QUESTION])[0]
    gain = {row.agent: row.score for row in decision.ranking if row.reason != "asked before"}
    right = router.look(builder, QUESTION, answers)[2] if answers else None
    title = "After the first round" if answers else "Before the first round"
    return Scene(
        graph=builder.grow(graph, QUESTION, answers) if answers else graph,
        title=f"At the stop, after {decision.round - 1} rounds" if decision.stop else title,
        gain=[gain.get(agent) for agent in registry.ids],
        right=[] if right is None else [float(right[registry.ids.index(a.agent)]) for a in answers],
        chosen=[] if decision.stop else [*decision.weights],
    )


print(f"{QUESTION.text} A call must add {100 * POLICY.price_weight:.1f} points.")
scenes: list[Scene] = []
came = 0
for decision in result.decisions:
    scene = look(decision, [answer for answer in result.answers[:came] if ran(answer)])
    scenes.append(scene)
    came += len(scene.chosen)
    if scene.held is not None:
        print(f"  best so far: {scene.said[scene.held]}, {100 * (scene.right[scene.held] or 0):.0f}%")
    print("stop" if decision.stop else f"round {decision.round}")
    left = [row for row in decision.ranking if row.reason != "asked before"]
    for row in left[: len(scene.chosen) + 2]:
        asked = ", is asked" if row.agent in scene.chosen else ""
        print(f"  {row.agent} should add {100 * row.score:.1f}{asked}")
print(f"{result.answer}, confidence {result.confidence:.2f}")
draw_scenes([scenes[0], *scenes[1:-1][:1], scenes[-1]], options.file)
