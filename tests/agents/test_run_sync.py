"""`run_sync`: for scripts, and for plain functions that are tools."""

import asyncio
import contextvars
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tinyagents import (
    Agent,
    ConfigError,
    EventSink,
    ModelError,
    RunCancelled,
    RunContext,
    RunLimits,
    ToolError,
    tool,
)
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree, outline
from tinyagents_graph import Event

BACKENDS = ["asyncio", "trio"]


# --- in a script --------------------------------------------------------------------------------


def test_a_script_runs_an_agent_as_often_as_it_likes() -> None:
    agent = Agent("test")
    sink = EventSink()
    outputs = [agent.run_sync(f"{n}", sink=sink).output for n in range(3)]
    assert outputs == ["test: 0", "test: 1", "test: 2"]
    check_tree(sink.events)


def test_it_takes_what_run_takes() -> None:
    @tool
    async def whose(ctx: RunContext[Any]) -> str:
        """Tell whose deps these are."""
        return str(ctx.deps)

    agent = Agent(ScriptedModel([call("whose"), "done"]), tools=[whose])
    before = Agent("test").run_sync("before").messages
    sink = EventSink()
    result = agent.run_sync(
        "t", deps="mine", history=before, sink=sink, run_id="r", limits=RunLimits(max_turns=2)
    )
    assert [message.text for message in result.messages] == [
        "before", "test: before", "t", "", "mine", "done",
    ]  # fmt: skip
    assert result.run_id == "r"
    assert outline(sink.events)[-1] == "run.completed"


def test_a_failure_is_the_exception_it_is() -> None:
    with pytest.raises(ModelError, match="down") as caught:
        Agent(ScriptedModel([ModelError("down")])).run_sync("t")
    assert caught.value.result.status == "failed"
    check_tree(caught.value.result.events)


def test_children_run_as_ever() -> None:
    boss = Agent(
        ScriptedModel([[call("child", input="1"), call("child", input="2")], "done"]),
        subagents=[Agent("test", name="child")],
    )
    result = boss.run_sync("t")
    assert [message.text for message in result.messages[2:4]] == ["test: 1", "test: 2"]
    check_tree(result.events)


def test_scripts_in_many_threads_do_not_disturb_each_other() -> None:
    agent = Agent("test")
    sink = EventSink()
    outputs: dict[int, str] = {}

    def work(n: int) -> None:
        outputs[n] = agent.run_sync(f"{n}", sink=sink).output

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outputs == {n: f"test: {n}" for n in range(8)}
    check_tree(sink.events)


# --- where a loop runs --------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_in_async_code_it_says_what_to_write_instead(backend: str) -> None:
    async def main() -> None:
        Agent("test").run_sync("t")

    with pytest.raises(ConfigError, match=r"await agent\.run\("):
        anyio.run(main, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_in_an_async_tool_it_says_what_to_write_instead(backend: str) -> None:
    @tool(on_error="fail")
    async def delegate() -> str:
        """Delegate in the wrong way."""
        return Agent("test").run_sync("t").output

    sink = EventSink()

    async def main() -> None:
        await Agent(ScriptedModel([call("delegate")]), tools=[delegate]).run("t", sink=sink)

    with pytest.raises(Exception, match=r"await agent\.run\("):
        anyio.run(main, backend=backend)
    check_tree(sink.events)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_thread_of_an_async_program_may_run_a_tree_of_its_own(backend: str) -> None:
    async def main() -> str:
        return await anyio.to_thread.run_sync(lambda: Agent("test").run_sync("t").output)

    assert anyio.run(main, backend=backend) == "test: t"


def test_a_thread_of_asyncio_may_run_a_tree_of_its_own() -> None:
    async def main() -> str:
        return await asyncio.to_thread(lambda: Agent("test").run_sync("t").output)

    assert asyncio.run(main()) == "test: t"


# --- in a plain tool ----------------------------------------------------------------------------

language = contextvars.ContextVar("language", default="none")


@pytest.mark.parametrize("backend", BACKENDS)
def test_in_a_plain_tool_it_is_a_child_in_the_same_loop(backend: str) -> None:
    threads: list[int] = []

    def answer(_: Any) -> str:
        threads.append(threading.get_ident())
        return f"in {language.get()}"

    child = Agent(FunctionModel(answer), name="child")

    @tool
    def delegate() -> str:
        """Delegate from a thread."""
        return child.run_sync("q").output

    async def main() -> Any:
        language.set("French")
        return await Agent(ScriptedModel([call("delegate"), "done"]), tools=[delegate]).run("t")

    result = anyio.run(main, backend=backend)
    assert result.messages[2].text == "in French"
    assert threads == [threading.get_ident()]
    assert outline(result.events)[3:6] == [
        "tool.started delegate",
        "subagent.started child",
        "  run.started child",
    ]
    check_tree(result.events)


@pytest.mark.parametrize("backend", BACKENDS)
def test_plain_tools_delegate_beside_each_other(backend: str) -> None:
    child = Agent("test", name="child")

    @tool
    def delegate(n: int) -> str:
        """Delegate from a thread."""
        return child.run_sync(f"task {n}").output

    async def main() -> Any:
        calls = [call("delegate", n=n) for n in range(8)]
        return await Agent(ScriptedModel([calls, "done"]), tools=[delegate]).run("t")

    result = anyio.run(main, backend=backend)
    assert [message.text for message in result.messages[2:-1]] == [
        f"test: task {n}" for n in range(8)
    ]
    assert result.tree_usage.requests == 10
    check_tree(result.events)


def test_a_script_whose_plain_tools_delegate_works_too() -> None:
    child = Agent("test", name="child")

    @tool
    def delegate() -> str:
        """Delegate from a thread."""
        return child.run_sync("q").output

    result = Agent(ScriptedModel([call("delegate"), "done"]), tools=[delegate]).run_sync("t")
    assert result.messages[2].text == "test: q"
    check_tree(result.events)


def test_in_a_thread_of_ones_own_it_says_what_to_write_instead() -> None:
    @tool(on_error="fail")
    async def delegate() -> str:
        """Delegate from another thread."""
        return (await asyncio.to_thread(Agent("test").run_sync, "q")).output

    sink = EventSink()
    with pytest.raises(ToolError, match="a thread of your own.*plain function"):
        asyncio.run(Agent(ScriptedModel([call("delegate")]), tools=[delegate]).run("t", sink=sink))
    check_tree(sink.events)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_thread_whose_run_has_ended_can_delegate_no_more(backend: str) -> None:
    began, gate, ended = (threading.Event() for _ in range(3))
    after: list[BaseException] = []
    model = ScriptedModel(["never"])

    @tool(timeout_s=0.2)
    def delegate() -> str:
        """Delegate, too late."""
        began.set()
        gate.wait()
        try:
            return Agent(model).run_sync("q").output
        except RunCancelled as error:
            after.append(error)
            raise
        finally:
            ended.set()

    async def main() -> Any:
        return await Agent(ScriptedModel([call("delegate"), "done"]), tools=[delegate]).run("t")

    result = anyio.run(main, backend=backend)
    assert began.wait(5)
    gate.set()
    assert ended.wait(5)
    assert [str(error) for error in after] == [
        "root/delegate[0] was cancelled: the run that run_sync() was called for has ended"
    ]
    assert model.requests == []
    check_tree(result.events)


# --- Ctrl-C -------------------------------------------------------------------------------------

SCRIPT = """
import sys
import anyio
from tinyagents import Agent, EventSink, tool
from tinyagents.testing import FunctionModel, ScriptedModel, call

async def wait(request):
    print("ready", flush=True)
    await anyio.sleep_forever()

@tool
def hang() -> str:
    "Hang in a thread."
    print("ready", flush=True)
    return sys.stdin.readline()

where = {"model": FunctionModel(wait), "thread": ScriptedModel([call("hang")])}
child = Agent(where[sys.argv[1]], name="child", tools=[hang])
boss = Agent(ScriptedModel([call("child", input="q"), "done"]), subagents=[child])
sink = EventSink()
sink.subscribe(lambda event: print(event.to_json(), flush=True))
try:
    boss.run_sync("t", sink=sink)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    raise
"""


@contextmanager
def interrupted(tmp_path: Path, where: str) -> Generator[tuple[subprocess.Popen[str], list[str]]]:
    """A script that got a Ctrl-C while its tree was busy, and what it had printed by its end."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    lines: list[str] = []

    def read_until(line: str) -> None:
        assert process.stdout is not None
        while not lines or lines[-1] not in (line, ""):
            lines.append(process.stdout.readline())

    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, str(script), where], text=True, **pipes) as process:
        try:
            read_until("ready\n")
            process.send_signal(signal.SIGINT)
            read_until("interrupted\n")
            yield process, lines
        finally:
            process.kill()


on_posix = pytest.mark.skipif(
    sys.platform == "win32", reason="there a Ctrl-C goes to a whole group"
)


@on_posix
@pytest.mark.parametrize("where", ["model", "thread"])
def test_ctrl_c_ends_every_run_in_order(where: str, tmp_path: Path) -> None:
    with interrupted(tmp_path, where) as (process, lines):
        _, complaint = process.communicate(timeout=18)
    assert lines[-1] == "interrupted\n"
    assert "KeyboardInterrupt" in complaint
    assert process.returncode == -signal.SIGINT
    events = [Event.from_json(line) for line in lines if line.startswith("{")]
    assert [event.path for event in events if event.kind == "run.cancelled"] == [
        "root/child[0]",
        "root",
    ]
    check_tree(events)


@on_posix
@pytest.mark.xfail(
    raises=subprocess.TimeoutExpired,
    reason="Python waits for the tool's thread, no daemon, at exit",
)
def test_ctrl_c_ends_a_script_whose_tool_hangs_in_a_thread(tmp_path: Path) -> None:
    with interrupted(tmp_path, "thread") as (process, _):
        assert process.wait(timeout=2) == -signal.SIGINT
