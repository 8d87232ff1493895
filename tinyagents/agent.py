"""`Agent`: a harness around a model; an immutable definition that runs many times at once."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, NoReturn, TypeAlias

from typing_extensions import TypeForm

from tinyagents.autonomy import Autonomy
from tinyagents.context import DepsT
from tinyagents.dialect import NATIVE
from tinyagents.errors import ConfigError
from tinyagents.execute import execute
from tinyagents.fan_out import map_tasks
from tinyagents.handle import RunHandle
from tinyagents.keeping import IN_MEMORY, Kept
from tinyagents.messages import Message, user_message
from tinyagents.middleware import Hooks
from tinyagents.models.protocol import Model, ModelSettings
from tinyagents.models.resolve import resolve
from tinyagents.output import FINAL_ANSWER, OutputPlan
from tinyagents.plan import (
    Instructions,
    OnMistake,
    OnUnknownTool,
    Plan,
    check_modes,
    items,
    limits_of,
    table_of,
)
from tinyagents.result import OutputT, Result
from tinyagents.state import AgentRun
from tinyagents.subagents import SubAgentTool, offer
from tinyagents.tools import Tool, as_task, check_name
from tinyagents_graph.journal.protocol import Journal
from tinyagents_graph.limits import RunLimits
from tinyagents_graph.place import Place, place_for
from tinyagents_graph.retry import Retry
from tinyagents_graph.run import CHILD_LIMITS, ROOT_LIMITS, Run
from tinyagents_graph.sink import EventSink
from tinyagents_graph.steering import SteerPolicy
from tinyagents_graph.stream import Policy
from tinyagents_graph.threads import run_sync

__all__ = ["Agent", "Task"]

Task: TypeAlias = str | Message | Sequence[Any]
"""What an agent can be asked: text, a message, or a list of text, images and documents."""


class Agent(Generic[DepsT, OutputT]):
    """A harness around a model, and a node of every run tree it runs in.

    It is a definition: it never changes, and runs as often and as concurrently as you like.

    Args:
        model: `"openai:gpt-5-mini"`, `"anthropic:claude-…"`, `"test"`, or a `Model`.
        name: What parents and traces know it by.
        description: What a parent's model is told of it.
        instructions: The system prompt, or a (possibly async) function of the context that makes
            it.
        tools: Tools, or functions to make tools of.
        subagents: Agents it may delegate to; the same as `SubAgentTool`s among the tools.
        output_type: `str`, or what its answer must be: a pydantic model, a dataclass, a union, …
        deps_type: Type of `deps`, for type checkers.
        limits: What one of its runs may use up.
        settings: How the model should answer.
        middleware: Objects with hooks, the first one outermost.
        retry: How failed model calls are tried again.
        output_retries: How often the model is told that its answer does not do.
        on_unknown_tool: What a call of an unknown tool becomes: `"tell"` the model, `"fail"` the
            run, or a mapping from the names models make up to the tools they mean.
        on_invalid_arguments: The same for arguments that do not fit.
        max_concurrency: Calls of one turn that run at once.
        background: Whether its `subagents` work in the background; see `SubAgentTool`.
        steering: Who may steer its runs, and how; by default the human and its ancestors, with
            every command.
        autonomy: Which of its tools, and of those of its sub-agents, it may use by itself, which it
            only proposes to use, and for which it asks a human first; all by itself if not given.
        recursive: Whether it may delegate to itself, as one of its own sub-agents; `max_depth` and
            the refusal of cycles keep it in bounds.

    Raises:
        ConfigError: An argument does not do; the message names it and what is allowed.
    """

    node_kind = "agent"

    __slots__ = (
        "_child_limits",
        "_given",
        "_plan",
        "_root_limits",
        "description",
        "limits",
        "name",
    )

    name: str
    description: str
    limits: RunLimits
    _given: dict[str, Any]
    _plan: Plan
    _root_limits: RunLimits
    _child_limits: RunLimits

    def __init__(
        self,
        model: str | Model,
        *,
        name: str = "agent",
        description: str = "",
        instructions: Instructions = "",
        tools: Sequence[Any] = (),
        subagents: Sequence[Any] = (),
        output_type: TypeForm[OutputT] = str,  # type: ignore[assignment]  # OutputT's own default
        deps_type: type[DepsT] | None = None,
        limits: RunLimits | None = None,
        settings: ModelSettings | None = None,
        middleware: Sequence[object] = (),
        retry: Retry | None = None,
        output_retries: int = 2,
        on_unknown_tool: OnUnknownTool = "tell",
        on_invalid_arguments: OnMistake = "tell",
        max_concurrency: int = 64,
        recursive: bool = False,
        background: bool = False,
        steering: SteerPolicy | None = None,
        autonomy: Autonomy | None = None,
    ) -> None:
        given = {key: value for key, value in locals().items() if key not in ("self", "__class__")}
        settle = partial(object.__setattr__, self)
        settle("name", check_name("agent", name))
        settle("description", description)
        limits = limits_of(limits)
        resolved = given["model"] = resolve(model)
        output = OutputPlan(output_type, native=resolved.capabilities.native_output)
        delegates = [*items("subagents", subagents), *([self] if recursive else [])]
        offered = offer(items("tools", tools), delegates, background)
        table = table_of(offered, output)
        if autonomy is not None:
            check_modes(autonomy, table)
        plan = Plan(
            name=name,
            model=resolved,
            instructions=instructions,
            tools=table,
            specs=tuple([each.spec for each in table.values()]),
            tool_choice=FINAL_ANSWER if list(table) == [FINAL_ANSWER] else "auto",
            settings=settings or ModelSettings(),
            output=output,
            hooks=Hooks(items("middleware", middleware)),
            retry=retry or Retry(),
            output_retries=output_retries,
            on_unknown_tool=on_unknown_tool,
            on_invalid_arguments=on_invalid_arguments,
            max_concurrency=max_concurrency,
            dialect=NATIVE,
            steering=steering or SteerPolicy(),
            autonomy=autonomy,
        )
        settle("limits", limits)
        settle("_given", given)
        settle("_plan", plan)
        settle("_root_limits", limits.filled(ROOT_LIMITS))
        settle("_child_limits", limits.filled(CHILD_LIMITS))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"an Agent never changes: make another with agent.with_({name}=…)")

    def __repr__(self) -> str:
        return f"Agent({self.name!r}, model={self._plan.model.name!r})"

    @property
    def tools(self) -> Mapping[str, Tool]:
        """Its tools by name, those by which it delegates included."""
        return self._plan.tools

    @property
    def asks_leave(self) -> bool:
        """Whether it may come to ask a human for leave, or one that it delegates to."""
        return self._plan.asks_leave

    @property
    def output_type(self) -> Any:
        """What it answers with."""
        return self._given["output_type"]

    def with_(self, **changes: Any) -> Agent[Any, Any]:
        """A copy with changes, given as to `Agent(…)`.

        Raises:
            ConfigError: There is no such argument.
        """
        if unknown := sorted(set(changes) - set(self._given)):
            raise ConfigError(f"with_({unknown[0]}=…): there is {', '.join(sorted(self._given))}")
        return Agent(**(self._given | changes))

    def as_tool(
        self, *, name: str | None = None, description: str | None = None, input_type: Any = None
    ) -> SubAgentTool:
        """The tool by which another agent delegates to this one."""
        return SubAgentTool(self, name=name, description=description, input_type=input_type)

    # --- running ----------

    async def run(
        self,
        task: Task,
        *,
        deps: DepsT | None = None,
        history: Sequence[Message] = (),
        sink: EventSink | None = None,
        run_id: str | None = None,
        limits: RunLimits | None = None,
        journal: Journal | None = None,
    ) -> Result[OutputT]:
        """Do a task and wait for the result.

        Called from a tool or a hook of another run, it becomes a child of that run, unless it is
        given a `run_id`, a journal or another sink.

        With a journal and a `run_id` it goes on where it was, if it began before: after a crash,
        or after a failure. If it has ended, its result is given again, and nothing is done.

        Args:
            task: What to do.
            deps: What tools get as `ctx.deps`; a child without gets its parent's.
            history: What was said before, as in an earlier `result.messages`.
            sink: Where the events go; one of its own if not given.
            run_id: Id of the run; made up if not given.
            limits: Limits of this run, besides the agent's own.
            journal: Where the run, and all it delegates, is kept.

        Returns:
            The result; its status is `"completed"`, `"paused"` if it waits for the answers of
            `result.pending`, or with `RunLimits(on_limit="return")` maybe `"limited"`.

        Raises:
            LimitExceeded: A limit was reached.
            ModelError: The model failed for good.
            InvalidOutput: The model gave no answer that fits `output_type`.
            RunCancelled: The run was cancelled.
            RunConflict: The run of this id is under way elsewhere, or was asked something else.
            JournalError: The journal cannot be read or written.
            Exception: What a tool with `on_error="fail"` or a hook raised. On all of them,
                `error.result` has what there was until then.
        """
        place = place_for(sink, run_id) if journal is None else None
        result: Result[OutputT]
        if place is None and (journal is not None or self._plan.asks_leave):
            begin = partial(self.open, deps=deps, limits=limits)
            kept = Kept(
                begin,
                journal or IN_MEMORY,
                name=self.name,
                task=task,
                history=history,
                run_id=run_id,
                sink=sink,
            )
            result = await kept.drive(await kept.open())
            return result
        work = self.open(
            task,
            deps=deps,
            history=history,
            sink=sink,
            run_id=run_id,
            limits=limits,
            place=place,
        )
        result = await execute(work)
        return result

    async def resume(
        self,
        run_id: str,
        *,
        journal: Journal | None = None,
        deps: DepsT | None = None,
        sink: EventSink | None = None,
        limits: RunLimits | None = None,
    ) -> Result[OutputT]:
        """Go on with a run: one that waited for answers, was cut off, failed or was cancelled.

        What it has done is not done again. As long as no answer has come to a run that waits for
        one, nothing happens.

        Args:
            run_id: Id of the run.
            journal: Where it is kept; a run that waits and is kept in none waits in this process.
            deps: What tools get as `ctx.deps`; they are not kept.
            sink: Where the events go, those of the past included.
            limits: Limits of this run, besides the agent's own.

        Returns:
            The result, as of `run`.

        Raises:
            ConfigError: There is no such run.
            RunConflict: It is under way elsewhere.
            JournalError: The journal cannot be read or written.
            Exception: As for `run`.
        """
        begin = partial(self.open, deps=deps, limits=limits)
        kept = Kept(
            begin,
            journal or IN_MEMORY,
            name=self.name,
            task=None,
            run_id=run_id,
            sink=sink,
            is_resumed=True,
        )
        result: Result[OutputT] = await kept.drive(await kept.open())
        return result

    def run_sync(self, task: Task, **options: Any) -> Result[OutputT]:
        """`run` for scripts, with the same arguments. From a sync tool it is a child as well.

        Raises:
            ConfigError: An event loop runs in this thread; use `await agent.run(…)` there.
            RunCancelled: The run whose tool called it has ended.
        """
        return run_sync(partial(self.run, task, **options))

    def stream(
        self,
        task: Task,
        *,
        deps: DepsT | None = None,
        history: Sequence[Message] = (),
        sink: EventSink | None = None,
        run_id: str | None = None,
        limits: RunLimits | None = None,
        journal: Journal | None = None,
        policy: Policy = "drop_deltas",
        buffer: int = 10_000,
    ) -> RunHandle[OutputT]:
        """Do a task while you watch: `async with agent.stream(task) as run`.

        Models stream, so the events have `model.delta` in them.

        Args:
            task: What to do.
            deps: What tools get as `ctx.deps`.
            history: What was said before.
            sink: Where the events go; one of its own if not given.
            run_id: Id of the run; made up if not given.
            limits: Limits of this run, besides the agent's own.
            journal: Where the run is kept; see `run`.
            policy: What happens when you read too slowly; see `EventSink.stream`.
            buffer: How far you may fall behind before that, in events.
        """
        place = place_for(sink, run_id) if journal is None else None
        if place is None and (journal is not None or self._plan.asks_leave):
            kept = Kept(
                partial(self.open, deps=deps, limits=limits, deltas=True),
                journal or IN_MEMORY,
                name=self.name,
                task=task,
                history=history,
                run_id=run_id,
                sink=sink,
            )
            return RunHandle(kept.open, kept.drive, policy=policy, buffer=buffer)

        def begin() -> AgentRun:
            return self.open(
                task,
                deps=deps,
                history=history,
                sink=sink,
                run_id=run_id,
                limits=limits,
                place=place_for(sink, run_id),
                deltas=True,
            )

        return RunHandle(begin, policy=policy, buffer=buffer)

    async def map(
        self,
        tasks: Sequence[Task],
        *,
        max_concurrency: int = 10,
        deps: DepsT | None = None,
        sink: EventSink | None = None,
        run_id: str | None = None,
        limits: RunLimits | None = None,
    ) -> list[Result[OutputT]]:
        """Do many tasks at once, as children of one run, whose limits hold for all together.

        Args:
            tasks: What to do.
            max_concurrency: How many at once.
            deps: What tools get as `ctx.deps`.
            sink: Where the events go; one of its own if not given.
            run_id: Id of the run they are children of.
            limits: Limits of that run, for all tasks together; the agent's own hold for each task.

        Returns:
            A result for each task, in order. One that failed has the status `"failed"`,
            `"cancelled"` or `"limited"` and says why in `result.error`; it harms no other.

        Raises:
            LimitExceeded: A limit of that run was reached. What there was until then, one result
                for each task, is in `error.result.output`; with `on_limit="return"` it is returned.
            RunCancelled: That run was cancelled; the same holds.
        """
        return await map_tasks(
            self,
            tasks,
            max_concurrency=max_concurrency,
            deps=deps,
            place=place_for(sink, run_id),
            sink=sink,
            run_id=run_id,
            limits=limits,
        )

    def run_at(self, task: Any, place: Place, path: str) -> Awaitable[Result[OutputT]]:
        """Do a task as a child of a node of a graph; what is no text or message is shown as JSON.

        Args:
            task: What the node was given.
            place: Where the node stands.
            path: The child's address.
        """
        return execute(self.open(as_task(task), place=place, path=path, allow_cycles=True))

    def open(
        self,
        task: Task | None,
        *,
        place: Place | None = None,
        path: str | None = None,
        deps: Any = None,
        history: Sequence[Message] = (),
        sink: EventSink | None = None,
        run_id: str | None = None,
        limits: RunLimits | None = None,
        deltas: bool = False,
        allow_cycles: bool = False,
    ) -> AgentRun:
        """Prepare a run without starting it; what all ways of running share.

        Args:
            task: What to do.
            place: Where in a tree it hangs; `None` makes a root.
            path: Its address there; the next one of its name if not given.
            deps: What tools get as `ctx.deps`; the parent's if `None`.
            history: What was said before.
            sink: Where a root's events go.
            run_id: A root's id.
            limits: Limits besides the agent's own.
            deltas: Whether models stream; those of a parent that streams do anyway.
            allow_cycles: Whether an ancestor may have the same task.

        Raises:
            TypeError: `task` is nothing an agent can be asked.
        """
        name, plan = self.name, self._plan
        message = user_message(task) if task is not None else None
        text = message.text if message is not None else ""
        about = {"model": plan.model.name, "task": text}
        if place is None:
            run = Run(
                name,
                task=text,
                limits=self._limits(limits, ROOT_LIMITS, self._root_limits),
                run_id=run_id,
                sink=sink,
                deltas=deltas,
                about=about,
                deps=deps,
            )
        else:
            run = Run(
                name,
                parent=place.run,
                path=path or place.next_path(name),
                task=text,
                deltas=deltas,
                limits=self._limits(limits, CHILD_LIMITS, self._child_limits),
                allow_cycles=allow_cycles,
                about=about,
                deps=deps,
            )
        return AgentRun(plan, run, message, history)

    def _limits(self, given: RunLimits | None, defaults: RunLimits, ready: RunLimits) -> RunLimits:
        return ready if given is None else self.limits.narrowed(given).filled(defaults)
