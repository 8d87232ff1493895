"""Graphs to be checked, and what is said of what is found."""

import sys
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel

from tinyagents_graph.stategraph import Add, Append, Finding, StateGraph
from tinyagents_graph.stategraph.checks import find

__all__ = ["State", "check", "codes", "decide", "graph", "line_before", "only", "shows", "work"]


class State(BaseModel):
    topic: str
    rounds: Annotated[int, Add()] = 0
    notes: Annotated[list[str], Append()] = []
    verdict: str = "open"
    plan: str | None = None

    @property
    def is_long(self) -> bool:
        return len(self.notes) > 3


def work(state: State) -> dict[str, Any]:
    return {"notes": [state.topic]}


async def decide(state: State) -> str:
    return "again" if state.rounds < 3 else "done"


def line_before() -> str:
    """The line before the one that this is called from, as a site."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno - 1}"


def graph(*names: str) -> StateGraph[State]:
    made = StateGraph(State)
    for name in names:
        made.add_node(name, work)
    return made


def check(made: StateGraph[Any], **options: Any) -> list[Finding]:
    return find(made.declare(**options))


def codes(made: StateGraph[Any], **options: Any) -> list[str]:
    return [each.code for each in check(made, **options)]


def only(made: StateGraph[Any], **options: Any) -> Finding:
    found = check(made, **options)
    assert len(found) == 1, [str(each) for each in found]
    return found[0]


def shows(finding: Finding, code: str, site: str, *texts: str, severity: str = "error") -> None:
    assert (finding.code, finding.site, finding.severity) == (code, site, severity)
    for text in texts:
        assert text in f"{finding.message}; {finding.hint}"
