"""Real local agents that need no key, with the passages and questions they work on."""
