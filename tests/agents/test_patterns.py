"""Several attempts at one task: race, quorum, best of n, hedge."""

from typing import Any, cast

import anyio
import pytest

from tests.agents.test_steering import Held
from tinyagents import (
    Agent,
    ConfigError,
    EventSink,
    LimitExceeded,
    ModelError,
    NoAnswer,
    RunCancelled,
    RunLimits,
    best_of,
    hedge,
    quorum,
    race,
    tool,
)
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree, outline

pytestmark = pytest.mark.anyio


def says(*script: Any, name: str = "a", **options: Any) -> Agent[Any, Any]:
    return Agent(ScriptedModel(script * 3, **options), name=name)


def stuck(name: str = "stuck") -> Agent[Any, Any]:
    async def never(request: object) -> str:
        await anyio.sleep_forever()
        return ""

    return Agent(FunctionModel(never), name=name)


async def test_the_first_good_answer_wins_and_cancels_the_rest() -> None:
    sink = EventSink()
    with anyio.fail_after(5):
        result = await race([stuck(), says("quick", name="fast")], "go", sink=sink)
    assert (result.output, result.path, result.status) == ("quick", "root/fast[0]", "completed")
    assert result.tree_usage.requests == 1
    check_tree(sink.events)
    assert outline(sink.events)[0] == "run.started race"
    (lost,) = [e.data["reason"] for e in sink.events if e.kind == "run.cancelled"]
    assert lost == "root/fast[0] answered first"
    assert sink.events[-1].data["winner"] == "root/fast[0]"


async def test_what_is_not_good_and_what_fails_does_not_win() -> None:
    agents = [
        says(ModelError("broke"), name="bad"),
        says("meh", name="meh"),
        says("yes!", name="c"),
    ]
    result = await race(agents, "go", good=lambda each: each.output.endswith("!"))
    assert result.output == "yes!"

    async def never(each: Any) -> bool:
        return False

    sink = EventSink()
    with pytest.raises(NoAnswer, match="nobody gave a good answer") as caught:
        await race(agents[:2], "go", good=never, sink=sink)
    assert [each.status for each in caught.value.results] == ["failed", "completed"]
    check_tree(sink.events)
    assert sink.events[-1].kind == "run.failed"


async def test_a_race_of_one_at_a_time_ends_with_the_first() -> None:
    never = ScriptedModel([])
    agents = [says("one"), Agent(never, name="b")]
    assert (await race(agents, "go", max_concurrency=1)).output == "one"
    assert never.requests == []


async def test_a_quorum_needs_the_same_answer_often_enough() -> None:
    agents = [says("Bern", name="a"), says("Basel", name="b"), says(" bern\n", name="c"), stuck()]
    with anyio.fail_after(5):
        result = await quorum(agents, "capital?", agree=2)
    assert result.output.strip().casefold() == "bern"
    with pytest.raises(NoAnswer, match="no 2 of 2 agreed"):
        await quorum(agents[:2], "capital?", agree=2)
    result = await quorum(agents[:2], "capital?", agree=2, same=lambda output: output[0])
    assert result.output in ("Bern", "Basel")


@pytest.mark.parametrize("kind", ["function", "coroutine", "agent"])
async def test_a_judge_picks_one_of_several(kind: str) -> None:
    async def later(results: Any) -> int:
        return len(results) - 1

    judge_model = ScriptedModel(["The second is shorter.\n**Best:** 2"])

    def second(results: Any) -> int:
        return 1

    judges: dict[str, Any] = {
        "function": second,
        "coroutine": later,
        "agent": Agent(judge_model, name="judge"),
    }
    agent = says("first", ModelError("broke", retryable=False), "third")
    sink = EventSink()
    result = await best_of(agent, "write", n=3, judge=judges[kind], max_concurrency=1, sink=sink)
    assert result.output == "third"
    check_tree(sink.events)
    if kind == "agent":
        shown = judge_model.requests[0].messages[-1].text
        assert "Which of these 2 answers" in shown
        assert "Answer 1:\nfirst\n\nAnswer 2:\nthird" in shown
        assert result.tree_usage.requests == 4, "the judge is paid for, too"


async def test_a_single_answer_needs_no_judge_and_a_wrong_pick_is_no_answer() -> None:
    def nobody(results: Any) -> int:
        raise AssertionError("asked")

    assert (await best_of(says("only"), "x", n=1, judge=nobody)).output == "only"
    with pytest.raises(NoAnswer, match="the judge picked 7, and there are 2 answers"):
        await best_of(says("a", "b"), "x", n=2, judge=lambda results: 7)
    with pytest.raises(NoAnswer, match="the judge picked True"):
        await best_of(says("a", "b"), "x", n=2, judge=lambda results: True)
    with pytest.raises(NoAnswer, match="no attempt completed"):
        await best_of(says(ModelError("broke")), "x", n=1, judge=nobody)


@pytest.mark.parametrize(
    ("said", "chosen"),
    [
        ("2", 1), ("Answer 2.", 1), (" 3.\n", 2), ("Best: 2", 1), ("best: answer 3.", 2),
        ("I rate A 3.\n\nBest: 2", 1),
        ("**Best**: 1", 0),
    ],
)  # fmt: skip
async def test_a_judge_that_is_an_agent_names_its_choice_at_the_end(said: str, chosen: int) -> None:
    judge = Agent(ScriptedModel([said]), name="judge")
    result = await best_of(says("a", "b", "c"), "x", n=3, judge=judge, max_concurrency=1)
    assert result.output == "abc"[chosen]


async def test_a_judge_may_answer_with_a_number() -> None:
    judge = Agent(ScriptedModel([call("final_answer", value=2)]), name="judge", output_type=int)
    result = await best_of(says("a", "b", "c"), "x", n=3, judge=judge, max_concurrency=1)
    assert result.output == "b"


@pytest.mark.parametrize("vague", ["I rate A 3 and B 5 out of 10", "Best: 4", "²", "Best: none"])
async def test_a_judge_that_names_nobody_is_asked_once_more(vague: str) -> None:
    model = ScriptedModel([vague, "Best: 2"])
    judge = Agent(model, name="judge")
    sink = EventSink()
    agent = says("a", "b", "c")
    result = await best_of(agent, "x", n=3, judge=judge, max_concurrency=1, sink=sink)
    assert (result.output, result.tree_usage.requests) == ("b", 5)
    assert (
        model.requests[1]
        .messages[0]
        .text.endswith(f"You replied before:\n{vague}\n\nThat has no such line.")
    )
    check_tree(sink.events)
    stubborn = Agent(ScriptedModel([vague] * 2), name="judge")
    with pytest.raises(NoAnswer, match="which has no line 'Best: <1 to 3>' at its end") as caught:
        await best_of(agent, "x", n=3, judge=stubborn)
    assert vague in str(caught.value)
    assert len(caught.value.results) == 3


async def test_a_late_answer_is_hedged() -> None:
    sink = EventSink()
    with anyio.fail_after(5):
        result = await hedge([stuck(), says("backup")], "go", after_s=0.01, sink=sink)
    assert result.output == "backup"
    check_tree(sink.events)
    assert [e.kind for e in sink.events if e.path == "root/stuck[0]"][-1] == "run.cancelled"


async def test_an_answer_in_time_needs_no_backup_and_a_failure_does_at_once() -> None:
    never = ScriptedModel([])
    backup = Agent(never, name="backup")
    with anyio.fail_after(5):
        assert (await hedge([says("in time"), backup], "go", after_s=60)).output == "in time"
        assert never.requests == []
        bad = says(ModelError("broke"), name="bad")
        assert (await hedge([bad, says("second")], "go", after_s=60)).output == "second"
        again = says(ModelError("broke"), "third time", name="one")
        assert (await hedge(again, "go", after_s=60, times=2)).output == "third time"


async def test_in_a_tool_they_are_children_of_its_run() -> None:
    @tool
    async def ask_all(question: str) -> str:
        """Ask all."""
        return str((await race([says("x"), stuck()], question)).output)

    boss = Agent(ScriptedModel([call("ask_all", question="?"), "done"]), tools=[ask_all])
    result = await boss.run("go")
    check_tree(result.events)
    paths = [e.path for e in result.events if e.kind == "run.started"]
    assert paths[:2] == ["root", "root/ask_all[0]/race[0]"]
    assert result.tree_usage.requests == 3


async def test_limits_and_cancellation_hold_for_all_together() -> None:
    sink = EventSink()
    with pytest.raises(NoAnswer):
        await race(
            [says(call("x"), "a"), says("b")], "go", limits=RunLimits(max_requests=0), sink=sink
        )
    assert "limit.reached" in [e.kind for e in sink.events]
    held = Held("never")
    boss = Agent(
        ScriptedModel([call("ask_all"), "done"]),
        tools=[tool(name="ask_all")(lambda: race([Agent(held.model), stuck()], "q"))],
    )
    async with boss.stream("go") as run:
        await held.asked()
        run.cancel("enough")
        with pytest.raises(RunCancelled):
            await run.result()
    check_tree(run.events)
    with pytest.raises(LimitExceeded, match="max_runs"):
        await race([says("a")], "go", limits=RunLimits(max_runs=0))


@pytest.mark.parametrize(
    ("start", "why"),
    [
        (lambda: race([], "x"), "give a list of at least one agent"),
        (lambda: race(cast("Any", stuck()), "x"), "give a list of at least one agent"),
        (lambda: race([stuck()], "x", max_concurrency=0), "max_concurrency=0"),
        (lambda: quorum([stuck()], "x", agree=2), "agree=2"),
        (lambda: best_of(stuck(), "x", n=0, judge=lambda r: 0), "n=0"),
        (lambda: hedge([stuck()], "x", after_s=-1), "after_s=-1"),
        (lambda: hedge([stuck()], "x", after_s=cast("Any", "1")), "after_s='1'"),
        (lambda: hedge([], "x", after_s=1), "give a list of at least one agent"),
        (lambda: hedge(stuck(), "x", after_s=1, times=0), "times=0.: give a whole number"),
        (lambda: hedge(stuck(), "x", after_s=1, good=cast("Any", "yes")), "good='yes'"),
        (lambda: race(cast("Any", "ab"), "x"), "give a list of at least one agent"),
        (lambda: race(cast("Any", None), "x"), "give a list of at least one agent"),
        (lambda: race([stuck(), cast("Any", "b")], "x"), "race.agents=….: 'b' is no agent"),
        (lambda: race([cast("Any", Agent)], "x"), "Agent'> is no agent"),
        (lambda: race([stuck()], "x", good=cast("Any", True)), "good=True.: give a function"),
        (lambda: race([stuck()], "x", limits=cast("Any", 3)), "limits=3: give RunLimits"),
        (lambda: quorum([], "x", agree=1), "give a list of at least one agent"),
        (lambda: quorum([stuck()], "x", agree=cast("Any", "1")), "agree='1'"),
        (lambda: quorum([stuck()], "x", agree=True), "agree=True"),
        (lambda: quorum([stuck()], "x", agree=1, same=cast("Any", "eq")), "same='eq'"),
        (lambda: best_of(cast("Any", "a"), "x", judge=lambda r: 0), "agent='a'.: give an agent"),
        (lambda: best_of(stuck(), "x", n=cast("Any", 1.5), judge=lambda r: 0), "n=1.5"),
        (lambda: best_of(stuck(), "x", n=cast("Any", None), judge=lambda r: 0), "n=None"),
        (lambda: best_of(stuck(), "x", judge=cast("Any", None)), "judge=None.: give an agent"),
        (lambda: best_of(stuck(), "x", judge=cast("Any", Agent)), "judge=<class"),
    ],
)
async def test_wrong_arguments_are_named(start: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        await start()
