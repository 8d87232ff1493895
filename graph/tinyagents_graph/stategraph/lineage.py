"""`Lineage`: by which versions of a graph a run was written, and how this one reads that.

The first `checkpoint.saved` of a run says what its graph looked like. Whoever goes on with another
one is told what differs, unless it is known how to read the past: nodes that have another name
now, keys that a migration knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from tinyagents_graph.errors import ConfigError, GraphError
from tinyagents_graph.events import Event
from tinyagents_graph.stategraph.declared import Declared, Migration
from tinyagents_graph.stategraph.export import graph_hash, sketch
from tinyagents_graph.stategraph.findings import Finding

__all__ = ["Lineage", "OnChange", "Shape", "shape_of"]

OnChange: TypeAlias = Literal["refuse", "continue"]
"""Whether a run is gone on with although its graph is not what it was."""

Shape: TypeAlias = Mapping[str, Any]
"""What a graph looks like: `graph_hash`, `version`, and what tells two of them apart."""

_FIRST = -1


def shape_of(declared: Declared) -> Shape:
    """What a graph looks like, as data."""
    drawn = sketch(declared)
    inner = {name: node.inner.to_data() for name, node in drawn.nodes.items() if node.inner}
    shape = {
        "graph_hash": graph_hash(drawn),
        "version": declared.version,
        "nodes": {
            name: node.kind if node.inner is None else f"graph {graph_hash(node.inner)[:16]}"
            for name, node in sorted(drawn.nodes.items())
        },
        "arrows": sorted(
            map(list, {(each.source, each.target, each.kind) for each in drawn.arrows})
        ),
        "joins": [
            [*met.sources, target, str(met.wait_for), str(met.min_ok)]
            for met, target, _ in declared.joins
        ],
        "mode": declared.mode,
        "keys": {
            each.name: f"{each.type} {each.reducer}" if each.reducer else each.type
            for each in drawn.keys
        },
        "needed": sorted(
            name for name, field in declared.state.model_fields.items() if field.is_required()
        ),
    }
    # Nothing compares it, for the hashes do; whoever draws the run from its journal needs it.
    return {**shape, "inner": inner} if inner else shape


class Lineage:
    """How this graph reads what a run of it has written before.

    Args:
        declared: The graph.
        shape: What it looks like.
        version: By which version the run was begun.
        records: The `checkpoint.saved` of the run that tell of its graph.
        rename: Nodes that have another name now, old: new.

    Attributes:
        news: What is to be told of the graph: nothing, if the run has it.

    Raises:
        ConfigError: A name of `rename` is no node.
        GraphError: There is no way from a version to this one.
    """

    def __init__(
        self,
        declared: Declared,
        shape: Shape,
        version: int,
        records: Sequence[Event],
        rename: Mapping[str, str] | None = None,
    ) -> None:
        self._declared = declared
        self._shape = shape
        self._known: dict[str, str] = {}
        then: list[tuple[int, int]] = [(_FIRST, version)]
        for each in records:
            self._rename(each.data.get("rename", {}))
            then.append((each.seq, each.data["version"]))
        self._last: Shape = records[-1].data if records else shape
        # Who goes on with it once more says the same once more.
        self._new = {old: new for old, new in (rename or {}).items() if self.known(old) != new}
        for old, new in self._new.items():
            if new not in declared.nodes or old in declared.nodes or old not in self._last["nodes"]:
                raise ConfigError(
                    f"rename={{{old!r}: {new!r}}}: give the name that a node had then, and no node "
                    "has now, and the name of a node"
                )
        self._rename(self._new)
        self._told = {new: old for old, new in self._known.items()}
        self._ways = [(seq, self._way(each)) for seq, each in then]
        same = [self._last.get(name) == shape[name] for name in ("graph_hash", "version")]
        self.news: Shape | None = None
        if not records or not all(same) or self._new:
            self.news = {"name": f"graph-{len(records)}", **shape}
            if self._new:
                self.news = {**self.news, "rename": self._new}

    def _rename(self, names: Mapping[str, str]) -> None:
        """Names change, those that had changed before included."""
        for first, now in self._known.items():
            self._known[first] = names.get(now, now)
        for old, new in names.items():
            if old not in self._known.values() and new not in self._known.values():
                self._known[old] = new

    def _way(self, version: int) -> Sequence[Migration]:
        found: list[Migration] = []
        while version != self._declared.version:
            step = next((each for each in self._declared.migrations if each.old == version), None)
            if step is None or len(found) > len(self._declared.migrations):
                raise _changed(
                    self._declared,
                    f"the run has data of version {version} of the state, and nothing leads to "
                    f"version {self._declared.version}",
                    f"register one: @graph.migrate({version}, {self._declared.version})",
                )
            found.append(step)
            version = step.new
        return found

    @property
    def name(self) -> str:
        """What tells this graph from every other one."""
        return f"{self._shape['graph_hash']}-{self._shape['version']}"

    def can_read(self, snapshot: Event) -> bool:
        """Whether a snapshot is one of this very graph."""
        return bool(snapshot.data["graph"] == self.name)

    # --- reading ----------

    def told(self, name: str) -> str:
        """What a node is called in the run."""
        return self._told.get(name, name)

    def known(self, name: str) -> str:
        """What a node is called now, by what it is called in the run."""
        return self._known.get(name, name)

    def migrated(self, record: Mapping[str, Any], field: str, seq: int) -> Mapping[str, Any]:
        """What was written at a moment, as this version of the state would have written it."""
        way = next(way for since, way in reversed(self._ways) if since < seq or since == _FIRST)
        data: Mapping[str, Any] = record[field]
        if not way or not data:
            return record
        for each in way:
            data = each.change(dict(data))
        return {**record, field: data, "typed": list(data)}

    # --- looking ----------

    def check(self, asks: Sequence[Mapping[str, Any]], on_change: OnChange) -> list[str]:
        """Look whether the graph is what it was.

        Args:
            asks: The data of the questions that are open.
            on_change: Whether it may be another one.

        Returns:
            Ids of the questions that nobody will come back to.

        Raises:
            GraphError: It is another one, and may not; it says what differs.
        """
        then, now = self._last, self._shape
        if then["graph_hash"] == now["graph_hash"]:
            return []
        lost = [each for each in asks if self._is_gone(each.get("node"))]
        told = self._differences()
        for each in lost:
            told.append(f"{each['ask_id']} ({each['question']!r}) waits in {each['node']!r}")
        if told and on_change != "continue":
            raise _changed(
                self._declared,
                "the run was begun with another graph: " + "; ".join(told),
                "resume(…, rename={'old name': 'new name'}) if only names have changed, or "
                "resume(…, on_change='continue') to go on with the graph as it is now",
            )
        return [each["ask_id"] for each in lost]

    def _is_gone(self, node: str | None) -> bool:
        return node is not None and self.known(node) not in self._declared.nodes

    def _differences(self) -> list[str]:
        then, now = self._last, self._shape
        new = self._renamed
        nodes = {new(name): kind for name, kind in then["nodes"].items()}
        gone = [name for name in nodes if name not in now["nodes"]]
        told = [f"node {name!r} is gone{self._hint(name)}" for name in gone]
        told += [f"node {name!r} is new" for name in now["nodes"] if name not in nodes]
        for name, kind in nodes.items():
            other = now["nodes"].get(name, kind)
            if other != kind and _kind(other) == _kind(kind):
                told.append(f"the graph in node {name!r} has changed")
            elif other != kind:
                told.append(f"node {name!r} was of the kind {_kind(kind)} and is {_kind(other)}")
        arrows = {(new(a), new(b), kind) for a, b, kind in then["arrows"]}
        others = {(a, b, kind) for a, b, kind in now["arrows"]}
        told += [f"the {_arrow(each)} is gone" for each in sorted(arrows - others)]
        told += [f"the {_arrow(each)} is new" for each in sorted(others - arrows)]
        if [[new(name) for name in met] for met in then["joins"]] != now["joins"]:
            told.append("its joins have changed")
        if then["mode"] != now["mode"]:
            told.append(f"its mode was {then['mode']} and is {now['mode']}")
        if then["version"] == now["version"]:
            told += _key_differences(then["keys"], now["keys"], now["needed"])
        return told

    def _renamed(self, name: str) -> str:
        return self._new.get(name, name)

    def _hint(self, gone: str) -> str:
        """Which new node looks like one that is gone."""
        then, now = self._last, self._shape
        around = {(a, b, kind) for a, b, kind in then["arrows"] if gone in (a, b)}
        for name, kind in now["nodes"].items():
            if name in then["nodes"] or kind != then["nodes"].get(gone):
                continue
            moved = [[_swap(a, gone, name), _swap(b, gone, name), how] for a, b, how in around]
            if moved and all(list(each) in list(map(list, now["arrows"])) for each in moved):
                return f" (rename={{{gone!r}: {name!r}}}?)"
        return ""


def _swap(name: str, old: str, new: str) -> str:
    return new if name == old else name


def _kind(kind: str) -> str:
    return kind.partition(" ")[0]


def _arrow(arrow: tuple[str, ...]) -> str:
    return f"{arrow[2]} from {arrow[0]!r} to {arrow[1]!r}"


def _key_differences(
    then: Mapping[str, str], now: Mapping[str, str], needed: Sequence[str]
) -> list[str]:
    told = [f"the state's key {name!r} is gone" for name in then if name not in now]
    told += [
        f"the state's key {name!r} was {then[name]} and is {now[name]}"
        for name in then
        if now.get(name, then[name]) != then[name]
    ]
    return told + [
        f"the state's key {name!r} is new, and has no default"
        for name in needed
        if name not in then
    ]


def _changed(declared: Declared, message: str, hint: str) -> GraphError:
    return GraphError(declared.name, [Finding("GRAPH_CHANGED", message, hint)])
