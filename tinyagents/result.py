"""`Result`: what came of a run."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from itertools import islice
from json import JSONEncoder
from typing import Any, Generic, Literal, TypeAlias, cast

from typing_extensions import TypeVar

from tinyagents.messages import Message
from tinyagents_graph.frozen import frozen
from tinyagents_graph.log import EventView
from tinyagents_graph.sink import EventSink
from tinyagents_graph.usage import Usage

__all__ = ["OutputT", "Result", "Status", "without_transcript"]

_dumps = JSONEncoder(ensure_ascii=False, default=str).encode

OutputT = TypeVar("OutputT", default=str)
Status: TypeAlias = Literal["completed", "paused", "limited", "failed", "cancelled"]


@frozen
class Result(Generic[OutputT]):
    """What came of a run; on a failed run, what there was until then (`error.result`).

    Attributes:
        output: The answer, of the agent's `output_type`. With the status `limited` the last text
            there was, or `None`; with `failed` and `cancelled` always `None`, and of `Agent.map`
            the results so far.
        status: How it ended.
        messages: The whole transcript, system message first.
        usage: What the run itself used.
        tree_usage: The same with all its descendants.
        run_id: Id of the run.
        path: Its address in its tree.
        stop_reason: Why the last model reply stopped; `"length"` means it was cut off.
        error: What went wrong, if something did.
        pending: The asks it waits for, with the status `paused`.
        sink: Where its events are.
        n_opening: How many of the messages stood there when it began.
    """

    output: OutputT
    status: Status
    messages: tuple[Message, ...]
    usage: Usage
    tree_usage: Usage
    run_id: str
    path: str
    sink: EventSink
    stop_reason: str = "stop"
    error: BaseException | None = None
    pending: tuple[Any, ...] = ()
    n_opening: int = 0

    def __repr__(self) -> str:
        rest = f", error={self.error!r}" if self.error is not None else ""
        return f"Result({self.output!r}, status={self.status!r}, path={self.path!r}{rest})"

    @property
    def events(self) -> EventView:
        """The events of the run and its descendants."""
        return self.sink.events_under(self.run_id)

    @property
    def cost(self) -> float | None:
        """What the whole tree cost in US dollars; `None` when a price is not known."""
        return self.tree_usage.cost

    @property
    def scratchpad(self) -> tuple[str, ...]:
        """How it got there, in words: what the model wrote, what it called, and what it was told.

        Without the opening (system prompt, history, task). It is the same for all dialects.
        """
        return tuple([line for each in self.messages[self.n_opening :] for line in _entries(each)])

    @property
    def iterations(self) -> int:
        """How often the model was told what came of a reply; 0 if its first one was the answer."""
        said = self.messages[self.n_opening :]
        return sum(
            each.role == "assistant" and said[n].role != "assistant"
            for n, each in enumerate(said[:-1], 1)
        )

    @property
    def text(self) -> str:
        """The last thing the model said."""
        last = _last_words(self.messages)
        return last[0].text if last else ""


def _entries(message: Message) -> Sequence[str]:
    if message.role == "tool":
        return (f"Observation: {message.text}",)
    if message.role != "assistant":
        return (message.text,)
    called = [f"Action: {each.name} {_dumps(each.arguments)}" for each in message.tool_calls]
    return (message.text, *called) if message.text else called


def _last_words(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The last message in which the model said something, if there is one."""
    said = (each for each in reversed(messages) if each.role == "assistant" and each.text)
    return tuple(islice(said, 1))


def without_transcript(outcome: Result[Any] | BaseException) -> Result[Any] | BaseException:
    """A result, or an error that has one, as it is kept for those who ask later.

    Of the transcript only the last thing that the model said is left. An error is copied: whoever
    handles it now needs all of it, and its traceback holds the transcript as well.
    """
    if isinstance(outcome, Result):
        result: Result[Any] = outcome
        return _short(result, None if result.error is None else _copied(result.error))
    error = _copied(outcome)
    partial: Any = getattr(error, "result", None)
    if isinstance(partial, Result) and error is not outcome:
        vars(error)["result"] = _short(cast("Result[Any]", partial), error)
    return error


def _short(result: Result[Any], error: BaseException | None) -> Result[Any]:
    return replace(result, messages=_last_words(result.messages), error=error, n_opening=0)


def _copied(error: BaseException) -> BaseException:
    try:
        return copy(error)
    except Exception:  # it cannot be made of its `args`: then it is kept as it is
        return error
