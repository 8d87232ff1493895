"""Questions upward: a run asks whoever delegated to it, a model or the human.

ask_parent ── whom is it for?      the agent above, or the human at the root
── by letter            the parent is free: the child works in the background
── by consulting        the parent waits in this very call: its model is asked aside
── of the host          there is no parent
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, cast

from tinyagents.context import RunContext
from tinyagents.errors import ConfigError, ToolError
from tinyagents.execute import execute
from tinyagents.messages import AssistantMessage, UserMessage
from tinyagents.output import OutputPlan
from tinyagents.state import AgentRun
from tinyagents.tools import Tool, cut
from tinyagents_graph.asks import PendingAsk
from tinyagents_graph.errors import Parked
from tinyagents_graph.host import Host
from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.pausing import rest, unrest
from tinyagents_graph.run import CHILD_LIMITS, Run
from tinyagents_graph.time_limit import time_limit

if TYPE_CHECKING:
    from collections.abc import Generator

    from tinyagents.children import Child

__all__ = ["AskParent", "Report", "ask_parent", "report"]

_TEXT = OutputPlan(str, native=False)


def _check_patience(what: str, timeout_s: object, default: object) -> None:
    if timeout_s is not None and not (
        type(timeout_s) in (int, float) and cast("float", timeout_s) > 0
    ):
        raise ConfigError(f"{what}(timeout_s={timeout_s!r}): give seconds, more than 0, or None")
    if default is not None:
        _check_text(what, "default", default)


def _check_text(what: str, name: str, given: object) -> None:
    if not isinstance(given, str):
        raise ConfigError(f"{what}({name}={given!r}): give a text")


class AskParent(Tool):
    """The tool by which an agent asks whoever delegated to it.

    The parent is the agent above, or the human for a root. A parent that waits for this very child
    is asked aside, with all it knows; one whose child works in the background reads the question
    at its next turn. Meanwhile the child is paused, and its own clock stands still; those of the
    runs above go on.

    In code: `answer = await ask_parent(ctx, "Which one?")`.

    Args:
        timeout_s: Seconds to wait for an answer, without pauses; `None` waits until there is one.
        default: The answer when there is none; without it the call fails, and says why.
        name: What the model calls it by.

    Raises:
        ConfigError: An argument does not do.
    """

    def __init__(
        self,
        *,
        timeout_s: float | None = None,
        default: str | None = None,
        name: str = "ask_parent",
    ) -> None:
        _check_patience("AskParent", timeout_s, default)
        self._patience_s = timeout_s
        self._default = default
        super().__init__(self._ask, name=name)
        self.is_of_tree = True

    async def __call__(
        self,
        ctx: RunContext[Any],
        question: str,
        *,
        timeout_s: float | None = None,
        default: str | None = None,
    ) -> str:
        """Ask from code; `timeout_s` and `default` as for the tool, whose own stand behind them.

        Raises:
            ToolError: There was no answer, and no default; category `"unanswered"`.
            ConfigError: An argument does not do.
        """
        _check_text("ask_parent", "question", question)
        _check_patience("ask_parent", timeout_s, default)
        patience_s = self._patience_s if timeout_s is None else timeout_s
        return await _ask(ctx, question, patience_s, self._default if default is None else default)

    async def _ask(self, ctx: RunContext[Any], question: str) -> str:
        """Ask whoever gave you your task, and wait for the answer.

        Args:
            ctx: Where the call stands.
            question: What you need to know, with all that is needed to answer it.
        """
        return await self(ctx, question)


class Report(Tool):
    """The tool by which an agent tells its parent how far it is, without waiting.

    The host sees it as a `custom` event named `report`; a parent whose child works in the
    background reads it at its next turn.

    In code: `await report(ctx, "half done")`.
    """

    def __init__(self, *, name: str = "report") -> None:
        super().__init__(self._report, name=name)
        self.is_of_tree = True

    async def __call__(self, ctx: RunContext[Any], text: str) -> None:
        """Report from code.

        Raises:
            ConfigError: `text` is none.
        """
        _check_text("report", "text", text)
        ctx.run.work.progress = text
        ctx.emit("report", text=text)
        child = _background(ctx.run)
        if child is not None:
            child.tell_parent(f"Report of {ctx.run.path}: {text}", "report", is_passive=True)

    async def _report(self, ctx: RunContext[Any], text: str) -> str:
        """Tell whoever gave you your task how far you are. You go on at once.

        Args:
            ctx: Where the call stands.
            text: What is done, what you found, what is next.
        """
        await self(ctx, text)
        return "reported"


ask_parent = AskParent()
"""Asks whoever delegated: a tool, and callable from code; see `AskParent`."""

report = Report()
"""Tells whoever delegated how far it is: a tool, and callable from code; see `Report`."""


async def _ask(
    ctx: RunContext[Any], question: str, timeout_s: float | None, default: str | None
) -> str:
    run = ctx.run
    asker = run.work.speaks_for or run if run.work is not None else run
    parent = _agent_above(asker)
    if parent is None and run.tree.ledger is not None:
        return _inquire(ctx, run.tree.ledger, question, timeout_s, default)
    ask = PendingAsk(ctx.next_path("ask"), run.path, question, parent.path if parent else "human")
    facts = {"ask_id": ask.id, "question": question, "to": ask.to}
    run.emit("ask.raised", {**facts, "timeout_s": timeout_s} if timeout_s is not None else facts)
    try:
        with _resting(run, f"waits for an answer of {ask.to}", ask.id):
            # The run counts as paused just because it asks; only a pause from outside stops this.
            with time_limit(timeout_s, run, lambda: run.controls.pauses):
                await _wait_for_answer(ask, asker, parent, run)
            ask.settle("expired", reason=f"no answer within {timeout_s:g} s" if timeout_s else "")
    finally:
        ask.settle("expired", reason=f"{run.path} was interrupted")
        if ask.status == "answered":
            run.emit("ask.answered", {"ask_id": ask.id, "answer": ask.reply, "by": ask.by})
        else:
            told = {"ask_id": ask.id, "reason": ask.reason}
            run.emit("ask.expired", told if default is None else {**told, "default": default})
    if ask.status == "answered":
        return ask.reply
    if default is not None:
        return default
    raise ToolError("ask_parent", f"{ask.reason}; go on without", category="unanswered")


def _inquire(
    ctx: RunContext[Any],
    ledger: Ledger,
    question: str,
    timeout_s: float | None,
    default: str | None,
) -> str:
    """Ask the human by way of the journal: the run parks until there is an answer."""
    bound = blake2b(question.encode(errors="replace"), digest_size=8).hexdigest()
    facts = {"ask_id": ctx.next_path("ask"), "what": "question", "question": question}
    facts |= {"to": "human", "bound": bound}
    given = ledger.answer_to(ctx.run.origin, facts, timeout_s, default)
    if given is None:
        raise Parked
    if given["verdict"] != "expired":
        return str(given.get("value"))
    if default is not None:
        return default
    raise ToolError("ask_parent", f"{given['reason']}; go on without", category="unanswered")


async def _wait_for_answer(ask: PendingAsk, asker: Run, parent: Run | None, run: Run) -> None:
    """Put the question where it can be answered, and wait until it is settled."""
    host: Host | None = run.tree.host
    if parent is None:
        if host is None:
            ask.settle("expired", reason="nobody is there to ask: no one watches this run")
            return
        host.asks[ask.id] = ask
        try:
            await ask.bell.wait_until(lambda: ask.status != "open")
        finally:
            del host.asks[ask.id]
        return
    child = _background(asker)
    if child is None:
        await _consult(ask, parent, asker)
        return
    await child.put_question(ask)


async def _consult(ask: PendingAsk, parent: Run, asker: Run) -> None:
    """Ask the model of a parent that waits, aside: with its transcript, and apart from its turn."""
    work: AgentRun = parent.work
    told = work.messages
    if told and isinstance(told[-1], AssistantMessage) and told[-1].tool_calls:
        told = told[:-1]  # calls that have no results yet, and no provider takes that
    tools = {name: tool for name, tool in work.plan.tools.items() if isinstance(tool, AskParent)}
    plan = replace(
        work.plan,
        tools=tools,
        specs=work.plan.speech.offer(tools.values()),
        tool_choice="auto",
        output=_TEXT,
        openings=[],
    )
    text = (
        f"{asker.path}, to which you gave the task {cut(asker.task, 2_000)!r}, asks you: "
        f"{ask.question}\nAnswer the question; your words go to it as they are."
    )
    run = Run(
        parent.name,
        parent=parent,
        path=_path_of_answer(parent, ask),
        task=text,
        limits=CHILD_LIMITS,
        allow_cycles=True,
        about={"model": plan.model.name, "task": text, "ask_id": ask.id},
    )
    consulted = AgentRun(plan, run, UserMessage(text), tuple(told))
    consulted.speaks_for = parent
    try:
        result = await execute(consulted)
    except Exception as error:
        ask.settle("expired", reason=f"{parent.path} could not answer: {error}")
    else:
        ask.settle("answered", reply=str(result.output or ""), by=parent.path)


def _path_of_answer(parent: Run, ask: PendingAsk) -> str:
    """Where a parent that is asked aside answers; after a crash, where it did before."""
    if (ledger := parent.tree.ledger) is None:
        return parent.next_path("answer")
    known = ledger.past.answers.get(ask.id)
    path = known or parent.next_path("answer")
    while known is None and ledger.past.run(path) is not None:
        path = parent.next_path("answer")
    return path


@contextmanager
def _resting(run: Run, reason: str, ask_id: str) -> Generator[None]:
    run.controls.n_asking += 1
    rest(run, reason, ask_id=ask_id)
    try:
        yield
    finally:
        run.controls.n_asking -= 1
        unrest(run)


def _agent_above(run: Run) -> Run | None:
    """The nearest agent that delegated, maybe over runs that are none."""
    above = run.parent
    while above is not None and above.work is None:
        above = above.parent
    return above


def _background(run: Run) -> Child | None:
    """How the agent above keeps the branch that `run` is in, if that works in the background."""
    above = _agent_above(run)
    branch = run
    while branch.parent is not None and branch.parent is not above:
        branch = branch.parent
    return None if above is None else above.work.background.get(branch.path)
