"""`SubAgent` and `SubAgentTool`: delegation. A child is a run like any other, one level deeper."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from tinyagents.child_tools import CHILD_TOOLS
from tinyagents.children import AtEnd, start, start_again
from tinyagents.context import RunContext
from tinyagents.errors import ConfigError, LimitExceeded, RunCancelled, ToolError
from tinyagents.execute import execute
from tinyagents.messages import UserPart
from tinyagents.result import Result
from tinyagents.runnable import Opened, Runnable
from tinyagents.schema import Signature, check_json, json_schema
from tinyagents.tools import OnError, Tool, as_task, render
from tinyagents_graph.frozen import frozen
from tinyagents_graph.limits import RunLimits
from tinyagents_graph.place import Place

__all__ = ["SubAgent", "SubAgentTool", "as_delegate", "as_tool", "offer"]


@frozen
class SubAgent:
    """An agent as others delegate to it.

    Attributes:
        agent: Who does the work.
        name: What parents know it by; the agent's name if empty.
        description: What parents know of it; the agent's description if empty.
        limits: Limits of each delegation, besides the agent's own.
        deps: What its tools get as `ctx.deps`; the parent's if `None`.
        allow_cycles: Whether it may be given a task that it is already working on further up.
    """

    node_kind = "agent"

    agent: Runnable
    name: str = ""
    description: str = ""
    limits: RunLimits | None = None
    deps: Any = None
    allow_cycles: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.agent, type) or not hasattr(self.agent, "open"):
            raise ConfigError(f"SubAgent({self.agent!r}): give an Agent")

    def run_at(self, task: Any, place: Place, path: str) -> Awaitable[Any]:
        """Do a task as a child of a node of a graph; see `Agent.run_at`."""
        return execute(
            self.agent.open(
                as_task(task),
                place=place,
                path=path,
                deps=self.deps,
                limits=self.limits,
                allow_cycles=True,
            )
        )

    @property
    def output_type(self) -> Any:
        """What it answers with."""
        return getattr(self.agent, "output_type", None)

    @property
    def called(self) -> str:
        """Its name, as parents know it."""
        return self.name or self.agent.name

    @property
    def told(self) -> str:
        """What a parent's model is told of it."""
        return (
            self.description
            or self.agent.description
            or f"Hands a task to the agent {self.called} and returns its answer."
        )


class SubAgentTool(Tool):
    """The tool by which a parent's model delegates to a child.

    The model gets the child's text, or the JSON of its typed output; the host finds the child's
    full `Result` in `ToolMessage.artifact`. A child that fails, hits a limit or is cancelled is a
    failed call that says who failed, why, and what was spent; it never looks like an answer.

    Args:
        subagent: Whom to delegate to, a `SubAgent` or an `Agent`.
        name: What the model calls it by; the sub-agent's name if not given.
        description: What the model is told of it; the sub-agent's if not given.
        input_type: A pydantic model (or dataclass, or typed dict) of what the child is given, as
            JSON; without it the model writes a text, `{"input": str}`. For a graph it is its state.
        timeout_s: Seconds the child may take.
        on_error: What a failure of the child becomes, as for any `Tool`.
        max_result_chars: Longer answers are cut in the middle for the model.
        background: Whether the call returns at once, with the child's path, while the child goes to
            work. The parent's model gets tools to watch, steer, await, cancel and answer it, and a
            message when it has ended.
        at_end: What becomes of such a child that is still at work when its parent has its answer:
            `"wait"` for it (the parent's model then gets one more turn), or `"cancel"` it.

    Raises:
        ConfigError: The name is no tool name, `input_type` is no object, `background` no bool, or
            `at_end` neither of the two.
    """

    def __init__(
        self,
        subagent: SubAgent | Runnable,
        *,
        name: str | None = None,
        description: str | None = None,
        input_type: Any = None,
        timeout_s: float | None = None,
        on_error: OnError = "tell",
        max_result_chars: int = 100_000,
        background: bool = False,
        at_end: AtEnd = "wait",
    ) -> None:
        _check_background("SubAgentTool", background)
        if at_end not in ("wait", "cancel"):
            raise ConfigError(f"SubAgentTool(at_end={at_end!r}): give 'wait' or 'cancel'")
        self.background = background
        self.at_end: AtEnd = at_end
        self.subagent = subagent if isinstance(subagent, SubAgent) else SubAgent(subagent)
        self._input: TypeAdapter[Any] | None = None
        if input_type is None:
            input_type = getattr(self.subagent.agent, "input_type", None)
        signature: Signature | None = None
        if input_type is not None:
            self._input = adapter = TypeAdapter(input_type)
            schema = json_schema(adapter)
            if schema.get("type") != "object":
                raise ConfigError(
                    f"input_type={input_type!r}: a model fills in an object; give a pydantic model"
                )
            signature = Signature(adapter, schema, "", takes_context=True)
        super().__init__(
            self._delegate,
            name=name or self.subagent.called,
            description=description or self.subagent.told,
            timeout_s=timeout_s,
            on_error=on_error,
            max_result_chars=max_result_chars,
            signature=signature,
        )
        self.has_own_place = True
        self.outlives_its_call = background
        self.asks_leave = bool(getattr(self.subagent.agent, "asks_leave", False))

    def validate(self, arguments: Any) -> dict[str, Any]:
        """Check what the model gave for the child."""
        if self._input is None:
            return super().validate(arguments)
        return {"input": self._input.dump_json(check_json(self._input, arguments)).decode()}

    async def _delegate(self, ctx: RunContext[Any], input: str) -> Any:
        """Hand the task to the child.

        Args:
            ctx: Where the call stands.
            input: The task, with all the child needs to know: it sees nothing else.
        """
        return await self.call(ctx, {"input": input})

    def call(self, ctx: RunContext[Any], arguments: dict[str, Any]) -> Awaitable[Any]:
        """The child's run: the call is nothing besides. In the background, its start."""
        work = self._open(ctx, arguments)
        return self._start(ctx, work) if self.background else execute(work)

    def _open(self, ctx: RunContext[Any], arguments: dict[str, Any]) -> Opened:
        sub = self.subagent
        return sub.agent.open(
            arguments["input"],
            place=ctx,
            # The child takes the call's own path. Only a further try of the call needs another.
            path=ctx.path if not ctx.attempt else ctx.run.next_path(self.name),
            deps=ctx.deps if sub.deps is None else sub.deps,
            limits=sub.limits,
            allow_cycles=sub.allow_cycles,
        )

    @property
    def tools_behind(self) -> Mapping[str, Tool]:
        """The sub-agent's tools, by name."""
        tools: Mapping[str, Tool] = getattr(self.subagent.agent, "tools", {})
        return tools

    def recall(self, ctx: RunContext[Any], arguments: dict[str, Any]) -> None:
        """A call that was made before. What it started in the background goes on."""
        if self.background:
            start_again(ctx, self._open(ctx, arguments), self.at_end)
        else:
            super().recall(ctx, arguments)

    async def _start(self, ctx: RunContext[Any], work: Opened) -> str:
        return start(ctx, work, self.at_end)

    def show(self, value: Any) -> str | tuple[UserPart, ...]:
        """What the parent's model reads of the child's result.

        Raises:
            ToolError: A limit stopped the child, which is not an answer.
        """
        if not hasattr(value, "tree_usage"):  # the path of one in the background
            return render(value, self.name)
        result: Result[Any] = value  # or a graph's, which has the same as far as it matters here
        if result.status != "completed":
            raise self._failed(result, result.error)
        content = render(result.output, self.name)
        was_cut = getattr(result, "stop_reason", "stop") == "length"
        if was_cut and isinstance(content, str):
            return f"{content}\n[the answer was cut off at its length limit]"
        return content

    def explain(self, error: Exception) -> Exception:
        """A child's failure as the parent's model should read it: who, why, what was spent."""
        result = getattr(error, "result", None)
        if result is None:
            return error
        failed = self._failed(result, error)
        failed.__cause__ = error
        return failed

    def _failed(self, result: Result[Any], error: BaseException | None) -> ToolError:
        category, note = "delegate", ""
        if isinstance(error, LimitExceeded):
            category, note = "limit", "stopped by a limit; this is not an answer"
        elif isinstance(error, RunCancelled):
            category = "cancelled"
        facts = {
            "agent": result.path,
            "type": type(error).__name__,
            "note": note,
            "last_words": result.text[:2_000],
            "spent": result.tree_usage.to_dict(),
        }
        return ToolError(
            self.name,
            f"{result.path} ended as {result.status}: {_what(error)}",
            category=category,
            details={name: value for name, value in facts.items() if value},
        )


def _check_background(what: str, given: object) -> None:
    if not isinstance(given, bool):
        raise ConfigError(f"{what}(background={given!r}): give True or False")


def _what(error: BaseException | None) -> str:
    return error.fact if isinstance(error, LimitExceeded) else str(error)


def offer(tools: Sequence[Any], delegates: Sequence[Any], background: bool) -> list[Tool]:
    """The tools of an agent: its own, those by which it delegates, and those for what it started.

    Args:
        tools: What it was given as tools.
        delegates: Whom it may delegate to.
        background: Whether these work in the background.
    """
    _check_background("Agent", background)
    offered = [as_tool(each) for each in tools]
    offered += [as_delegate(each, background=background) for each in delegates]
    if any(isinstance(each, SubAgentTool) and each.background for each in offered):
        offered += CHILD_TOOLS
    return offered


def as_tool(given: Any) -> Tool:
    """The tool that `Agent(tools=[…])` means by one of its items.

    Raises:
        ConfigError: It is none.
    """
    if isinstance(given, Tool):
        return given
    if isinstance(given, (SubAgent, Runnable)):
        return SubAgentTool(given)
    if callable(given) and not isinstance(given, type):
        return Tool(given)
    raise ConfigError(f"tools: {given!r} is neither a Tool nor a function")


def as_delegate(given: Any, *, background: bool = False) -> Tool:
    """The tool that `Agent(subagents=[…], background=…)` means by one of its items.

    Raises:
        ConfigError: It is none.
    """
    if isinstance(given, SubAgentTool):
        return given
    if isinstance(given, (SubAgent, Runnable)):
        return SubAgentTool(given, background=background)
    raise ConfigError(f"subagents: {given!r} is neither an Agent, a SubAgent nor a SubAgentTool")
