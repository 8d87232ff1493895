"""Children in the background, as their parent keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from tinyagents.context import RunContext
from tinyagents.errors import LimitExceeded, RunCancelled
from tinyagents.execute import execute
from tinyagents.runnable import Opened
from tinyagents.tools import cut, render
from tinyagents_graph.acks import Ack
from tinyagents_graph.asks import PendingAsk
from tinyagents_graph.commands import Inject
from tinyagents_graph.errors import Parked
from tinyagents_graph.frozen import frozen
from tinyagents_graph.run import Run
from tinyagents_graph.steering import receive

__all__ = ["AtEnd", "Child", "start", "start_again"]

AtEnd: TypeAlias = Literal["wait", "cancel"]
"""What becomes of a child that is still at work when its parent has its answer."""

_NOTICE_CHARS = 20_000
_WORDS_CHARS = 1_000


@frozen
class Ending:
    """What came of a child, as far as its parent's model can want to know it.

    Rejected: its `Result` or error. They hold the whole transcript, and a parent keeps all its
    children.

    Attributes:
        state: How it ended.
        answer: Its answer, if it completed.
        reason: Why it has none.
    """

    state: str
    answer: str = ""
    reason: str = ""


@frozen
class Question:
    """A question of a child, before its parent's model.

    Attributes:
        ask: What is asked.
        letter: By which the parent's model learns of it.
    """

    ask: PendingAsk
    letter: Ack

    @property
    def was_read(self) -> bool:
        """Whether the parent's model has read it."""
        return self.letter.status != "received"


class Child:
    """A sub-agent that works, or worked, in the background, as its parent keeps it.

    Args:
        work: The opened child.
        at_end: What becomes of it when its parent has its answer.

    Attributes:
        run: Its run.
        ending: What came of it, once it has settled.
        is_parked: Whether it waits for the human, and goes on when the whole tree does.
    """

    __slots__ = (
        "_at_end", "_notice", "_progress", "_questions", "_was_dropped", "_work", "ending",
        "is_parked", "run",
    )  # fmt: skip

    def __init__(self, work: Opened, at_end: AtEnd) -> None:
        self.run = work.run
        self.ending: Ending | None = None
        self._work: Opened | None = work
        self._progress: Mapping[str, Any] = {}
        self._questions: dict[str, Question] = {}
        self._at_end = at_end
        self._notice: Ack | None = None
        self._was_dropped = False
        self.is_parked = False

    @property
    def path(self) -> str:
        """Its address."""
        return self.run.path

    @property
    def _parent(self) -> Run:
        parent = self.run.parent
        assert parent is not None
        return parent

    @property
    def has_settled(self) -> bool:
        """Whether it has ended."""
        return self.ending is not None

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing more comes of it for now."""
        return self.is_parked or self.ending is not None

    @property
    def has_news(self) -> bool:
        """Whether its parent's model has not yet read what came of it."""
        notice = self._notice
        return notice is not None and notice.status == "received" and not self._was_dropped

    @property
    def asks(self) -> list[PendingAsk]:
        """The questions that it, or runs below it, wait for an answer of."""
        asked = [question.ask for question in self._questions.values()]
        return [ask for ask in asked if ask.status == "open"]

    async def go(self) -> None:
        """Work until the end, and leave a notice to the parent; nothing is raised here."""
        assert self._work is not None
        try:
            result = await execute(self._work)
        except Parked:
            self.is_parked = True
        except BaseException as error:
            self._settle(Ending(_state(error), reason=_why(error)))
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                self._parent.exit(error)
        else:
            if result.status == "completed":
                self._settle(Ending("completed", answer=_text(result.output)))
            else:
                self._settle(Ending(result.status, reason=_why(result.error)))

    def after(self) -> None:
        """Its task is gone, maybe without a first step, because the event loop closed."""
        if not self.is_at_rest:
            self.run.withdraw()
            self._settle(Ending("cancelled", reason="the event loop was closed"))
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
            self.run.cancel(self._not_needed)
        reason = obstacle or f"{self._parent.path} has its answer and gave none to this"
        for question in list(self._questions.values()):
            if obstacle or question.was_read:
                question.ask.settle("expired", reason=reason)

    @property
    def _not_needed(self) -> str:
        return f"{self._parent.path} has its answer"

    async def put_question(self, ask: PendingAsk) -> None:
        """Ask the parent by letter, and wait until the question is settled."""
        letter = self.tell_parent(
            f"{ask.path} asks: {ask.question}\n"
            f"It waits; answer with answer_child, path {ask.id!r}.",
            "question",
            f"{ask.id}/letter",
        )
        self._questions[ask.id] = Question(ask, letter)
        try:
            await ask.bell.wait_until(lambda: ask.status != "open")
        finally:
            del self._questions[ask.id]

    def tell_parent(self, text: str, what: str, id: str = "", *, is_passive: bool = False) -> Ack:
        """Write to the parent's model; it reads that at its next turn."""
        (ack,) = receive(
            self._parent,
            (Inject(text),),
            sender=self.run,
            by=self.path,
            about={"about": what},
            is_passive=is_passive,
            is_mail=True,
            ids=(id,) if id and self.run.tree.ledger is not None else (),
        )
        return ack

    def settle_as_before(self, ending: Ending) -> None:
        """It had ended before its process died, and its parent knew, or has ended itself."""
        self.ending, self._work = ending, None
        self._was_dropped = ending.reason == self._not_needed
        if self._parent.is_steered:
            self._notice = self._parent.controls.recalled.get(_notice_id(self.path))

    def _settle(self, ending: Ending) -> None:
        self._progress = self._how_far()
        self.ending, self._work = ending, None
        if not self._parent.has_ended:
            text, id = self._news(ending), _notice_id(self.path)
            self._notice = self.tell_parent(text, "settled", id, is_passive=True)

    def _news(self, ending: Ending) -> str:
        if ending.state == "completed":
            return f"{self.path} has completed its task:\n{cut(ending.answer, _NOTICE_CHARS)}"
        words = self._progress["last_words"]
        said = f"\nIts last words: {words}" if words else ""
        return f"{self.path} has ended as {ending.state}: {ending.reason}{said}"

    # --- what its parent's model sees ----------

    @property
    def state(self) -> str:
        """How it stands, in a word."""
        if self.ending is not None:
            return self.ending.state
        return "waiting for your answer" if self.asks else self.run.status

    def describe(self) -> dict[str, Any]:
        """What its parent's model is told of it."""
        facts: dict[str, Any] = {
            "path": self.path,
            "agent": self.run.name,
            "state": self.state,
            "task": cut(self.run.task, _WORDS_CHARS),
            **self._how_far(),
            "questions": {ask.id: ask.question for ask in self.asks},
            "spent": self.run.tree_usage.to_dict(),
        }
        return {name: value for name, value in facts.items() if value not in ("", {})}

    def _how_far(self) -> Mapping[str, Any]:
        work = self._work
        if work is None:
            return self._progress
        said = [each.text for each in work.messages if each.role == "assistant" and each.text]
        return {
            "turns": work.turns,
            "progress": work.progress,
            "last_words": cut(said[-1], _WORDS_CHARS) if said else "",
        }


def start(ctx: RunContext[Any], work: Opened, at_end: AtEnd) -> str:
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


def start_again(ctx: RunContext[Any], work: Opened, at_end: AtEnd) -> None:
    """Start a child of a call that was made before; it goes on where it was.

    One that has failed, or was cancelled, stays so once its parent was told, or has ended.

    Raises:
        LimitExceeded: The tree refuses it.
    """
    parent = ctx.run
    ending = _ending_before(parent, work.run.path)
    if ending is None:
        start(ctx, work, at_end)
        return
    child = Child(work, at_end)
    parent.work.keep(child)
    child.settle_as_before(ending)
    parent.recall(work.run.path)


def _ending_before(parent: Run, path: str) -> Ending | None:
    """How a child ended without an answer, if that is no matter of its parent any more."""
    ledger = parent.tree.ledger
    end = None if ledger is None else ledger.past.run(path)
    if ledger is None or end is None or end.kind not in ("run.failed", "run.cancelled"):
        return None
    was_told = parent.is_steered and _notice_id(path) in parent.controls.recalled
    if not (was_told or ledger.past.is_finished(parent.path)):
        return None
    if end.kind == "run.cancelled":
        return Ending("cancelled", reason=end.data["reason"])
    error = end.data["error"]
    state = "limited" if error["type"].endswith("Exceeded") else "failed"
    return Ending(state, reason=f"{error['type']}: {error['message']}")


def _notice_id(path: str) -> str:
    return f"{path}/settled"


def _text(output: Any) -> str:
    shown = render(output)
    return shown if isinstance(shown, str) else "\n".join(str(getattr(p, "text", p)) for p in shown)


def _state(error: BaseException) -> str:
    if isinstance(error, RunCancelled) or not isinstance(error, Exception):
        return "cancelled"
    return "limited" if isinstance(error, LimitExceeded) else "failed"


def _why(error: BaseException | None) -> str:
    if isinstance(error, LimitExceeded):
        return error.fact
    if isinstance(error, RunCancelled):
        return error.reason
    return f"{type(error).__name__}: {error}" if isinstance(error, Exception) else "interrupted"
