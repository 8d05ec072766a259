"""Your own questions: ask every agent, train a router on what they scored, see whether it is worth it.

    python examples/06_collect_train_evaluate.py [FOLDER]

The folder (runs/words by default) gets the questions, the outcomes and the router. Run it again, and nobody
is asked twice.
"""

import json
import sys
from pathlib import Path

from agentroute import AgentRegistry, AgentRoute, collect, evaluate, train

HERE = Path(__file__).resolve().parent
folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/words")
folder.mkdir(parents=True, exist_ok=True)

# Questions are lines of JSON: an id, a text, and the right answers.
WORDS = """
amber anchor apple basket bridge candle castle cherry copper corner dragon engine falcon feather
forest garden ginger hammer harbor island jacket kettle ladder lantern marble meadow mirror needle
orange paper pencil pepper pocket rabbit ribbon river saddle shadow silver spider stable summer
temple thunder ticket tiger timber tunnel velvet violin walnut water weather willow winter wizard
wonder yellow zebra zipper
""".split()
NUMERALS = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"]
asked = [(f"How many letters has '{word}'?", str(len(word))) for word in WORDS]
asked += [(f"What is '{word}' spelled backwards?", word[::-1]) for word in WORDS]
asked += [(f"Which number is {'X' * (n // 10)}{NUMERALS[n % 10]}?", str(n)) for n in range(1, 40)]
with (folder / "questions.jsonl").open("w") as file:
    for number, (text, gold) in enumerate(asked):
        file.write(json.dumps({"id": f"w{number:03d}", "text": text, "gold": [gold]}) + "\n")

# 1. Ask everybody everything, and score the answers.
registry = AgentRegistry.from_yaml(HERE / "words.yaml")
done = collect(registry, folder / "questions.jsonl", folder / "outcomes", allow=["my_functions"])
print(f"{done.recorded} answers recorded, {done.kept} were there before, {done.failed} agents failed")

# 2. Learn whom to ask. Hashed words are enough here; leave `embedder` out for sentence vectors.
router = train(folder / "outcomes", folder / "router", embedder="hashing")

# 3. Compare with simple ways of choosing, on questions that training did not see. The verdict may be that one
#    of those does as well; then keep it.
print(evaluate(router, folder / "outcomes"))

# 4. Use it.
team = AgentRoute(registry, router, allow=["my_functions"])
result = team.run("Which number is XLII?")
print(result.answer, "from", ", ".join(result.sources))
