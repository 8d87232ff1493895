"""Sessions: talks over several turns that a journal keeps, and the runs that were their turns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tinyagents.errors import ConfigError
from tinyagents.viewer.following import Source
from tinyagents.viewer.shapes import tree_facts
from tinyagents_graph.journal.protocol import TreeRecord

__all__ = ["session_facts", "sessions_of"]


def sessions_of(records: Sequence[TreeRecord]) -> list[dict[str, Any]]:
    """The sessions whose turns are among these trees, the one that was used last first."""
    found: dict[str, dict[str, Any]] = {}
    for facts in map(tree_facts, records):
        name = facts["session"]
        if name is None:
            continue
        session = found.setdefault(
            name,
            {"name": name, "agent": facts["name"], "turns": 0, "tokens": 0, "usd": 0.0,
             "updated": 0.0, "status": facts["status"]},
        )  # fmt: skip
        session["turns"] += 1
        session["tokens"] += facts["tokens"]
        session["usd"] += facts["usd"]
        session["updated"] = max(session["updated"], facts["updated"])
    return list(found.values())


async def session_facts(source: Source, name: str) -> dict[str, Any]:
    """One session: its turns, and what was said as far as it was saved.

    Raises:
        ConfigError: There is none of this name.
    """
    turns = [each for each in map(tree_facts, await source.trees()) if each["session"] == name]
    text = await source.load(f"session/{name}")
    if not turns and text is None:
        raise ConfigError(f"there is no session {name!r}")
    return {"name": name, "turns": turns[::-1], "transcript": _transcript(text)}


def _transcript(text: str | None) -> Any:
    if text is None:
        return []
    try:
        return json.loads(text).get("transcript", [])
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"what is saved of the session cannot be read: {error}") from error
