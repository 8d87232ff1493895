"""`StateGraph`: declare a workflow, node by node and arrow by arrow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from inspect import currentframe
from pathlib import Path
from typing import Any, Generic, Self, cast

from pydantic import BaseModel
from typing_extensions import TypeVar

from tinyagents_graph.errors import ConfigError
from tinyagents_graph.retry import Retry
from tinyagents_graph.stategraph.caching import NodeCache
from tinyagents_graph.stategraph.compiled import Graph
from tinyagents_graph.stategraph.declared import (
    Arrow,
    Declared,
    FailPolicy,
    Migration,
    Mode,
    NodeKind,
    NodeSpec,
    RouteSpec,
)
from tinyagents_graph.stategraph.routing import END, START, Join, join
from tinyagents_graph.stategraph.settings import check_names, check_node, check_version

__all__ = ["StateGraph"]

StateT = TypeVar("StateT", bound=BaseModel)
MigrationT = TypeVar("MigrationT", bound=Callable[[dict[str, Any]], Mapping[str, Any]])


class StateGraph(Generic[StateT]):
    """A workflow in the making: nodes that read and update one typed state, and ways between them.

    Args:
        state: A pydantic model. A field that several nodes write in one step has a reducer:
            `drafts: Annotated[list[str], Append()] = []`.
        name: What traces and parents know the graph by.
        description: What a parent's model is told of it.
        version: Which version of the state's type this is: raise it when a key is renamed or gets
            another type, and say with `migrate` how a journal's older data is read.

    Raises:
        ConfigError: `state` is no pydantic model, or the name or version does not do.
    """

    node_kind = "declaration"

    def __init__(
        self,
        state: type[StateT],
        *,
        name: str = "graph",
        description: str = "",
        version: int = 1,
    ) -> None:
        given: Any = state
        if not (isinstance(given, type) and issubclass(given, BaseModel)):
            raise ConfigError(
                f"StateGraph({given!r}): the state is a pydantic model, class State(BaseModel): ..."
            )
        self.name = _checked("StateGraph", name)
        self.description = description
        self.version = check_version("StateGraph(version=…)", version)
        self.state = state
        self._migrations: list[Migration] = []
        self._nodes: dict[str, NodeSpec] = {}
        self._edges: list[Arrow] = []
        self._joins: list[tuple[Join, str, str]] = []
        self._routes: list[RouteSpec] = []

    def __repr__(self) -> str:
        return f"StateGraph({self.state.__name__}, name={self.name!r}, {len(self._nodes)} nodes)"

    def add_node(
        self,
        name: str | Callable[..., Any],
        body: Any = None,
        *,
        input: Callable[[StateT], Any] | None = None,
        input_type: Any = None,
        output: str | Callable[[Any], Any] | None = None,
        inputs: Mapping[str, str] | None = None,
        outputs: Mapping[str, str] | None = None,
        goto: Collection[str] | None = None,
        reads: Collection[str] | None = None,
        writes: Collection[str] | None = None,
        retry: Retry | None = None,
        timeout_s: float | None = None,
        cache: NodeCache | bool | None = None,
        approve: bool | str | Callable[[StateT], Any] | None = None,
        rejected: str | None = None,
        on_error: str | None = None,
        description: str = "",
    ) -> Self:
        """Add a node.

        Args:
            name: What it is called; or a function, which is called as it is.
            body: What it does: a function (plain or async) of the state, or of the state and a
                `NodeContext`; an agent; a session; or a compiled graph.
            input: Makes what the body gets of the state. An agent without one gets the state as
                JSON.
            input_type: Type of what `Send` sends it; the type of the function's first parameter
                if not given.
            output: Where an agent's answer, or what a function returns, goes: a key of the state,
                or a function that makes an update of it.
            inputs: For a graph, which of its keys gets which of ours. Without it keys of the same
                name and type are handed on.
            outputs: For a graph, which of our keys gets which of its.
            goto: Where the body may go by a `Command`, if its return hint does not say so.
            reads: Keys of the state it reads, where its source does not show them.
            writes: Keys it writes, where its source does not show them.
            retry: How it is tried again when it fails.
            timeout_s: Seconds that one try may take.
            cache: Keeps what it returned for the same input; `True` keeps it for ever.
            approve: Ask the human before it runs: `True`, the question, or a function of the state
                that makes the question, or returns `None` where none is needed.
            rejected: The node to go to when the human says no; without one the run fails.
            on_error: The node to go to when it fails for good; it finds the failure in
                `ctx.failures`.
            description: What drawings say of it.

        Returns:
            This graph, for the next call.

        Raises:
            ConfigError: The name is taken or does not do, or the body is nothing that can run.
        """
        site = _site()
        if not isinstance(name, str):
            name, body = getattr(name, "__name__", ""), name
            if name in ("", "<lambda>"):
                raise ConfigError(f"{site}: add_node({body!r}): give a name, add_node('name', …)")
        name = _checked("add_node", name)
        if name in self._nodes:
            raise ConfigError(
                f"{site}: add_node({name!r}): there is such a node already, "
                f"added in {self._nodes[name].site}"
            )
        spec = NodeSpec(
            name,
            body,
            _kind_of(name, body, site),
            site,
            description or getattr(body, "description", "") or "",
            input,
            input_type,
            output,
            inputs,
            outputs,
            _names("goto", goto),
            _keys("reads", reads),
            _keys("writes", writes),
            retry,
            timeout_s,
            (NodeCache() if cache else None) if isinstance(cache, bool) else cache,
            approve,
            rejected,
            on_error,
        )
        check_node(spec)
        self._nodes[name] = spec
        return self

    def add_edge(self, start: str | Sequence[str] | Join, end: str) -> Self:
        """Add an arrow that is always followed.

        Args:
            start: A node, or `START`; a list of nodes is a join on all of them, as `join(…)` is.
            end: A node, or `END`.

        Returns:
            This graph, for the next call.

        Raises:
            ConfigError: One of the two is no name of a node.
        """
        site = _site()
        check_names("add_edge", site, end=end)
        if not isinstance(start, (str, Join, list, tuple)):
            raise ConfigError(f"{site}: add_edge({start!r}, …): give a node, a list, or join(…)")
        if isinstance(start, str):
            self._edges.append(Arrow(start, end, "edge", "", None, site))
        else:
            self._joins.append((start if isinstance(start, Join) else join(*start), end, site))
        return self

    def add_sequence(self, *nodes: str) -> Self:
        """Add an edge from each node to the next.

        Raises:
            ConfigError: There are fewer than two, or one is no name.
        """
        site = _site()
        if len(nodes) < 2:
            raise ConfigError(f"{site}: add_sequence{nodes!r}: give at least two nodes")
        for each in nodes:
            check_names("add_sequence", site, node=each)
        pairs = zip(nodes, nodes[1:], strict=False)
        self._edges += [Arrow(start, end, "edge", "", None, site) for start, end in pairs]
        return self

    def add_conditional_edges(
        self,
        source: str,
        route: Callable[[StateT], Any],
        targets: Mapping[Any, str] | Sequence[str] | None = None,
        *,
        default: str | None = None,
    ) -> Self:
        """Add a router: a function of the state that says where to go.

        It is called with the state as it stands after the step, and returns one of the labels in
        `targets`, a `Send`, or a list of these. An empty list of sends counts as a fan-out to
        nobody: what waits for the fanned-out nodes goes on at once.

        Args:
            source: The node it stands behind, or `START`.
            route: The function, plain or async.
            targets: Where each label leads; or a list of nodes whose names are the labels. Without
                it they are read off the function's return hint, `-> Literal["a", "b"]`.
            default: Where to go for any other label, and for `None`.

        Returns:
            This graph, for the next call.

        Raises:
            ConfigError: `route` is no function, or it is not known where it can lead.
        """
        site = _site()
        check_names("add_conditional_edges", site, source=source)
        given: Any = route
        if not callable(given):
            raise ConfigError(
                f"{site}: add_conditional_edges({source!r}, {given!r}): give a function"
            )
        if targets is None:
            from tinyagents_graph.stategraph.inference import labels_of

            found = labels_of(route)
            if not found and default is None:
                raise ConfigError(
                    f"{site}: add_conditional_edges({source!r}): say where the router can lead: a "
                    "third argument [nodes] or {label: node}, or a return hint Literal['a', 'b']"
                )
            targets = {name: name for name in found}
        elif isinstance(targets, str):
            raise ConfigError(
                f"{site}: add_conditional_edges({source!r}, …, {targets!r}): give a list of nodes, "
                "or a dict {label: node}"
            )
        elif not isinstance(targets, Mapping):
            targets = {name: name for name in targets}
        self._routes.append(RouteSpec(source, route, dict(targets), default, site))
        return self

    def migrate(self, old: int, new: int) -> Callable[[MigrationT], MigrationT]:
        """Say how data that an earlier version wrote is read: `@g.migrate(1, 2)`.

        The function gets a dict of keys as plain JSON data, and returns the one of the new version.
        It is called with whole states, and with what single nodes wrote: change the keys that are
        there, and add none.

        Args:
            old: The version that wrote the data.
            new: The version that it becomes.

        Returns:
            A decorator that leaves the function as it is.

        Raises:
            ConfigError: A version is no whole number, or there is such a migration already.
        """
        check_version("migrate(old, …)", old)
        check_version("migrate(…, new)", new)
        if any(each.old == old for each in self._migrations) or old == new:
            raise ConfigError(f"migrate({old}, {new}): give one migration from each version")

        def keep(change: MigrationT) -> MigrationT:
            self._migrations.append(Migration(old, new, change))
            return change

        return keep

    @property
    def nodes(self) -> Mapping[str, NodeSpec]:
        """The nodes that were added, by name."""
        return dict(self._nodes)

    def declare(self, *, mode: Mode = "superstep", on_limit: str | None = None) -> Declared:
        """What was declared so far, as data; unchecked."""
        return Declared(
            self.name,
            self.state,
            dict(self._nodes),
            tuple(self._edges),
            tuple(self._joins),
            tuple(self._routes),
            on_limit,
            mode,
            self.description,
            self.version,
            tuple(self._migrations),
        )

    def compile(
        self,
        *,
        mode: Mode = "superstep",
        fail: FailPolicy = "drain",
        max_concurrency: int = 64,
        max_steps: int | None = None,
        on_limit: str | None = None,
        ignore: Collection[str] = (),
    ) -> Graph[StateT]:
        """Check everything, and make a graph that runs.

        Args:
            mode: `"superstep"`: the tasks of a step all see the same state, and what they write is
                there when all of them have finished. `"eager"`: a node starts as soon as what leads
                to it has finished, and sees what lies behind it on its own way.
            fail: What the failure of a task does: `"drain"` lets its siblings finish, then fails
                the run; `"cancel"` cancels them; `"collect"` hands it on along the node's edges,
                as a `Failure` in `ctx.failures`.
            max_concurrency: Tasks that run at once.
            max_steps: Supersteps of one run; by default 100, or the number of nodes if there are
                more.
            on_limit: The node to go to instead of failing when these are used up.
            ignore: Codes of findings to leave out; not those that no graph can run with, such as
                an edge to an unknown node.

        Raises:
            GraphError: Something is wrong; it has all findings, each with a source line.
        """
        return Graph(
            self.declare(mode=mode, on_limit=on_limit),
            fail=fail,
            max_concurrency=max_concurrency,
            max_steps=max_steps,
            ignore=ignore,
        )


def _kind_of(name: str, body: Any, site: str) -> NodeKind:
    kind: Any = getattr(body, "node_kind", None)
    if kind == "declaration":
        raise ConfigError(f"{site}: add_node({name!r}): compile the graph first, g.compile()")
    if kind is not None and isinstance(body, type):
        raise ConfigError(
            f"{site}: add_node({name!r}, {body.__name__}): give an instance, not the class"
        )
    if kind is not None:
        return cast("NodeKind", kind)
    if not callable(body):
        raise ConfigError(
            f"{site}: add_node({name!r}, {body!r}): give a function, an agent, a session or a "
            "compiled graph"
        )
    return "function"


def _checked(call: str, name: Any) -> str:
    if (
        not isinstance(name, str)
        or not name
        or any(each in name for each in "/[]*")
        or name in (START, END)
    ):
        raise ConfigError(
            f"{call}({name!r}): give a name; '/', '[', ']' and '*' have a meaning in paths, "
            f"{START!r} and {END!r} are taken"
        )
    return name


def _names(argument: str, given: Any) -> tuple[str, ...] | None:
    if isinstance(given, str):
        raise ConfigError(f"{argument}={given!r}: give a list of nodes, [{given!r}]")
    return None if given is None else tuple(given)


def _keys(argument: str, given: Any) -> frozenset[str] | None:
    if isinstance(given, str):
        raise ConfigError(f"{argument}={given!r}: give a list of keys, [{given!r}]")
    return None if given is None else frozenset(given)


def _site() -> str:
    """The line of the user's code that called into this module."""
    frame = currentframe()
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    if frame is None:  # an interpreter that has no frames to look at
        return ""
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
