"""`LineTrace`: one line for each important event, for logs, pipes and plain terminals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TextIO, TypeAlias

from tinyagents.console.text import call_label, dollars, duration, one_line, tokens
from tinyagents.console.view import RunView, TreeView, inner, parts_of
from tinyagents_graph import Event

__all__ = ["LineTrace", "write_line"]

_Data: TypeAlias = Mapping[str, Any]


class LineTrace:
    """Writes a line for each important event: when, who (indented by depth), what.

    A tool call is told when it has ended, with its result; a delegation by the lines of the child.

    Args:
        file: Where the lines go.
        view: The runs the events are about.
    """

    def __init__(self, file: TextIO, view: TreeView) -> None:
        self._file = file
        self._view = view
        self._calls: dict[tuple[str, str], tuple[str, float]] = {}

    def __call__(self, event: Event) -> None:
        """Tell of `event`, which the view has not seen yet."""
        if event.kind == "tool.started":
            label = call_label(str(event.data.get("tool", "?")), inner(event.data, "arguments"))
            self._calls[event.run_id, str(event.data.get("call_id"))] = (label, event.time)
        run = self._view.see(event)
        if run is None:
            return
        if event.kind in ("tool.completed", "tool.failed"):
            what = self._call_ended(event, run)
        else:
            say = _SAY.get(event.kind)
            what = say(run, event.data) if say is not None else ""
        if what:
            root = run
            while root.parent is not None:
                root = root.parent
            when = f"{max(event.time - root.started, 0):7.1f}s"
            write_line(self._file, f"{when} {'  ' * run.depth}{run.chain()}: {what}")

    def _call_ended(self, event: Event, run: RunView) -> str:
        data = event.data
        tool = str(data.get("tool", "?"))
        key = (event.run_id, str(data.get("call_id")))
        label, started = self._calls.pop(key, (tool, event.time))
        delegates = any(child.kind == tool for child in run.children)
        took = event.time - started
        how_long = f" ({duration(took)})" if took >= 1 else ""
        if event.kind == "tool.completed":
            return "" if delegates else f"{label} → {_excerpt(data.get('content'))}{how_long}"
        category = data.get("category") or "failed"
        if category in ("delegate", "limit", "cancelled") and delegates:
            return ""
        if category == "cancelled":
            return f"{label} was cut off{how_long}"
        return f"{label} FAILED, {category}: {_excerpt(data.get('content'))}{how_long}"


def write_line(file: TextIO, line: str) -> None:
    """Write a line at once, with `?` for characters that the file's encoding does not have."""
    encoding = getattr(file, "encoding", None) or "utf-8"
    file.write(f"{line}\n".encode(encoding, "replace").decode(encoding))
    file.flush()


def spent(run: RunView) -> str:
    """What a run and its descendants took: `3 turns, 1.2k tokens, $0.0004`."""
    turns = f"{run.turns} turn{'' if run.turns == 1 else 's'}"
    return f"{turns}, {tokens(run.branch.total_tokens)} tokens, {dollars(run.branch)}"


def _excerpt(content: Any) -> str:
    return one_line(str(content), 120) or "(nothing)"


def _started(run: RunView, data: _Data) -> str:
    again = f" (turn {run.session_turn + 1} of a session)" if run.session_turn else ""
    model = f" with {run.model}" if run.model else ""
    return f"started{again}{model}: {one_line(run.task, 160)}"


def _completed(run: RunView, data: _Data) -> str:
    how = "stopped by a limit" if run.status == "limited" else "completed"
    # A root's answer is for whoever started it to print, whole.
    outcome = f": {one_line(run.outcome, 120)}" if run.depth or run.status == "limited" else ""
    return f"{how} in {duration(run.seconds(0))}, {spent(run)}{outcome}"


def _failed(run: RunView, data: _Data) -> str:
    return f"FAILED after {duration(run.seconds(0))}, {spent(run)}: {run.outcome}"


def _cancelled(run: RunView, data: _Data) -> str:
    return f"cancelled after {duration(run.seconds(0))}, {spent(run)}: {run.outcome}"


def _said(run: RunView, data: _Data) -> str:
    """What a model says beside its calls; what it says alone is its answer."""
    parts = parts_of(data)
    text = "".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")
    calls = any(part.get("type") == "tool_call" for part in parts)
    return f"says: {_excerpt(text)}" if text.strip() and calls else ""


def _retried(run: RunView, data: _Data) -> str:
    return run.doing


def _model_failed(run: RunView, data: _Data) -> str:
    error = inner(data, "error")
    if error.get("type") == "cancelled":
        return ""
    return f"its model FAILED: {_excerpt(error.get('message'))}"


def _limit(run: RunView, data: _Data) -> str:
    return f"limit: {_excerpt(data.get('message'))}"


def _fallback(run: RunView, data: _Data) -> str:
    to = one_line(str(data.get("to")))
    if data.get("skipped"):
        return f"cannot ask {to} instead, which lacks {_excerpt(data.get('lacking'))}"
    return f"asks {to} instead, after {_excerpt(inner(data, 'error').get('message'))}"


def _tool_retried(run: RunView, data: _Data) -> str:
    error = inner(data, "error")
    return f"{data.get('tool')} is tried again: {_excerpt(error.get('message'))}"


def _paused(run: RunView, data: _Data) -> str:
    return run.doing


def _resumed(run: RunView, data: _Data) -> str:
    return "goes on"


def _steered(run: RunView, data: _Data) -> str:
    if data.get("about"):  # the tree's own mail: a question, a report, or that a child has ended
        return ""
    said = one_line(
        str(data.get("instruction") or data.get("message") or data.get("reason") or ""), 120
    )
    return f"gets {data.get('command')} from {data.get('by')}{f': {said}' if said else ''}"


def _not_steered(run: RunView, data: _Data) -> str:
    return (
        f"{data.get('command')} of {data.get('by')} came to nothing: {_excerpt(data.get('reason'))}"
    )


def _asks(run: RunView, data: _Data) -> str:
    return f"asks {data.get('to')}: {_excerpt(data.get('question'))}"


def _answered(run: RunView, data: _Data) -> str:
    verdict = data.get("verdict", "answer")  # out of an inbox; else it is the answer itself
    said = data.get("value", data.get("answer")) if verdict == "answer" else verdict
    why = f", {_excerpt(data['reason'])}" if data.get("reason") else ""
    return f"is answered by {data.get('by')}: {_excerpt(said)}{why}"


def _unanswered(run: RunView, data: _Data) -> str:
    return f"gets no answer: {_excerpt(data.get('reason'))}"


def _custom(run: RunView, data: _Data) -> str:
    return f"reports: {_excerpt(data.get('text'))}" if data.get("name") == "report" else ""


_SAY: Mapping[str, Callable[[RunView, _Data], str]] = {
    "run.started": _started,
    "run.completed": _completed,
    "run.failed": _failed,
    "run.cancelled": _cancelled,
    "run.paused": _paused,
    "run.resumed": _resumed,
    "steer.received": _steered,
    "steer.denied": _not_steered,
    "steer.expired": _not_steered,
    "ask.raised": _asks,
    "ask.answered": _answered,
    "ask.expired": _unanswered,
    "custom": _custom,
    "model.completed": _said,
    "model.retried": _retried,
    "model.failed": _model_failed,
    "model.fallback": _fallback,
    "tool.retried": _tool_retried,
    "limit.reached": _limit,
    "budget.exceeded": _limit,
}
