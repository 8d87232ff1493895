"""Recursive agents: a long input is a variable, and each call from code a run of the same tree."""

from typing import Any

import anyio
import pytest

from tinyagents import (
    Agent,
    Cancel,
    CodeAct,
    ConfigError,
    ModelError,
    Redirect,
    Result,
    RunCancelled,
    RunLimits,
)
from tinyagents.models import ModelRequest
from tinyagents.recursive import Recursion, RecursiveAgent
from tinyagents.sandbox import Sandbox
from tinyagents.sandbox.hardening import can_contain
from tinyagents.sandbox.seccomp import can_filter
from tinyagents.testing import FunctionModel, ScriptedModel, check_tree

pytestmark = pytest.mark.anyio

LINE = " of a text that is much too long for one prompt\n"
TEXT = "".join(f"line {n}{LINE}" for n in range(20_000))
FAR = f"line 7777{LINE}"


def code(text: str) -> str:
    return f"Let me see.\n```python\n{text}\n```"


def asked(request: ModelRequest) -> str:
    return "\n".join(message.text for message in request.messages)


def count_lines(request: ModelRequest) -> str:
    return str(asked(request).count(LINE))


def recursive(*script: Any, sub_model: Any = count_lines, **options: Any) -> Agent[Any, Any]:
    return RecursiveAgent(ScriptedModel(script), sub_model=FunctionModel(sub_model), **options)


def completed(result: Result[Any]) -> dict[str, Any]:
    check_tree(result.events)
    return {e.path: e.data["output"] for e in result.events if e.kind == "run.completed"}


async def test_the_data_is_a_variable_and_in_no_prompt() -> None:
    model = ScriptedModel(
        [code("print(context.text(40, 60))\nfirst = context.lines(0, 1)"), code("finish(first[0])")]
    )
    result = await RecursiveAgent(model).run("How does it begin?", data=TEXT)
    assert result.output == f"line 0{LINE}".strip()
    for request in model.requests:
        text = asked(request)
        assert f"text, length {len(TEXT):,}" in text
        assert TEXT[:500] in text
        assert FAR not in text
    assert TEXT[40:60] in result.messages[-2].text + result.messages[-3].text
    told = "".join(event.to_json() for event in result.events)
    assert TEXT[:200] not in told


async def test_what_fits_is_one_plain_call() -> None:
    model = ScriptedModel(["seven"])
    result = await RecursiveAgent(model, fits_chars=100).run("How many?", data="1 2 3 4 5 6 7")
    assert result.output == "seven"
    (request,) = model.requests
    assert "<data>\n1 2 3 4 5 6 7\n</data>" in asked(request)
    assert "context" not in asked(request)
    assert [event.kind for event in result.events if event.kind.startswith(("tool", "code"))] == []


async def test_calls_are_runs_below_their_cell() -> None:
    agent = recursive(
        code("a = llm('How many lines?', context[:5_000])\nprint(a)"),
        code("b = llm_map('How many lines?', context.chunks(100_000))\nprint(b)"),
        code("finish(sum(int(each) for each in b))"),
    )
    result = await agent.run("How many lines?", data=TEXT)
    assert result.output == "20000"
    n_chunks = -(-len(TEXT) // 100_000)
    assert set(completed(result)) == {
        "root/python[0]/llm[0]",
        *(f"root/python[1]/llm_map[0]/llm[{n}]" for n in range(n_chunks)),
        "root",
    }
    assert result.usage.requests == 3
    assert result.tree_usage.requests == 3 + 1 + n_chunks
    assert FAR not in "".join(event.to_json() for event in result.events)


async def test_recurse_is_the_same_agent_one_level_deeper_and_at_the_last_a_plain_call() -> None:
    model = ScriptedModel(
        [
            code("part = context[:600_000]\nfinish(recurse('Count them', part))"),
            code("finish(int(recurse('Count these', context[:90_000])) + 1_000)"),
            "1500",  # it fits, and is put into the prompt
        ]
    )
    result = await RecursiveAgent(model, name="counter").run("How many?", data=TEXT)
    assert result.output == "2500"
    assert completed(result) == {
        "root/python[0]/recurse[0]/python[0]/recurse[0]": "1500",
        "root/python[0]/recurse[0]": "2500",
        "root": "2500",
    }
    assert ["is the variable `context`" in asked(each) for each in model.requests] == [
        True,
        True,
        False,
    ]


async def test_at_the_last_level_what_is_too_long_is_refused() -> None:
    agent = recursive(
        code("try:\n    recurse('Count', context[:300_000])\nexcept Exception as error:\n"
             "    print(str(error))"),
        code("finish('refused')"),
        max_depth=1,
    )  # fmt: skip
    result = await agent.run("How many?", data=TEXT)
    assert result.output == "refused"
    assert "more than the 100,000 characters" in result.messages[-3].text
    assert ".chunks(100_000)" in result.messages[-3].text


async def test_the_depth_of_the_tree_holds_too() -> None:
    agent = recursive(
        code("finish(recurse('Count', context[:90_000]))"),
        "by hand",
        max_depth=9,
        fits_chars=95_000,
        limits=RunLimits(max_depth=1),
    )
    result = await agent.run("How many?", data=TEXT)
    assert completed(result) == {"root/python[0]/recurse[0]": "by hand", "root": "by hand"}


async def test_calls_run_at_once_and_never_too_many() -> None:
    alive = most = 0

    async def slow(request: ModelRequest) -> str:
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        alive -= 1
        return asked(request)[-12:-8]

    agent = recursive(
        code("answers = llm_map([f'Say {n}' for n in range(1_000, 1_040)])\nfinish(len(answers))"),
        sub_model=slow,
        max_concurrency=4,
    )
    result = await agent.run("Go", data=TEXT)
    assert result.output == "40"
    assert most == 4


async def test_one_that_fails_is_none_and_harms_no_other() -> None:
    def answer(request: ModelRequest) -> str:
        if "line 7777 " in asked(request):
            raise ValueError("the model is down")
        return "ok"

    agent = recursive(
        code("answers = llm_map('Fine?', context.chunks(100_000))\n"
             "finish([each for each in answers].count(None))"),
        sub_model=answer,
    )  # fmt: skip
    result = await agent.run("Go", data=TEXT)
    assert result.output == "1"
    check_tree(result.events)
    failed = [event for event in result.events if event.kind == "run.failed"]
    assert [event.data["error"]["message"] for event in failed] == ["the model is down"]


async def test_a_budget_binds_all_calls_those_that_fail_included() -> None:
    n_asked = 0

    def answer(request: ModelRequest) -> str:
        nonlocal n_asked
        n_asked += 1
        if n_asked % 2:
            raise ModelError("no", provider="test", status=400)
        return "yes"

    agent = recursive(
        code("answers = llm_map('Fine?', context.chunks(20_000))\nprint(answers.count('yes'))"),
        code("finish('never')"),
        sub_model=answer,
        limits=RunLimits(max_requests=10),
        max_concurrency=3,
    )
    with pytest.raises(Exception, match="max_requests=10") as caught:
        await agent.run("Go", data=TEXT)
    result: Result[Any] = vars(caught.value)["result"]
    assert n_asked == 9
    assert result.tree_usage.requests == 10
    check_tree(result.events)


async def test_a_budget_in_dollars_is_never_overspent_by_calls_at_once() -> None:
    agent: Agent[Any, Any] = RecursiveAgent(
        ScriptedModel(
            [code("answers = llm_map('Fine?', context.chunks(20_000))"), code("finish(answers)")]
        ),
        sub_model=FunctionModel(count_lines, usd_per_request=0.01),
        output_type=list[str | None],
        limits=RunLimits(max_usd=0.105),
    )
    result = await agent.run("Go", data=TEXT)
    assert len([answer for answer in result.output if answer is not None]) == 10
    assert result.cost == pytest.approx(0.10)
    exceeded = [event for event in result.events if event.kind == "budget.exceeded"]
    assert exceeded


@pytest.mark.parametrize("way", ["by the run", "by its path"])
async def test_a_cancelled_run_leaves_no_call_behind(way: str) -> None:
    started = anyio.Event()
    ended: list[str] = []

    async def hang(request: ModelRequest) -> str:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("ended")
        return "never"

    agent = recursive(
        code("llm_map('Fine?', context.chunks(90_000))"), code("finish('on')"), sub_model=hang
    )
    async with agent.stream("Go", data=TEXT) as run:
        await started.wait()
        if way == "by the run":
            run.cancel("enough")
            with pytest.raises(RunCancelled):
                await run.result()
        else:
            for n in range(-(-len(TEXT) // 90_000) + 1):
                await run.steer(Cancel("enough"), to=f"root/python[0]/llm_map[0]/llm[{n}]")
            result = await run.result()
            assert result.output == "on"
            assert "cancelled" in result.messages[-3].text.lower()
    assert set(ended) == {"ended"}
    check_tree(run.events)


async def test_a_deeper_run_is_steered_by_its_path() -> None:
    gate = anyio.Event()
    model = ScriptedModel(
        [
            code("finish(recurse('Count', context[:600_000]))"),
            code("print(llm('Wait'))"),
            code("finish('redirected')"),
        ]
    )

    async def wait(request: ModelRequest) -> str:
        await gate.wait()
        return "go"

    agent = RecursiveAgent(model, sub_model=FunctionModel(wait))
    deeper = "root/python[0]/recurse[0]"
    acks: list[str] = []
    async with agent.stream("Go", data=TEXT) as run:
        async for event in run:
            if event.kind == "run.started" and event.path == f"{deeper}/python[0]/llm[0]":
                await run.steer(Redirect("only the first line"), to=deeper)
                gate.set()
            elif event.kind == "steer.applied":
                acks.append(event.path)
        result = await run.result()
    assert result.output == "redirected"
    assert acks == [deeper]
    assert "only the first line" in asked(model.requests[2])


async def test_finish_ends_it_wherever_it_stands() -> None:
    agent = recursive(
        code(
            "def look(parts):\n"
            "    for part in parts:\n"
            "        if int(llm('How many?', part)) > 0:\n"
            "            finish(part.text(0, 6))\n"
            "    print('never')\n"
            "look(context.chunks(90_000))\n"
            "print('never')"
        )
    )
    result = await agent.run("Go", data=TEXT)
    assert result.output == "line 0"
    assert len(completed(result)) == 2


async def test_the_last_turn_is_announced() -> None:
    model = ScriptedModel([code("print(1)"), code("print(2)"), "give up"])
    agent = RecursiveAgent(model, limits=RunLimits(max_turns=3))
    await agent.run("Go", data=TEXT)
    said = ["This is your last turn" in asked(request) for request in model.requests]
    assert said == [False, False, True]
    assert "You have 3 turns" in asked(model.requests[0])


async def test_an_agent_of_the_dialect_has_the_same_functions() -> None:
    model = ScriptedModel([code("finish(llm('Say yes'))"), "yes"])
    result = await Agent(model, dialect="codeact", recursive=True).run("Go")
    assert completed(result) == {"root/python[0]/llm[0]": "yes", "root": "yes"}


async def test_tools_and_copies_keep_working() -> None:
    def double(n: int) -> int:
        """Doubles a number."""
        return 2 * n

    agent = recursive(code("finish(double(21))"), "42 by hand", tools=[double])
    copy = agent.with_(max_concurrency=2)
    assert (await copy.run("Go", data=TEXT)).output == "42"
    assert (await agent.run("Go", data="short")).output == "42 by hand"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_depth": 0}, "max_depth=0: give a number from 1 on"),
        ({"fits_chars": -1}, "fits_chars=-1"),
        ({"on_failure": "raise"}, "'none' or 'text'"),
        ({"dialect": "native"}, "is for dialect='codeact'"),
    ],
)
def test_an_argument_that_does_not_do_is_named(options: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        recursive(**options)
    assert Recursion().max_depth == 2


@pytest.mark.parametrize(
    "call",
    [
        "llm('x' * 2_000)",
        "llm_map(['fine', 'x' * 2_000])",
        "llm_map('x' * 2_000, [context[:5]])",
        "recurse('x' * 2_000)",
    ],
)
async def test_a_prompt_that_is_too_long_is_refused(call: str) -> None:
    agent = recursive(code(call), "I see.", fits_chars=1_000)
    result = await agent.run("How many?", data=TEXT)
    said = result.messages[-2].text
    assert "the prompt has 2,000 characters, and one may hold 1,000: hand on a part" in said
    assert set(completed(result)) == {"root"}


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("context.record(3)", '{"n":3}'),
        ("context.records(3, 5)", '{"n":3}\n{"n":4}'),
        ("{'a': [1]}", '{"a":[1]}'),
        ("7", "7"),
        ("[1, 'x']", '1\n"x"'),
    ],
)
async def test_records_and_other_data_are_handed_on_as_json(data: str, shown: str) -> None:
    asked_for: list[str] = []

    def read(request: ModelRequest) -> str:
        asked_for.append(asked(request))
        return "fine"

    records = [{"n": n} for n in range(1_000)]
    agent = recursive(code(f"finish(llm('See?', {data}))"), sub_model=read, fits_chars=1_000)
    assert (await agent.run("How many?", data=records)).output == "fine"
    assert f"<data>\n{shown}\n</data>" in asked_for[0]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("{'ref': 'ab', 'kind': 'text', 'length': 2}", "is no part of the data"),
        ("{'ref': [0.5, 2], 'kind': 'text', 'length': 2}", "is no part of the data"),
        ("{'ref': [0, 10**9], 'kind': 'text', 'length': 2}", "does not lie in"),
        ("[context[:2], context[2:4]]", "of several, llm_map(prompt, parts)"),
    ],
)
async def test_what_is_no_part_is_refused(data: str, why: str) -> None:
    result = await recursive(code(f"llm('See?', {data})"), "I see.").run("go", data=TEXT)
    assert why in result.messages[-2].text


@pytest.mark.parametrize(
    "mistake",
    [
        "import re\nre.findall('7', context)",
        "context.splitlines()",
        "context + 'a'",
        "'a'.join([context])",
        "int(context)",
    ],
)
async def test_who_takes_the_data_for_a_text_is_told_how_to_get_one(mistake: str) -> None:
    model = ScriptedModel([code(mistake), "I see."])
    await RecursiveAgent(model).run("How many?", data=TEXT)
    told = model.requests[-1].messages[-1].text
    assert "The data and its parts are no texts: data.text(start, stop) is one." in told


@pytest.mark.skipif(not (can_contain() and can_filter()), reason="needs Linux and bubblewrap")
async def test_the_data_is_there_again_when_a_container_was_lost() -> None:
    box = Sandbox(engine="cpython", time_limit_s=5, values={"seven": 7})
    agent = recursive(
        code("x = 1\nprint(len(context), 'seen' in vars())"),
        code("import os\nos._exit(1)"),
        code("finish([len(context), llm('How many?', context[:500]), seven])"),
        dialect=CodeAct(box),
        output_type=list[Any],
    )
    result = await agent.run("How many?", data=TEXT)
    assert result.output == [len(TEXT), str(TEXT[:500].count(LINE)), 7]
    assert "all variables of this session are gone" in result.messages[-3].text
