"""Text to graph: entities, vectors, nodes and edges."""
