"""`Interrupts`: Ctrl-C pauses, if somebody can steer; then it cancels in order; then it quits."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

from tinyagents.cli.exits import ExitCode

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Interrupts"]

_Handler: TypeAlias = Callable[[int, FrameType | None], Any] | int | None
_SHOW_CURSOR = b"\x1b[?25h"


class Interrupts:
    """While the `with` block lasts, signals to stop are answered by a function.

    A plain signal handler, not one of the event loop: an async tool that blocks the loop would keep
    that from noticing, and Ctrl-C has to work then most of all.

    Args:
        stop: Called at the signal to stop; it is run by the signal handler, so it may only hand
            the matter on to the event loop.
        pause: Called at a Ctrl-C before that, likewise; false if it is one to stop.

    Attributes:
        code: The exit code that goes with the signal to stop, `None` as long as there was none.
    """

    def __init__(self, stop: Callable[[], object], pause: Callable[[], bool]) -> None:
        self._stop = stop
        self._pause = pause
        self._before: dict[signal.Signals, _Handler] = {}
        self.code: ExitCode | None = None

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def interrupt(self) -> None:
        """Stop, as if by a Ctrl-C."""
        if self.code is None:
            self.code = ExitCode.INTERRUPTED
            self._stop()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        is_ctrl_c = number == signal.SIGINT
        code = ExitCode.INTERRUPTED if is_ctrl_c else ExitCode.TERMINATED
        if self.code is None:
            if is_ctrl_c and self._pause():
                return
            self.code = code
            self._stop()
            return
        # At once: no `finally` of anybody, no waiting for threads. Only the cursor comes back.
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), _SHOW_CURSOR + b"\n")
        os._exit(code)
