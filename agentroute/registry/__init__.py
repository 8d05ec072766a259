"""Registries: YAML files that name the agents, read strictly."""

from agentroute.registry.registry import AgentRegistry, json_schema

__all__ = ["AgentRegistry", "json_schema"]
