"""Children in the background: what their parent keeps of them, and the tools it has for them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeAlias

import anyio
from pydantic import Field

from tinyagents.context import RunContext
from tinyagents.errors import LimitExceeded, ModelRetry, RunCancelled
from tinyagents.execute import execute
from tinyagents.result import Result
from tinyagents.state import AgentRun
from tinyagents.tools import Tool, cut, render
from tinyagents_graph.acks import Ack
from tinyagents_graph.asks import PendingAsk
from tinyagents_graph.commands import Cancel, Inject, Redirect
from tinyagents_graph.live import send
from tinyagents_graph.run import Run
from tinyagents_graph.steering import receive

__all__ = ["CHILD_TOOLS", "AtEnd", "Child", "start"]

AtEnd: TypeAlias = Literal["wait", "cancel"]
"""What becomes of a child that is still at work when its parent has its answer."""

_NOTICE_CHARS = 20_000
_WORDS_CHARS = 1_000


class Child:
    """A sub-agent that works, or worked, in the background, as its parent keeps it.

    Args:
        work: The opened child.
        at_end: What becomes of it when its parent has its answer.

    Attributes:
        outcome: Its result, or its error, once it has settled.
        ask: The question it waits for an answer of.
        was_read: Whether that question has been put before its parent's model.
    """

    __slots__ = ("_at_end", "_notice", "_question", "_was_dropped", "ask", "outcome", "work")

    def __init__(self, work: AgentRun, at_end: AtEnd) -> None:
        self.work = work
        self.outcome: Result[Any] | BaseException | None = None
        self.ask: PendingAsk | None = None
        self._at_end = at_end
        self._notice: Ack | None = None
        self._question: Ack | None = None
        self._was_dropped = False

    @property
    def path(self) -> str:
        """Its address."""
        return self.work.run.path

    @property
    def _parent(self) -> Run:
        parent = self.work.run.parent
        assert parent is not None
        return parent

    @property
    def result(self) -> Result[Any] | None:
        """Its result; of a failed child, what there was until then."""
        if isinstance(self.outcome, BaseException):
            partial: Result[Any] | None = getattr(self.outcome, "result", None)
            return partial
        return self.outcome

    @property
    def has_settled(self) -> bool:
        """Whether it has ended."""
        return self.outcome is not None

    @property
    def has_news(self) -> bool:
        """Whether its parent's model has not yet read what came of it."""
        notice = self._notice
        return notice is not None and notice.status == "received" and not self._was_dropped

    async def go(self) -> None:
        """Work until the end, and leave a notice to the parent; nothing is raised here."""
        try:
            self._settle(await execute(self.work))
        except BaseException as error:
            self._settle(error)
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                self._parent.exit(error)

    def after(self) -> None:
        """Its task is gone, maybe without a first step, because the event loop closed."""
        if not self.has_settled:
            self.work.run.withdraw()
            self._settle(RunCancelled(self.path, "the event loop was closed"))
        self._parent.end_job()

    def on_answer_of_parent(self, obstacle: str) -> None:
        """The parent has its answer, and waits for this child unless it may not.

        Args:
            obstacle: Why the parent's model can read nothing any more; empty if it can.
        """
        if self.has_settled:
            return
        if self._at_end == "cancel" and not self._was_dropped:
            self._was_dropped = True
            self.work.run.cancel(f"{self._parent.path} has its answer")
        was_read = self._question is not None and self._question.status != "received"
        if self.ask is not None and (obstacle or was_read):
            reason = obstacle or f"{self._parent.path} has its answer and gave none to this"
            self.ask.settle("expired", reason=reason)

    async def put_question(self, ask: PendingAsk) -> None:
        """PendingAsk the parent by letter, and wait until the question is settled."""
        self.ask = ask
        self._question = self.tell_parent(
            f"{ask.path} asks: {ask.question}\n"
            f"It waits; answer with answer_child, path {self.path!r}.",
            "question",
        )
        try:
            await ask.bell.wait_until(lambda: ask.status != "open")
        finally:
            self.ask = self._question = None

    def tell_parent(self, text: str, what: str, *, is_passive: bool = False) -> Ack:
        """Write to the parent's model; it reads that at its next turn."""
        (ack,) = receive(
            self._parent,
            (Inject(text),),
            sender=self.work.run,
            by=self.path,
            about={"about": what},
            is_passive=is_passive,
            is_mail=True,
        )
        return ack

    def _settle(self, outcome: Result[Any] | BaseException) -> None:
        self.outcome = outcome
        if not self._parent.has_ended:
            self._notice = self.tell_parent(self._news(), "settled", is_passive=True)

    def _news(self) -> str:
        result, path = self.result, self.path
        if isinstance(self.outcome, Result) and self.outcome.status == "completed":
            found = cut(_text(self.outcome.output), _NOTICE_CHARS)
            return f"{path} has completed its task:\n{found}"
        words = cut(result.text, _WORDS_CHARS) if result is not None else ""
        said = f"\nIts last words: {words}" if words else ""
        return f"{path} has ended as {self.state}: {_why(self.outcome)}{said}"

    # --- what its parent's model sees ----------

    @property
    def state(self) -> str:
        """How it stands, in a word."""
        if self.outcome is None:
            return "waiting for your answer" if self.ask is not None else self.work.run.status
        if isinstance(self.outcome, Result):
            return self.outcome.status
        return "cancelled" if not isinstance(self.outcome, Exception) else _state(self.outcome)

    def describe(self) -> dict[str, Any]:
        """What its parent's model is told of it."""
        run, work = self.work.run, self.work
        words = [each.text for each in work.messages if each.role == "assistant" and each.text]
        facts: dict[str, Any] = {
            "path": self.path,
            "agent": run.name,
            "state": self.state,
            "task": cut(run.task, _WORDS_CHARS),
            "turns": work.turns,
            "progress": work.progress,
            "question": self.ask.question if self.ask is not None else "",
            "last_words": cut(words[-1], _WORDS_CHARS) if words else "",
            "spent": run.tree_usage.to_dict(),
        }
        return {name: value for name, value in facts.items() if value != ""}


def start(ctx: RunContext[Any], work: AgentRun, at_end: AtEnd) -> str:
    """Let an opened child go its way, and tell its parent's model where it is.

    Raises:
        LimitExceeded: The tree refuses it.
    """
    parent = ctx.run
    work.run.enrol()
    child = Child(work, at_end)
    parent.work.keep(child)
    parent.spawn(child.go, child.after)
    return f"{child.path} is at work in the background. You will be told when it has ended."


# --- the tools ----------


async def list_children(ctx: RunContext[Any]) -> list[dict[str, Any]]:
    """What your background agents are doing: state, progress, last words, what they have spent."""
    return [child.describe() for child in _children(ctx).values()]


async def steer_child(ctx: RunContext[Any], path: str, instruction: str) -> dict[str, Any]:
    """Give a background agent, or one below it, a new instruction; it reads it at its next turn.

    Args:
        ctx: Where the call stands.
        path: Its path, as you were given it.
        instruction: What to do from now on.
    """
    return _told(send(ctx.run, Redirect(instruction), _below(ctx, path), None))


async def cancel_child(ctx: RunContext[Any], path: str, reason: str = "") -> dict[str, Any]:
    """Stop a background agent, or one below it, at once, with all it delegated.

    Args:
        ctx: Where the call stands.
        path: Its path, as you were given it.
        reason: Why.
    """
    return _told(send(ctx.run, Cancel(reason), _below(ctx, path), None))


async def wait_for_children(
    ctx: RunContext[Any],
    until: Literal["all", "any", "news"] = "all",
    paths: Annotated[list[str], Field(default_factory=list)] = [],  # noqa: B006  # pydantic copies it
    timeout_s: float | None = None,
) -> dict[str, Any]:
    """Wait for background agents. What came of them you read in the messages that follow.

    It also returns when one of them asks you something, or somebody writes to you.

    Args:
        ctx: Where the call stands.
        until: "all" or "any" of them have ended, or "news": one has ended or reported.
        paths: Which ones; all if not given.
        timeout_s: Seconds to wait at most.
    """
    chosen = [_find(ctx, path) for path in paths] or list(_children(ctx).values())
    controls = ctx.run.controls
    # Who had ended before would end an "any" at once, again and again.
    running = [child for child in chosen if not child.has_settled or child.has_news]

    def is_over() -> bool:
        settled = [child.has_settled for child in running]
        enough = all(settled) if until == "all" else any(settled) or not settled
        return controls.is_called or enough or (until == "news" and bool(controls.mail))

    with anyio.move_on_after(timeout_s) as scope:
        await controls.bell.wait_until(is_over)
    return {
        "ended": [child.path for child in chosen if child.has_settled],
        "at_work": [child.path for child in chosen if not child.has_settled],
        **({"timed_out": True} if scope.cancelled_caught else {}),
    }


async def read_child(ctx: RunContext[Any], path: str) -> dict[str, Any]:
    """The whole result of a background agent, or how far it is.

    Args:
        ctx: Where the call stands.
        path: Its path, as you were given it.
    """
    child = _find(ctx, path)
    if isinstance(child.outcome, Result):
        return {**child.describe(), "result": _text(child.outcome.output)}
    if child.outcome is not None:
        return {**child.describe(), "reason": _why(child.outcome)}
    return child.describe()


async def answer_child(ctx: RunContext[Any], path: str, answer: str) -> str:
    """Answer the question that a background agent waits with.

    Args:
        ctx: Where the call stands.
        path: Its path, as you were given it.
        answer: The answer.
    """
    child = _find(ctx, path)
    if child.ask is None or not await child.ask.answer(answer, by=ctx.run.path):
        raise ModelRetry(f"{path} waits for no answer")
    return f"{path} goes on"


CHILD_TOOLS = tuple(
    Tool(each)
    for each in (
        list_children, wait_for_children, steer_child, cancel_child, read_child, answer_child,
    )
)  # fmt: skip
"""What a parent with children in the background gets besides its own tools."""


def _children(ctx: RunContext[Any]) -> dict[str, Child]:
    """The background children by path, in an order that does not depend on who began first."""
    children: dict[str, Child] = ctx.run.work.background
    return {path: children[path] for path in sorted(children, key=_place_of)}


def _place_of(path: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path)]


def _find(ctx: RunContext[Any], path: str) -> Child:
    children = _children(ctx)
    if path not in children:
        known = ", ".join(children) or "none yet"
        raise ModelRetry(f"you have no background agent {path!r}; there is: {known}")
    return children[path]


def _below(ctx: RunContext[Any], path: str) -> str:
    """The path, if it leads to a background agent or below one."""
    if not any(path == known or path.startswith(f"{known}/") for known in _children(ctx)):
        _find(ctx, path)
    return path


def _told(ack: Ack) -> dict[str, Any]:
    told = {"path": ack.path, "status": ack.status, "reason": ack.reason}
    return {name: value for name, value in told.items() if value}


def _text(output: Any) -> str:
    shown = render(output)
    return shown if isinstance(shown, str) else "\n".join(str(getattr(p, "text", p)) for p in shown)


def _state(error: Exception) -> str:
    if isinstance(error, RunCancelled):
        return "cancelled"
    return "limited" if isinstance(error, LimitExceeded) else "failed"


def _why(outcome: Result[Any] | BaseException | None) -> str:
    error = outcome.error if isinstance(outcome, Result) else outcome
    if isinstance(error, LimitExceeded):
        return error.fact
    if isinstance(error, RunCancelled):
        return error.reason
    return f"{type(error).__name__}: {error}" if isinstance(error, Exception) else "interrupted"
