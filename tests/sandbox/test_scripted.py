"""`ScriptedEngine`: sandboxes in tests of agents, without a process."""

from collections.abc import Generator
from typing import Any

import pytest

from tinyagents.errors import SandboxError
from tinyagents.sandbox import HostCall, Sandbox
from tinyagents.testing import Says, ScriptedEngine, Wants

pytestmark = pytest.mark.anyio


def _searching() -> Generator[Any, Any, Any]:
    yield Says("looking\n")
    try:
        hits = yield Wants("search", "tea", limit=2)
    except ValueError as error:
        return f"failed: {error}"
    yield Says("found\n")
    return hits


async def _search(call: HostCall) -> list[Any]:
    return [*call.args, call.kwargs["limit"]]


async def _fail(call: HostCall) -> None:
    raise ValueError("no tea")


async def test_each_cell_plays_an_item() -> None:
    engine = ScriptedEngine(1, _searching, ValueError("wrong"), _searching)
    async with Sandbox(engine=engine).session(functions=("search",)) as session:
        assert (await session.run("one")).value == 1
        second = await session.run("two", on_call=_search)
        assert (second.value, second.printed) == (["tea", 2], "looking\nfound\n")
        third = await session.run("three")
        assert third.feedback() == "Error: line 1:\nValueError: wrong"
        assert (await session.run("four", on_call=_fail)).value == "failed: no tea"
        with pytest.raises(SandboxError, match="the script ends after 4 cells"):
            await session.run("five")
    assert engine.codes == ["one", "two", "three", "four", "five"]


async def test_sessions_are_written_down_and_lose_their_place() -> None:
    box = Sandbox(engine=ScriptedEngine(1, _searching, 3), workers=1)
    async with box.session(functions=("search",)) as session:
        await session.run("one")
        fork = await session.fork()

        async def search_elsewhere(call: HostCall) -> Any:
            await box.session().run("which takes the only place")
            return await _search(call)

        result = await session.run("two", on_call=search_elsewhere)
        assert (result.value, result.printed) == (["tea", 2], "looking\nfound\n")
        assert (await session.run("three")).value == 3
        assert (await fork.run("two", on_call=_search)).value == ["tea", 2]
