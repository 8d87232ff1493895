"""Assertions on a run tree: who called whom, how often, in what order, at what cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tinyagents.errors import ConfigError
from tinyagents_graph.events import Event, is_at_or_below
from tinyagents_graph.snapshot import TreeSnapshot, take_snapshot
from tinyagents_graph.usage import Usage

__all__ = ["Tree", "assert_tree"]


class Tree:
    """What a run tree did, read from its events: `Tree(result.events)`.

    Agents are meant by name or by path, `"writer"` or `"root/writer[0]"`.

    Args:
        events: The events of the tree, from its start on; of several trees, say which.
        run_id: Id of its root.

    Attributes:
        root: The tree as a snapshot: of each run the name, task, status, usage and children.

    Raises:
        ConfigError: The events are of no tree, or of several.
    """

    def __init__(self, events: Iterable[Event], run_id: str | None = None) -> None:
        kept = list(events)
        roots = dict.fromkeys(event.root_run_id for event in kept)
        if run_id is None and len(roots) != 1:
            raise ConfigError(f"Tree(events): of one tree, not of {len(roots)}; give run_id=…")
        chosen = run_id or next(iter(roots))
        self._events = [event for event in kept if event.root_run_id == chosen]
        try:
            self.root: TreeSnapshot = take_snapshot(None, self._events, chosen)
        except LookupError as error:
            raise ConfigError(f"Tree(events): {error}") from error
        self._runs = {run.path: run for run in self.root}

    def __repr__(self) -> str:
        return f"Tree({self.root.run_id!r}, {len(self._runs)} runs)"

    def __str__(self) -> str:
        return str(self.root)

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of its runs, in the order they began."""
        return tuple([each.path for each in self._events if each.kind == "run.started"])

    def calls(self, caller: str, callee: str) -> int:
        """How often one agent delegated to another one.

        Args:
            caller: Who delegated.
            callee: To whom.
        """
        pairs = [(run, child) for run in self._runs.values() for child in run.children]
        return sum(_is(run, caller) and _is(child, callee) for run, child in pairs)

    def count(
        self,
        *,
        tool: str | None = None,
        agent: str | None = None,
        kind: str | None = None,
        under: str = "root",
    ) -> int:
        """How often something happened. Give one of `tool`, `agent` and `kind`.

        Args:
            tool: Calls of this tool, refused ones too.
            agent: Runs of this agent.
            kind: Events of this kind, such as `"model.completed"`.
            under: Only in this run, and in those below it; by name: in all runs of that name.

        Raises:
            ConfigError: Not one of them is given.
        """
        if sum(each is not None for each in (tool, agent, kind)) != 1:
            raise ConfigError("count(…): give one of tool=, agent= and kind=")
        within = [run.path for run in self._runs.values() if _is(run, under)]
        found = [
            event
            for event in self._events
            if any(is_at_or_below(event.path, path) for path in within)
        ]
        if agent is not None:
            return sum(each.kind == "run.started" and self._is_run(each, agent) for each in found)
        if kind is not None:
            return sum(each.kind == kind for each in found)
        return sum(each.kind == "tool.started" and each.data["tool"] == tool for each in found)

    def order(self) -> tuple[str, ...]:
        """What began, in order: runs by name, and calls by the name of their tool.

        A delegation is in it once, as the run.
        """
        runs = {each.path for each in self._events if each.kind == "run.started"}
        names: list[str] = []
        for event in self._events:
            if event.kind == "run.started":
                names.append(self._runs[event.path].name)
            elif event.kind == "tool.started" and event.data["path"] not in runs:
                names.append(event.data["tool"])
        return tuple(names)

    def cost(self, of: str = "root") -> Usage:
        """What an agent's runs used, with all below them.

        Args:
            of: Whose, by path or name.

        Raises:
            ConfigError: There is no such run.
        """
        runs = [run for run in self._runs.values() if _is(run, of)]
        if not runs:
            raise ConfigError(f"cost({of!r}): there is {', '.join(self._runs)}")
        # One below another of the same name is in it already.
        top = [run for run in runs if not any(_is_below(run, other) for other in runs)]
        return sum((run.tree_usage for run in top), Usage())

    def _is_run(self, event: Event, name: str) -> bool:
        return _is(self._runs[event.path], name)


def _is(run: TreeSnapshot, name: str) -> bool:
    return name in (run.path, run.name)


def _is_below(run: TreeSnapshot, other: TreeSnapshot) -> bool:
    return run is not other and is_at_or_below(run.path, other.path)


def assert_tree(
    events: Iterable[Event] | Tree,
    *,
    status: str | None = None,
    paths: Sequence[str] | None = None,
    calls: Mapping[tuple[str, str], int] | None = None,
    tools: Mapping[str, int] | None = None,
    order: Sequence[str] | None = None,
    max_requests: int | None = None,
    max_tokens: int | None = None,
    max_usd: float | None = None,
) -> None:
    """Check what a run tree did. Whatever is not given is not looked at.

    Args:
        events: Its events, or the `Tree` made of them.
        status: How the root ended.
        paths: The paths of all its runs, in whatever order.
        calls: How often one agent delegated to another: `{("boss", "writer"): 2}`.
        tools: How often a tool was called, anywhere in the tree: `{"search": 3}`.
        order: What began after what, of `Tree.order`; other things may lie between.
        max_requests: How many requests the whole tree may take.
        max_tokens: How many tokens.
        max_usd: How many US dollars.

    Raises:
        AssertionError: Something does not hold; every violation is named, and the tree shown.
        ConfigError: The events are of no tree, or of several.
    """
    tree = events if isinstance(events, Tree) else Tree(events)
    wrong: list[str] = []
    if status is not None and tree.root.status != status:
        wrong.append(f"the root has ended as {tree.root.status}, not as {status}")
    if paths is not None:
        wrong += _wrong_paths(tree, paths)
    for (caller, callee), due in (calls or {}).items():
        if (n := tree.calls(caller, callee)) != due:
            wrong.append(f"{caller} called {callee} {_times(n)}, not {_times(due)}")
    for tool, due in (tools or {}).items():
        if (n := tree.count(tool=tool)) != due:
            wrong.append(f"{tool} was called {_times(n)}, not {_times(due)}")
    if order is not None:
        wrong += _wrong_order(tree, order)
    most = {"requests": max_requests, "total_tokens": max_tokens, "usd": max_usd}
    wrong += _too_much(tree.cost(), most)
    if wrong:
        raise AssertionError("\n".join([*wrong, "", "the tree:", str(tree)]))


def _wrong_paths(tree: Tree, due: Sequence[str]) -> Iterator[str]:
    there = tree.paths
    for path in due:
        if path not in there:
            yield f"{path} never ran"
    for path in there:
        if path not in due:
            yield f"{path} ran, and was not to"


def _wrong_order(tree: Tree, due: Sequence[str]) -> Iterator[str]:
    rest = iter(tree.order())
    for n, name in enumerate(due):
        if name not in rest:  # which takes from it up to there
            before = f"after {' -> '.join(due[:n])}" if n else "at all"
            yield f"{name} did not begin {before}; the order was {' -> '.join(tree.order())}"
            return


def _too_much(spent: Usage, most: Mapping[str, float | None]) -> Iterator[str]:
    for name, allowed in most.items():
        used = getattr(spent, name)
        if allowed is not None and used > allowed:
            yield f"it took {used:g} {name.replace('_', ' ')}, and {allowed:g} were allowed"
    if most["usd"] is not None and spent.unpriced_requests:
        yield f"{spent.unpriced_requests} requests have no known price, so it may be more"


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"
