"""docs/events.md lists every field that the events of kept runs have."""

import re
from collections import defaultdict

import pytest

from tests.journal.prefixes import Stage, cut_off
from tests.journal.scenes import SCENES
from tests.project import ROOT
from tinyagents_graph.journal import MemoryJournal

pytestmark = pytest.mark.anyio

PAGE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
_KIND = re.compile(r"`([a-z]+(?:\.[a-z]+)+|thinking|custom)`")
_FIELD = re.compile(r"`([a-z_]+)`")
# What users' own events say is theirs; `data` of commands is told field by field.
_OPEN = frozenset({"custom", "tool.progress"})


def documented() -> dict[str, set[str]]:
    fields: defaultdict[str, set[str]] = defaultdict(set)
    tables = PAGE.partition("## Kinds")[2].partition("### Reserved")[0]
    for line in tables.splitlines():
        if line.startswith("| `"):
            _, kinds, said, *_ = line.split("|")
            for kind in _KIND.findall(kinds):
                fields[kind] |= set(_FIELD.findall(re.sub(r"\(.*?\)", "", said)))
    return fields


async def test_the_page_has_every_field_of_kept_runs() -> None:
    known, unknown = documented(), set[str]()
    for scene in SCENES.values():
        stage = Stage(MemoryJournal())
        events = list((await scene.play(stage)).events)
        if not scene.varies:
            again = Stage(await cut_off(stage.journal, len(events) // 2))
            events += (await scene.play(again)).events
        for event in events:
            if event.kind not in _OPEN:
                unknown |= {f"{event.kind} {name}" for name in set(event.data) - known[event.kind]}
    assert not unknown, "\n".join(sorted(unknown))
