"""`Agent`: a harness around a model; an immutable definition that runs many times at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from typing_extensions import TypeForm, TypeVar

from tinyagents.autonomy import Autonomy
from tinyagents.context import DepsT
from tinyagents.data import Given
from tinyagents.dialect import Dialect
from tinyagents.errors import ConfigError
from tinyagents.execute import execute
from tinyagents.inputs import seen
from tinyagents.messages import Message, user_message
from tinyagents.models.protocol import Model, ModelSettings
from tinyagents.models.resolve import resolve
from tinyagents.plan import Instructions, OnMistake, OnUnknownTool, Plan, limits_of
from tinyagents.planning import plan_of
from tinyagents.recursion import Recursion
from tinyagents.result import OutputT, Result
from tinyagents.running import Running, Task
from tinyagents.sharing import Context
from tinyagents.state import AgentRun
from tinyagents.subagents import SubAgentTool
from tinyagents.tools import Tool, as_task, check_name
from tinyagents_graph.limits import RunLimits
from tinyagents_graph.place import Place
from tinyagents_graph.retry import Retry
from tinyagents_graph.run import CHILD_LIMITS, ROOT_LIMITS, Run
from tinyagents_graph.sink import EventSink, Listener
from tinyagents_graph.steering import SteerPolicy

if TYPE_CHECKING:
    from tinyagents.telemetry import Telemetry

__all__ = ["Agent"]

ListenerT = TypeVar("ListenerT", bound=Listener)


class Agent(Running[DepsT, OutputT]):
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
        output_type: `str`, or what its answer must be: a pydantic model, a dataclass, a union, …;
            or a JSON Schema, as a dict that type checkers know as `Any`.
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
            the refusal of cycles keep it in bounds. With `dialect="codeact"`, whether its code may
            call `llm`, `llm_map` and `recurse`; a `Recursion` says how. See `RecursiveAgent`.
        telemetry: Whether trees that begin with it are traced, also where `telemetry.setup()` was
            not called; see `tinyagents.telemetry`.
        dialect: How its model asks for tools: `"native"` (by the provider's tool calls), `"react"`
            (Thought, Action, Observation as text), or an object such as `React(…)`.
        context: What it shares with other agents.
        reads: Names of values of the context that stand before each of its tasks.
        writes: Name under which the context keeps its answer.
        verbose: Whether its runs are shown on the standard error stream, line by line.

    Raises:
        ConfigError: An argument does not do; the message names it and what is allowed.
    """

    node_kind = "agent"

    __slots__ = (
        "_asks_leave",
        "_child_limits",
        "_given",
        "_plan",
        "_root_limits",
        "_telemetry",
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
    _telemetry: bool
    _asks_leave: bool

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
        recursive: bool | Recursion = False,
        background: bool = False,
        steering: SteerPolicy | None = None,
        autonomy: Autonomy | None = None,
        telemetry: bool = False,
        dialect: str | Dialect = "native",
        context: Context | None = None,
        reads: Sequence[str] = (),
        writes: str = "",
        verbose: bool = False,
    ) -> None:
        given = {key: value for key, value in locals().items() if key not in ("self", "__class__")}
        settle = partial(object.__setattr__, self)
        settle("name", check_name("agent", name))
        settle("description", description)
        settle("limits", limits := limits_of(limits))
        resolved = given["model"] = resolve(model)
        _check_switch("verbose", verbose)
        _check_switch("telemetry", telemetry)
        settle("_telemetry", telemetry and bool(_telemetry()))  # which may be set up wrong
        plan = plan_of(given, resolved, self)
        settle("_asks_leave", plan.asks_leave)  # once, for every root asks
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
        return self._asks_leave

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
        other = Agent(**(self._given | changes))
        other._plan.listeners.take_over(self._plan.listeners)
        return other

    def on(self, *kinds: str) -> Callable[[ListenerT], ListenerT]:
        """Have a function called with the events of this agent's runs, and of all below them.

            @agent.on("code.executed", "tool.*")
            def show(event: Event) -> None: ...

        It holds for runs that begin from now on, and for what `with_` makes of the agent from now
        on. The function is called as by `EventSink.subscribe`: in the emitting thread, at once.

        Args:
            kinds: Which events; all if none is named.

        Raises:
            ConfigError: There is no such kind, or the function is a coroutine function.
        """

        def add(listener: ListenerT) -> ListenerT:
            self._plan.listeners.add(listener, kinds or None)
            return listener

        return add

    def as_tool(
        self, *, name: str | None = None, description: str | None = None, input_type: Any = None
    ) -> SubAgentTool:
        """The tool by which another agent delegates to this one."""
        return SubAgentTool(self, name=name, description=description, input_type=input_type)

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
        data: Given | None = None,
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
            data: What to do it with; see `run`.

        Raises:
            TypeError: `task` is nothing an agent can be asked.
            ConfigError: `data` is no data, or too long for one that may go no deeper.
        """
        name, plan, given, is_deeper = self.name, self._plan, None, False
        if data is not None or plan.recursion is not None:
            plan, given, is_deeper = seen(plan, data, place)
        message = user_message(task) if task is not None else None
        if message is not None and given is not None:
            message = given.told(message)
        text = message.text if message is not None else ""
        about = {"model": plan.model.name, "task": text}
        if place is None:
            limits = self._limits(limits, ROOT_LIMITS, self._root_limits)
            run = Run(
                name, task=text, limits=limits, run_id=run_id, sink=sink, deltas=deltas,
                about=about, deps=deps,
            )  # fmt: skip
            self._trace(run)
        else:
            limits = self._limits(limits, CHILD_LIMITS, self._child_limits)
            limits = limits.of_run() if is_deeper else limits
            run = Run(
                name, parent=place.run, path=path or place.next_path(name), task=text,
                deltas=deltas, limits=limits, allow_cycles=allow_cycles, about=about, deps=deps,
            )  # fmt: skip
        return AgentRun(plan, run, message, history, given)

    def _trace(self, root: Run) -> None:
        if self._telemetry and root.tree.tracing is None:
            root.tree.tracing = _telemetry().trace(root.tree)

    def _limits(self, given: RunLimits | None, defaults: RunLimits, ready: RunLimits) -> RunLimits:
        return ready if given is None else self.limits.narrowed(given).filled(defaults)


def _check_switch(name: str, given: object) -> None:
    if not isinstance(given, bool):
        raise ConfigError(f"Agent({name}={given!r}): give True or False")


def _telemetry() -> Telemetry:
    from tinyagents.telemetry.setting_up import of_agents  # and OpenTelemetry, which others spare

    return of_agents()
