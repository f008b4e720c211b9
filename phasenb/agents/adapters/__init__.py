"""Agents of other libraries as ExtendedAgents: ``pn.adapters``. A module for each; none imports its library."""

from __future__ import annotations

from phasenb.agents.adapters.langgraph_graph import langgraph
from phasenb.agents.adapters.ra_aid_agent import ra_aid

__all__ = ["langgraph", "ra_aid"]
