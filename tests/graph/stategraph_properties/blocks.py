"""Random graphs out of blocks, each with one way in and one way out: these run the same either way.

In a graph like this no two ways meet but in joins, so that "as soon as it can" and "step by step"
are to come to the same, and what lies behind a node can be told from where it stands.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

from hypothesis import strategies as st
from pydantic import BaseModel

from tests.graph.stategraph_properties.built import Delays
from tinyagents.graph import (
    START,
    Add,
    Append,
    Ask,
    Graph,
    NodeContext,
    Reduce,
    Send,
    StateGraph,
)

__all__ = ["BLOCKS", "Block", "Broken", "Fan", "Fork", "Leaf", "Loop", "Notes", "Row", "Sub",
           "answer_to", "expected_log", "expected_saw", "graph_of", "leaves_of"]  # fmt: skip

How: TypeAlias = Literal["tells", "asks", "leaves", "gate", "fails"]


class Broken(Exception):
    """What a node raises that fails."""


class Notes(BaseModel):
    """What nodes write down: that they were there, and how many they saw before them."""

    log: Annotated[list[str], Append()] = []
    saw: Annotated[list[str], Append()] = []
    total: Annotated[int, Add()] = 0
    visits: Annotated[
        dict[str, int], Reduce(lambda value, more: dict(Counter(value) + Counter(more)))
    ] = {}


@dataclass(frozen=True)
class Leaf:
    """A node that does something."""

    how: How = "tells"


@dataclass(frozen=True)
class Row:
    """One after the other."""

    parts: "tuple[Block, ...]"


@dataclass(frozen=True)
class Fork:
    """Side by side."""

    parts: "tuple[Block, ...]"


@dataclass(frozen=True)
class Fan:
    """One node, so many times at once."""

    n: int


@dataclass(frozen=True)
class Loop:
    """Again and again."""

    part: "Block"
    times: int


@dataclass(frozen=True)
class Sub:
    """A graph of its own."""

    part: "Block"


Block: TypeAlias = Leaf | Row | Fork | Fan | Loop | Sub


def _more(parts: st.SearchStrategy[Block]) -> st.SearchStrategy[Block]:
    some = st.lists(parts, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Row, some),
        st.builds(Fork, some),
        st.builds(Loop, parts, st.integers(1, 3)),
        st.builds(Sub, parts),
        st.builds(Fan, st.integers(0, 4)),
    )


def BLOCKS(*hows: How) -> st.SearchStrategy[Block]:  # a family of strategies
    """Blocks whose leaves are of these kinds."""
    return st.recursive(st.builds(Leaf, st.sampled_from(hows)), _more, max_leaves=6)


def answer_to(question: str) -> Any:
    """What the human says."""
    return True if question.startswith("Run ") else f"<{question}>"


# --- as a graph ----------


@dataclass
class _Layout:
    graph: StateGraph[Notes]
    delays: Delays
    options: dict[str, Any]
    prefix: str
    names: Counter[str] = field(default_factory=Counter[str])

    def name(self, kind: str) -> str:
        self.names[kind] += 1
        return f"{self.prefix}{kind}{self.names[kind]}"

    def node(self, kind: str, how: How = "tells") -> str:
        name = self.name(kind)
        self.graph.add_node(name, _body(name, how, self.delays), approve=how == "gate" or None)
        return name

    def lay(self, block: Block) -> tuple[str, str]:
        """Its first and its last node."""
        if isinstance(block, Leaf):
            name = self.node(block.how, block.how)
            return name, name
        if isinstance(block, Row):
            ends = [self.lay(part) for part in block.parts]
            for (_, last), (first, _) in zip(ends, ends[1:], strict=False):
                self.graph.add_edge(last, first)
            return ends[0][0], ends[-1][1]
        if isinstance(block, Sub):
            name = self.name("sub")
            inner = graph_of(block.part, self.delays, prefix=f"{name}_", **self.options)
            self.graph.add_node(name, inner)
            return name, name
        return self._lay_around(block)

    def _lay_around(self, block: Fork | Fan | Loop) -> tuple[str, str]:
        begin, end = self.node("begin"), self.node("end")
        if isinstance(block, Fork):
            ends = [self.lay(part) for part in block.parts]
            for first, _ in ends:
                self.graph.add_edge(begin, first)
            self.graph.add_edge([last for _, last in ends], end)
        elif isinstance(block, Fan):
            one = self.node("one")
            sends = [Send(one, number) for number in range(block.n)]
            self.graph.add_conditional_edges(begin, lambda _: sends, [one])
            self.graph.add_edge([one], end)
        else:
            first, last = self.lay(block.part)
            turn = self.node("turn")
            self.graph.add_edge(begin, first).add_edge(last, turn)
            self.graph.add_conditional_edges(turn, _turning(turn, block.times, first, end),
                                             [first, end])  # fmt: skip
        return begin, end


def _turning(turn: str, times: int, first: str, end: str) -> Callable[[Notes], str]:
    return lambda state: first if state.visits[turn] % times else end


def _body(name: str, how: How, delays: Delays) -> Callable[[Any, NodeContext], Any]:
    async def body(given: Any, ctx: NodeContext) -> Any:
        await delays.wait()
        update: dict[str, Any] = {"log": name, "total": 1, "visits": {name: 1}}
        if isinstance(given, int):
            update["log"] = f"{name}({given})"
        else:
            update["saw"] = f"{name}:{given.total}"
        if how == "fails":
            raise Broken(name)
        if how == "asks":
            update["log"] = f"{name}={await ctx.ask(str, name, key='k')}"
            await delays.wait()
        if how == "leaves":
            return Ask(name, output="log", update=update)
        return update

    return body


def graph_of(block: Block, delays: Delays, prefix: str = "", **options: Any) -> Graph[Notes]:
    """The graph of a block."""
    layout = _Layout(StateGraph(Notes), delays, options, prefix)
    first, _ = layout.lay(Row((Leaf(), block)))
    layout.graph.add_edge(START, first)
    return layout.graph.compile(**{"max_steps": 500, **options})


# --- what it comes to ----------


@dataclass
class _Reader:
    """Goes through a block as its layout does, and notes what nodes will tell."""

    prefix: str
    log: list[str] = field(default_factory=list[str])
    saw: list[str] = field(default_factory=list[str])
    names: Counter[str] = field(default_factory=Counter[str])

    def name(self, kind: str) -> str:
        self.names[kind] += 1
        return f"{self.prefix}{kind}{self.names[kind]}"

    def tell(self, name: str, before: int, how: How = "tells") -> int:
        """How many there are behind it."""
        if how == "fails":
            return before
        said = {"asks": [f"{name}=<{name}>"], "leaves": [name, f"<{name}>"]}
        self.log += said.get(how, [name])
        self.saw.append(f"{name}:{before}")
        return before + 1

    def read(self, block: Block, before: int) -> int:
        if isinstance(block, Leaf):
            return self.tell(self.name(block.how), before, block.how)
        if isinstance(block, Row):
            for part in block.parts:
                before = self.read(part, before)
            return before
        if isinstance(block, Sub):
            inner = _Reader(f"{self.name('sub')}_")
            after = inner.read(Row((Leaf(), block.part)), before)
            self.log += inner.log
            self.saw += inner.saw
            return after
        begin, end = self.name("begin"), self.name("end")
        before = self.tell(begin, before)
        return self.tell(end, self._read_inside(block, before))

    def _read_inside(self, block: Fork | Fan | Loop, before: int) -> int:
        if isinstance(block, Fork):
            return before + sum([self.read(part, before) - before for part in block.parts])
        if isinstance(block, Fan):
            one = self.name("one")
            self.log += [f"{one}({number})" for number in range(block.n)]
            return before + block.n
        names = self.names.copy()
        for _ in range(block.times):
            self.names = names.copy()
            before = self.tell_turn(block.part, before)
        return before

    def tell_turn(self, part: Block, before: int) -> int:
        after = self.read(part, before)
        return self.tell(self.name("turn"), after)


def _read(block: Block) -> _Reader:
    reader = _Reader("")
    reader.read(Row((Leaf(), block)), 0)
    return reader


def expected_log(block: Block) -> list[str]:
    """What its nodes write down, sorted; answers are there as if they had been known."""
    return sorted(_read(block).log)


def expected_saw(block: Block) -> list[str]:
    """How many tasks lay behind each one that reads the state, sorted."""
    return sorted(_read(block).saw)


def leaves_of(block: Block, how: How) -> int:
    """How often leaves of a kind run."""
    if isinstance(block, Leaf):
        return int(block.how == how)
    if isinstance(block, (Row, Fork)):
        return sum(leaves_of(part, how) for part in block.parts)
    if isinstance(block, Loop):
        return block.times * leaves_of(block.part, how)
    return leaves_of(block.part, how) if isinstance(block, Sub) else 0
