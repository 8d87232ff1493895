"""Checks of the state's keys: that they exist, that somebody writes them, and not two at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple, cast

from pydantic import BaseModel

from tinyagents_graph.stategraph.boundaries import boundary_findings
from tinyagents_graph.stategraph.checks_of_steps import Moment
from tinyagents_graph.stategraph.declared import NodeSpec
from tinyagents_graph.stategraph.findings import Finding, Severity, did_you_mean
from tinyagents_graph.stategraph.inference import output_type, takes, writes_by
from tinyagents_graph.stategraph.sources import source_of
from tinyagents_graph.stategraph.state import StateSchema
from tinyagents_graph.stategraph.subject import Subject, called, listed

__all__ = ["key_findings"]


def key_findings(subject: Subject, when: Mapping[str, Moment]) -> Iterator[Finding]:
    """What is wrong with the keys that nodes and routers read and write."""
    keys = _Keys(subject)
    for spec in subject.declared.nodes.values():
        yield from keys.named(spec)
        yield from keys.no_output(spec)
    for reader in keys.readers:
        yield from keys.unknown(reader)
    for spec in subject.declared.nodes.values():
        if spec.kind == "graph":
            yield from boundary_findings(spec, keys.schema, may_be_sent=keys.may_be_sent(spec.name))
    yield from keys.unwritten()
    yield from keys.collisions(when)


class _Reader(NamedTuple):
    """A function of the state."""

    who: str
    function: Any
    site: str
    nodes: tuple[str, ...]
    severity: Severity


class _Keys:
    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._declared = subject.declared
        self._model = cast("type[BaseModel]", subject.declared.state)
        self._keys = frozenset(self._model.model_fields)
        self._writes = {
            name: writes_by(spec, self._keys) for name, spec in subject.declared.nodes.items()
        }
        self.readers = list(self._readers())

    @cached_property
    def schema(self) -> StateSchema:
        """The state; its types take time to prepare, and are seldom asked for here."""
        return StateSchema(self._model, self._declared.name)

    def may_be_sent(self, name: str) -> bool:
        """Whether a node may be given another input than the state."""
        if self._declared.nodes[name].input_type is not None or not self._subject.is_closed:
            return True
        return any(each.kind not in ("edge", "join") for each in self._subject.into.get(name, ()))

    # --- keys that do not exist ----------

    def named(self, spec: NodeSpec) -> Iterator[Finding]:
        """Keys that an argument of `add_node` names."""
        written = self._writes[spec.name].some if spec.writes is None else None
        said = {
            "reads": sorted(spec.reads or ()),
            "writes": sorted(spec.writes or ()),
            "output": [spec.output] if isinstance(spec.output, str) else [],
            "inputs": list((spec.inputs or {}).values()),
            "outputs": list(spec.outputs or {}),
        }
        for argument, names in said.items():
            for name in names:
                if name not in self._keys:
                    who = f"{argument}= of node {spec.name!r} names {name!r}"
                    yield self._unknown(who, name, spec.site, (spec.name,))
        is_shown = spec.kind == "function" or callable(spec.output)
        for name in sorted(written or ()):
            if is_shown and name not in (*self._keys, *said["output"]):
                who = f"node {spec.name!r} writes {name!r}"
                yield self._unknown(who, name, spec.site, (spec.name,))

    def unknown(self, reader: _Reader) -> Iterator[Finding]:
        """Keys that a function takes of the state."""
        source = source_of(reader.function)
        if source is None or source.is_probed or self._has_any():
            return
        for name, line in source.reads.items():
            if not self._has(name):
                who = f"{reader.who} reads state.{name} (in line {line})"
                yield self._unknown(who, name, reader.site, reader.nodes, reader.severity)

    def _unknown(
        self,
        who: str,
        name: str,
        site: str,
        nodes: tuple[str, ...],
        severity: Severity = "error",
    ) -> Finding:
        return Finding(
            "UNKNOWN_KEY",
            f"{who}, but {self._model.__name__} has no such key{did_you_mean(name, self._keys)}",
            f"its keys are {', '.join(sorted(self._keys))}",
            site,
            nodes,
            severity,
        )

    def _has(self, name: str) -> bool:
        """Whether a state has an attribute: a key, or a property or method of the model."""
        if (
            name in self._keys
            or name.startswith("__")
            or name in self._model.__private_attributes__
        ):
            return True
        return any(name in vars(each) for each in self._model.__mro__)

    def _has_any(self) -> bool:
        own: Any = getattr(self._model, "__getattr__", None)
        is_plain = own is getattr(BaseModel, "__getattr__", None)
        return self._model.model_config.get("extra") == "allow" or not is_plain

    def _readers(self) -> Iterator[_Reader]:
        for spec in self._declared.nodes.values():
            yield from self._readers_of(spec)
        for route in self._declared.routes:
            who = f"the router of {called(route.source)}"
            yield _Reader(who, route.route, route.site, (route.source,), "error")

    def _readers_of(self, spec: NodeSpec) -> Iterator[_Reader]:
        node = (spec.name,)
        for argument, function in (("input", spec.input), ("approve", spec.approve)):
            if callable(function):
                who = f"{argument}= of node {spec.name!r}"
                yield _Reader(who, function, spec.site, node, "error")
        if spec.kind != "function" or spec.input is not None:
            return
        hint = takes(spec.body)
        is_state = hint in self._model.__mro__ and hint is not object
        if is_state or hint is None or hint is Any:
            may_be_other = not is_state and self.may_be_sent(spec.name)
            severity: Severity = "warning" if may_be_other else "error"
            yield _Reader(f"node {spec.name!r}", spec.body, spec.site, node, severity)

    # --- keys that nobody writes ----------

    def unwritten(self) -> Iterator[Finding]:
        """Keys without a value of their own that are read, and that no node writes.

        A key without a default is always given by the caller; one that has a value may well be a
        setting that nobody changes.
        """
        written: set[str] = set()
        for writes in self._writes.values():
            if writes.some is None:
                return
            written |= writes.some
        told: set[str] = set()
        for reader in self.readers:
            source = source_of(reader.function)
            for name in source.reads if source is not None else ():
                if name in self._keys and name not in written | told and self._is_empty(name):
                    told.add(name)
                    yield Finding(
                        "UNWRITTEN_KEY",
                        f"{reader.who} reads {name!r}, and no node writes it",
                        "write it in a node before, or give its field no default if the caller is "
                        "to set it",
                        reader.site,
                        reader.nodes,
                        "warning",
                    )

    def _is_empty(self, name: str) -> bool:
        field = self._model.model_fields[name]
        if field.is_required():
            return False
        if field.default_factory is not None:
            return field.default_factory in (list, dict, set, tuple, str)
        return field.default is None or field.default == ""

    # --- keys that two write at once ----------

    def collisions(self, when: Mapping[str, Moment]) -> Iterator[Finding]:
        """Keys without a reducer that several tasks of one step write."""
        at_once: dict[tuple[str, int], list[str]] = {}
        for name, moment in when.items():
            if moment.first == moment.last and name in self._writes:
                at_once.setdefault((moment.root, moment.first), []).append(name)
        rank = {name: number for number, name in enumerate(self._declared.nodes)}
        for names in at_once.values():
            yield from self._collision(sorted(names, key=rank.__getitem__))
        yield from self._sent_often()

    def _collision(self, names: list[str]) -> Iterator[Finding]:
        writers: dict[str, list[str]] = {}
        for name in names:
            for key in sorted(self._writes[name].some or ()):
                writers.setdefault(key, []).append(name)
        for key, those in writers.items():
            if len(those) > 1 and key in self._keys and self.schema.reducer(key) is None:
                specs = [self._declared.nodes[each] for each in those]
                surely = [each for each in specs if key in self._writes[each.name].always]
                surely = [each for each in surely if self._subject.is_sure(each.name)]
                is_certain = len(surely) > 1 and self._declared.mode == "superstep"
                yield Finding(
                    "CONCURRENT_WRITES",
                    f"nodes {listed(those)} {'' if is_certain else 'may '}write {key!r} in the "
                    "same step, and it has no reducer",
                    f"say how they become one, {key}: Annotated[…, Append()] (or Add(), Merge(), "
                    "Last(), Reduce(f)), or let one run after the other",
                    specs[-1].site,
                    tuple(those),
                    "error" if is_certain else "warning",
                )

    def _sent_often(self) -> Iterator[Finding]:
        sent = {name for leads in self._subject.leads.values() for name in leads.sends}
        for route in self._declared.routes:
            source = source_of(route.route)
            sent.update(source.sends if source is not None else ())
        for name, spec in self._declared.nodes.items():
            keys = sorted(self._writes[name].some or ()) if name in sent else []
            for key in keys:
                if key in self._keys and self.schema.reducer(key) is None:
                    yield Finding(
                        "CONCURRENT_WRITES",
                        f"node {name!r} may be sent to several times at once, and each time it "
                        f"writes {key!r}, which has no reducer",
                        f"say how they become one, {key}: Annotated[…, Append()] (or Add(), "
                        "Merge(), Last(), Reduce(f))",
                        spec.site,
                        (name,),
                        "warning",
                    )

    # --- answers without a place ----------

    def no_output(self, spec: NodeSpec) -> Iterator[Finding]:
        """An agent's answer has to go to a key."""
        is_placed = spec.output is not None or spec.name in self._keys
        if spec.kind not in ("agent", "session") or is_placed:
            return
        answer = output_type(spec.body)
        what = f"is {_named(answer)}"
        severity: Severity = "error"
        fields = getattr(answer, "model_fields", None)
        if isinstance(fields, Mapping):
            other = [
                str(each) for each in cast("Mapping[str, Any]", fields) if each not in self._keys
            ]
            if not other:
                return
            near = did_you_mean(other[0], self._keys)
            what = f"has {listed(other)}, which {self._model.__name__} has not{near}"
        elif answer is None:
            what, severity = "has no known type", "warning"
        elif answer not in (str, int, float, bool, list):
            return
        yield Finding(
            "NO_OUTPUT",
            f"the answer of node {spec.name!r} {what}: it is not known which key it goes to",
            f"say it, add_node({spec.name!r}, …, output='key'), or output=function of the answer",
            spec.site,
            (spec.name,),
            severity,
        )


def _named(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
