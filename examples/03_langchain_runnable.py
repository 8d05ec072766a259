"""A LangChain Runnable as an agent, beside a plain function. The chain is in my_chain.py.

Any Runnable will do: a chain, a chat model, a compiled LangGraph graph. It gets the question in the form that
its input schema asks for.
"""

from agentroute import AgentRegistry, AgentRoute, AgentSpec

registry = AgentRegistry.from_specs(
    [
        AgentSpec(
            id="in-order",
            kind="runnable",
            description="Puts words in alphabetical order.",
            examples=("Sort these words: tin, copper, zinc",),
            runnable="my_chain:in_order",
        ),
        AgentSpec(
            id="letters",
            kind="function",
            description="Counts the letters of a word.",
            examples=("How many letters has 'window'?",),
            function="my_functions:letters",
        ),
    ]
)
team = AgentRoute(registry, allow=["my_chain", "my_functions"])

result = team.run("Sort these words: pear, apple, quince")
print(result.answer)
for answer in result.answers:
    print(f"{answer.agent:<10}{answer.status:<9}{answer.text or answer.error}")
print("cost:", "unknown" if result.usage.cost_usd is None else f"${result.usage.cost_usd}")
