"""Agents that are plain Python functions. They are in my_functions.py, beside this file.

A registry names code by import path. Nothing is imported that the caller has not allowed.
"""

from agentroute import AgentRegistry, AgentRoute, AgentSpec

registry = AgentRegistry.from_specs(
    [
        AgentSpec(
            id="letters",
            kind="function",
            description="Counts the letters of a word.",
            examples=("How many letters has 'window'?",),
            function="my_functions:letters",
        ),
        AgentSpec(
            id="backwards",
            kind="function",
            description="Spells a word backwards, from its last letter to its first.",
            examples=("What is 'window' spelled backwards?",),
            function="my_functions:backwards",
        ),
    ]
)
team = AgentRoute(registry, allow=["my_functions"])

for question in ("How many letters has 'banana'?", "What is 'stressed' spelled backwards?"):
    result = team.run(question)
    print(question, result.answer)
    print("  asked:", ", ".join(answer.agent for answer in result.answers))
    print("  behind the answer:", ", ".join(result.sources))

print(registry.to_yaml())  # the same team as a file
