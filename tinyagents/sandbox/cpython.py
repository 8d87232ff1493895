"""The whole of Python in a container, for those who need its libraries. Linux only."""

from __future__ import annotations

import json
import os
import select
import site
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from tinyagents.errors import ConfigError, SandboxError
from tinyagents.sandbox import awaited, cpython_guest, cpython_values, seccomp
from tinyagents.sandbox.cell import CellError, ErrorKind, Frame, shorten
from tinyagents.sandbox.cpython_values import decode, encode
from tinyagents.sandbox.engine import (
    Answer,
    Asked,
    CallKind,
    Capability,
    Failed,
    Feed,
    Finished,
    Given,
    Raised,
    Settings,
    Stop,
    Waits,
    Worker,
)
from tinyagents.sandbox.hardening import bubblewrap
from tinyagents.sandbox.mounts import overlapping
from tinyagents.sandbox.values import Withheld, safe

__all__ = ["CPythonEngine"]

_CARD = """\
The code runs in a sandboxed Python {version}. Variables stay from cell to cell. There is no
network, no other process can be started, and only files that are named here can be opened."""
_GRACE_S = 0.5
_START_S = 20.0
_HOME = "/.sandbox"
_GUEST = f"{_HOME}/guest"
_START = (
    f"import sys; sys.path.insert(0, {_GUEST!r}); "
    "from tinyagents.sandbox.cpython_guest import main; main()"
)
_KINDS: Mapping[str, ErrorKind] = {"syntax": "syntax", "limit": "limit"}
# Read as JSON it may take twenty times that on the host.
_MAX_LINE = 16 << 20


class CPythonEngine:
    """Runs cells in CPython, in a container of bubblewrap with a filter of system calls.

    It is slower to start than the default engine, and a weaker wall: the kernel itself stands
    behind it. A session cannot be written down, and one whose cell hits a hard limit loses all its
    variables. Time limits are raised in the code first, and end the process half a second later.

    Args:
        packages: Folders with packages that the code can import, to be read only; those of this
            Python if not given.
    """

    name = "cpython"
    card = _CARD.format(version=".".join(map(str, sys.version_info[:2])))
    capabilities: frozenset[Capability] = frozenset({"memory", "recursion", "mounts", "modules"})

    def __init__(self, packages: Sequence[str | Path] | None = None) -> None:
        found = site.getsitepackages() if packages is None else packages
        self._packages = [str(Path(each).resolve()) for each in found if Path(each).is_dir()]

    def open(self, settings: Settings, workers: int) -> CPythonWorkers:
        """Make ready to run code; see `Engine`."""
        if settings.hardened:
            raise ConfigError(
                "Sandbox(engine='cpython', hardened=…): it has container and filter already"
            )
        if (why := overlapping(settings.mounts)) is not None:
            raise ConfigError(why)
        command = bubblewrap()
        if not seccomp.can_filter():
            raise SandboxError("Sandbox(engine='cpython') needs Linux on x86_64 or aarch64")
        return CPythonWorkers(settings, command, self._packages)


class CPythonWorkers:
    """The workers of one sandbox; each is used by one session."""

    def __init__(self, settings: Settings, command: list[str], packages: list[str]) -> None:
        self.settings = settings
        # All of Python stands in a folder of its own there, away from what is mounted.
        prefix = Path(sys.base_prefix).resolve()
        python = Path(sys.executable).resolve().relative_to(prefix)
        there = {f"{_HOME}/packages{n}": each for n, each in enumerate(packages)}
        seen: dict[str, str | Path] = {f"{_HOME}/python": prefix, **there}
        for module in (cpython_guest, cpython_values, awaited):
            seen[f"{_GUEST}/{module.__name__.replace('.', '/')}.py"] = Path(module.__file__ or "")
        for path, here in seen.items():
            command += ["--ro-bind", str(Path(here).resolve()), path]
        for mount in settings.mounts:
            if not mount.host.exists():
                mount.host.touch()
            command += ["--bind" if mount.writable else "--ro-bind", str(mount.host), mount.path]
        size = str(settings.memory_limit_mb << 20)
        command += ["--size", size, "--tmpfs", "/tmp", "--remount-ro", "/dev"]
        command += ["--setenv", "LD_LIBRARY_PATH", f"{_HOME}/python/lib"]
        # Each thread of its own takes address space, which is what the memory limit counts.
        command += ["--setenv", "OPENBLAS_NUM_THREADS", "1"]
        self._command = [*command, "--remount-ro", "/", "--chdir", "/"]
        self._python = [f"{_HOME}/python/{python.as_posix()}", "-IS", "-c", _START]
        self._packages = list(there)
        self._living: set[CPythonWorker] = set()

    def start(self) -> Worker:
        """Start a worker; see `Workers`."""
        with tempfile.TemporaryFile() as program:
            program.write(seccomp.filter_program(writes=True))
            program.seek(0)
            fd = program.fileno()
            process = subprocess.Popen(
                [*self._command, "--seccomp", str(fd), "--", *self._python],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(fd,),
                env={},
                bufsize=0,
            )
        worker = CPythonWorker(self, process)
        self._living.add(worker)
        worker.set_up(self._setup())
        return worker

    def _setup(self) -> Any:
        settings = self.settings
        modules = {
            each.name: {
                "constants": {name: encode(value) for name, value in each.constants.items()},
                "functions": list(each.functions),
            }
            for each in settings.modules
        }
        return {
            "time_limit_s": settings.time_limit_s,
            "memory_limit_mb": settings.memory_limit_mb,
            "recursion_limit": settings.recursion_limit,
            "modules": modules,
            "path": self._packages,
        }

    def forget(self, worker: CPythonWorker) -> None:
        """A worker has ended."""
        self._living.discard(worker)

    def close(self) -> None:
        """End all workers; see `Workers`."""
        for worker in list(self._living):
            worker.close()


class CPythonWorker:
    """One container with one interpreter. Nothing it says is believed."""

    def __init__(self, home: CPythonWorkers, process: subprocess.Popen[bytes]) -> None:
        self._home = home
        self._process = process
        self._most_bytes = home.settings.memory_limit_mb << 20
        self._heard = bytearray()
        self._feed: Feed | None = None
        self._left_s = 0.0
        self._asked: set[int] = set()
        self._cell = 0
        self._talking = threading.Lock()

    def set_up(self, settings: Any) -> None:
        """Wait until the interpreter has started.

        Raises:
            SandboxError: It has not.
        """
        self._left_s = _START_S
        try:
            self.say(settings)
            self._line()
        except (SandboxError, TimeoutError) as error:
            self.close()
            raise SandboxError(f"Python did not start in its container: {error}") from error

    def feed(self, feed: Feed) -> Stop:
        """Run a cell; see `Worker`."""
        self._feed = feed
        self._left_s = self._home.settings.time_limit_s + _GRACE_S
        self._asked = set()
        self._cell += 1
        values = {name: encode(value) for name, value in feed.values.items()}
        return self._exchange([self._cell, feed.code, values, list(feed.functions)])

    def answer(self, answers: Mapping[int, Answer]) -> Stop:
        """Answer and go on; see `Worker`."""
        return self._exchange({str(id): _told(each) for id, each in answers.items()})

    def dump(self) -> bytes:
        """It cannot; see `Worker`."""
        raise SandboxError("the engine 'cpython' cannot write a session down")

    def load(self, state: bytes, feed: Feed | None) -> None:
        """It cannot; see `Worker`."""
        raise SandboxError("the engine 'cpython' cannot take a session up")

    def kill(self) -> None:
        """End its process at once; see `Worker`."""
        self._process.kill()

    def close(self) -> None:
        """End its process; see `Worker`."""
        self._process.kill()
        with self._talking:  # which ends now, in whatever thread
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
        self._home.forget(self)

    # --- talking ----------

    def say(self, message: Any) -> None:
        """Tell the interpreter something.

        Raises:
            SandboxError: It is gone.
        """
        assert self._process.stdin is not None
        data = memoryview((json.dumps(message) + "\n").encode())
        try:
            while data:
                data = data[self._process.stdin.write(data) or 0 :]
        except (BrokenPipeError, ValueError) as error:
            raise SandboxError(f"the sandbox's process has ended: {error}") from error

    def _exchange(self, message: Any) -> Stop:
        with self._talking:
            return self._exchanged(message)

    def _exchanged(self, message: Any) -> Stop:
        try:
            self.say(message)
            while True:
                stop = self._understood(json.loads(self._line()))
                if stop is not None:
                    return stop
        except _TooLong as error:
            return self._lost("limit", "LimitError", str(error))
        except TimeoutError:
            return self._lost("limit", "TimeoutError", "time limit exceeded")
        except SandboxError as error:
            return self._lost("crash", "SandboxCrashed", str(error))
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            why = f"it said what nobody can read ({type(error).__name__})"
            return self._lost("crash", "SandboxCrashed", why)

    def _lost(self, kind: Any, name: str, why: str) -> Failed:
        self.kill()
        return Failed(
            CellError(kind, name, f"{why}; all variables of this session are gone"), is_lost=True
        )

    def _line(self) -> bytes:
        """The next line, within the cell's time."""
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        searched = 0
        while (end := self._heard.find(b"\n", searched)) < 0:
            searched = len(self._heard)
            if searched > _MAX_LINE:
                raise _TooLong(f"it said more than {_MAX_LINE:,} bytes at once")
            began = time.monotonic()
            if not select.select([fd], [], [], max(self._left_s, 0.0))[0]:
                raise TimeoutError
            self._left_s -= time.monotonic() - began
            data = os.read(fd, 1 << 16)
            if not data:
                raise SandboxError(f"the sandbox's process has ended ({self._process.wait()})")
            self._heard += data
        line = bytes(self._heard[:end])
        del self._heard[: end + 1]
        return line

    def _understood(self, message: Any) -> Stop | None:
        assert self._feed is not None
        cell, kind, *facts = message
        if cell != self._cell:
            # The code wrote a line of its own: what comes now answers something else.
            raise ValueError("it speaks of another cell")
        if kind == "print":
            self._feed.on_print(str(facts[0]))
            return None
        if kind == "call":
            return self._call(*facts)
        if kind == "wait":
            ids = tuple(int(each) for each in facts[0] if each in self._asked)
            if not ids:
                raise ValueError("it waits for nothing")
            return Waits(ids)
        if kind == "done":
            return Finished(safe(decode(facts[0]), self._most_bytes))
        if kind == "withheld":
            return Finished(Withheld(str(facts[0])[:200], str(facts[1])[:200]))
        what, name, text, frames = facts
        known = _KINDS.get(what, "code")
        places = tuple(Frame(int(n), str(f), str(s), int(c), int(w)) for n, f, s, c, w in frames)
        return Failed(CellError(known, str(name)[:200], shorten(str(text), 10_000), places))

    def _call(self, id: int, name: str, is_awaited: bool, args: Any, kwargs: Any) -> Stop | None:
        assert self._feed is not None
        given = safe((decode(args), decode(kwargs)), self._most_bytes)
        modules = {f"{m.name}.{f}" for m in self._home.settings.modules for f in m.functions}
        if type(id) is not int or not (name in self._feed.functions or name in modules):
            raise ValueError("it calls what it was not given")
        if isinstance(given, Withheld):
            refused = ValueError(f"{name}() cannot be given this: {given.why}")
            self.say({str(id): _told(Raised(refused))})
            return None
        positional, named = cast("tuple[Any, Any]", given)
        if not isinstance(positional, tuple) or not all(isinstance(each, str) for each in named):
            raise ValueError("it calls in a way that there is none")
        self._asked.add(id)
        kind: CallKind = "function" if name in self._feed.functions else "module"
        return Asked(id, kind, name, cast("Any", positional), named, bool(is_awaited))


class _TooLong(Exception):
    """A line that has no end."""


def _told(answer: Answer) -> Any:
    if isinstance(answer, Given):
        return ["value", encode(answer.value)]
    if isinstance(answer, Raised):
        return ["error", type(answer.error).__name__, str(answer.error)]
    return ["later"]
