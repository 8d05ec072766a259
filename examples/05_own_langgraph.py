"""The workflow as one node of a LangGraph of your own, with your checkpointer.

`workflow()` gives the uncompiled graph. It shares the key `messages`: the last human message is the question,
the answer is added as an AI message.
"""

import asyncio
from pathlib import Path

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from agentroute import AgentRoute

ROOT = Path(__file__).resolve().parent.parent


def sign(state: MessagesState) -> dict[str, list[AIMessage]]:
    """Do something with the answer: here, sign it."""
    return {"messages": [AIMessage(f"The team says: {state['messages'][-1].text}")]}


team = AgentRoute.from_yaml(ROOT / "agents/workbench.yaml")

builder = StateGraph(MessagesState)
builder.add_node("team", team.workflow().compile())
builder.add_node("sign", sign)
builder.add_edge(START, "team")
builder.add_edge("team", "sign")
builder.add_edge("sign", END)
app = builder.compile(checkpointer=InMemorySaver())


async def main() -> None:
    """Ask two questions in one conversation. The agents are async, so it is `ainvoke`, not `invoke`."""
    thread = {"configurable": {"thread_id": "one"}}
    for question in ("What is 12% of 340?", "How many minutes are there in 3.5 days?"):
        await app.ainvoke({"messages": [HumanMessage(question)]}, thread)
    for message in (await app.aget_state(thread)).values["messages"]:
        print(f"{message.type:<6}{message.text}")


asyncio.run(main())
