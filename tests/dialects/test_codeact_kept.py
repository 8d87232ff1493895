"""Code in runs that are kept, steered and asked about; sessions of them."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.dialects.coders import SANDBOX, add, cell, codeact, executed, of_kind, told
from tinyagents import (
    Agent,
    AskParent,
    Autonomy,
    CodeAct,
    MemoryJournal,
    Pause,
    Redirect,
    Resume,
    SqliteJournal,
    SubAgentSession,
    fork,
    inbox,
    tool,
)
from tinyagents.sandbox import Sandbox
from tinyagents.testing import ScriptedModel, check_tree

pytestmark = pytest.mark.anyio


async def test_a_call_in_code_waits_for_leave_while_those_beside_it_are_finished() -> None:
    done: list[str] = []

    @tool
    async def slow(name: str) -> str:
        """Slow."""
        await anyio.lowlevel.checkpoint()
        done.append(name)
        return name

    @tool
    async def wire(amount: int) -> str:
        """Wire money."""
        done.append(f"wired {amount}")
        return f"wired {amount}"

    code = "import asyncio\nfound = await asyncio.gather(slow('a'), wire(5), slow('b'))"
    agent = codeact(
        cell("x = 1"), cell(code), cell("finish(found + [x])"), tools=[slow, wire],
        autonomy=Autonomy(modes={"wire": "assisted"}), output_type=list[Any],
    )  # fmt: skip
    journal = MemoryJournal()
    first = await agent.run("go", run_id="r-1", journal=journal)
    assert first.status == "paused"
    assert sorted(done) == ["a", "b"]
    (ask,) = await inbox(journal)
    assert ask.id == "root/python[1]/wire[0]/approval"
    assert ask.arguments == {"amount": 5}
    await ask.approve(arguments={"amount": 3}, by="ann")
    result = await agent.resume("r-1", journal=journal)
    assert result.output == ["a", "wired 3", "b", 1]
    assert sorted(done) == ["a", "b", "wired 3"]
    assert len(executed(result)) == 3
    check_tree(await journal.read("r-1"))


async def test_code_may_ask_the_human() -> None:
    agent = codeact(
        cell("a = add(1)\ncolour = ask_parent('Which colour?')\nfinish(f'{colour} {a}')"),
        tools=[AskParent(), add],
    )
    journal = MemoryJournal()
    assert (await agent.run("go", run_id="r-1", journal=journal)).status == "paused"
    (ask,) = await inbox(journal)
    await ask.answer("green", by="ann")
    result = await agent.resume("r-1", journal=journal)
    assert result.output == "green 2"
    assert [each.data["tool"] for each in of_kind(result, "tool.completed")].count("add") == 1


async def test_a_run_goes_on_in_another_sandbox_with_its_variables(tmp_path: Path) -> None:
    """As in another process: another sandbox, another connection."""
    agent = codeact(
        cell("def double(n):\n    return add(n, n)\nseen = [double(2)]"), RuntimeError("gone"),
        dialect=CodeAct(Sandbox()),
    )  # fmt: skip
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        with pytest.raises(RuntimeError):
            await agent.run("go", run_id="r-1", journal=journal)
    model = ScriptedModel([cell("seen.append(double(5))\nfinish(seen)")])
    again = Agent(model, tools=[add], dialect=CodeAct(Sandbox()), output_type=list[int])
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        result = await again.resume("r-1", journal=journal)
        assert result.output == [4, 10]
        paths = [each.data["path"] for each in of_kind(result, "tool.started")]
        assert paths == [
            "root/python[0]", "root/python[0]/add[0]", "root/python[1]", "root/python[1]/add[0]",
            "root/python[1]/finish[0]",
        ]  # fmt: skip


async def test_a_fork_begins_with_the_variables_of_then() -> None:
    journal = MemoryJournal()
    agent = codeact(cell("x = [1]"), cell("x.append(2)"), cell("finish(x)"), output_type=list[int])
    result = await agent.run("go", run_id="r-1", journal=journal)
    assert result.output == [1, 2]
    at = of_kind(result, "model.completed")[1].seq
    other = await fork(journal, "r-1", at=at, edit=cell("x.append(9)"))
    script = ScriptedModel([cell("finish(x)")])
    forked = await agent.with_(model=script).resume(other.run_id, journal=journal)
    assert forked.output == [1, 9]


@pytest.mark.parametrize("max_saved_mb", [8.0, 0.0])
async def test_the_result_of_a_call_in_code_is_edited_as_the_value_that_it_is(
    max_saved_mb: float,
) -> None:
    done: list[str] = []

    @tool
    async def price(tea: str) -> float:
        """Price."""
        done.append(tea)
        return 2.5

    agent = codeact(
        tools=[price], output_type=list[Any], dialect=CodeAct(SANDBOX, max_saved_mb=max_saved_mb)
    )
    script = [
        cell("a = price('green')"),
        cell("b = [price('black'), price('white')]\nc = sum(b)"),
        cell("finish([a, c, price('red') if c > 10 else None])"),
    ]
    journal = MemoryJournal()
    first = await agent.with_(model=ScriptedModel(script)).run("go", run_id="r-1", journal=journal)
    assert first.output == [2.5, 5.0, None]
    made = [e for e in of_kind(first, "tool.completed") if e.data["tool"] == "price"]
    outputs: list[Any] = []
    for at, edit in [(made[0], 100), (made[1], 30.5), (made[2], 0.5)]:
        done.clear()
        other = await fork(journal, "r-1", at=at.seq, edit=edit)
        model = ScriptedModel(script[1:] if at is made[0] else script[2:])
        forked = await agent.with_(model=model).resume(other.run_id, journal=journal)
        outputs.append((forked.output, list(done)))
        check_tree(await journal.read(other.run_id))
    assert outputs == [
        ([100, 5.0, None], []),
        ([2.5, 33.0, 2.5], ["red"]),
        ([2.5, 3.0, None], []),
    ]


async def test_a_pause_and_a_redirection_take_hold_between_calls_and_cells() -> None:
    reached = anyio.Event()
    go_on = anyio.Event()

    @tool
    async def step(n: int) -> int:
        """One step."""
        reached.set()
        await go_on.wait()
        return n

    agent = codeact(cell("[step(1), step(2)]"), cell("finish('end')"), tools=[step])
    async with agent.stream("go") as run:
        await reached.wait()
        await run.steer(Pause("wait"))
        await run.steer(Redirect("hurry up"))
        go_on.set()
        await run.steer(Resume())
        result = await run.result()
    assert result.output == "end"
    assert told(result)[0] == "Output:\n=> [1, 2]"
    assert any("hurry up" in message.text for message in result.messages)


async def test_cancelling_ends_code_in_the_middle() -> None:
    reached = anyio.Event()

    @tool
    async def hang() -> None:
        """Hang."""
        reached.set()
        await anyio.sleep_forever()

    agent = codeact(cell("while True:\n    hang()"), tools=[hang])
    async with agent.stream("go") as run:
        await reached.wait()
        run.cancel("enough")
        with pytest.raises(Exception, match="enough"):
            await run.result()
    check_tree(run.events)


async def test_a_kept_session_has_its_variables_in_another_process(tmp_path: Path) -> None:
    first = codeact(cell("x = add(1)\nfinish('one')"), dialect=CodeAct(Sandbox()))
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        session = SubAgentSession(first, journal=journal, session_id="chat")
        await session.send("first")
    second = codeact(cell("x"), "two", dialect=CodeAct(Sandbox()))
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        session = SubAgentSession(second, journal=journal, session_id="chat")
        assert told(await session.send("second"))[0] == "Output:\n=> 2"


async def test_variables_that_are_too_large_are_made_again_without_doing_anything_twice() -> None:
    done: list[int] = []

    @tool
    async def note(n: int) -> int:
        """Note."""
        done.append(n)
        return n

    journal = MemoryJournal()
    dialect = CodeAct(SANDBOX, max_saved_mb=0.01)
    agent = codeact(
        cell("big = 'x' * 100_000\na = note(1)"), cell("b = note(2)"), RuntimeError("gone"),
        tools=[note], dialect=dialect,
    )  # fmt: skip
    with pytest.raises(RuntimeError):
        await agent.run("go", run_id="r-1", journal=journal)
    events = await journal.read("r-1")
    assert not [each for each in events if "variables" in each.data]
    script = ScriptedModel([cell("finish(f'{len(big)} {a} {b}')")])
    result = await agent.with_(model=script).resume("r-1", journal=journal)
    assert result.output == "100000 1 2"
    assert done == [1, 2]


@pytest.mark.parametrize("is_kept", [False, True])
async def test_a_session_says_so_if_the_variables_of_its_last_turn_were_too_large(
    is_kept: bool,
) -> None:
    agent = codeact(
        cell("x = 1\nfinish('one')"), cell("x = 2\nbig = 'y' * 100_000\nfinish('two')"),
        cell("x"), "three", cell("x = 4\nfinish('four')"), cell("x"), "five",
        dialect=CodeAct(SANDBOX, max_saved_mb=0.05),
    )  # fmt: skip
    options: dict[str, Any] = {"journal": MemoryJournal(), "session_id": "s"} if is_kept else {}
    session = SubAgentSession(agent, **options)
    await session.send("first")
    await session.send("second")
    (said,) = told(await session.send("third"))
    assert "name 'x' is not defined" in said
    assert "The variables of earlier turns are gone: they could not be written down" in said
    await session.send("fourth")
    assert told(await session.send("fifth")) == ["Output:\n=> 4"]
