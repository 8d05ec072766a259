"""Step to level: how hard an agent should think."""
