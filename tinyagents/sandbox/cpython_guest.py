"""What runs inside the container of the `"cpython"` engine: a REPL that speaks lines of JSON.

It starts without any package but the two modules that it imports, and next to code that may rewrite
all of it: whatever it says, the host checks.
"""

from __future__ import annotations

import ast
import asyncio
import functools
import json
import linecache
import os
import selectors
import signal
import sys
import threading
import types
from typing import Any

from tinyagents.sandbox.awaited import awaited_calls
from tinyagents.sandbox.cpython_values import TooMuch, decode, encode

__all__ = ["main"]

_MAX_MESSAGE = 10_000
_MAX_FRAMES = 20
_MAX_PARTS = 1_000_000
_MAX_LINE = 15 << 20  # somewhat less than what the host reads
_MAX_PRINTED = 1 << 20


class TimeUp(BaseException):
    """The cell's time is over."""


class Wire:
    """The lines to and from the host."""

    def __init__(self) -> None:
        self._in = os.fdopen(os.dup(0), "r", encoding="utf-8", newline="\n")
        self._out = os.dup(1)
        self.cell = 0
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nothing, fd)

    def say(self, *message: Any) -> None:
        self.send(self.line(*message))

    def line(self, *message: Any) -> bytes:
        return (json.dumps([self.cell, *message]) + "\n").encode()

    def send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._out, data) :]

    def hear(self) -> Any:
        line = self._in.readline()
        if not line:
            os._exit(0)
        return json.loads(line)

    def answer(self) -> Any:
        """What the host answers; while it works, the cell's clock stands still."""
        left_s, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            return self.hear()
        finally:
            signal.setitimer(signal.ITIMER_REAL, left_s)


class Printer:
    """What stands for `sys.stdout` and `sys.stderr`."""

    encoding, errors, closed = "utf-8", "replace", False

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def write(self, text: str) -> int:
        for at in range(0, len(text), _MAX_PRINTED):
            part = text[at : at + _MAX_PRINTED]
            self._wire.say("print", part.encode("utf-8", "replace").decode())
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True


class HostFunction:
    """A function of the host: called plainly it gives a value, and by `later` a promise."""

    def __init__(self, repl: Repl, name: str) -> None:
        self._repl = repl
        self.__name__ = self.__qualname__ = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self._repl.turn:
            number = self._repl.call(self.__name__, args, kwargs, False)
            told = self._repl.wire.answer()[str(number)]
        return self._repl.outcome(told)

    def later(self, *args: Any, **kwargs: Any) -> Any:
        with self._repl.turn:
            number = self._repl.call(self.__name__, args, kwargs, True)
            self._repl.wire.answer()
        return self._kept(number)

    async def _kept(self, number: int) -> Any:
        # The call is made at once, and belongs to the event loop that waits for it.
        promise = asyncio.get_running_loop().create_future()
        self._repl.promises[number] = promise
        try:
            return await promise
        finally:
            self._repl.promises.pop(number, None)  # nobody waits for it any more

    def __repr__(self) -> str:
        return f"<function {self.__name__}>"


class Idle(selectors.DefaultSelector):
    """Asks the host for what was promised when the event loop has nothing else to do.

    It comes before what waits for the clock: whoever waits for both is woken a little late.
    """

    def __init__(self, repl: Repl) -> None:
        super().__init__()
        self._repl = repl

    def select(self, timeout: float | None = None) -> Any:
        loop = asyncio._get_running_loop()
        mine = {
            number: each
            for number, each in self._repl.promises.items()
            if each.get_loop() is loop and not each.done()
        }
        if timeout == 0 or not mine:
            return super().select(timeout)
        with self._repl.turn:
            self._repl.wire.say("wait", list(mine))
            answers = self._repl.wire.answer()
        for number, told in answers.items():
            promise = mine[int(number)]
            try:
                promise.set_result(self._repl.outcome(told))
            except Exception as error:
                promise.set_exception(error)
        return []


class Awaiting(ast.NodeTransformer):
    """Makes a promise of each call that is awaited."""

    def __init__(self, spans: frozenset[tuple[int, int]], starts: list[int]) -> None:
        self._spans = spans
        self._starts = starts

    def visit_Call(self, node: ast.Call) -> ast.AST:
        span = (
            self._starts[node.lineno - 1] + node.col_offset,
            self._starts[(node.end_lineno or 1) - 1] + (node.end_col_offset or 0),
        )
        self.generic_visit(node)
        if span in self._spans:
            later = ast.Name("__later__", ast.Load())
            node.func = ast.Call(later, [node.func], [])
        return node


class Repl:
    """Runs cells in one namespace."""

    def __init__(self, settings: dict[str, Any], wire: Wire) -> None:
        self.wire = wire
        self.turn = threading.RLock()
        self.promises: dict[int, Any] = {}
        self._settings = settings
        self._n_calls = 0
        self._n_cells = 0
        self._names: dict[str, Any] = {"__name__": "__main__", "__later__": _later}
        for name, members in settings["modules"].items():
            module = types.ModuleType(name)
            vars(module).update({key: decode(each) for key, each in members["constants"].items()})
            for each in members["functions"]:
                setattr(module, each, HostFunction(self, f"{name}.{each}"))
            sys.modules[name] = module

    def run(self, cell: int, code: str, values: dict[str, Any], functions: list[str]) -> None:
        """Run a cell and say what it came to."""
        self.wire.cell = cell
        self._names.update({name: decode(each) for name, each in values.items()})
        self._names.update({name: HostFunction(self, name) for name in functions})
        self.promises.clear()
        name = f"<cell {self._n_cells}>"
        self._n_cells += 1
        linecache.cache[name] = (len(code), None, code.splitlines(True), name)
        signal.setitimer(signal.ITIMER_REAL, self._settings["time_limit_s"])
        try:
            value = self._value(code, name)
            self._finish(value)
        except BaseException as error:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.wire.say("failed", *_told(error, name))

    def _finish(self, value: Any) -> None:
        """Say what the cell came to; a value that is too much stays here, as it does no harm."""
        line, why = b"", ""
        try:
            line = self._line("done", value)
        except TooMuch as error:
            why = str(error)
        except TimeUp:
            why = "writing it out takes longer than the time limit"
        signal.setitimer(signal.ITIMER_REAL, 0)
        if why:
            line = self.wire.line("withheld", type(value).__name__, why)
        self.wire.send(line)

    def _value(self, code: str, name: str) -> Any:
        tree = ast.parse(code, name)
        starts = [0]
        for line in code.encode().splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        spans = awaited_calls(code)
        if spans:
            tree = Awaiting(spans, starts).visit(tree)
        if tree.body and isinstance(end := tree.body[-1], ast.Expr):
            value = ast.Assign([ast.Name("__value__", ast.Store())], end.value)
            tree.body[-1] = ast.copy_location(value, end)
        ast.fix_missing_locations(tree)
        compiled = compile(tree, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        try:
            if compiled.co_flags & 0x80:  # CO_COROUTINE: it awaits
                asyncio.run(types.FunctionType(compiled, self._names)())
            else:
                exec(compiled, self._names)
        finally:
            value = self._names.pop("__value__", None)
        return value

    def call(self, name: str, args: Any, kwargs: Any, is_awaited: bool) -> int:
        """Tell the host of a call; its number."""
        self._n_calls += 1
        number = self._n_calls
        try:
            line = self._line("call", args, kwargs, facts=(number, name, is_awaited))
        except TooMuch as error:
            raise ValueError(f"{name}() cannot be given this: {error}") from None
        self.wire.send(line)
        return number

    def _line(self, kind: str, *values: Any, facts: tuple[Any, ...] = ()) -> bytes:
        """What says something with values of the code's.

        Raises:
            TooMuch: They cannot leave.
        """
        try:
            line = self.wire.line(kind, *facts, *(encode(each, _MAX_PARTS) for each in values))
        except RecursionError:
            raise TooMuch("it is nested too deeply") from None
        if len(line) > _MAX_LINE:
            raise TooMuch("its texts are too long when written out")
        return line

    def outcome(self, told: Any) -> Any:
        """The value of a call, or its exception."""
        if told[0] == "value":
            return decode(told[1])
        import builtins

        raise getattr(builtins, told[1], RuntimeError)(told[2])


def _later(function: Any) -> Any:
    return getattr(function, "later", function) if isinstance(function, HostFunction) else function


def _told(error: BaseException, name: str) -> tuple[str, str, str, list[Any]]:
    frames: list[Any] = []
    at = error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename.startswith("<cell"):
            line = linecache.getline(at.tb_frame.f_code.co_filename, at.tb_lineno)
            function = at.tb_frame.f_code.co_name
            where = list(at.tb_frame.f_code.co_positions())[at.tb_lasti // 2]
            width = (where[3] or 0) - (where[2] or 0) if where[0] == where[1] else 1
            frames.append([at.tb_lineno, "" if function == "<module>" else function,
                           line.rstrip()[:500], (where[2] or 0) + 1, width])  # fmt: skip
        at = at.tb_next
    if isinstance(error, TimeUp):
        return "limit", "TimeoutError", "time limit exceeded", []
    kind = "code"
    message = str(error)[:_MAX_MESSAGE]
    if isinstance(error, SyntaxError) and error.filename == name:
        kind, message = "syntax", str(error.msg)
        frames = [[error.lineno or 1, "", (error.text or "").rstrip()[:500], error.offset or 0, 1]]
    return kind, type(error).__name__, message, frames[-_MAX_FRAMES:]


def _stop(*_: Any) -> None:
    raise TimeUp


def main() -> None:
    """Serve cells until the host goes away."""
    import resource

    wire = Wire()
    settings = wire.hear()
    most = settings["memory_limit_mb"] << 20
    resource.setrlimit(resource.RLIMIT_AS, (most + _OWN_MEMORY, most + _OWN_MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.setrecursionlimit(settings["recursion_limit"] + 50)
    sys.path[:1] = settings["path"]  # in the place of where this was found
    printer: Any = Printer(wire)
    sys.stdout = sys.stderr = printer
    signal.signal(signal.SIGALRM, _stop)
    repl = Repl(settings, wire)
    # What all event loops of the code are made with.
    selectors.DefaultSelector = functools.partial(Idle, repl)  # type: ignore[misc, assignment]
    wire.say("ready")
    while True:
        repl.run(*wire.hear())


# What the interpreter itself needs, with the address space of its threads.
_OWN_MEMORY = 256 << 20
