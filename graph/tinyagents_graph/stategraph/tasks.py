"""`Task`: one visit of a node; `NodeContext`: what its body knows of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeVar, overload

import anyio.lowlevel
from pydantic_core import to_jsonable_python

from tinyagents_graph.errors import ConfigError, GraphError, Parked
from tinyagents_graph.place import Place
from tinyagents_graph.stategraph.asks import NodeAsk, hear, put
from tinyagents_graph.stategraph.findings import Finding
from tinyagents_graph.stategraph.keepable import fingerprint
from tinyagents_graph.stategraph.routing import Failure, Nothing
from tinyagents_graph.stategraph.state import Write
from tinyagents_graph.stategraph.steps import kept_step

if TYPE_CHECKING:  # for its name only: a task is of a node
    from tinyagents_graph.events import Event
    from tinyagents_graph.run import Run
    from tinyagents_graph.stategraph.nodes import Node

__all__ = ["Memo", "NodeContext", "Outcome", "Task"]

T = TypeVar("T")
_NO_WRITE: Write = {}


class Memo:
    """What a body has done once and for all, so that it can run again from its top.

    Attributes:
        gate: The question whether it may begin.
        asks: Its questions, by key.
        steps: Results of its steps, by name.
        reached: Keys and names that this run of the body has come to.
        asked: Keys of questions that were put before this process.
        due: Those of them that were answered: they have to be asked again.
        child: The graph that it delegated to, parked; that goes on instead of the body.
    """

    __slots__ = ("asked", "asks", "child", "due", "gate", "reached", "steps")

    def __init__(self) -> None:
        self.gate: NodeAsk | None = None
        self.asks: dict[str, NodeAsk] = {}
        self.steps: dict[str, Any] = {}
        self.reached: list[str] = []
        self.asked: tuple[str, ...] = ()
        self.due: tuple[str, ...] = ()
        self.child: Any = None

    @property
    def known(self) -> list[str]:
        """Every key and name, in the order they were first come to."""
        return list(dict.fromkeys([*self.steps, *self.due, *self.asks]))


class Outcome:
    """What came of a task.

    Attributes:
        write: What it writes, checked.
        goto: Where it goes instead of along its edges, if it says so.
        also: Where it goes besides.
        ask: What it puts to the human.
        error: Why it failed, if it did.
        more: Further writes, in order, of a graph that ran in its place.
        is_cached: Whether it comes from the node's cache.
    """

    __slots__ = ("also", "ask", "error", "goto", "is_cached", "more", "write")

    def __init__(self) -> None:
        self.write: Write = _NO_WRITE
        self.goto: tuple[Any, ...] | None = None
        self.also: tuple[Any, ...] = ()
        self.ask: NodeAsk | None = None
        self.error: BaseException | None = None
        self.more: tuple[Write, ...] = ()
        self.is_cached = False


class Task:
    """One visit of a node.

    Attributes:
        node: The node.
        name: What the node is called in the run.
        path: Its address.
        payload: What it was sent; `Nothing` if it reads the state.
        step: In which superstep it runs.
        after: Addresses of the tasks that led to it.
        failures: Failures that were handed on to it.
        counts: How many children of each name its body has started, however often it ran.
        memo: What its body has done once and for all, if anything.
        is_open: Whether its first event is out, and its last one is not.
        outcome: What came of it, once something did.
        past: What lies behind it, in a graph whose nodes start eagerly.
        line: Which way leads to it there.
        join: Which join started it, if one did.
    """

    __slots__ = (
        "after", "counts", "failures", "is_open", "join", "line", "memo", "name", "node", "outcome",
        "past", "path", "payload", "step",
    )  # fmt: skip

    def __init__(
        self, node: Node, name: str, path: str, payload: Any, step: int, after: list[str]
    ) -> None:
        self.node = node
        self.name = name
        self.path = path
        self.payload = payload
        self.step = step
        self.after = after
        self.failures: tuple[Failure, ...] = ()
        self.counts: dict[str, int] | None = None
        self.memo: Memo | None = None
        self.is_open = False
        self.outcome: Outcome | None = None
        self.past: Any = None
        self.line: tuple[int, ...] = ()
        self.join: int | None = None

    def __repr__(self) -> str:
        return f"<task {self.path}>"

    def remember(self) -> Memo:
        """Its memo, from now on."""
        if self.memo is None:
            self.memo = Memo()
        return self.memo

    @property
    def asks(self) -> list[NodeAsk]:
        """Its questions, those that are settled too."""
        memo, outcome = self.memo, self.outcome
        found = [outcome.ask] if outcome is not None and outcome.ask is not None else []
        if memo is not None:
            found += [memo.gate] if memo.gate is not None else []
            found += memo.asks.values()
        return found

    @property
    def child(self) -> Any:
        """The graph that is parked in its place, if one is."""
        return None if self.memo is None else self.memo.child

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for answers without which it need not be performed again."""
        if self.outcome is not None or self.memo is None:
            return False
        if any(ask.status == "open" for ask in self.asks):
            return True
        return self.child is not None and not self.child.has_news


class NodeContext(Place):
    """Where the body of a node stands: in which run, in which visit, and what it may ask for.

    What it starts here (an agent, another graph) becomes a child of the graph's run.

    Attributes:
        run: The graph's live run.
        path: The task's address.
        attempt: 0 for the first try, then 1, 2, …
        can_park: Whether the run ends for now when it has to wait for the human; else it waits
            where it is.
        given: What the body was given, in a tree that is kept.
    """

    __slots__ = ("_graph", "_run", "_task", "attempt", "can_park", "given")

    def __init__(self, run: Run, task: Task, graph: str, can_park: bool) -> None:
        self._run = run
        self.path = task.path
        self._counts = task.counts
        self._task = task
        self._graph = graph
        self.attempt = 0
        self.can_park = can_park
        self.given: Any = None

    @property
    def run(self) -> Run:
        """The live run."""
        return self._run

    @property
    def node(self) -> str:
        """The node's name."""
        return self._task.node.name

    @property
    def superstep(self) -> int:
        """Which step of the graph this is, from 0."""
        return self._task.step

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What failed before and was handed on to this node."""
        return self._task.failures

    @property
    def deps(self) -> Any:
        """What the caller of the root run handed in."""
        return self.run.deps

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What `SetMetadata` set for the run, or for the nearest run above it; else empty."""
        return self.run.metadata

    @property
    def remaining_s(self) -> float:
        """Seconds until the run's deadline, `inf` without one."""
        return self.run.remaining_s

    @property
    def idempotency_key(self) -> str:
        """A name for this visit's effect on the outside, the same whenever its body runs."""
        return f"{self.run.run_id}{self.path[len(self.run.path) :]}"

    def next_path(self, name: str) -> str:
        """The path of the next thing called `name` here; a body that runs again counts on."""
        self._counts = self._task.counts = self._counts or {}
        return super().next_path(name)

    def emit(self, name: str, **data: Any) -> Event | None:
        """Publish an event of your own, of the kind `custom` with `name` in its data.

        Args:
            name: What happened.
            data: What there is to say; what is no JSON is made JSON, at worst its text.

        Returns:
            The event, or `None` once the run has ended: nothing comes after its last event.
        """
        if not self.is_alive:
            return None
        plain: dict[str, Any] = to_jsonable_python(data, fallback=str, inf_nan_mode="null")
        about = {"name": name, "node": self.node, "path": self.path}
        return self.run.emit("custom", {**plain, **about})

    async def step(self, name: str, do: Callable[..., Any], *arguments: Any) -> Any:
        """Do something once and for all: when the body runs again, it gets the result of then.

        Args:
            name: What it is called in this body; a second use of it is an error.
            do: A function, plain or async.
            arguments: What it is called with.

        Returns:
            What it returned. In a run that is kept in a journal it is there before this returns;
            what is no JSON comes back as the function's return hint says, or as its own type.

        Raises:
            GraphError: The name was used before in this body; or the run is kept in a journal,
                which cannot keep the result.
        """
        memo = self._reach(name)
        if name not in memo.steps:
            if self.run.tree.ledger is not None:
                memo.steps[name] = await kept_step(self, name, do, arguments, self.error)
            else:
                made = do(*arguments)
                memo.steps[name] = await made if isawaitable(made) else made
        return memo.steps[name]

    @overload
    async def ask(self, type: type[T], question: str, *, key: str, default: Any = Nothing) -> T: ...
    @overload  # `Literal["a", "b"]`, `int | None`: types, but no instances of `type`
    async def ask(self, type: Any, question: str, *, key: str, default: Any = Nothing) -> Any: ...
    async def ask(self, type: Any, question: str, *, key: str, default: Any = Nothing) -> Any:
        """Ask the human. The run parks; when there is an answer, the body runs again from its top.

        What stands before it and must not be done twice belongs into `step`. `return Ask(…)` needs
        no second run.

        Args:
            type: Type of the answer.
            question: What to decide, with all that is needed to.
            key: What the question is called in this body; answers are matched by it.
            default: The answer when nobody is there to give one.

        Raises:
            GraphError: The key was used before in this body, or an answered question was not asked
                again before this one: the body took another way than the first time.
        """
        memo = self._reach(key)
        known = memo.asks.get(key)
        if known is None:
            if key not in memo.asked:
                self._check_replay(memo, key)
            known = NodeAsk(f"{self.path}/{key}", self.path, question, self._task.name, type)
            known.default, known.key = default, key
            memo.asks[key] = known
            if self.run.tree.ledger is not None:
                known.bound = fingerprint(self.given)
            put(self.run, known)
            hear(self.run, known)
        if known.status == "open":
            # Others that ask beside this one, in a gather, come to their questions as well.
            await anyio.lowlevel.checkpoint()
            raise Parked
        return known.reply

    def _reach(self, key: str) -> Memo:
        if self._task.outcome is not None:
            raise ConfigError(f"the node at {self.path} has ended: use the context of the one here")
        memo = self._task.remember()
        if key in memo.reached:
            raise self._mismatch(
                f"came to {key!r} twice",
                "give each ask and step a name of its own, in a loop f'{i}'",
            )
        memo.reached.append(key)
        return memo

    def _check_replay(self, memo: Memo, key: str = "") -> None:
        missed = [each for each in (*memo.asks, *memo.due) if each not in memo.reached]
        if missed:
            raise self._mismatch(
                f"had asked {missed[0]!r} before, and this time "
                + (f"asks {key!r} instead" if key else "ended without")
                + f" (then: {', '.join(memo.known)}; now: {', '.join(memo.reached)})",
                "a body that asks runs again from its top: what it does before has to be the same "
                "each time; put what varies into ctx.step(…)",
            )

    @property
    def memo(self) -> Memo | None:
        """What the body has done once and for all, if anything."""
        return self._task.memo

    def remember(self) -> Memo:
        """Its memo, from now on."""
        return self._task.remember()

    def check_end(self) -> None:
        """The body has ended.

        Raises:
            GraphError: It took another way than when it asked.
            Parked: It has swallowed that a question of it is open.
        """
        if (memo := self._task.memo) is not None:
            self._check_replay(memo)
            if any(ask.status == "open" for ask in memo.asks.values()):
                raise Parked

    def _mismatch(self, what: str, hint: str) -> GraphError:
        return self.error("REPLAY_MISMATCH", what, hint)

    def error(self, code: str, what: str, hint: str) -> GraphError:
        """An error about the node's body."""
        message = f"the body of node {self.node!r} {what}"
        finding = Finding(code, message, hint, self._task.node.site, (self.node,))
        return GraphError(self._graph, [finding])
