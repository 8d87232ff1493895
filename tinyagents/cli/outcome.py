"""`Outcome`: how a run that was watched ended, and what is said of it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from pydantic_core import to_json, to_jsonable_python

from tinyagents import (
    ConfigError,
    EventSink,
    LimitExceeded,
    Result,
    RunHandle,
    TinyAgentsError,
    ToolError,
)
from tinyagents.cli.asks import json_of
from tinyagents.cli.exits import ExitCode
from tinyagents.cli.helm import Helm
from tinyagents.cli.interrupts import Interrupts
from tinyagents.cli.target import shortened
from tinyagents.cli.text import say
from tinyagents.console import ConsoleTrace
from tinyagents.console.text import clean, dollars, one_line, tokens
from tinyagents.console.view import parts_of

__all__ = ["Outcome", "finish", "tell"]

_REASON = "interrupted by the user"
_STOPPING = "stopping ... (Ctrl-C again to quit at once)"
_SHOWN_RESULTS = 10
_CODES = {"limited": ExitCode.LIMITED, "paused": ExitCode.PAUSED}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        result: What came of it, or what there was until it failed; `None` if it never began.
        error: What failed it.
        code: The exit code to go with it.
    """

    result: Result[Any] | None
    error: Exception | None
    code: ExitCode

    @property
    def partial(self) -> str:
        """What there is of an answer that was not finished."""
        return _partial(self.result) if self.result is not None else ""

    @property
    def answer(self) -> str:
        """The answer as a person reads it: text as it is, anything else as JSON."""
        output = self.result.output if self.result is not None else None
        if output is None:
            return ""
        if isinstance(output, str):
            return clean(output)
        return clean(to_json(output, indent=2, fallback=str).decode())

    @property
    def spent(self) -> str:
        """What the whole tree used, in a few words."""
        if self.result is None:
            return ""
        usage = self.result.tree_usage
        calls = f"{usage.requests} model call{'' if usage.requests == 1 else 's'}"
        return f"{calls}, {tokens(usage.total_tokens)} tokens, {dollars(usage)}"

    def to_json(self) -> str:
        """The outcome as one line of JSON."""
        result, error = self.result, self.error
        told: dict[str, Any] = {"result": None, "status": "failed"}
        if result is not None:
            told = {
                "result": to_jsonable_python(result.output, fallback=str),
                "status": result.status,
                "run_id": result.run_id,
                "usage": result.usage.to_dict(),
                "tree_usage": result.tree_usage.to_dict(),
                "cost": result.cost,
            }
            if result.pending:
                told["pending"] = [json_of(ask) for ask in result.pending]
        if result is None or result.status != "completed":
            told["partial"] = self.partial
        if error is not None:
            told["error"] = {"type": type(error).__name__, "message": str(error)}
        return json.dumps(told, ensure_ascii=False, separators=(",", ":"))

    def explanation(self, folder: Path) -> str:
        """Why there is no answer, for a person; an error of the user's own code with its place."""
        error = self.error or (self.result.error if self.result is not None else None)
        if error is None:
            return ""
        cause = error.__cause__ if isinstance(error, ToolError) else error
        if cause is None or isinstance(cause, TinyAgentsError):
            return clean(str(error))
        place = shortened(cause, folder)
        return clean(place if cause is error else f"{error}\n\n{place}")


async def finish(
    begin: Callable[[], AbstractAsyncContextManager[RunHandle[Any]]],
    sink: EventSink,
    trace: ConsoleTrace | None,
    *,
    steered: bool = False,
) -> Outcome:
    """Run what `agent.stream()` or `session.stream()` opens to its end, or to a Ctrl-C.

    Args:
        begin: Calls one of them.
        sink: Where its events are.
        trace: What watches it.
        steered: Whether somebody steers it at the terminal; then Ctrl-C pauses first.
    """
    loop = asyncio.get_running_loop()
    context = copy_context()  # a signal interrupts the code of any run, and it is not that run's
    handles: list[RunHandle[Any]] = []
    helms: list[Helm] = []

    def cancel() -> None:
        for run in handles:
            run.cancel(_REASON)

    def stop() -> None:
        # In a signal handler: nothing that takes a lock or a buffer, which the code that was
        # interrupted may hold.
        if trace is not None and trace.is_drawn:
            trace.note(_STOPPING)
        else:
            os.write(sys.stderr.fileno(), f"{_STOPPING}\n".encode())
        loop.call_soon_threadsafe(cancel, context=context)

    def pause() -> bool:
        if not helms or helms[0].is_paused:
            return False
        loop.call_soon_threadsafe(helms[0].pause, context=context)
        return True

    with Interrupts(stop, pause) as interrupts:
        try:
            async with begin() as run:
                handles.append(run)
                if interrupts.code is not None:
                    cancel()
                if steered and trace is not None:
                    helms.append(Helm(run, sink, trace, interrupts.interrupt))
                with helms[0].at_work() if helms else nullcontext():
                    result = await run.result()
        except Exception as error:
            partial: Result[Any] | None = getattr(error, "result", None)
            return Outcome(partial, error, interrupts.code or _code(error))
    return Outcome(result, None, _CODES.get(result.status, ExitCode.COMPLETED))


def tell(outcome: Outcome, folder: Path) -> None:
    """Print what came of a run: what is an answer, or part of one, to the standard output stream.

    Args:
        outcome: How it ended.
        folder: Where the user's code lies.
    """
    code, partial, why = outcome.code, outcome.partial, outcome.explanation(folder)
    if code == ExitCode.COMPLETED:
        say(outcome.answer, sys.stdout)
    elif code == ExitCode.PAUSED:
        say("It waits for the human.", sys.stderr)
    elif code == ExitCode.LIMITED:
        say(f"Stopped by a limit: {why}", sys.stderr)
        _say_partial(partial, sys.stdout)
    elif code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        say("Interrupted.", sys.stderr)
        _say_partial(partial, sys.stdout)
    else:
        say(f"Error: {why}", sys.stderr)
        if partial:
            _say_partial(partial, sys.stderr)
    if code not in (ExitCode.COMPLETED, ExitCode.PAUSED) and outcome.spent:
        say(f"Spent: {outcome.spent}.", sys.stderr)


def _say_partial(partial: str, file: TextIO) -> None:
    say("What there is so far:" if partial else "There is nothing yet.", sys.stderr)
    if partial:
        say(partial, file)


def _code(error: Exception) -> ExitCode:
    if isinstance(error, ConfigError):
        return ExitCode.USAGE
    return ExitCode.LIMITED if isinstance(error, LimitExceeded) else ExitCode.FAILED


def _partial(result: Result[Any]) -> str:
    """The text that was being written, else the last that was said, else what the tools found.

    From the events, which are this run's alone: a session's messages begin with earlier turns.
    """
    said, writing, found = "", "", list[str]()
    for event in result.events:
        kind, data = event.kind, event.data
        if event.run_id != result.run_id:
            continue
        if kind in ("model.started", "model.retried"):
            writing = ""
        elif kind == "model.delta" and data.get("type") == "text":
            writing += data["text"]
        elif kind == "model.completed":
            texts = [part["text"] for part in parts_of(data) if part.get("type") == "text"]
            said, writing = "".join(texts).strip() or said, ""
        elif kind == "tool.completed":
            found.append(f"{data.get('tool')} → {one_line(str(data.get('content')))}")
    return clean(writing.strip() or said or "\n".join(found[-_SHOWN_RESULTS:]))
