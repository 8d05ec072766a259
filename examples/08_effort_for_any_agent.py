"""A ReAct agent that was built without agentroute, and one line that gives it effort step by step.

The agent is plain LangChain and LangGraph: a chat model, a tool, a loop. It needs no key, because a small
server on this machine plays the provider; it writes down how hard it was asked to think. Needs the package
``langchain-openai``.
"""

import json

from langchain_core.messages import AnyMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from agentroute import with_effort
from agentroute.testing import LoopbackServer


@tool
def population(town: str) -> str:
    """Look up how many people live in a town."""
    return {"Orrin": "2,310", "Ambry": "18,400"}.get(town, "unknown")


def build_agent(model):
    """Make a ReAct agent of a chat model: it calls tools until it has an answer."""
    model = model.bind_tools([population])

    def think(state: MessagesState) -> dict[str, list[AnyMessage]]:
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_node("tools", ToolNode([population]))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", tools_condition)
    graph.add_edge("tools", "think")
    return graph.compile()


class PlanHard:
    """Stands for a router made by ``agentroute effort train``: high to plan, low to read what a tool said."""

    def select(self, *, role, observation, spec, **about):
        """Choose the level of one call."""
        return "low" if role == "tool" and observation != "unknown" else "high"


def provider(body):
    """Play the provider: look the town up, then say what the tool said."""
    last = body["messages"][-1]
    if last["role"] == "tool":
        return f"{last['content']} people live there."
    town = last["content"].rstrip("?").split()[-1]
    call = {"name": "population", "arguments": json.dumps({"town": town})}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": call}],
    }


with LoopbackServer(models={"gpt-5-mini": provider}) as server:
    model = ChatOpenAI(model="gpt-5-mini", base_url=server.url, api_key="no-key")

    model = with_effort(model, PlanHard())  # the one line

    result = build_agent(model).invoke({"messages": [("user", "How many people live in Ambry?")]})

    for message in result["messages"]:
        if message.type == "ai":
            said = message.text or f"calls {message.tool_calls[0]['name']}"
            print(f"{message.response_metadata['effort']:<6}{said}")
    print("on the wire:", [request.json["reasoning_effort"] for request in server.requests])
