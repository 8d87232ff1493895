"""Who called whom, how often, in what order, at what cost."""

from typing import Any

import pytest

from tests.journal.forks import recorded
from tinyagents import ConfigError, Event
from tinyagents.testing import Tree, assert_tree
from tinyagents_graph.journal import MemoryJournal

pytestmark = pytest.mark.anyio


async def tree() -> Tree:
    _, events = await recorded(MemoryJournal())
    return Tree(events)


async def test_a_tree_tells_who_called_whom_how_often() -> None:
    team = await tree()
    assert sorted(team.paths) == [
        "root", "root/kid[0]", "root/kid[0]/grand[0]", "root/kid[1]", "root/kid[1]/grand[0]",
        "root/work[0]/helper[0]",
    ]  # fmt: skip
    assert team.calls("boss", "kid") == 2
    assert team.calls("kid", "grand") == 2
    assert team.calls("root/kid[0]", "grand") == 1
    assert team.calls("boss", "grand") == 0
    assert team.calls("boss", "helper") == 1


async def test_a_tree_counts_calls_runs_and_events() -> None:
    team = await tree()
    assert team.count(tool="look") == 6
    assert team.count(tool="look", under="kid") == 4
    assert team.count(tool="look", under="root/kid[0]") == 2
    assert team.count(agent="grand") == 2
    assert team.count(kind="model.completed") == 13
    assert team.count(tool="nothing") == 0
    wrong: list[dict[str, Any]] = [{}, {"tool": "look", "agent": "kid"}]
    for given in wrong:
        with pytest.raises(ConfigError, match="give one of tool=, agent= and kind="):
            team.count(**given)


async def test_a_tree_tells_what_an_agent_cost_with_all_below_it() -> None:
    team = await tree()
    assert team.cost().requests == 13
    assert team.cost("kid").requests == 8
    assert team.cost("root/kid[0]").requests == 4
    assert team.cost("grand").tool_calls == 2
    with pytest.raises(ConfigError, match="there is root, root/"):
        team.cost("nobody")


async def test_the_order_has_a_delegation_once() -> None:
    team = await tree()
    assert team.order()[0] == "boss"
    assert team.order()[-1] == "fire"
    assert team.order().count("kid") == 2
    assert team.order().count("helper") == 1


async def test_what_holds_is_passed() -> None:
    team = await tree()
    assert_tree(
        team,
        status="completed",
        paths=team.paths[::-1],
        calls={("boss", "kid"): 2, ("kid", "grand"): 2},
        tools={"look": 6, "fire": 1, "nothing": 0},
        order=["boss", "kid", "grand", "fire"],
        max_requests=13,
        max_tokens=0,
        max_usd=0,
    )


async def test_every_violation_is_named_and_the_tree_shown() -> None:
    _, events = await recorded(MemoryJournal())
    with pytest.raises(AssertionError) as raised:
        assert_tree(
            events,
            status="failed",
            paths=["root", "root/cat[0]"],
            calls={("boss", "kid"): 1},
            tools={"look": 7},
            order=["fire", "kid"],
            max_requests=3,
        )
    lines = str(raised.value).splitlines()
    assert lines[0] == "the root has ended as completed, not as failed"
    assert "root/cat[0] never ran" in lines
    assert "root/kid[1] ran, and was not to" in lines
    assert "boss called kid 2 times, not once" in lines
    assert "look was called 6 times, not 7 times" in lines
    assert any(line.startswith("kid did not begin after fire") for line in lines)
    assert "it took 13 requests, and 3 were allowed" in lines
    assert lines[lines.index("the tree:") + 1] == "root completed"


async def test_events_have_to_be_those_of_one_tree() -> None:
    journal = MemoryJournal()
    _, events = await recorded(journal)
    none: list[Event] = []
    with pytest.raises(ConfigError, match="of one tree, not of 0"):
        Tree(none)
    others = [each._replace(origin=each.origin._replace(root_run_id="r-2")) for each in events]
    with pytest.raises(ConfigError, match="give run_id="):
        Tree([*events, *others])
    assert Tree([*events, *others], "r-1").paths
    with pytest.raises(ConfigError, match="the start of 'r-1'"):
        Tree(events[1:])
