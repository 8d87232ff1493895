"""What runs inside the container of the `"cpython"` engine: a REPL that speaks lines of JSON.

It starts without any package, and next to code that may rewrite all of it: whatever it says, the
host checks.
"""

from __future__ import annotations

import ast
import asyncio
import json
import linecache
import os
import selectors
import signal
import sys
import types
from typing import Any

__all__ = ["main"]

_MAX_MESSAGE = 10_000
_MAX_FRAMES = 20
_MAX_DEPTH = 100
_MAX_PARTS = 1_000_000
_MAX_LINE = 15 << 20  # somewhat less than what the host reads
_MAX_PRINTED = 1 << 20
# Python refuses to write integers of more than 4,300 digits.
_MAX_BITS = 14_000


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
        number = self._repl.call(self.__name__, args, kwargs, False)
        return self._repl.outcome(self._repl.wire.answer()[str(number)])

    def later(self, *args: Any, **kwargs: Any) -> Any:
        number = self._repl.call(self.__name__, args, kwargs, True)
        self._repl.wire.answer()
        promise = asyncio.get_running_loop().create_future()
        self._repl.promises[number] = promise
        return promise

    def __repr__(self) -> str:
        return f"<function {self.__name__}>"


class Idle(selectors.DefaultSelector):
    """Asks the host for what was promised when the event loop has nothing else to do."""

    def __init__(self, repl: Repl) -> None:
        super().__init__()
        self._repl = repl

    def select(self, timeout: float | None = None) -> Any:
        promises = self._repl.promises
        if timeout is None and promises:
            self._repl.wire.say("wait", list(promises))
            for number, told in self._repl.wire.answer().items():
                promise = promises.pop(int(number))
                if promise.done():
                    continue
                try:
                    promise.set_result(self._repl.outcome(told))
                except Exception as error:
                    promise.set_exception(error)
            return []
        return super().select(timeout)


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

    def __init__(self, settings: dict[str, Any], wire: Wire, awaited_calls: Any) -> None:
        self.wire = wire
        self.promises: dict[int, Any] = {}
        self._settings = settings
        self._awaited_calls = awaited_calls
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
        spans = self._awaited_calls(code)
        if spans:
            tree = ast.fix_missing_locations(Awaiting(spans, starts).visit(tree))
        last = None
        if tree.body and isinstance(end := tree.body[-1], ast.Expr):
            tree.body.pop()
            last = ast.Expression(end.value)
        self._execute(compile(tree, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT))
        if last is None:
            return None
        return self._execute(compile(last, name, "eval", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT))

    def _execute(self, code: types.CodeType) -> Any:
        if not code.co_flags & 0x80:  # CO_COROUTINE: it awaits
            return eval(code, self._names)
        loop = asyncio.SelectorEventLoop(Idle(self))
        try:
            return loop.run_until_complete(types.FunctionType(code, self._names)())
        finally:
            loop.close()

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


class TooMuch(ValueError):
    """A value that cannot leave; its text says why."""


def encode(value: Any, most_parts: float = float("inf")) -> Any:
    """A value as JSON, with a tag where JSON has no such type.

    Raises:
        TooMuch: It has more parts than that, each counted as often as it is written, or is too
            deep.
    """
    return _Encoder(most_parts).encode(value, 0)


class _Encoder:
    def __init__(self, room: float) -> None:
        self._most = self._room = room

    def encode(self, value: Any, depth: int) -> Any:
        self._take(1)
        if value is None or isinstance(value, (bool, float, str)):
            return value
        if isinstance(value, int):
            return _whole_number(value)
        if depth > _MAX_DEPTH:
            raise TooMuch(f"it is nested more than {_MAX_DEPTH} deep")
        if isinstance(value, list):
            return self._all(value, depth)
        if isinstance(value, dict):
            return {"t": "dict", "v": [self._all(pair, depth) for pair in _pairs(value)]}
        for kind in (tuple, set, frozenset):
            if isinstance(value, kind):
                return {"t": kind.__name__, "v": self._all(value, depth)}
        if isinstance(value, (bytes, bytearray)):
            return {"t": "bytes", "v": value.hex()}
        return self._other(value, depth)

    def _other(self, value: Any, depth: int) -> Any:
        if hasattr(value, "tolist"):  # an array, or a number that is one
            size = getattr(value, "size", 0)
            self._take(size if isinstance(size, int) else 0)  # before its list is made
            return self.encode(value.tolist(), depth + 1)
        if hasattr(value, "__dataclass_fields__"):
            fields = {name: getattr(value, name) for name in value.__dataclass_fields__}
            return self.encode(fields, depth)
        return repr(value)[:_MAX_MESSAGE]

    def _all(self, values: Any, depth: int) -> list[Any]:
        return [self.encode(each, depth + 1) for each in values]

    def _take(self, parts: int) -> None:
        self._room -= parts
        if self._room < 0:
            raise TooMuch(f"it has more than {self._most:,} parts when written out")


def _whole_number(value: int) -> int:
    if value.bit_length() > _MAX_BITS:
        raise TooMuch("it holds an integer of more than 4,200 digits")
    return value


def _pairs(values: Any) -> Any:
    return values.items()


def decode(data: Any) -> Any:
    """The value that `encode` wrote.

    Raises:
        ValueError, TypeError, LookupError, RecursionError: It wrote no such thing.
    """
    if isinstance(data, list):
        return _decoded(data)
    return _untagged(data) if isinstance(data, dict) else data


def _untagged(data: Any) -> Any:
    kind, parts = data["t"], data["v"]
    if kind == "dict":
        return {decode(key): decode(each) for key, each in parts}
    if kind == "bytes":
        return bytes.fromhex(parts)
    return {"tuple": tuple, "set": set, "frozenset": frozenset}[kind](_decoded(parts))


def _decoded(parts: Any) -> list[Any]:
    return [decode(each) for each in parts]


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
    sys.path[:0] = settings["path"]
    printer: Any = Printer(wire)
    sys.stdout = sys.stderr = printer
    signal.signal(signal.SIGALRM, _stop)
    source: dict[str, Any] = {"__name__": "awaited"}
    exec(settings["awaited"], source)
    repl = Repl(settings, wire, source["awaited_calls"])
    wire.say("ready")
    while True:
        repl.run(*wire.hear())


# What the interpreter itself needs, with the address space of its threads.
_OWN_MEMORY = 256 << 20

if __name__ == "__main__":
    main()
