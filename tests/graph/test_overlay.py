"""A run laid over its graph, from events made by hand."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.graph.flows import chain, flow
from tinyagents_graph.errors import ConfigError
from tinyagents_graph.events import Event, EventKind, Origin
from tinyagents_graph.stategraph import END, START
from tinyagents_graph.stategraph.declared import Declared, Mode
from tinyagents_graph.stategraph.drawing import dot, mermaid
from tinyagents_graph.stategraph.overlay import NodeFacts, Overlay, overlay
from tinyagents_graph.stategraph.svg import svg
from tinyagents_graph.usage import Usage


class Tape:
    """Events, as the runs of a tree would publish them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._origins = {"root": Origin("r", None, "r", 0, "root")}

    def run(self, path: str, parent: str) -> None:
        above = self._origins[parent]
        self._origins[path] = Origin(f"r{path}", above.run_id, "r", above.depth + 1, path)

    def at(self, time: float, kind: EventKind, run: str = "root", /, **data: Any) -> None:
        self.events.append(Event(len(self.events), time, kind, self._origins[run], data))

    def node(
        self,
        node: str,
        began: float,
        ended: float,
        *,
        step: int = 0,
        after: tuple[str, ...] = (),
        run: str = "root",
        index: int = 0,
        **data: Any,
    ) -> None:
        path = f"{run}/{node}[{index}]"
        told = {"node": node, "path": path, "step": step}
        befores = [before if "/" in before else f"{run}/{before}[0]" for before in after]
        self.at(began, "node.started", run, **told, after=befores)
        self.at(ended, "node.completed", run, **told, update={}, **data)

    def sorted(self) -> list[Event]:
        return sorted(self.events, key=lambda event: event.time)


def diamond(mode: Mode = "superstep") -> Declared:
    graph = flow("d", plan="", quick="", slow="", end="")
    graph.add_edge(START, "plan").add_edge("plan", "quick").add_edge("plan", "slow")
    graph.add_edge(["quick", "slow"], "end").add_edge("end", END)
    return graph.compile(mode=mode).declared


def walked() -> list[Event]:
    tape = Tape()
    tape.at(0, "run.started", name="d")
    tape.node("plan", 1, 3)
    tape.node("quick", 3, 4, step=1, after=("plan",))
    tape.node("slow", 3, 8, step=1, after=("plan",))
    tape.node("end", 8, 9, step=2, after=("quick", "slow"))
    tape.at(10, "run.completed")
    return tape.sorted()


@pytest.mark.parametrize("mode", ["superstep", "eager"])
def test_visits_times_ways_and_the_critical_path(mode: Mode) -> None:
    found = overlay(diamond(mode), walked())
    assert found.path == "root"
    assert found.seconds == 10
    assert {key: (node.visits, node.seconds) for key, node in found.nodes.items()} == {
        "plan": (1, 2), "quick": (1, 1), "slow": (1, 5), "end": (1, 1)
    }  # fmt: skip
    assert found.taken == {
        (START, "plan"): 1, ("plan", "quick"): 1, ("plan", "slow"): 1, ("quick", "end"): 1,
        ("slow", "end"): 1, ("end", END): 1,
    }  # fmt: skip
    assert found.critical_path == ("root/plan[0]", "root/slow[0]", "root/end[0]")
    assert found.critical_nodes == ("plan", "slow", "end")


def test_a_step_waits_for_all_of_the_one_before_and_an_eager_node_does_not() -> None:
    tape = Tape()
    tape.node("plan", 0, 1)
    tape.node("quick", 1, 2, step=1, after=("plan",))
    tape.node("slow", 1, 5, step=1, after=("plan",))
    tape.node("end", 5, 9, step=2, after=("quick",))
    events = tape.sorted()
    stepwise, eager = (overlay(diamond(mode), events) for mode in ("superstep", "eager"))
    assert stepwise.critical_nodes == ("plan", "slow", "end")
    assert eager.critical_nodes == ("plan", "quick", "end")


def test_a_loop_is_visited_again_and_each_way_is_counted() -> None:
    graph = flow("loop", work="")
    graph.add_edge(START, "work")
    graph.add_conditional_edges("work", lambda state: "work", {"again": "work", "done": END})
    tape = Tape()
    for step in range(3):
        before = (f"root/work[{step - 1}]",) if step else ()
        tape.node("work", step, step + 1, step=step, after=before, index=step)
        to = END if step == 2 else "work"
        tape.at(step + 1, "route.selected", node="work", path=f"root/work[{step}]", to=[to])
    found = overlay(graph.compile().declared, tape.events)
    assert found.nodes["work"].visits == 3
    assert found.taken == {(START, "work"): 1, ("work", "work"): 2, ("work", END): 1}
    assert found.critical_path == ("root/work[0]", "root/work[1]", "root/work[2]")
    assert '|"again 2×"|' in mermaid(graph.compile().declared, overlay=found)


def test_tries_failures_and_cancellations() -> None:
    tape = Tape()
    for node, error in (("quick", "OSError"), ("slow", "cancelled")):
        told = {"node": node, "path": f"root/{node}[0]", "step": 0}
        tape.at(0, "node.started", **told, after=[])
        tape.at(1, "node.retried", **told, attempt=1, delay_s=1, error={})
        tape.at(2, "node.failed", **told, error={"type": error, "message": ""})
    found = overlay(diamond(), tape.events)
    assert (found.nodes["quick"].tries, found.nodes["quick"].failures) == (2, 1)
    assert (found.nodes["slow"].tries, found.nodes["slow"].failures) == (2, 0)
    assert found.nodes["quick"].lines == ("1×, 2.0 s", "1 retried, 1 failed")
    # The run goes on: the same task is tried once more.
    tape.node("quick", 10, 13)
    again = overlay(diamond(), tape.events).nodes["quick"]
    assert (again.visits, again.tries, again.failures, again.seconds) == (1, 3, 0, 5)


def test_usage_is_that_of_the_topmost_runs_below_a_task() -> None:
    tape = Tape()
    usage = {"requests": 1, "input_tokens": 900, "output_tokens": 100, "usd": 0.02}
    tape.at(0, "node.started", node="plan", path="root/plan[0]", step=0, after=[])
    tape.run("root/plan[0]", "root")
    tape.run("root/plan[0]/kid[0]", "root/plan[0]")
    tape.run("root/plan[0]/planner[0]", "root")  # a second try has a path of its own
    tape.at(1, "run.completed", "root/plan[0]/kid[0]", tree_usage=usage)
    tape.at(2, "run.failed", "root/plan[0]", tree_usage=usage)
    tape.at(3, "run.completed", "root/plan[0]/planner[0]", tree_usage=usage)
    found = overlay(diamond(), tape.events).nodes["plan"]
    assert found.usage == Usage(2, 1800, 200, usd=0.04)
    assert found.lines[1] == "2.0k tokens, $0.0400"


def nested() -> Declared:
    graph = flow("outer", start="")
    graph.add_node("team", chain("writer", "critic", name="team"))
    return graph.add_sequence(START, "start", "team", END).compile().declared


def test_nested_graphs_have_facts_of_their_own_and_strangers_have_none() -> None:
    tape = Tape()
    tape.node("start", 0, 1)
    tape.run("root/start[0]", "root")  # the body of a node ran a graph for itself
    tape.node("writer", 0.1, 0.2, run="root/start[0]")
    tape.at(1, "node.started", node="team", path="root/team[0]", step=1, after=["root/start[0]"])
    tape.run("root/team[0]", "root")
    tape.run("root/team[0]/writer[0]", "root/team[0]")
    tape.node("writer", 1, 4, run="root/team[0]")
    usage = {"requests": 1, "input_tokens": 5, "output_tokens": 5}
    tape.at(3, "run.completed", "root/team[0]/writer[0]", tree_usage=usage)
    tape.node("critic", 4, 5, step=1, after=("writer",), run="root/team[0]")
    tape.at(6, "run.completed", "root/team[0]", tree_usage=usage)
    tape.at(6, "node.completed", node="team", path="root/team[0]", step=1)
    found = overlay(nested(), tape.sorted())
    assert {key: (node.visits, node.seconds) for key, node in found.nodes.items()} == {
        "start": (1, 1), "team": (1, 5), "team/writer": (1, 3), "team/critic": (1, 1)
    }  # fmt: skip
    assert found.nodes["team"].usage == found.nodes["team/writer"].usage == Usage(1, 5, 5)
    assert found.taken["team/writer", "team/critic"] == 1
    assert found.taken["team/critic", f"team/{END}"] == 1
    assert found.critical_nodes == ("start", "team")
    assert overlay(nested(), tape.sorted(), run="root/team[0]").path == "root/team[0]"


def test_a_pause_takes_no_time() -> None:
    tape = Tape()
    tape.at(0, "node.started", node="plan", path="root/plan[0]", step=0, after=[])
    tape.at(1, "run.paused", reason="ask")
    tape.at(1000, "run.resumed")
    tape.at(1002, "node.completed", node="plan", path="root/plan[0]", step=0)
    tape.at(1003, "run.completed")
    found = overlay(diamond(), tape.events)
    assert (found.nodes["plan"].seconds, found.seconds) == (3, 4)


def test_what_is_under_way_counts_up_to_the_last_event() -> None:
    found = overlay(diamond(), walked()[:6])
    assert found.seconds == 4 - 0
    assert found.nodes["slow"].seconds == 1
    assert found.nodes["end"] == NodeFacts()


def test_the_graph_s_run_is_found_below_others() -> None:
    tape = Tape()
    tape.at(0, "run.started", name="boss")
    tape.run("root/flow[0]", "root")
    tape.at(5, "run.started", "root/flow[0]", name="flow")
    tape.node("plan", 5, 6, run="root/flow[0]")
    tape.at(7, "run.completed", "root/flow[0]")
    tape.at(50, "run.completed")
    found = overlay(diamond(), tape.events)
    assert (found.path, found.seconds) == ("root/flow[0]", 2)
    assert overlay(diamond(), tape.events, run="rroot/flow[0]") == found
    with pytest.raises(ConfigError, match=r"run='root/x'.*\(runs: root, root/flow\[0\]\)"):
        overlay(diamond(), tape.events, run="root/x")


def test_events_without_a_graph_make_an_empty_overlay() -> None:
    found = overlay(diamond(), [])
    assert found == Overlay("", 0.0, dict.fromkeys(found.nodes, NodeFacts()), {}, ())
    assert str(found).endswith("0 ms in all")


def test_damaged_events_do_no_harm() -> None:
    told: Mapping[str, Any] = {"node": "plan", "path": "root/plan[0]"}
    tape = Tape()
    tape.at(0, "node.completed", **told)
    tape.at(1, "node.started", **told, after=["root/plan[0]", 3], step="x")
    tape.at(2, "route.selected", node="plan")
    tape.at(2, "node.started", node="unknown", path="root/unknown[0]")
    found = overlay(diamond("eager"), tape.events)
    assert found.critical_path == ("root/plan[0]",)


def test_the_table() -> None:
    lines = str(overlay(diamond(), walked())).splitlines()
    assert lines == [
        "node     visits  tries  failed   time  tokens   cost",
        "* plan        1      1       0  2.0 s       0  $0.00",
        "  quick       1      1       0  1.0 s       0  $0.00",
        "* slow        1      1       0  5.0 s       0  $0.00",
        "* end         1      1       0  1.0 s       0  $0.00",
        "10.0 s in all; critical path (*): plan > slow > end",
    ]


def test_drawings_show_the_run() -> None:
    graph = diamond()
    found = overlay(graph, walked()[:-3])  # it never came to the end
    text = mermaid(graph, overlay=found)
    assert 'n_slow["slow<br/>1×, 5.0 s"]' in text
    assert 'n_end["end"]' in text
    assert "    class n_end,j_0 idle_\n" in text
    assert "    class n_plan,n_slow critical_\n" in text
    assert 's_start -->|"1×"| n_plan' in text
    assert 'label="slow\\n1×, 5.0 s"' in dot(graph, overlay=found)
    picture = svg(graph, overlay=found)
    assert '<rect class="function critical"' in picture
    assert "1×, 5.0 s</text>" in picture
