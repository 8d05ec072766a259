"""Decision to answer: the client, the budget, the agents, the workflow."""
