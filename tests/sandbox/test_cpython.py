"""The whole of Python in a container: what it can, and what it cannot get at."""

import importlib.util
import socket
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.sandbox.hostile import REACHING, snippets
from tinyagents.errors import ConfigError, SandboxError
from tinyagents.sandbox import HostCall, Module, Mount, Sandbox
from tinyagents.sandbox.hardening import can_contain
from tinyagents.sandbox.seccomp import can_filter
from tinyagents.sandbox.values import Withheld

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        not (can_contain() and can_filter()), reason="needs Linux and bubblewrap (bwrap)"
    ),
]
CANARY = "a-canary-of-this-machine"


def box(**options: Any) -> Sandbox:
    given: Any = {"time_limit_s": 1.0, "memory_limit_mb": 128, **options}
    return Sandbox(engine="cpython", **given)


def test_it_knows_all_of_python_and_keeps_variables() -> None:
    sandbox = box()
    code = (
        "import statistics, enum\nclass Own(Exception): pass\ndef each():\n  yield 1\n  yield 3\n"
        "class Colour(enum.Enum): RED = 1\ntry: raise Own('x')\nexcept Own as e: caught = str(e)\n"
        "print('mean')\nstatistics.mean(each()), caught, {1: {2}}, b'x', [None, True, 1.5]"
    )
    result = sandbox.run(code)
    assert result.value == (2, "x", {1: {2}}, b"x", [None, True, 1.5]), result.feedback()
    assert result.printed == "mean\n"
    assert sandbox.run("list(each())").value == [1, 3]


def test_instances_of_its_own_classes_leave_as_their_attributes() -> None:
    sandbox = box()
    sandbox.run("class A:\n  def __init__(self): self.x = [1]\nclass Own(Exception): pass")
    assert sandbox.run("A(), {'a': A()}").value == ({"x": [1]}, {"a": {"x": [1]}})
    assert sandbox.run("import enum\nclass C(enum.Enum): R = 1\nC.R").value == "<C.R: 1>"
    assert sandbox.run("Own('why')").value == "Own('why')"
    assert str(sandbox.run("A").value).startswith("<class ")


def test_an_error_shows_its_line_with_a_caret() -> None:
    assert box().run("def half(n):\n  return n / 0\n\nhalf(1)").feedback() == (
        "Error: line 4:\n    half(1)\n    ^^^^^^^\n"
        "line 2, in half:\n    return n / 0\n           ^^^^^\n"
        "ZeroDivisionError: division by zero"
    )


@pytest.mark.anyio
@pytest.mark.parametrize(
    "code",
    [
        "search(1, k=2)",
        "await search(1, k=2)",
        "p = search(1, k=2)\nx = await p\nx",
        "import asyncio\n(await asyncio.gather(search(1, k=2), search(3)))[0]",
        "import asyncio\nasync def f(): return await search(1, k=2)\nawait f()",
        "sorted([search(1, k=2)], key=lambda x: search(1)[0])[0]",
        "import asyncio\nasync def f(): return await search(1, k=2)\nasyncio.run(f())",
        "import asyncio\nasyncio.run(search(1, k=2))",
        "import asyncio\nt = asyncio.create_task(search(1, k=2))\nx = await t\nx",
        "import asyncio\nawait asyncio.wait_for(search(1, k=2), timeout=60)",
        "import asyncio\n(await asyncio.gather(search(1, k=2), asyncio.sleep(0.01)))[0]",
        "import asyncio\nps = [search(n, k=2) for n in (1, 2)]\n(await asyncio.gather(*ps))[0]",
        "from concurrent.futures import ThreadPoolExecutor as T\n"
        "with T() as t: found = list(t.map(lambda n: search(n, k=2), range(1, 20)))\nfound[0]",
        "import asyncio\nasync with asyncio.TaskGroup() as g: t = g.create_task(search(1, k=2))\n"
        "t.result()",
        "import asyncio\n[await each for each in asyncio.as_completed([search(1, k=2)])][0]",
        "import asyncio\nasync def main():\n  t = asyncio.create_task(never())\n  await search(0)\n"
        "  t.cancel()\n  return search(1, k=2)\nasyncio.run(main())",
        "async def each():\n  for n in (1, 2): yield await search(n, k=2)\n"
        "[x async for x in each()][0]",
    ],
)
async def test_functions_of_the_host_are_called_as_models_call_them(code: str) -> None:
    async def answer(call: HostCall) -> Any:
        if call.name == "never":
            await anyio.sleep_forever()
        return [call.name, *call.args, dict(call.kwargs)]

    async with box().session(functions=("search", "never")) as session:
        result = await session.run(code, on_call=answer)
        assert result.value == ["search", 1, {"k": 2}], result.feedback()


@pytest.mark.anyio
async def test_gathered_calls_run_at_the_same_time_and_errors_can_be_caught() -> None:
    both = anyio.Event()
    n_here = 0

    async def meet(call: HostCall) -> None:
        nonlocal n_here
        n_here += 1
        if n_here == 2:
            both.set()
        await both.wait()
        raise KeyError("gone")

    code = (
        "import asyncio\nfound = await asyncio.gather(f(), f(), return_exceptions=True)\n"
        "[type(each).__name__ for each in found]"
    )
    async with box().session(functions=("f",)) as session:
        assert (await session.run(code, on_call=meet)).value == ["KeyError", "KeyError"]


def test_modules_mounts_and_values(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("in")
    (tmp_path / "work").mkdir()
    sandbox = box(
        modules=[Module("config", {"version": (1, 2), "double": (2).__mul__})],
        mounts=[
            Mount("in.txt", tmp_path / "in.txt"),
            Mount("out.txt", tmp_path / "out.txt", writable=True),
            Mount("/work", tmp_path / "work", writable=True),
        ],
        values={"given": {"a": (1,)}},
    )
    code = (
        "import config\nopen('out.txt', 'w').write(open('in.txt').read() * 2)\n"
        "open('/work/new', 'w').write('n')\n(config.version, config.double(4), given)"
    )
    assert sandbox.run(code).value == ((1, 2), 8, {"a": (1,)})
    assert sandbox.files() == {"out.txt": "inin", "/work/new": "n"}
    assert not sandbox.run("open('in.txt', 'w')").ok


def test_what_it_leaves_in_a_folder_is_no_link_and_runs_as_nobody_else(tmp_path: Path) -> None:
    sandbox = box(mounts=[Mount("/work", tmp_path, writable=True)])
    refused = [
        "os.symlink('/etc/passwd', '/work/link')",
        "os.symlink('/etc/passwd', 'link', dir_fd=os.open('/work', os.O_RDONLY))",
        "os.chmod('/work/run', 0o4755)",
        "os.fchmod(os.open('/work/run', os.O_WRONLY), 0o2755)",
        "os.open('/work/other', os.O_CREAT | os.O_WRONLY, 0o4755)",
        "os.mkfifo('/work/fifo')",
    ]
    assert sandbox.run("import os\nopen('/work/run', 'w').write('x')").ok
    errors = [sandbox.run(code).error for code in refused]
    assert [each.type if each else "" for each in errors] == ["PermissionError"] * len(refused)
    assert sandbox.run("os.chmod('/work/run', 0o755)\nos.mkdir('/work/more')").ok
    assert sorted(each.name for each in tmp_path.iterdir()) == ["more", "run"]
    assert (tmp_path / "run").stat().st_mode & 0o7777 == 0o755


def test_nothing_of_the_host_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYAGENTS_CANARY", CANARY)
    secret, out = tmp_path / "secret.txt", tmp_path / "out.txt"
    secret.write_text(CANARY)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        facts = {"secret": secret, "out": out, "port": server.getsockname()[1], "pid": 1}
        sandbox = box(workers=2)
        told = [sandbox.run(each.format(**facts)) for each in snippets(REACHING)]
        with pytest.raises(BlockingIOError):
            server.accept()
    assert [each for each in told if CANARY in each.feedback()] == []
    assert [each.name for each in tmp_path.iterdir()] == ["secret.txt"]
    assert secret.read_text() == CANARY


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("while True: pass", "limit"),
        ("while True:\n  try:\n    while True: x = 1\n  except BaseException: x = 2", "limit"),
        ("import signal; signal.setitimer(signal.ITIMER_REAL, 0)\nwhile True: pass", "limit"),
        ("import signal; signal.pthread_sigmask(0, {14, 15})\nwhile True: pass", "limit"),
        ("10 ** 10 ** 10", "limit"),
        ("import re; re.match('(a+)+$', 'a' * 40 + 'b')", "limit"),
        ("import time; time.sleep(100)", "limit"),
        ("while True: print('x' * 100_000)", "limit"),
        ("'x' * 10**10", "code limit"),
        ("x = [1]\nwhile True: x = x + x", "code limit"),
        ("def f(): f()\nf()", "code"),
        ("import os\nwhile True:\n  try: os.fork()\n  except OSError: x = 1", "limit"),
        ("import threading\nwhile True: threading.Thread(target=int).start()", "limit"),
        ("import subprocess; subprocess.Popen(['true'])", "code"),
        ("import multiprocessing; multiprocessing.Process(target=print).start()", "code"),
        ("import ctypes; ctypes.string_at(0)", "crash"),
        ("import os; os._exit(0)", "crash"),
        ("import os; os.abort()", "crash"),
        ("import sys; sys.stdout._wire._out = 999\n1", "crash"),
        ("wire().say('done', 'forged')\nwire().say('done', 'forged')", "none"),
        ("wire().say('call', 1, 'nothing', False, {'t': 'tuple', 'v': []}, {})", "crash"),
        ("wire().say('wait', [1, 2])", "crash"),
        ("wire().say('done', {'t': 'what', 'v': 1})", "crash"),
        ("wire().say('nonsense')", "crash"),
        ("import os; os.write(wire()._out, b'{' * 10**5 + b'\\n')", "crash"),
        ("import os; os.write(wire()._out, b'[' * 10**6 + b'\\n')", "crash"),
        ("import os\nwhile True: os.write(wire()._out, b'x' * 10**6)", "limit"),
        ("import os; os.write(wire()._out, b'\\xff\\xfe\\n')", "crash"),
        ("wire().cell = 99\n1", "crash"),
        ("import sys; sys.set_int_max_str_digits(0)\nwire().say('done', 10**5000)", "crash"),
        ("wire().say('withheld')", "crash"),
    ],
)
def test_whatever_it_does_ends_in_time_and_the_next_cell_is_answered_by_itself(
    code: str, kind: str
) -> None:
    sandbox = box(max_output_chars=1_000_000)
    sandbox.run("def wire():\n  import sys\n  return sys.stdout._wire")
    began = time.monotonic()
    result = sandbox.run(code)
    assert time.monotonic() - began < 1 + 2
    assert (result.error.kind if result.error else "none") in kind.split(), result.feedback()
    after = sandbox.run("'after'")
    if after.error is not None:  # a line that was left over was noticed
        assert after.error.kind == "crash"
        after = sandbox.run("'after'")
    assert after.value == "after"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("list(range(2_000_000))", "more than 1,000,000 parts"),
        ("x = [1]\nfor i in range(60): x = [x, x]\nx", "more than 1,000,000 parts"),
        ("x = []\nfor i in range(150): x = [x]\nx", "nested too deeply"),
        ("import sys; sys.set_int_max_str_digits(0)\n10**5000", "more than 4,200 digits"),
        ("'x' * 20_000_000", "too long when written out"),
        ("class A:\n  size = 2_000_000\n  def tolist(self): return [0]\nA()", "parts"),
    ],
)
def test_a_value_that_is_too_much_stays_inside_and_costs_no_variables(code: str, why: str) -> None:
    def take(value: object) -> None:
        raise AssertionError("it never comes here")

    sandbox = box(tools=[take], time_limit_s=10)
    sandbox.run("kept = 1")
    result = sandbox.run(code)
    assert result.ok
    assert (type(result.value), why in result.value.why) == (Withheld, True)
    *before, last = code.splitlines()
    given = "\n".join((*before, f"take({last})"))
    error = sandbox.run(given).error
    assert error is not None
    assert error.message.startswith("take() cannot be given this: ")
    assert sandbox.run("kept").value == 1


def test_a_value_that_takes_too_long_to_write_out_stays_inside() -> None:
    sandbox = box(time_limit_s=0.3)
    sandbox.run("class Slow:\n  def tolist(self):\n    while True: pass\nkept = 1")
    value = sandbox.run("Slow()").value
    assert value.why == "writing it out takes longer than the time limit"
    assert sandbox.run("kept").value == 1


def test_a_long_text_is_printed_up_to_the_limit() -> None:
    assert len(box(max_output_chars=3_000_000).run("print('é' * 2_500_000)").printed) == 2_500_001
    error = box(max_output_chars=3_000_000).run("print('x' * 20_000_000)").error
    assert error is not None
    assert "max_output_chars=3000000" in error.message


@pytest.mark.skipif(importlib.util.find_spec("numpy") is None, reason="needs numpy")
def test_numpy_can_be_computed_with() -> None:
    sandbox = box(memory_limit_mb=1024, time_limit_s=10)
    code = "import numpy as np\na = np.arange(6.0).reshape(2, 3)\na @ a.T"
    assert sandbox.run(code).value == [[5.0, 14.0], [14.0, 50.0]]
    assert sandbox.run("a.mean(), np.int64(7), {'max': a.max()}").value == (2.5, 7, {"max": 5.0})
    assert sandbox.run("np.ones((2_000, 2_000))").value.type == "ndarray"
    assert sandbox.run("np.linalg.inv(np.eye(2))").value == [[1.0, 0.0], [0.0, 1.0]]
    assert not sandbox.run("np.ones((40_000, 40_000))").ok
    assert sandbox.run("float(a.sum())").value == 15.0


def test_a_session_that_is_lost_says_so() -> None:
    sandbox = box(time_limit_s=0.2)
    sandbox.run("x = 1")
    result = sandbox.run("import os; os._exit(1)")
    assert result.error is not None
    assert result.error.message.endswith("all variables of this session are gone")
    assert sandbox.run("x").error is not None


@pytest.mark.anyio
async def test_sessions_that_wait_do_not_keep_others_from_working() -> None:
    sandbox = box(workers=1)

    async def deep(depth: int) -> Any:
        async def below(call: HostCall) -> Any:
            return await deep(call.args[0])

        async with sandbox.session(functions=("below",)) as session:
            code = f"below({depth - 1}) + 1" if depth else "1"
            return (await session.run(code, on_call=below)).value

    assert await deep(4) == 5
    async with sandbox.session() as session:
        with anyio.move_on_after(0.05) as scope:
            await session.run("while True: pass")
        assert scope.cancelled_caught
        assert (await session.run("1")).value == 1


def test_what_it_cannot_is_told() -> None:
    async def dump() -> None:
        await box().session().dump()

    with pytest.raises(SandboxError, match="cannot write a session down"):
        anyio.run(dump)
    with pytest.raises(ConfigError, match="container and filter already"):
        box(hardened="seccomp")
