"""`Sandbox`: where code that nobody trusts runs, and what it is given there."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, cast

import anyio

from tinyagents.errors import ConfigError
from tinyagents.sandbox.cell import CellResult
from tinyagents.sandbox.describe import describe
from tinyagents.sandbox.driver import Rules
from tinyagents.sandbox.engine import Engine, Settings
from tinyagents.sandbox.files import read_mounts
from tinyagents.sandbox.mounts import Module, Mount
from tinyagents.sandbox.pool import Pool
from tinyagents.sandbox.session import OnPrint, Session
from tinyagents.sandbox.values import plain

__all__ = ["Sandbox"]

EngineName: TypeAlias = Literal["monty", "cpython"]


class Sandbox:
    """Runs Python that nobody trusts, outside of this process.

    The code can compute, call the functions it is given, and open the files it is given. Files,
    network, variables and processes of this machine do not exist for it, and no `try` in it stops
    a limit. A cell that fails tells why in its `CellResult`; it never raises here.

    `Sandbox().run("1 + 1")` is all a script needs. Agents open a `session()` each. Nothing has to
    be closed.

    Args:
        engine: What runs the code: `"monty"`, a small Python interpreter, `"cpython"`, the whole of
            Python in a container of bubblewrap (Linux only), or an `Engine` of your own.
        time_limit_s: Seconds a cell may compute. What functions of the host take does not count.
        memory_limit_mb: Megabytes that the variables of a session may take.
        recursion_limit: How deep functions in the code may call each other.
        max_host_calls: How many functions of the host a cell may call.
        max_output_chars: How many characters a cell may print.
        mounts: Files and folders it can open.
        modules: Modules of the host it can import.
        tools: Functions of the host it can call, plain or async: a list, or a mapping by name.
        values: Variables that every session starts with.
        hardened: Locks the processes in further on Linux: `"seccomp"` forbids them the system calls
            that they do not need, `"bwrap"` also takes the file system and the network from them.
        workers: How many processes may live at once; sessions that wait hold none that others need.
            Twice the number of processors, and at least 4, if not given.
        key: What sessions that are dumped are signed with. If not given, one of this sandbox alone:
            give one (a secret of at least 16 bytes) to restore them elsewhere.

    Attributes:
        card: What Python the code may not use, as text for the model that writes it.

    Raises:
        ConfigError: An argument is none that is allowed, or the engine cannot do what is asked.
        SandboxError: The engine is not installed.
    """

    def __init__(
        self,
        *,
        engine: EngineName | Engine = "monty",
        time_limit_s: float = 10.0,
        memory_limit_mb: int = 256,
        recursion_limit: int = 200,
        max_host_calls: int = 10_000,
        max_output_chars: int = 1_000_000,
        mounts: Iterable[Mount] = (),
        modules: Iterable[Module] = (),
        tools: Iterable[Callable[..., Any]] | Mapping[str, Callable[..., Any]] = (),
        values: Mapping[str, Any] | None = None,
        hardened: Literal[False, "seccomp", "bwrap"] = False,
        workers: int | None = None,
        key: bytes | None = None,
    ) -> None:
        settings = Settings(
            time_limit_s,
            memory_limit_mb,
            recursion_limit,
            max_host_calls,
            tuple(mounts),
            tuple(modules),
            hardened,
        )
        _check(settings, max_output_chars, workers, key)
        made = _engine(engine)
        most = workers or max(4, 2 * (os.cpu_count() or 1))
        pool = Pool(made.open(settings, most), most, can_dump="dump" in made.capabilities)
        self.card = made.card
        self._rules = Rules(
            made.name,
            "dump" in made.capabilities,
            pool,
            settings,
            max_output_chars,
            _by_name(tools),
            {f"{each.name}.{name}": f for each in settings.modules
             for name, f in each.functions.items()},
            key or secrets.token_bytes(32),
        )  # fmt: skip
        self._values = {name: plain(value) for name, value in (values or {}).items()}
        self._own: Session | None = None
        self._own_lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Sandbox(engine={self._rules.engine!r})"

    # --- for scripts ----------

    def run(self, code: str, *, on_print: OnPrint | None = None) -> CellResult:
        """Run a cell in the sandbox's own session, whose variables stay.

        Args:
            code: Python.
            on_print: Told what the code prints, as it prints it.

        Returns:
            What it came to; an error is told in it, not raised.

        Raises:
            RunConflict: Another thread runs a cell in the sandbox's own session.
            SandboxError: The sandbox is closed, or no process can be started.
        """
        session = self._own_session()
        return _run_here(partial(session.run, code, on_print=on_print))

    def set(self, **values: Any) -> None:
        """Set variables of the sandbox's own session, and of all that are opened from now on.

        Raises:
            TypeError: One of them is no plain data, pydantic model or dataclass.
        """
        self._own_session().assign(values)
        self._values.update({name: plain(value) for name, value in values.items()})

    def __setitem__(self, name: str, value: Any) -> None:
        self.set(**{name: value})

    def files(self) -> dict[str, str | bytes]:
        """What the writable mounts hold now, by path in the sandbox; bytes where it is no text."""
        return read_mounts(self._rules.settings.mounts)

    def describe(self) -> str:
        """Signatures and docstrings of its tools, as a model reads them."""
        return "\n\n".join(describe(name, each) for name, each in self._rules.tools.items())

    def inventory(self) -> str:
        """The files, modules and variables that code finds in it, as a model reads them."""
        settings = self._rules.settings
        lines = [each.told for each in settings.mounts]
        lines += [each.told for each in settings.modules]
        lines += [f"the variable {name}" for name in self._values]
        return "\n".join(f"- {line}" for line in lines)

    # --- for agents ----------

    def session(
        self,
        *,
        functions: Iterable[str] = (),
        values: Mapping[str, Any] | None = None,
        prelude: str = "",
    ) -> Session:
        """Open a REPL of its own: `async with box.session() as session`.

        Args:
            functions: Names that the code may call besides the sandbox's tools; whoever runs a cell
                answers them.
            values: Variables it starts with, besides those of the sandbox.
            prelude: Code of yours that runs before its first cell.

        Raises:
            ConfigError: A name is none in Python, or is that of a tool.
        """
        names = self.check_functions(functions)
        session = Session(self._rules, names, self._values, prelude)
        session.assign(values or {})
        return session

    def check_functions(self, functions: Iterable[str]) -> tuple[str, ...]:
        """Names that sessions may be given as functions.

        Raises:
            ConfigError: A name is none in Python, or is that of a tool of the sandbox.
        """
        names = tuple(functions)
        for name in names:
            if not name.isidentifier():
                raise ConfigError(f"session(functions=…): {name!r} is no name in Python")
            if name in self._rules.tools:
                raise ConfigError(
                    f"session(functions=…): {name!r} is a tool of the sandbox already: give one "
                    "of the two another name"
                )
        return names

    def close(self) -> None:
        """End its processes. Cells that run fail."""
        self._rules.pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _own_session(self) -> Session:
        with self._own_lock:
            if self._own is None:
                self._own = self.session()
            return self._own


def _engine(engine: EngineName | Engine) -> Engine:
    if engine == "monty":
        from tinyagents.sandbox.monty import MontyEngine

        return MontyEngine()
    if engine == "cpython":
        from tinyagents.sandbox.cpython import CPythonEngine

        return CPythonEngine()
    if isinstance(engine, str):
        raise ConfigError(f"Sandbox(engine={engine!r}): use 'monty', 'cpython' or an Engine")
    return engine


def _check(
    settings: Settings, max_output_chars: int, workers: int | None, key: bytes | None
) -> None:
    bounds = {
        "time_limit_s": (settings.time_limit_s, 0.001),
        "memory_limit_mb": (settings.memory_limit_mb, 1),
        "recursion_limit": (settings.recursion_limit, 1),
        "max_host_calls": (settings.max_host_calls, 0),
        "max_output_chars": (max_output_chars, 0),
        "workers": (1 if workers is None else workers, 1),
    }
    for name, (value, least) in bounds.items():
        is_number = _is_a(int | float, value) and not _is_a(bool, value)
        if not is_number or not value >= least or value == float("inf"):
            raise ConfigError(f"Sandbox({name}={value!r}): use a number of at least {least}")
    for kind, given in ((Mount, settings.mounts), (Module, settings.modules)):
        for each in given:
            if not _is_a(kind, each):
                where = f"{kind.__name__.lower()}s"
                raise ConfigError(f"Sandbox({where}=…): {each!r} is no {kind.__name__}")
    if settings.hardened not in (False, "seccomp", "bwrap"):
        raise ConfigError(f"Sandbox(hardened={settings.hardened!r}): use False, 'seccomp', 'bwrap'")
    if key is not None and len(key) < 16:
        raise ConfigError("Sandbox(key=…): give at least 16 secret bytes")


def _by_name(
    tools: Iterable[Callable[..., Any]] | Mapping[str, Callable[..., Any]],
) -> Mapping[str, Callable[..., Any]]:
    named: dict[str, Callable[..., Any]] = {}
    if isinstance(tools, Mapping):
        named.update(cast("Mapping[str, Callable[..., Any]]", tools))
    else:
        named.update((getattr(each, "__name__", ""), each) for each in tools)
    for name in named:
        if not name.isidentifier():
            raise ConfigError(f"Sandbox(tools=…): {name!r} is no name; give a mapping by name")
    return named


def _run_here(call: Callable[[], Awaitable[CellResult]]) -> CellResult:
    """Run a coroutine to its end, also where an event loop runs already."""
    try:
        anyio.get_cancelled_exc_class()
    except anyio.NoEventLoopError:
        return anyio.run(call)
    outcome: list[CellResult | BaseException] = []

    def run() -> None:
        try:
            outcome.append(anyio.run(call))
        except BaseException as error:
            outcome.append(error)

    # In a thread, so that it works in a notebook, whose cells run in an event loop.
    thread = threading.Thread(target=run, name="tinyagents-sandbox-run")
    thread.start()
    thread.join()
    result = outcome[0]
    if isinstance(result, BaseException):
        raise result
    return result


def _is_a(kind: Any, given: object) -> bool:
    # Whoever runs a type checker knows it; this is for whoever does not.
    return isinstance(given, kind)
