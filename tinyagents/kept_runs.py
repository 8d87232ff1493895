"""How runs that a journal keeps are found, and how they stand."""

from __future__ import annotations

from difflib import get_close_matches
from time import time

from tinyagents.errors import ConfigError
from tinyagents_graph.journal.protocol import Journal, TreeRecord
from tinyagents_graph.journal.sqlite.leasing import is_held

__all__ = ["find_tree", "is_live", "standing_of"]

_SIMILAR = 200
_SHOWN_IDS = 5


async def find_tree(journal: Journal, given: str) -> TreeRecord:
    """The run of that id, or the only one whose id begins so.

    Raises:
        ConfigError: There is none, or there are several.
    """
    record = await journal.find(given)
    if record is not None:
        return record
    known = await journal.trees()
    found = [each for each in known if each.run_id.startswith(given)] if given else []
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(each.run_id for each in found[:_SHOWN_IDS])
        raise ConfigError(f"{len(found)} runs begin with {given!r}, among them {ids}")
    near = get_close_matches(given, [each.run_id for each in known[:_SIMILAR]], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else " `tinyagents runs` lists what there is."
    raise ConfigError(f"There is no run {given!r}.{hint}")


def is_live(record: TreeRecord) -> bool:
    """Whether a process has the run under way."""
    if record.owner and not record.lease_until:  # a journal in memory: its owner is this process
        return True
    return is_held(record.owner, record.lease_until, time())


def standing_of(record: TreeRecord) -> str:
    """How a run stands, as a person needs to know it: `"cut off"` if its process is gone."""
    return "cut off" if record.status == "running" and not is_live(record) else record.status
