"""Both journals."""

from pathlib import Path

import pytest

from tinyagents_graph.journal.memory import MemoryJournal
from tinyagents_graph.journal.protocol import Journal
from tinyagents_graph.journal.sqlite import SqliteJournal


@pytest.fixture(params=["memory", "sqlite"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    return MemoryJournal() if request.param == "memory" else SqliteJournal(tmp_path / "runs.db")
