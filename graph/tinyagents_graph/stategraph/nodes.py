"""`Node`: a node prepared for running: what its body is given, and what becomes of what it returns.

A body is one of three things: a function; a delegate (an agent, a session), which runs as a child
of the graph's run; or another graph, which does as well and hands back what its own nodes wrote.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from inspect import Parameter, isawaitable, iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, Protocol, cast, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError

from tinyagents_graph.errors import GraphError
from tinyagents_graph.place import Place
from tinyagents_graph.stategraph.asks import NodeAsk
from tinyagents_graph.stategraph.declared import NodeSpec
from tinyagents_graph.stategraph.findings import Finding, did_you_mean
from tinyagents_graph.stategraph.routing import END, START, Ask, Command, Nothing, Send, targets_of
from tinyagents_graph.stategraph.state import StateSchema, explain
from tinyagents_graph.stategraph.tasks import NodeContext, Outcome, Task
from tinyagents_graph.threads import in_thread
from tinyagents_graph.values_as_data import adapter_for

if TYPE_CHECKING:
    from tinyagents_graph.stategraph.declared import RouteSpec

__all__ = ["Body", "Delegate", "Node", "Nodes", "Ways"]

Body = Callable[[NodeContext, Any], Awaitable[Any]]
"""What a node does: with its context and its input."""


class Delegate(Protocol):
    """An agent or a session, as a graph sees it: something that runs as a child of its run."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def run_at(self, task: Any, place: Place, path: str) -> Awaitable[Any]:
        """Do a task as a child of the place's run.

        Args:
            task: What to do.
            place: Where it is started.
            path: The child's address.

        Returns:
            A result with `output`, `status` and `error`.
        """
        ...


class Ways:
    """Where a node, or `START`, leads.

    Attributes:
        edges: Names of the nodes (or `END`) that its plain edges lead to.
        joins: Numbers of the joins that wait for it.
        routes: Its routers.
    """

    __slots__ = ("edges", "joins", "routes")

    def __init__(
        self,
        edges: tuple[str, ...] = (),
        joins: tuple[int, ...] = (),
        routes: tuple[RouteSpec, ...] = (),
    ) -> None:
        self.edges = edges
        self.joins = joins
        self.routes = routes


class Node:
    """A node, with where it leads.

    Attributes:
        name: What it is called.
        spec: How it was declared.
        site: The line that added it.
        ways: Where its edges, joins and routers lead.
        may_go: Where its body may send the graph; `None` for anywhere.
        takes: Type of what it may be sent, if that is known.
    """

    __slots__ = (
        "_adapter", "_body", "_input", "_keepers", "_nodes", "_output", "_schema", "may_go",
        "name", "site", "spec", "takes", "ways",
    )  # fmt: skip

    def __init__(self, spec: NodeSpec, nodes: Nodes, schema: StateSchema) -> None:
        self.spec = spec
        self.name = spec.name
        self.site = spec.site
        self.ways = Ways()
        self.may_go = None if spec.goto is None else frozenset((*spec.goto, END))
        self._nodes = nodes
        self._schema = schema
        self._input: Callable[[Any], Any] | None = spec.input
        self._output = _output_of(spec, schema)
        self._adapter: TypeAdapter[Any] | None = None
        self._keepers: tuple[TypeAdapter[Any], TypeAdapter[Any]] | None = None
        self.takes: Any = None
        if spec.kind == "function":
            self._body, takes = _function(spec)
            self.takes = self._type_for(takes)
            self._adapter = None if self.takes is None else TypeAdapter(self.takes)
        elif spec.kind == "graph":
            self._body = partial(_run_graph, spec, schema, spec.body)
            self.takes = spec.body.input_type
        else:
            self._body = partial(_run_delegate, spec)
            if self._input is None:
                self._input = _as_json

    def _type_for(self, takes: Any) -> Any:
        kind = self.spec.input_type or takes
        if kind is None or kind is Any or kind is Parameter.empty:
            return None
        is_state = isinstance(kind, type) and issubclass(self._schema.model, kind)
        return self._schema.model if is_state else kind

    @property
    def keepers(self) -> tuple[TypeAdapter[Any], TypeAdapter[Any]] | None:
        """What reads what it is sent, and what keeps that; `None` if its type is not known."""
        if self._keepers is None and self.takes is not None:
            self._keepers = self._adapter or TypeAdapter(self.takes), adapter_for(self.takes)
        return self._keepers

    @property
    def graph(self) -> str:
        """Name of its graph."""
        return self._schema.graph

    def given(self, task: Task, state: Any) -> Any:
        """What the body gets: what it was sent, or what it takes of the state.

        Raises:
            GraphError: What it was sent does not fit.
        """
        if task.payload is Nothing:
            return state if self._input is None else self._input(state)
        if self._adapter is None:
            return task.payload
        try:
            return self._adapter.validate_python(task.payload)
        except ValidationError as error:
            raise self.error(
                "INVALID_PAYLOAD",
                f"node {self.name!r} was sent {task.payload!r:.200}, which does not fit the type "
                f"of its first parameter: {explain(error)}",
            ) from error

    async def do(self, ctx: NodeContext, given: Any) -> Any:
        """Run the body; a graph that it returns runs in its place."""
        returned = await self._body(ctx, given)
        kind = getattr(returned, "node_kind", None)
        if kind is None:
            return returned
        graph = returned.compile() if kind == "declaration" else returned
        if getattr(graph, "node_kind", None) != "graph":
            raise self.error("INVALID_UPDATE", f"node {self.name!r} returned {graph!r}, no update")
        return await _run_graph(self.spec, self._schema, graph, ctx, given)

    def understand(self, returned: Any, task: Task) -> Outcome:
        """What a body means by what it returned.

        Raises:
            GraphError: It means nothing, or something that cannot be.
        """
        outcome = Outcome()
        update: Any = None
        if isinstance(returned, _Wrote):
            outcome.write, outcome.more = (*returned.writes, {})[0], returned.writes[1:]
        elif isinstance(returned, Command):
            command = cast("Command[Any]", returned)
            update = command.update
            if command.goto is not None:
                outcome.goto = self._checked(command.goto)
            outcome.also = self._checked(command.also)
        elif isinstance(returned, Ask):
            update = returned.update
            outcome.ask = self._ask(returned, task)
        elif isinstance(returned, Send) or self._is_sends(returned):
            outcome.goto = self._checked(returned)
        else:
            update = returned if self._output is None else self._output(returned)
        if update is not None:
            outcome.write = self._schema.check(update, self.name)
        return outcome

    def error(self, code: str, message: str, hint: str = "") -> GraphError:
        """An error about this node."""
        finding = Finding(code, message, hint, self.site, (self.name,))
        return GraphError(self._schema.graph, [finding])

    def _is_sends(self, returned: Any) -> bool:
        """Whether it is a fan-out; an empty list is one to nobody, unless it is a key's value."""
        if not isinstance(returned, (list, tuple)):
            return False
        items = cast("list[Any]", returned)
        return all(isinstance(each, Send) for each in items) and bool(items or not self._output)

    def _checked(self, goto: Any) -> tuple[Any, ...]:
        targets = targets_of(goto)
        for each in targets:
            self._nodes.check(each, f"node {self.name!r} went to", self.error)
            name = each.node if isinstance(each, Send) else each
            if self.may_go is not None and name not in self.may_go:
                raise self.error(
                    "UNDECLARED_GOTO",
                    f"node {self.name!r} went to {name!r}, and declares only "
                    f"{', '.join(sorted(self.may_go - {END})) or 'nothing'}",
                    f"add it: add_node({self.name!r}, …, goto=[…, {name!r}]), or to the return "
                    "hint Command[Literal[…]]",
                )
        return targets

    def _ask(self, asked: Ask, task: Task) -> NodeAsk:
        ask = NodeAsk(f"{task.path}/ask", task.path, asked.question, task.name, asked.type)
        ask.default = asked.default
        ask.then, ask.output = asked.then, asked.output
        if asked.then is not None:
            self._nodes.check(asked.then, f"the answer to node {self.name!r} goes to", self.error)
        elif asked.output not in self._schema.keys:
            near = did_you_mean(str(asked.output), self._schema.keys)
            raise self.error(
                "UNKNOWN_KEY", f"the answer to node {self.name!r} goes to {asked.output!r}, "
                f"which is no key of the state{near}",
            )  # fmt: skip
        return ask


class Nodes(dict[str, Node]):
    """The nodes of a graph by name."""

    def check(self, target: Any, who: str, error: Callable[[str, str, str], GraphError]) -> None:
        """A target chosen at run time has to exist.

        Raises:
            GraphError: It does not.
        """
        name = target.node if isinstance(target, Send) else target
        if name in self or (name == END and not isinstance(target, Send)):
            return
        if name == START:
            hint = "name the node that it should begin with again"
            raise error("START_AS_TARGET", f"{who} START, where nothing leads to", hint)
        raise error(
            "UNKNOWN_TARGET",
            f"{who} {name!r}, and there is no such node{did_you_mean(str(name), self)}",
            f"the nodes are {', '.join(sorted(self))}",
        )


class _Wrote:
    """What the nodes of a graph wrote that ran in a node's place."""

    __slots__ = ("writes",)

    def __init__(self, writes: tuple[Mapping[str, Any], ...]) -> None:
        self.writes = writes


def _as_json(state: BaseModel) -> str:
    return state.model_dump_json()


def _output_of(spec: NodeSpec, schema: StateSchema) -> Callable[[Any], Any] | None:
    output = spec.output
    if isinstance(output, str):
        return lambda returned: {output: returned}
    if output is not None or spec.kind in ("function", "graph"):
        return output
    if spec.name in schema.keys:
        return lambda returned: {spec.name: returned}
    return _fields_of


def _fields_of(returned: Any) -> Any:
    if isinstance(returned, BaseModel):
        return {name: getattr(returned, name) for name in type(returned).model_fields}
    return returned


# --- bodies ----------


def _function(spec: NodeSpec) -> tuple[Body, Any]:
    """The body that a function is, and the type of what it takes."""
    function = spec.body
    try:
        parameters = list(signature(function).parameters.values())
    except (TypeError, ValueError):  # a builtin that does not tell
        parameters = [Parameter("state", Parameter.POSITIONAL_ONLY)]
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    taken = [each for each in parameters if each.kind in kinds]
    try:
        hints = get_type_hints(function)
    except Exception:  # a hint that names what is imported for type checkers only
        hints = {}
    takes = hints.get(taken[0].name) if taken else None
    n = min(len(taken), 2)
    if n == 2 and not _is_context(taken[1], hints):
        n = 1
    if any(each.kind is Parameter.VAR_POSITIONAL for each in parameters):
        n = 2
    is_async = iscoroutinefunction(function) or iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  # an object whose `__call__` is async
    )

    def call(ctx: NodeContext, given: Any) -> Any:
        return function(*(given, ctx)[:n])

    if is_async:
        return call, takes

    async def in_a_thread(ctx: NodeContext, given: Any) -> Any:
        returned = await in_thread(partial(call, ctx, given))
        return await returned if isawaitable(returned) else returned

    return in_a_thread, takes


def _is_context(parameter: Parameter, hints: Mapping[str, Any]) -> bool:
    """Whether a second parameter is for the context: `def f(state, n=3)` has one that is not."""
    is_named = parameter.name == "ctx" or hints.get(parameter.name) is NodeContext
    return is_named or parameter.default is Parameter.empty


async def _run_delegate(spec: NodeSpec, ctx: NodeContext, given: Any) -> Any:
    delegate = cast("Delegate", spec.body)
    # The child takes the task's own path. Only a further try needs another.
    path = ctx.path if not ctx.attempt else ctx.next_path(delegate.name)
    result = await delegate.run_at(given, ctx, path)
    if result.status != "completed":
        raise result.error
    return result.output


async def _run_graph(
    spec: NodeSpec, schema: StateSchema, graph: Any, ctx: NodeContext, given: Any
) -> Any:
    handed = await graph.run_in(ctx, given, spec, schema)
    return handed if spec.output is not None else _Wrote(handed)
