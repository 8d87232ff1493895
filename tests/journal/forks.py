"""A tree for the tests of forks: three levels, parallel calls, a child that code starts."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tinyagents import Agent, Event, Result, Tool, ToolMessage, tool
from tinyagents.testing import FunctionModel, call, check_tree
from tinyagents_graph.journal.protocol import Journal

Did = list[tuple[str, Any]]


def says(did: Did, name: str, *turns: Any) -> FunctionModel:
    """A model with a script by turn; a function in it makes the turn of what the tools said."""

    def answer(request: Any) -> Any:
        n = sum(each.role == "assistant" for each in request.messages)
        did.append((name, n))
        heard = [each.text for each in request.messages if isinstance(each, ToolMessage)]
        return turns[n](heard) if callable(turns[n]) else turns[n]

    return FunctionModel(answer)


def all_of(heard: Sequence[str]) -> str:
    return " + ".join(heard)


def tells(tool: str, argument: str) -> Callable[[Sequence[str]], Any]:
    """A turn that calls a tool with what was heard first."""
    return lambda heard: call(tool, **{argument: heard[0]})


def sees(did: Did, name: str = "look") -> Tool:
    async def look(x: int) -> str:
        """Look."""
        did.append((name, x))
        return f"saw {x}"

    return Tool(look, name=name)


def team(did: Did) -> Agent[Any, Any]:
    """Boss, two kids at once that each ask a grandchild, and a tool that starts a helper.

    Everything that is done is noted in `did`; every answer has in it what the tools said.
    """

    @tool(reversible=False)
    async def fire(x: int) -> str:
        """Fire."""
        did.append(("fire", x))
        return f"fired {x}"

    helper = Agent(says(did, "helper", call("look", x=9), all_of), name="helper", tools=[sees(did)])

    @tool
    async def work(what: str) -> str:
        """Work."""
        did.append(("work", what))
        result = await helper.run(what)
        return f"{what}: {result.output}"

    grand = Agent(says(did, "grand", call("look", x=7), all_of), name="grand", tools=[sees(did)])
    turns: list[Any] = [[call("look", x=2), call("grand", input="deep")], all_of]
    kid = Agent(says(did, "kid", *turns), name="kid", tools=[sees(did)], subagents=[grand])
    calls = [
        call("look", x=1), call("kid", input="a"), call("kid", input="b"), call("work", what="c"),
    ]  # fmt: skip
    boss = says(did, "boss", calls, call("fire", x=3), all_of)
    return Agent(boss, name="boss", tools=[sees(did), fire, work], subagents=[kid])


def steps(events: Sequence[Event]) -> Counter[Any]:
    """What happened, whenever it did, and to which tree."""
    told = [
        (each.kind, each.path, each.data.get("call_id"), str(each.data.get("content")))
        for each in events
        if each.kind != "checkpoint.restored"
    ]
    return Counter(told)


async def recorded(
    journal: Journal, make: Callable[[Did], Agent[Any, Any]] = team, task: str = "go"
) -> tuple[Result[Any], list[Event]]:
    """A tree that is kept as `"r-1"`, and its events."""
    result = await make([]).run(task, run_id="r-1", journal=journal)
    events = await journal.read("r-1")
    check_tree(events)
    return result, events


def seq_of(events: Sequence[Event], kind: str, path: str, name: str = "") -> int:
    """Where a kind of event is, of a run, maybe of a tool."""
    found = [
        each.seq
        for each in events
        if (each.kind, each.path) == (kind, path) and name in ("", each.data.get("tool"))
    ]
    return found[0]


async def done_by(
    journal: Journal, run_id: str, make: Callable[[Did], Agent[Any, Any]] = team
) -> tuple[Did, Result[Any]]:
    """What is done when a run goes on, and its result."""
    did: Did = []
    result = await make(did).resume(run_id, journal=journal)
    check_tree(await journal.read(run_id))
    return did, result
