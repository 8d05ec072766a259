"""Graph to decision: the network, its runtime, the policies, training."""
