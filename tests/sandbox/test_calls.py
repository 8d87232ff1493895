"""A cell calls functions of the host: plainly, awaited, many at once; and the host ends it."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from tinyagents.errors import ConfigError, SandboxError, Signal
from tinyagents.sandbox import HostCall, Module, Sandbox

pytestmark = pytest.mark.anyio


class Finish(Signal):
    """What a dialect raises when the code has its answer."""


def box(**options: Any) -> Sandbox:
    return Sandbox(time_limit_s=5, **options)


async def echo(call: HostCall) -> Any:
    return [call.name, *call.args, dict(call.kwargs)]


async def run(code: str, on_call: Callable[[HostCall], Awaitable[Any]] = echo) -> Any:
    async with box().session(functions=("search", "other")) as session:
        result = await session.run(code, on_call=on_call)
        assert result.ok, result.feedback()
        return result.value


@pytest.mark.parametrize(
    "code",
    [
        "search(1, k=2)",
        "await search(1, k=2)",
        "x = await search(1, k=2)\nx",
        "x = search(1, k=2)\nx",
        "p = search(1, k=2)\nx = await p\nx",
        "import asyncio\n(await asyncio.gather(search(1, k=2)))[0]",
        "import asyncio\nps = [search(1, k=2)]\n(await asyncio.gather(*ps))[0]",
        "import asyncio\nps = []\nps.append(search(1, k=2))\n(await asyncio.gather(*ps))[0]",
        "import asyncio\n(await asyncio.gather(*[search(i, k=2) for i in (1, 2)]))[0]",
        "import asyncio\nasync def f(): return await search(1, k=2)\nasyncio.run(f())",
        "import asyncio\nasync def f(): return search(1, k=2)\nasyncio.run(f())",
        "import asyncio\nasyncio.run(search(1, k=2))",
        "import asyncio\nd = {n: search(n, k=2) for n in (1, 2)}\n"
        "(await asyncio.gather(*d.values()))[0]",
        "import asyncio\nd = {}\nd['a'] = search(1, k=2)\n(await asyncio.gather(*d.values()))[0]",
        "async def f(): return await search(1, k=2)\nawait f()",
        "[search(i, k=2) for i in (1, 2)][0]",
        "(lambda: search(1, k=2))()",
        "find = search\nfind(1, k=2)",
        "eval('search(1, k=2)')",
        "def f(g): return g(1, k=2)\nf(search)",
        "search(*[1], **{'k': 2})",
    ],
)
async def test_a_function_is_called_as_models_call_it(code: str) -> None:
    assert await run(code) == ["search", 1, {"k": 2}]


async def test_an_async_function_of_an_earlier_cell_is_awaited_in_a_later_one() -> None:
    async with box(workers=1).session(functions=("search",)) as session:
        await session.run("import asyncio\nasync def f(n):\n  x = await search(n)\n  return x[1]")
        other = await session.fork()
        code = "await asyncio.gather(f(1), f(2))"
        assert (await session.run(code, on_call=echo)).value == [1, 2]
        assert (await other.run(code, on_call=echo)).value == [1, 2]


async def test_gathered_calls_run_at_the_same_time() -> None:
    all_here = anyio.Event()
    n_here = 0

    async def meet(call: HostCall) -> int:
        nonlocal n_here
        n_here += 1
        if n_here == 10:
            all_here.set()
        await all_here.wait()
        return int(call.args[0])

    code = "import asyncio\nawait asyncio.gather(*[search(i) for i in range(10)])"
    assert await run(code, meet) == list(range(10))


async def test_calls_are_numbered_in_cell_and_session() -> None:
    calls: list[tuple[int, int]] = []

    async def note(call: HostCall) -> None:
        calls.append((call.id, call.n))

    async with box().session(functions=("f",)) as session:
        first = await session.run("f(); f()", on_call=note)
        await session.run("f()", on_call=note)
        data = await session.dump()
        await session.restore(data)
        await session.run("f()", on_call=note)
    assert first.n_calls == 2
    assert calls == [(0, 0), (1, 1), (2, 0), (3, 0)]


async def test_models_become_data_on_their_way_in() -> None:
    class Hit(BaseModel):
        url: str

    async def search(call: HostCall) -> list[Hit]:
        return [Hit(url="u")]

    assert await run("search()[0]['url']", search) == "u"


async def test_what_cannot_enter_is_an_error_in_the_code() -> None:
    async def give(call: HostCall) -> object:
        return object()

    code = "try: search()\nexcept TypeError as e: r = str(e)\nr"
    assert "cannot enter the sandbox" in await run(code, give)


class OwnError(LookupError):
    pass


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ValueError("why"), "ValueError"),
        (KeyError("why"), "KeyError"),
        (TimeoutError("why"), "TimeoutError"),
        (FileNotFoundError("why"), "FileNotFoundError"),
        (OwnError("why"), "LookupError"),
        (SandboxError("why"), "RuntimeError"),
    ],
)
@pytest.mark.parametrize("call", ["search()", "await search()"])
async def test_an_exception_of_a_function_can_be_caught_in_the_code(
    error: Exception, name: str, call: str
) -> None:
    async def fail(call: HostCall) -> None:
        raise error

    code = f'try: {call}\nexcept Exception as e: r = [type(e).__name__, str(e).strip("\'")]\nr'
    assert await run(code, fail) == [name, "why"]


@pytest.mark.parametrize("signal", [Finish(7), SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize(
    "code",
    [
        "done()",
        "if True:\n  done()\nx = 2",
        "for i in range(3): done()",
        "def f(): done()\nf()",
        "try: done()\nexcept BaseException: x = 2\nfinally: x = 3",
        "try: done()\nexcept: pass\nwhile True: pass",
        "await done()",
        "import asyncio\nawait asyncio.gather(done(), other())",
        "[done() for _ in range(2)]",
    ],
)
async def test_a_signal_ends_the_cell_wherever_it_stands_and_undoes_it(
    code: str, signal: BaseException
) -> None:
    is_cancelled = False

    async def answer(call: HostCall) -> None:
        nonlocal is_cancelled
        if call.name == "done":
            raise signal
        try:
            await anyio.sleep_forever()
        finally:
            is_cancelled = True

    async with box().session(functions=("done", "other")) as session:
        await session.run("x = 1")
        with pytest.raises(type(signal)) as raised:
            await session.run(f"x = 9\n{code}", on_call=answer)
        assert raised.value is signal
        assert is_cancelled is ("other" in code)
        assert (await session.run("x")).value == 1


async def test_a_name_that_a_cell_takes_is_given_back_to_the_next() -> None:
    async with box().session(functions=("search",)) as session:
        assert (await session.run("search = 5\nsearch", on_call=echo)).value == 5
        assert (await session.run("search(1)", on_call=echo)).value == ["search", 1, {}]


async def test_more_than_a_thousand_calls_and_no_more_than_allowed() -> None:
    async with box(max_host_calls=1_500).session(functions=("f",)) as session:
        assert (await session.run("for i in range(1500): f()", on_call=echo)).n_calls == 1_500
        over = await session.run("y = 1\nwhile True:\n  try: f()\n  except BaseException: pass",
                                 on_call=echo)  # fmt: skip
        assert over.error is not None
        assert (over.error.kind, over.rolled_back, over.n_calls) == ("limit", True, 1_500)
        assert (await session.run("i")).value == 1_499


async def test_files_count_as_host_calls() -> None:
    result = (
        await box(max_host_calls=50)
        .session()
        .run("while True:\n  try: open('/nothing')\n  except OSError: pass")
    )
    assert result.error is not None
    assert result.error.message == "max_host_calls=50 exceeded"


@pytest.mark.parametrize(
    "argument",
    [
        "x = [1]\nfor i in range(60): x = [x, x]\n",
        "x = []\nfor i in range(200): x = [x]\n",
        "x = 10**5000\n",
        "x = {1: 10**5000}\n",
        "x = 'a' * 1_000_000\nx = [x] * 100\n",
        "class P:\n  def __init__(self, a): self.a = self.b = a\n"
        "x = P(1)\nfor i in range(60): x = P(x)\n",
    ],
)
async def test_an_argument_that_would_harm_the_host_is_refused(argument: str) -> None:
    called: list[HostCall] = []

    async def note(call: HostCall) -> None:
        called.append(call)

    async with box(memory_limit_mb=32).session(functions=("f",)) as session:
        for code in (f"{argument}f(x)", f"{argument}f(k=x)", f"{argument}await f(x)"):
            result = await session.run(code, on_call=note)
            assert result.error is not None
            assert (result.error.type, result.error.kind) == ("ValueError", "code")
            assert "f() cannot be given this" in result.error.message
    assert called == []


async def test_an_instance_arrives_as_its_attributes() -> None:
    code = "from dataclasses import dataclass\n@dataclass\nclass P:\n  x: int\nsearch(P(1), [P(2)])"
    assert await run(code) == ["search", {"x": 1}, [{"x": 2}], {}]


async def test_modules_have_constants_and_functions() -> None:
    async def later(n: int) -> int:
        return n + 1

    config = Module("config", {"version": "v2", "flag": "on".__eq__, "later": later})
    code = "import config\nfrom config import flag\nconfig.version, flag('on'), config.later(1)"
    async with box(modules=[config], workers=1).session() as session:
        assert (await session.run(code)).value == ("v2", True, 2)
        assert (await (await session.fork()).run("flag('off')")).value is False
        missing = await session.run("config.nothing")
        assert missing.error is not None
        assert missing.error.type == "AttributeError"
    for name, members in (("a b", {}), ("m", {"_x": 1}), ("m", {"x": object()})):
        with pytest.raises(ConfigError):
            Module(name, members)


async def test_a_tool_cannot_run_a_cell_of_the_session_that_called_it() -> None:
    async with box().session(functions=("again",)) as session:

        async def again(call: HostCall) -> None:
            await session.run("1")

        result = await session.run("again()", on_call=again)
        assert result.error is not None
        assert "a cell of it is running" in result.error.message


async def test_a_function_that_nobody_answers_says_so() -> None:
    result = await box().session(functions=("search",)).run("search()")
    assert result.error is not None
    assert "nobody answers search()" in result.error.message
    for names in (("no name",), ("print it",)):
        with pytest.raises(ConfigError, match="no name in Python"):
            box().session(functions=names)
    with pytest.raises(ConfigError, match="is a tool of the sandbox"):
        box(tools={"search": print}).session(functions=("search",))


async def test_a_sleep_holds_no_worker_and_counts() -> None:
    async with box(workers=1).session() as one, box(workers=1).session() as two:
        code = (
            "import asyncio, time\ntime.sleep(0.01)\nawait asyncio.gather(asyncio.sleep(0.01))\n1"
        )
        assert (await one.run(code)).value == 1
        result = await two.run("import time\ntime.sleep(6)")
        assert result.error is not None
        assert result.error.kind == "limit"
