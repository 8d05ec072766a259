"""An agent of one's own: a LangChain Runnable, used by the examples."""

import re

from langchain_core.runnables import RunnableLambda


def _words(question: str) -> list[str]:
    return re.findall(r"\w+", question.partition(":")[2])


in_order = RunnableLambda(_words) | RunnableLambda(sorted) | RunnableLambda(", ".join)
