"""The default engine: pydantic-monty, a Python interpreter that can do nothing but compute."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyagents.errors import ConfigError, SandboxError
from tinyagents.sandbox.engine import Capability, Settings, Worker
from tinyagents.sandbox.hardening import Launcher
from tinyagents.sandbox.mounts import overlapping

if TYPE_CHECKING:
    import pydantic_monty as monty

__all__ = ["CARD", "MontyEngine"]

CARD = """\
The code runs in a sandboxed Python interpreter. Variables stay from cell to cell. It knows:
- functions, classes without inheritance, dataclasses, comprehensions, f-strings, match, with,
  try/except/finally, async/await and asyncio.gather
- import only of: json math re typing asyncio datetime time random collections itertools functools
  decimal pathlib csv base64 hashlib copy bisect dataclasses tomllib
It does not know:
- yield, del, async with, async for, class inheritance (so no exception classes, no Enum)
- property, classmethod, staticmethod, super, globals, vars, callable, input
- functions that were given to you inside of map, filter, sorted(key=) or __repr__: use a
  comprehension or a loop
- next() on a generator expression: it is made a list at once"""

# Besides what the code calls, the engine stops for each name, file and import.
_MAX_STOPS = 2**31


class MontyEngine:
    """Runs cells in worker processes of pydantic-monty, a small Python interpreter.

    Files, network, processes and variables of the host do not exist there, and a worker starts
    within milliseconds.

    Args:
        binary: The interpreter to run; the installed one if not given.
    """

    name = "monty"
    card = CARD
    capabilities: frozenset[Capability] = frozenset(
        {"dump", "memory", "recursion", "mounts", "modules", "hardened"}
    )

    def __init__(self, binary: str | Path | None = None) -> None:
        self._binary = binary

    def open(self, settings: Settings, workers: int) -> MontyWorkers:
        """Make ready to run code; see `Engine`."""
        if importlib.util.find_spec("pydantic_monty") is None:
            raise SandboxError(
                "the sandbox runs code with pydantic-monty, which is not installed: "
                "pip install 'pydantic-monty>=1.4,<2'"
            )
        if (why := overlapping(settings.mounts)) is not None:
            raise ConfigError(why)
        return MontyWorkers(settings, workers, self._binary)


class MontyWorkers:
    """The workers of one sandbox: processes that are kept and used again."""

    def __init__(self, settings: Settings, workers: int, binary: str | Path | None) -> None:
        import pydantic_monty as monty
        from pydantic_monty._binary import find_monty_binary

        self.settings = settings
        self.mounts = [
            monty.MountDir(
                host_path=mount.host,
                virtual_path=mount.path,
                mode="read-write" if mount.writable else "read-only",
                memory_usage_limit=settings.memory_limit_mb << 20,
            )
            for mount in settings.mounts
            if mount.is_folder
        ]
        self._modules = {
            module.name: monty.ExternalModule(
                {**module.constants, **{name: stub(name) for name in module.functions}}
            )
            for module in settings.modules
        }
        self.module_functions = frozenset(
            f"{module.name}.{name}" for module in settings.modules for name in module.functions
        )
        self._stubs: dict[tuple[str, ...], Mapping[str, Callable[..., Any]]] = {}
        self._limits: monty.ResourceLimits = {
            "max_feed_duration_secs": settings.time_limit_s,
            "max_memory": settings.memory_limit_mb << 20,
            "max_recursion_depth": settings.recursion_limit,
            "max_suspensions": _MAX_STOPS,
        }
        # The pool never waits: whoever asks for a worker has been given leave before. The spare one
        # is for a worker that was killed and is not yet taken away.
        self._launcher: Launcher | None = None
        if settings.hardened:
            self._launcher = Launcher(settings.hardened, find_monty_binary(binary))
        self._pool = monty.Monty(
            binary_path=binary if self._launcher is None else self._launcher.path,
            min_processes=0,
            max_processes=workers + 1,
            max_checkouts_per_worker=50,
        )
        try:
            self._pool.__enter__()
        except (OSError, RuntimeError) as error:
            raise SandboxError(f"the sandbox cannot start: {error}") from error

    def start(self) -> Worker:
        """Start a worker; see `Workers`."""
        from tinyagents.sandbox.monty_worker import MontyWorker

        return MontyWorker(self)

    def stubs(self, functions: tuple[str, ...]) -> Mapping[str, Callable[..., Any]]:
        """What is bound to the names of functions of the host, at each cell anew."""
        if functions not in self._stubs:
            self._stubs[functions] = {name: stub(name) for name in functions}
        return self._stubs[functions]

    def check_out(self) -> monty.MontySession:
        """A session in one of the processes."""
        return self._pool.checkout(
            limits=self._limits,
            external_modules=self._modules,
            assert_message_annotations=True,
        )

    def close(self) -> None:
        """End all workers; see `Workers`."""
        self._pool.__exit__(None, None, None)
        if self._launcher is not None:
            self._launcher.close()


def stub(name: str) -> Callable[..., Any]:
    """What stands for a function of the host in a sandbox; the host never calls it."""

    def function(*args: Any, **kwargs: Any) -> Any:
        raise SandboxError(f"{name} was called on the wrong side of the sandbox")

    function.__name__ = function.__qualname__ = name
    return function
