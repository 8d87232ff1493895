"""What tests of agents need, and ours use too: models, recordings, checkers, no network."""

from __future__ import annotations

from tinyagents.testing.assertions import Tree, assert_tree
from tinyagents.testing.journals import check_journal
from tinyagents.testing.models import FunctionModel, ScriptedModel, TestModel, call
from tinyagents.testing.offline import NetworkBlocked, no_network
from tinyagents.testing.recorded import RecordedModel, replay
from tinyagents.testing.recording import NotAsRecorded
from tinyagents.testing.sandboxes import Says, ScriptedEngine, Wants
from tinyagents.testing.tree import check_tree, outline

__all__ = [
    "FunctionModel",
    "NetworkBlocked",
    "NotAsRecorded",
    "RecordedModel",
    "Says",
    "ScriptedEngine",
    "ScriptedModel",
    "TestModel",
    "Tree",
    "Wants",
    "assert_tree",
    "call",
    "check_journal",
    "check_tree",
    "no_network",
    "outline",
    "replay",
]
