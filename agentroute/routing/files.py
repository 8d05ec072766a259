"""Router files, where routers of agents look for them; ``knowledge.files`` owns them."""

from agentroute.knowledge.files import FILE_NAME, FORMAT, Tensors, load, save

__all__ = ["FILE_NAME", "FORMAT", "Tensors", "load", "save"]
