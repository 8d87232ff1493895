"""Questions of background children: several at once, read and left open, and in time."""

import json
from typing import Any, cast

import pytest

from tests.agents.test_steering import Held, finish, settled
from tinyagents import Agent, AskParent, ConfigError, ask_parent, report
from tinyagents.testing import ScriptedModel, call, check_tree

pytestmark = pytest.mark.anyio

FIRST, SECOND = "root/c[0]/ask_parent[0]/ask[0]", "root/c[0]/ask_parent[1]/ask[0]"


def told(messages: Any) -> list[str]:
    """What the model's calls came to, in order."""
    return [each.text for each in messages if each.role == "tool"]


async def test_several_questions_of_one_child_are_answered_each_by_its_path() -> None:
    questions = [call("ask_parent", question="hue?"), call("ask_parent", question="size?")]
    child = Agent(ScriptedModel([questions, "c done"]), name="c", tools=[ask_parent])
    boss = Held(
        call("c", input="paint"),
        call("list_children"),
        call("answer_child", path="root/c[0]", answer="which?"),
        [call("answer_child", path=SECOND, answer="big"), call("wait_for_children")],
        [call("answer_child", path=FIRST, answer="red"), call("wait_for_children")],
        call("answer_child", path=FIRST, answer="blue"),
        "end",
    )
    async with Agent(boss.model, subagents=[child], background=True).stream("go") as run:
        for _ in range(7):
            await boss.asked()
            await settled()
            boss.go_on()
        result = await finish(run)
    texts = told(result.messages)
    (listed,) = json.loads(texts[1])
    assert listed["state"] == "waiting for your answer"
    assert listed["questions"] == {FIRST: "hue?", SECOND: "size?"}
    assert "waits for several answers" in texts[2]
    assert f"{SECOND}: size?" in texts[2]
    assert texts[3] == "root/c[0] goes on"
    assert texts[4] == f'{{"ended":[],"at_work":["root/c[0]"],"questions":{{"{FIRST}":"hue?"}}}}'
    assert texts[6] == '{"ended":["root/c[0]"],"at_work":[]}', "answered beside the wait"
    assert f"{FIRST} waits for no answer" in texts[7]
    answers = {e.data["ask_id"]: e.data["answer"] for e in result.events if "answer" in e.data}
    assert answers == {FIRST: "red", SECOND: "big"}


async def test_waiting_returns_while_a_question_that_was_read_is_open() -> None:
    first = call("ask_parent", question="hue?")
    child = Agent(ScriptedModel([first, "c done"]), name="c", tools=[ask_parent])
    boss = ScriptedModel([
        call("c", input="paint"), call("wait_for_children"), call("wait_for_children", until="any"),
        call("answer_child", path="root/c[0]", answer="red"), "end", "end",
    ])  # fmt: skip
    result = await Agent(boss, subagents=[child], background=True).run("go")
    check_tree(result.events)
    waiting = f'{{"ended":[],"at_work":["root/c[0]"],"questions":{{"{FIRST}":"hue?"}}}}'
    assert told(result.messages)[1:3] == [waiting, waiting]
    assert [e.data["answer"] for e in result.events if e.kind == "ask.answered"] == ["red"]


async def test_an_answer_of_the_parent_closes_all_questions_it_has_read() -> None:
    questions = [call("ask_parent", question="hue?"), call("ask_parent", question="size?")]
    child = Agent(ScriptedModel([questions, "c done"]), name="c", tools=[ask_parent])
    boss = ScriptedModel([call("c", input="paint"), "one", "two", "three", "four"])
    result = await Agent(boss, subagents=[child], background=True).run("go")
    check_tree(result.events)
    expired = {e.data["ask_id"]: e.data["reason"] for e in result.events if e.kind == "ask.expired"}
    assert expired == dict.fromkeys([FIRST, SECOND], "root has its answer and gave none to this")


# --- arguments ----------


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"timeout_s": "60"}, "timeout_s='60'.: give seconds"),
        ({"timeout_s": -1}, "timeout_s=-1"),
        ({"timeout_s": 0}, "timeout_s=0"),
        ({"timeout_s": True}, "timeout_s=True"),
        ({"default": 5}, "default=5.: give a text"),
    ],
)
async def test_a_question_checks_its_arguments(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=f"AskParent.{named}"):
        AskParent(**options)
    ctx: Any = None  # nothing is asked
    with pytest.raises(ConfigError, match=f"ask_parent.{named}"):
        await ask_parent(ctx, "hue?", **options)
    with pytest.raises(ConfigError, match="ask_parent.question=7.: give a text"):
        await ask_parent(ctx, cast("Any", 7))
    with pytest.raises(ConfigError, match="report.text=None.: give a text"):
        await report(ctx, cast("Any", None))


async def test_an_answer_of_the_human_is_a_text() -> None:
    model = ScriptedModel([call("ask_parent", question="hue?"), "done"])
    async with Agent(model, tools=[ask_parent]).stream("go") as run:
        while not run.pending():
            await settled()
        (ask,) = run.pending()
        with pytest.raises(ConfigError, match="answer.value=5. to root/ask_parent.0./ask.0.: give"):
            await ask.answer(cast("Any", 5))
        assert await ask.answer("red")
        result = await finish(run)
    assert told(result.messages) == ["red"]
