"""Who takes part: the floor, tinyagents and its peers, each in a file of its own."""

import os
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One contender, described without importing it."""

    name: str
    """What the table calls it."""
    location: str
    """`module:Class` of its `Contender`, `GraphContender`, or both."""
    distribution: str | None = None
    """What has to be installed; None: nothing."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables set before its import, so that nothing is sent over the network."""

    @property
    def version(self) -> str | None:
        """The installed version, or None when the distribution is not there."""
        if self.distribution is None:
            return "-"
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return None

    @property
    def how_to_install(self) -> str:
        """What to do when `version` is None."""
        return f"{self.name} is not installed: `make bench` or `pip install {self.distribution}`"

    def load(self) -> Any:
        """Import the library, which may take seconds, and build its contender."""
        os.environ.update(self.environment)
        return pkgutil.resolve_name(self.location)()


FLOOR = "floor"
OURS = "tinyagents"
# Off by default, but a developer's shell may have switched the LangSmith upload on.
NO_UPLOAD = {"LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false"}

ENTRIES = (
    Entry(FLOOR, "benchmarks.contenders.floor:Floor"),
    Entry(OURS, "benchmarks.contenders.ours:TinyAgents", "tinyagents-graph"),
    Entry("drangue", "benchmarks.contenders.drangue:Drangue", "drangue"),
    Entry("langchain", "benchmarks.contenders.langchain:LangChain", "langchain", NO_UPLOAD),
    Entry("openai-agents", "benchmarks.contenders.openai_agents:OpenAIAgents", "openai-agents"),
    Entry("pydantic-ai", "benchmarks.contenders.pydantic_ai:PydanticAI", "pydantic-ai-slim"),
    Entry("langgraph", "benchmarks.contenders.langgraph:LangGraph", "langgraph", NO_UPLOAD),
    Entry("pydantic-graph", "benchmarks.contenders.pydantic_graph:PydanticGraph", "pydantic-graph"),
)

GRAPHS = (FLOOR, OURS, "langgraph", "pydantic-graph")
"""Who runs state graphs."""
KEEPERS = (FLOOR, OURS, "drangue")
"""Who keeps what agents do."""
GRAPH_KEEPERS = (FLOOR, OURS, "langgraph")
"""Who keeps what graphs do."""
AGENTS = tuple(each.name for each in ENTRIES if each.name not in GRAPHS[2:])
"""Who runs agents."""


def entry(name: str) -> Entry:
    """Find a contender by the name in the table.

    Raises:
        ValueError: When nobody has that name.
    """
    for candidate in ENTRIES:
        if candidate.name == name:
            return candidate
    known = ", ".join(candidate.name for candidate in ENTRIES)
    raise ValueError(f"unknown contender {name!r}: choose from {known}")
