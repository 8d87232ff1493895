"""The console trace: what it shows of a run tree, as lines and as a drawn tree."""

import io
import json
import re
from collections.abc import Sequence

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tinyagents import (
    Agent,
    ConfigError,
    Event,
    EventSink,
    RunContext,
    RunLimits,
    SubAgentSession,
    SubAgentTool,
    Usage,
    tool,
)
from tinyagents.console import ConsoleTrace
from tinyagents.console.rows import Row, rows
from tinyagents.console.text import call_label, clean, dollars, duration, one_line, tokens
from tinyagents.console.tree import TreeDisplay
from tinyagents.console.view import RunView, TreeView
from tinyagents.testing import ScriptedModel, call

pytestmark = pytest.mark.anyio

NASTY = "red \x1b[31m\x1b]0;title\x07 [bold]text[/bold] \x9b2J\x00\x08\u202e end"
TAMED = "red [bold]text[/bold] end"
USED = Usage(requests=1, input_tokens=25, output_tokens=5)


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def terminal_size(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"COLUMNS": "100", "LINES": "30", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@tool
async def look(ctx: RunContext, at: str) -> str:
    """Look at something."""
    ctx.progress("looking", done=1, total=2)
    return f"saw {at}"


@tool
async def fail() -> str:
    """Fail."""
    raise ValueError("no [red]way\x1b[0m")


def family(*, price: float = 0.0) -> Agent:
    kid = Agent(
        ScriptedModel(
            [call("look", at="a.md"), call("fail"), "It is a page."],
            usage=USED,
            usd_per_request=price,
        ),
        name="kid",
        description="Reads.",
        tools=[look, fail],
    )
    script = [["Let me see.", call("kid", input="Read a.md")], f"Done: {NASTY}"]
    return Agent(ScriptedModel(script, usage=USED), name="boss", subagents=[kid])


async def lines_of(agent: Agent, task: str = "Look around") -> list[str]:
    """What is written of a run, with the times taken out."""
    file, sink = io.StringIO(), EventSink()
    with ConsoleTrace(sink, file=file):
        try:
            await agent.run(task, sink=sink)
        except Exception as error:
            file.write(f"raised {type(error).__name__}\n")
    return [re.sub(r"\d+\.\ds", "_s", line) for line in file.getvalue().splitlines()]


# --- lines ---------------------------------------------------------------------------------------


async def test_lines_tell_who_works_on_what_and_what_came_of_it() -> None:
    assert await lines_of(family(price=0.01)) == [
        "    _s boss: started with scripted: Look around",
        "    _s boss: says: Let me see.",
        "    _s   kid[0]: started with scripted: Read a.md",
        '    _s   kid[0]: look("a.md") → saw a.md',
        '    _s   kid[0]: fail() FAILED, raised: {"ok": false, "error": {"category": "raised", '
        '"type": "ValueError", "message": "no [red]way\\u001b[0m"}}',
        "    _s   kid[0]: completed in _s, 3 turns, 90 tokens, $0.0300: It is a page.",
        "    _s boss: completed in _s, 2 turns, 150 tokens, $0.0300",
    ]


async def test_a_failed_run_and_a_limit_are_told_with_their_reason() -> None:
    kid = Agent(ScriptedModel([OSError("disk on fire")]), name="kid", description="k")
    boss = Agent(
        ScriptedModel([call("kid", input="x"), call("kid", input="y")]),
        name="boss",
        subagents=[kid],
        limits=RunLimits(max_tool_calls=1),
    )
    told = "\n".join(await lines_of(boss))
    assert "  kid[0]: its model FAILED: disk on fire" in told
    assert "  kid[0]: FAILED after _s, 0 turns, 0 tokens, $0: OSError: disk on fire" in told
    assert "boss: limit: max_tool_calls=1 of root reached (1 used)" in told
    assert "boss: FAILED after _s" in told
    assert told.endswith("raised LimitExceeded")
    assert told.count("disk on fire") == 2  # the delegation's own failure says nothing new


async def test_a_call_that_is_cut_off_is_told() -> None:
    started = anyio.Event()

    @tool
    async def wait() -> None:
        """Wait."""
        started.set()
        await anyio.sleep_forever()

    agent = Agent(ScriptedModel([call("wait")]), name="boss", tools=[wait])
    file, sink = io.StringIO(), EventSink()
    with ConsoleTrace(sink, file=file):
        async with agent.stream("x", sink=sink) as run:
            await started.wait()
            run.cancel("that is enough")
    assert "boss: wait() was cut off\n" in file.getvalue()
    assert re.search(r"boss: cancelled after .*: that is enough\n", file.getvalue())


async def test_the_turns_of_a_session_are_counted() -> None:
    kid = Agent(ScriptedModel(["one", "two"]), name="kid", description="k")

    @tool
    async def ask_twice() -> str:
        """Ask."""
        session = SubAgentSession(kid)
        await session.send("first?")
        return (await session.send("second?")).output

    boss = Agent(ScriptedModel([call("ask_twice"), "ok"]), name="boss", tools=[ask_twice])
    told = await lines_of(boss)
    assert "    _s   kid[0]: started with scripted: first?" in told
    assert "    _s   kid[1]: started (turn 2 of a session) with scripted: second?" in told


async def test_runs_of_different_branches_can_be_told_apart() -> None:
    leaf = Agent(ScriptedModel(["a", "b"]), name="leaf", description="l")
    branch = Agent(
        ScriptedModel([call("leaf", input="x"), "up", call("leaf", input="y"), "up"]),
        name="branch",
        description="b",
        subagents=[leaf],
        max_concurrency=1,
    )
    script = [call("branch", input="1"), call("branch", input="2"), "ok"]
    told = "\n".join(await lines_of(Agent(ScriptedModel(script), name="boss", subagents=[branch])))
    assert "branch[0]/leaf[0]: started" in told
    assert "branch[1]/leaf[0]: started" in told


async def test_a_delegation_under_another_name_is_told_once() -> None:
    kid = Agent(ScriptedModel(["fine"]), name="kid", description="k")
    script = [call("ask_kid", input="well?"), "ok"]
    boss = Agent(ScriptedModel(script), name="boss", tools=[SubAgentTool(kid, name="ask_kid")])
    told = await lines_of(boss)
    assert [line.split(":")[0].split()[-1] for line in told] == [
        "boss",
        "ask_kid[0]",
        "ask_kid[0]",
        "boss",
    ]


async def test_a_withheld_payload_harms_nobody() -> None:
    def redact(data: object) -> dict[str, str]:
        raise RuntimeError("cannot redact")

    sink, file, terminal = EventSink(redact=redact), io.StringIO(), Terminal()
    with ConsoleTrace(sink, file=file), ConsoleTrace(sink, file=terminal):
        result = await family().run("secret", sink=sink)
    assert result.status == "completed"
    assert "secret" not in file.getvalue() + terminal.getvalue()
    assert "kid[0]: completed in" in file.getvalue()


async def test_a_reader_that_leaves_ends_the_trace_and_not_the_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    sink = EventSink()
    with ConsoleTrace(sink, file=Closed()):
        result = await family().run("x", sink=sink)
    assert result.status == "completed"
    assert caplog.records == []


# --- where it shows ------------------------------------------------------------------------------


async def drawn(agent: Agent, *, transient: bool = False) -> str:
    terminal, sink = Terminal(), EventSink()
    with ConsoleTrace(sink, file=terminal, transient=transient):
        await agent.run("Look around", sink=sink)
    return terminal.getvalue()


async def test_a_terminal_gets_a_tree_that_is_redrawn() -> None:
    screen = await drawn(family(price=0.01))
    assert "\x1b[?25l" in screen
    assert screen.endswith("\x1b[?25h")
    last = [line.rstrip() for line in clean(screen.split("run  ")[-1]).splitlines()]
    assert re.fullmatch(r"✔ boss  Look around +Done: red.* 2 +150 +\$0\.0300 +0\.\ds", last[1])
    assert re.fullmatch(
        r"└─ ✔ kid\[0\]  Read a.md +It is a page\. +3 +90 +\$0\.0300 +0\.\ds", last[2]
    )
    assert re.fullmatch(
        r"2 runs: 2 completed · \d+ events · 150 tokens · \$0\.0300 · 0\.\ds", last[3]
    )
    assert "Done: red [bold]text[/bold]" in last[1]


@pytest.mark.parametrize("term", ["dumb", "unknown"])
async def test_a_terminal_that_cannot_draw_gets_lines(
    term: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    screen = await drawn(family())
    assert "\x1b" not in screen
    assert "kid[0]: completed" in screen


async def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    colour = re.compile(r"\x1b\[[\d;]*3\d[\d;]*m")
    assert colour.search(await drawn(family()))
    monkeypatch.setenv("NO_COLOR", "1")
    screen = await drawn(family())
    assert not colour.search(screen)
    assert "kid[0]" in screen


async def test_a_transient_tree_stays_only_if_it_is_one() -> None:
    alone = Agent(ScriptedModel(["hi", "hi"]), name="alone")
    erased = "\x1b[2K"
    assert (await drawn(alone, transient=True)).count(erased) > (await drawn(alone)).count(erased)
    kept = (await drawn(family(), transient=True)).rpartition(erased)[2]
    assert "kid[0]" in kept


def test_a_root_s_answer_streams_below_the_tree() -> None:
    view = TreeView()
    display = TreeDisplay(Terminal(), view)
    display(event("run.started", "root", 0, name="boss", task="think"))
    display(event("model.started", "root", 1, call_id="model-0"))
    for number, piece in enumerate(["I [b]thi", "nk\x1b[2", "J so.\n", *("more " * 300).split()]):
        display(event("model.delta", "root", number, type="text", text=f"{piece} "))
    display.note("stopping")
    lines = printed(display)
    assert re.search(r"boss  think +writing", lines[1])
    assert lines[-1].strip() == "stopping"
    assert len(lines) == 3 + 5 + 1  # the last lines of it only
    assert all(line.startswith("  more more") for line in lines[4:-1])
    display(event("model.started", "root", 900, call_id="model-1"))
    for number, piece in enumerate(["I [b]thi", "nk\x1b[2", "J so."]):
        display(event("model.delta", "root", number, type="text", text=piece))
    assert [line.rstrip() for line in printed(display)[3:]] == ["  I [b]think so.", "stopping"]


def test_a_tool_s_progress_and_open_calls_are_shown() -> None:
    view = TreeView()
    display = TreeDisplay(Terminal(), view)
    calls = {"message": {"parts": [{"type": "tool_call"}] * 3}}
    display(event("run.started", "root", 0, name="boss"))
    display(event("model.completed", "root", 1, **calls))
    display(event("tool.started", "root", 2, call_id="a", tool="look", arguments={"at": "x"}))
    display(event("tool.progress", "root", 3, call_id="a", message="walking", done=1, total=4))
    assert '/ boss look("x"): walking 1/4 · 0 of 3 done' in shape(printed(display, 160)[1])
    display(event("tool.started", "root", 4, call_id="b", tool="look", arguments={"at": "y"}))
    assert "/ boss 2 × look · 0 of 3 done" in shape(printed(display, 160)[1])
    display(event("tool.completed", "root", 5, call_id="a", tool="look"))
    display(event("tool.failed", "root", 6, call_id="b", tool="look"))
    display(event("model.started", "root", 7))
    assert "/ boss thinking about look" in shape(printed(display, 160)[1])


def test_a_narrow_terminal_keeps_who_tokens_cost_and_time() -> None:
    display = TreeDisplay(Terminal(), crowd(1, 0, 0))
    assert shape(printed(display, width=100)[0]) == "run now turns tokens cost time"
    assert shape(printed(display, width=64)[0]) == "run now tokens cost time"
    assert shape(printed(display, width=40)[0]) == "run tokens cost time"


def printed(display: TreeDisplay, width: int = 100) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, height=30).print(display)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def shape(line: str) -> str:
    """A line without its column widths, and with `/` for whatever the spinner shows."""
    return re.sub(r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]", "/", " ".join(line.split()))


async def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ConfigError, match="mode='fancy': choose one of auto, tree, lines"):
        ConsoleTrace(EventSink(), mode="fancy")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the point


# --- folding -------------------------------------------------------------------------------------


def event(kind: str, path: str, seq: int, **data: object) -> Event:
    parent, _, _ = path.rpartition("/")
    flat = {"seq": seq, "time": float(seq), "kind": kind, "run_id": path, "depth": path.count("/")}
    flat |= {"parent_run_id": parent or None, "root_run_id": "root", "path": path, "data": data}
    return Event.from_json(json.dumps(flat))


def crowd(completed: int, failed: int, running: int) -> TreeView:
    view = TreeView()
    view.see(event("run.started", "root", 0, name="boss"))
    ends = ["run.completed"] * completed + ["run.failed"] * failed + [""] * running
    for number, end in enumerate(ends):
        path = f"root/kid[{number}]"
        view.see(event("run.started", path, number, name="kid", task=f"file {number}"))
        view.see(event("run.started", f"{path}/leaf[0]", number, name="leaf"))
        if end:
            usage = {"usage": {}, "tree_usage": {"input_tokens": 10}}
            view.see(event("run.completed", f"{path}/leaf[0]", number, **usage))
            view.see(event(end, path, number, **usage))
    return view


def everyone_below(row: Row) -> list[RunView]:
    found = list(row.runs)
    for run in found:
        found += run.children
    return found


def test_a_small_tree_has_a_line_for_each_run() -> None:
    shown = rows(crowd(2, 1, 1).roots, most=9)
    assert [f"{row.guides}{row.label}" for row in shown] == [
        "boss",
        "├─ kid[0]",
        "│  └─ leaf[0]",
        "├─ kid[1]",
        "│  └─ leaf[0]",
        "├─ kid[2]",
        "│  └─ leaf[0]",
        "└─ kid[3]",
        "   └─ leaf[0]",
    ]


def test_hundreds_of_workers_become_a_few_lines() -> None:
    shown = rows(crowd(400, 2, 8).roots, most=24)
    assert [f"{row.guides}{row.label}" for row in shown][:4] == [
        "boss",
        "├─ 400 × kid",
        "├─ kid[400]",
        "│  └─ leaf[0]",
    ]
    assert shown[1].usage == Usage(input_tokens=4_000)
    assert len(shown) <= 24
    assert sum(row.label.startswith("kid[") and row.is_live for row in shown) == 8


def test_what_is_left_out_is_said() -> None:
    view = TreeView()
    for number in range(50):
        view.see(event("run.started", f"a{number}", number, name=f"agent-{number}"))
    shown = rows(view.roots, most=10)
    assert len(shown) == 10
    assert shown[-1].label == "… and 41 more lines"


@given(
    completed=st.integers(0, 30),
    failed=st.integers(0, 30),
    running=st.integers(0, 30),
    most=st.integers(4, 60),
)
def test_folding_fits_and_loses_nobody_who_is_at_work(
    completed: int, failed: int, running: int, most: int
) -> None:
    view = crowd(completed, failed, running)
    shown = rows(view.roots, most)
    assert len(shown) <= most
    everyone = {run.run_id for row in shown for run in everyone_below(row)}
    assert everyone == set(view.runs)


@given(sizes=st.tuples(st.integers(20, 160), st.integers(4, 60)), cut=st.integers(0, 60))
def test_any_moment_can_be_drawn_at_any_size(sizes: tuple[int, int], cut: int) -> None:
    events = recorded()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(sizes[0]))
        patch.setenv("LINES", str(sizes[1]))
        terminal, sink = Terminal(), EventSink()
        with ConsoleTrace(sink, file=terminal):
            for each in events[:cut]:
                sink.emit(each.kind, each.origin, each.data)
    widest = max(len(line) for line in clean(terminal.getvalue()).splitlines() or [""])
    assert widest <= sizes[0] * 2  # a redrawn line begins behind the old one in the raw stream


_recorded: list[Event] = []


def recorded() -> Sequence[Event]:
    if not _recorded:
        _recorded.extend(family().run_sync("Look around").events)
    return _recorded


# --- text ----------------------------------------------------------------------------------------


def test_what_a_model_writes_is_tamed() -> None:
    assert one_line(NASTY) == TAMED
    assert clean("a\tb\r\nc\rd") == "a\tb\ncd"
    assert clean("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\") == "link"
    assert clean("\x1b]0;never closed\nbut visible") == "0;never closed\nbut visible"
    assert clean("lone \ud800 surrogate") == "lone \ufffd surrogate"


@given(st.text(alphabet=st.characters() | st.sampled_from("\x1b[]m\x07\\\x9b")))
def test_nothing_that_controls_a_terminal_is_left(text: str) -> None:
    allowed = {"\t", "\n"}
    assert not [c for c in clean(text) if c not in allowed and (c < " " or "\x7f" <= c <= "\x9f")]
    clean(text).encode()


def test_a_call_is_shown_in_one_line() -> None:
    assert call_label("look", {}) == "look()"
    assert call_label("look", {"at": "a\nb"}) == 'look("a\\nb")'
    assert call_label("read", {"path": "a.md", "start": 3}) == 'read(path="a.md", start=3)'
    assert len(call_label("look", {"at": "x" * 500})) == 100


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (tokens(950), "950"),
        (tokens(1_250), "1.2k"),
        (tokens(34_500), "34k"),
        (tokens(1_250_000), "1.2M"),
        (dollars(Usage()), "$0"),
        (dollars(Usage(usd=0.0004)), "$0.0004"),
        (dollars(Usage(usd=1.5)), "$1.50"),
        (dollars(Usage(usd=0.5, unpriced_requests=1)), "$0.50+?"),
        (dollars(Usage(unpriced_requests=1)), "?"),
        (duration(0.44), "0.4s"),
        (duration(59.9), "59s"),
        (duration(125), "2m05s"),
        (duration(3_720), "1h02m"),
    ],
)
def test_figures_are_short(shown: str, expected: str) -> None:
    assert shown == expected
