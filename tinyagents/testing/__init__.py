"""What tests of agents need, and ours use too: scripted models, checkers, no network."""

from __future__ import annotations

from tinyagents.testing.journals import check_journal
from tinyagents.testing.models import FunctionModel, ScriptedModel, TestModel, call
from tinyagents.testing.offline import NetworkBlocked, no_network
from tinyagents.testing.tree import check_tree, outline

__all__ = [
    "FunctionModel",
    "NetworkBlocked",
    "ScriptedModel",
    "TestModel",
    "call",
    "check_journal",
    "check_tree",
    "no_network",
    "outline",
]
