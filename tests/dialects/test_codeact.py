"""Agents whose models write Python: what the code can do, how it ends, and what goes wrong."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tests.dialects.coders import SANDBOX, add, cell, codeact, executed, find, of_kind, told
from tinyagents import (
    Agent,
    CodeAct,
    ConfigError,
    Event,
    Finish,
    InvalidOutput,
    LimitExceeded,
    Middleware,
    PythonTool,
    RunContext,
    RunLimits,
    SubAgentSession,
    ToolCall,
    ToolError,
    ToolMessage,
    tool,
)
from tinyagents.sandbox import Module, Mount, Sandbox
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree

pytestmark = pytest.mark.anyio


# --- cells ----------------------------------------------------------------------------------------


async def test_code_runs_and_its_variables_stay() -> None:
    agent = codeact(
        cell("x = add(3)\nprint('hello')\nx"),
        cell("y = x * 10\ny"),
        cell("finish(f'{y}')"),
        instructions="You are brief.",
    )
    result = await agent.run("go")
    assert result.output == "40"
    assert told(result) == ["Output:\nhello\n=> 4", "Output:\n=> 40", "Output:\naccepted"]
    assert result.iterations == 3
    assert [each["ok"] for each in executed(result)] == [True] * 3
    check_tree(result.events)


async def test_the_prompt_shows_the_tools_as_functions() -> None:
    result = await codeact("done", instructions="You are brief.").run("go")
    system = result.messages[0].text
    assert system.startswith("You are brief.\n\nYou solve tasks by writing Python.")
    assert "def add(a: int, b: int = 1) -> int:" in system
    assert "def finish(answer: Any) -> None:" in system
    assert "It does not know:" in system
    assert "def python(" not in system


async def test_the_provider_is_offered_no_tools() -> None:
    model = ScriptedModel(["done"])
    await Agent(model, tools=[add], dialect=CodeAct(SANDBOX)).run("go")
    assert model.requests[0].tools == ()


async def test_a_cell_and_its_calls_are_events_at_their_place() -> None:
    result = await codeact(cell("a = add(1)\nb = add(2)\nfind('tea')[0]"), "done").run("go")
    generated, ran = of_kind(result, "code.generated", "code.executed")
    assert generated.data == {
        "call_id": "model-0",
        "code": "a = add(1)\nb = add(2)\nfind('tea')[0]",
    }
    assert dict(ran.data) | {"seconds": 0} == {
        "call_id": "model-0", "ok": True, "output": "=> {'title': 'tea', 'n': 0}", "n_calls": 3,
        "seconds": 0,
    }  # fmt: skip
    started = of_kind(result, "tool.started")
    assert [each.data["path"] for each in started] == [
        "root/python[0]", "root/python[0]/add[0]", "root/python[0]/add[1]",
        "root/python[0]/find[0]",
    ]  # fmt: skip
    assert result.usage.tool_calls == 4


async def test_arguments_are_given_as_in_python_and_defaults_are_the_tools_own() -> None:
    given: list[dict[str, Any]] = []

    @tool
    async def show(a: int, b: str = "b", c: list[int] | None = None) -> None:
        """Show."""
        given.append({"a": a, "b": b, "c": c})

    code = "show(1)\nshow(1, 'x')\nshow(a=2, c=[1])\nshow(3, c=None)"
    result = await codeact(cell(code), "done", tools=[show]).run("go")
    assert given == [
        {"a": 1, "b": "b", "c": None}, {"a": 1, "b": "x", "c": None},
        {"a": 2, "b": "b", "c": [1]}, {"a": 3, "b": "b", "c": None},
    ]  # fmt: skip
    assert of_kind(result, "tool.started")[1].data["arguments"] == {"a": 1}


async def test_code_gets_values_and_not_their_text() -> None:
    class Page(BaseModel):
        title: str
        n: int

    @tool
    async def page() -> Page:
        """A page."""
        return Page(title="x", n=3)

    @tool
    async def text() -> str:
        """A text."""
        return '{"a": 1}'

    code = "p = page()\nt = text()\n[p['n'] + 1, type(t).__name__, len(find('x', 5))]"
    result = await codeact(cell(code), "done", tools=[page, text, find]).run("go")
    assert told(result) == ["Output:\n=> [4, 'str', 5]"]


async def test_calls_may_be_awaited_and_run_at_once() -> None:
    code = (
        "import asyncio\n"
        "found = await asyncio.gather(add(1), add(2), add(3))\n"
        "one = await add(9)\n[found, one]"
    )
    result = await codeact(cell(code), "done").run("go")
    assert told(result) == ["Output:\n=> [[2, 3, 4], 10]"]


async def test_a_name_that_was_bound_is_a_function_again_in_the_next_cell() -> None:
    result = await codeact(cell("add = 5\nadd"), cell("add(1)"), "done").run("go")
    assert told(result) == ["Output:\n=> 5", "Output:\n=> 2"]


async def test_only_the_first_block_runs_and_the_model_is_told() -> None:
    reply = "```python\nx = 1\nx\n```\nOutput: 99\n```python\nx = 2\n```\n```py\nx = 3\n```"
    result = await codeact(reply, "done").run("go")
    assert told(result) == [
        "Output:\n=> 1\n(Only the first block of code ran, not the 2 behind it. "
        "Write one block in a reply.)"
    ]
    assert "99" not in "".join(result.scratchpad)


async def test_long_output_is_cut_in_the_middle() -> None:
    dialect = CodeAct(SANDBOX, max_output_chars=200)
    result = await codeact(cell("print('a' * 5000 + 'end')"), "done", dialect=dialect).run("go")
    (output,) = told(result)
    assert "characters left out" in output
    assert output.endswith("end")
    assert len(output) < 300


async def test_native_calls_that_nobody_offered_become_code() -> None:
    result = await codeact(call("add", a=1), "done").run("go")
    assert told(result) == ["Output:\n=> 2"]


async def test_a_file_and_a_module_of_the_sandbox_can_be_used(tmp_path: Any) -> None:
    (tmp_path / "in.txt").write_text("tea")
    sandbox = Sandbox(
        mounts=[Mount("in.txt", tmp_path / "in.txt")],
        modules=[Module("config", {"version": "v2"})],
        values={"x": 42},
    )
    code = "import config\n[open('in.txt').read(), config.version, x]"
    result = await codeact(cell(code), "done", dialect=CodeAct(sandbox)).run("go")
    assert told(result) == ["Output:\n=> ['tea', 'v2', 42]"]


async def test_thinking_tags_are_told_as_thinking() -> None:
    dialect = CodeAct(SANDBOX, thinking_tag="intent")
    agent = codeact("<intent>add it</intent>\n" + cell("add(1)"), "done", dialect=dialect)
    result = await agent.run("go")
    (thinking,) = of_kind(result, "thinking")
    assert thinking.data == {"call_id": "model-0", "text": "add it"}
    assert "between <intent> and </intent>" in result.messages[0].text
    assert "<intent>add it</intent>" in result.scratchpad[0]


# --- what goes wrong ------------------------------------------------------------------------------


async def test_an_error_in_the_code_is_feedback() -> None:
    result = await codeact(cell("x = 1\nx / 0"), cell("x"), "done").run("go")
    assert told(result)[0].startswith(
        "Output:\nError: line 2:\n    x / 0\n    ^^^^^\nZeroDivisionError"
    )
    assert told(result)[1] == "Output:\n=> 1"
    assert executed(result)[0]["error"] == {"kind": "code", "type": "ZeroDivisionError"}


@pytest.mark.parametrize(
    ("code", "kind"),
    [("x = (", "syntax"), ("while True: pass", "limit"), ("a = [0] * 10**9", "limit")],
)
async def test_whatever_ends_a_cell_is_feedback(code: str, kind: str) -> None:
    sandbox = Sandbox(time_limit_s=0.3, memory_limit_mb=64)
    result = await codeact(
        cell("y = 7"), cell(code), cell("y"), "done", dialect=CodeAct(sandbox)
    ).run("go")
    assert executed(result)[1]["error"]["kind"] == kind
    assert told(result)[2] == "Output:\n=> 7"
    assert result.output == "done"


async def test_an_unknown_function_is_told_with_the_one_that_may_be_meant() -> None:
    result = await codeact(cell("ad(1)"), "done").run("go")
    assert told(result)[0].endswith("Did you mean add()?")


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("add('x')", "TypeError"),
        ("add()", "TypeError"),
        ("add(1, 2, 3)", "TypeError: add() takes 2 positional arguments but 3 were given"),
        ("add(1, c=2)", "TypeError"),
        ("fail('ValueError')", "ValueError: no"),
        ("fail('KeyError')", "KeyError"),
        ("fail('ToolError')", "RuntimeError"),
        ("fail('Odd')", "RuntimeError: Odd: no"),
    ],
)
async def test_a_failing_call_is_an_exception_that_the_code_can_catch(
    code: str, shown: str
) -> None:
    class Odd(Exception):
        pass

    errors = {"ValueError": ValueError("no"), "KeyError": KeyError("no"), "Odd": Odd("no"),
              "ToolError": ToolError("fail", "no")}  # fmt: skip

    @tool
    async def fail(kind: str) -> None:
        """Fail."""
        raise errors[kind]

    caught = (
        f"try:\n    {code}\nexcept Exception as error:\n    print('caught', type(error).__name__)"
    )
    result = await codeact(cell(code), cell(caught), "done", tools=[add, fail]).run("go")
    assert shown in told(result)[0]
    assert f"caught {shown.partition(':')[0]}" in told(result)[1]


async def test_a_text_with_a_marker_of_ours_ends_nothing() -> None:
    @tool
    async def read() -> str:
        """Read."""
        return "<finish>x</finish> final_answer finish(1)"

    result = await codeact(cell("read()"), "done", tools=[read]).run("go")
    assert result.output == "done"


async def test_a_tool_that_may_fail_the_run_fails_it_from_code() -> None:
    @tool(on_error="fail")
    async def boom() -> None:
        """Boom."""
        raise ValueError("broken")

    code = "try:\n    boom()\nexcept Exception:\n    pass"
    with pytest.raises(ToolError, match="broken") as caught:
        await codeact(cell(code), tools=[boom]).run("go")
    check_tree(vars(caught.value)["result"].events)


async def test_a_limit_that_code_reaches_cannot_be_caught_in_it() -> None:
    code = "while True:\n    try:\n        add(1)\n    except Exception:\n        pass"
    with pytest.raises(LimitExceeded, match="max_tool_calls"):
        await codeact(cell(code), limits=RunLimits(max_tool_calls=5)).run("go")
    agent = codeact(cell(code), limits=RunLimits(max_tool_calls=5, on_limit="return"))
    result = await agent.run("go")
    assert result.status == "limited"
    assert result.usage.tool_calls == 5


async def test_turns_are_limited_as_everywhere() -> None:
    limits = RunLimits(max_turns=2, on_limit="return")
    result = await codeact(*[cell("add(1)")] * 2, limits=limits).run("go")
    assert (result.status, result.iterations) == ("limited", 2)


async def test_more_than_a_thousand_calls_are_no_matter() -> None:
    result = await codeact(cell("sum(add(n) for n in range(1500))"), "done").run("go")
    assert told(result) == ["Output:\n=> 1125750"]
    assert result.usage.tool_calls == 1501


# --- finishing ------------------------------------------------------------------------------------


class Report(BaseModel):
    title: str
    pages: int


@pytest.mark.parametrize(
    "code",
    [
        "if True:\n    finish('yes')\nadd(99)",
        "for n in range(3):\n    if n == 1:\n        finish('yes')\nadd(99)",
        "def end():\n    try:\n        finish('yes')\n    except BaseException:\n        add(99)\n"
        "    finally:\n        add(98)\nend()",
        "print('a')\nfinish('yes')\nprint('b')\nadd(99)",
        "import asyncio\nawait asyncio.gather(finish('yes'))\nadd(99)",
        "x = [finish('yes') for _ in range(3)]",
    ],
)
async def test_finish_ends_the_run_wherever_it_stands(code: str) -> None:
    result = await codeact(cell(code)).run("go")
    assert result.output == "yes"
    assert [each.data["tool"] for each in of_kind(result, "tool.started")] == ["python", "finish"]
    assert of_kind(result, "run.completed")


@pytest.mark.parametrize(
    "reply",
    [
        cell("finish({'title': 'x', 'pages': 3})"),
        cell("finish(title='x', pages=3)"),
        cell("finish(answer={'title': 'x', 'pages': '3'})"),
        '<finish>{"title": "x", "pages": 3}</finish>',
        cell("add(1)") + '<finish>{"title": "x", "pages": 3}</finish>',
        '{"title": "x", "pages": 3}',
        'It is\n```json\n{"title": "x", "pages": 3}\n```',
    ],
)
@pytest.mark.parametrize("output_type", [Report, Report.model_json_schema()])
async def test_an_answer_is_checked_on_every_path(reply: str, output_type: Any) -> None:
    wrong = [cell("finish({'title': 'x'})"), '<finish>{"title": "x"}</finish>', "no JSON"]
    if not isinstance(output_type, type) and "'3'" in reply:
        pytest.skip("a JSON Schema takes no text for a number")
    for mistake in wrong:
        result = await codeact(mistake, reply, output_type=output_type).run("go")
        assert Report.model_validate(result.output) == Report(title="x", pages=3)
        assert "pages" in told(result)[0]
        (retried,) = of_kind(result, "model.retried", "tool.invalid")
        assert retried


async def test_a_wrong_answer_counts_as_a_correction() -> None:
    with pytest.raises(InvalidOutput, match="in 3 tries"):
        await codeact(*[cell("finish({})")] * 3, output_type=Report).run("go")
    code = "while True:\n    try:\n        finish({})\n    except Exception:\n        pass"
    with pytest.raises(InvalidOutput):
        await codeact(cell(code), output_type=Report).run("go")


@pytest.mark.parametrize(
    ("code", "output"),
    [("finish(42)", "42"), ("finish([1, None])", "[1,null]"), ("finish('')", "")],
)
async def test_any_answer_is_text_for_who_wants_text(code: str, output: str) -> None:
    assert (await codeact(cell(code)).run("go")).output == output


async def test_any_answer_is_taken_as_it_is_for_who_wants_anything() -> None:
    result = await codeact(cell("finish({'a': [1, 2.5]})"), output_type=Any).run("go")
    assert result.output == {"a": [1, 2.5]}


async def test_an_agent_may_finish_in_its_own_way() -> None:
    sent: list[str] = []

    @tool
    async def submit(title: str, pages: int = 1) -> dict[str, Any]:
        """Submit the report."""
        sent.append(title)
        return {"title": title.upper(), "pages": pages}

    dialect = CodeAct(SANDBOX, finish=submit)
    agent = codeact(cell("submit('x', pages=2)\nadd(1)"), dialect=dialect, output_type=Report)
    result = await agent.run("go")
    assert result.output == Report(title="X", pages=2)
    assert sent == ["x"]
    assert "def submit(title: str, pages: int = 1)" in result.messages[0].text
    assert "call submit(…)" in result.messages[0].text
    assert "def finish(" not in result.messages[0].text


async def test_what_ones_own_finish_returns_is_checked_as_well() -> None:
    @tool
    async def submit(pages: int) -> dict[str, Any]:
        """Submit the report."""
        return {"title": "x", "pages": "many"} if pages > 5 else {"title": "x", "pages": pages}

    dialect = CodeAct(SANDBOX, finish=submit)
    agent = codeact(cell("submit(9)"), cell("submit(2)"), dialect=dialect, output_type=Report)
    result = await agent.run("go")
    assert result.output == Report(title="x", pages=2)
    assert "the answer does not fit" in told(result)[0]


async def test_a_tool_may_finish_too() -> None:
    @tool
    async def stop() -> None:
        """Stop."""
        raise Finish("stopped")

    assert (await codeact(cell("stop()\nadd(1)"), tools=[stop, add]).run("go")).output == "stopped"


# --- the same as everywhere -----------------------------------------------------------------------


async def test_sub_agents_are_functions_at_any_depth() -> None:
    grand = codeact(cell("finish(add(1))"), name="grand")
    kid = codeact(cell("finish('kid ' + grand('x'))"), name="kid", subagents=[grand])
    boss = codeact(cell("finish('boss ' + kid('y'))"), subagents=[kid])
    result = await boss.run("go")
    assert result.output == "boss kid 2"
    paths = [each.path for each in of_kind(result, "run.started")]
    assert paths == [
        "root", "root/python[0]/kid[0]", "root/python[0]/kid[0]/python[0]/grand[0]",
    ]  # fmt: skip
    assert result.tree_usage.requests == 3
    check_tree(result.events)


async def test_a_failing_child_is_an_exception_in_the_code() -> None:
    kid = Agent(ScriptedModel([]), name="kid")
    code = "try:\n    kid('x')\nexcept Exception as e:\n    print(type(e).__name__)"
    result = await codeact(cell(code), "done", subagents=[kid]).run("go")
    assert told(result) == ["Output:\nRuntimeError"]


async def test_hooks_see_the_calls_that_code_makes() -> None:
    class Watch(Middleware):
        async def before_tool(self, ctx: RunContext[Any], call: ToolCall) -> Any:
            if call.name == "find":
                return "nothing found"
            return None

        async def after_tool(
            self, ctx: RunContext[Any], call: ToolCall, message: ToolMessage
        ) -> ToolMessage | None:
            if call.name == "add":
                return ToolMessage(call.id, call.name, "hidden")
            return None

    result = await codeact(cell("[find('x'), add(1)]"), "done", middleware=[Watch()]).run("go")
    assert told(result) == ["Output:\n=> ['nothing found', 'hidden']"]


async def test_a_shared_sandbox_shares_no_variables() -> None:
    agent = codeact(cell("x = 1"), "a", cell("x"), "b")
    await agent.run("go")
    assert "NameError" in told(await agent.run("go"))[0]


async def test_many_tasks_at_once_each_have_variables_of_their_own() -> None:
    def answer(request: Any) -> str:
        task = request.messages[1].text
        if len(request.messages) == 2:
            return cell(f"x = {task!r}\nadd(len(x))")
        return cell("finish(x)")

    agent = Agent(FunctionModel(answer), tools=[add], dialect=CodeAct(SANDBOX))
    tasks = [f"task {n}" for n in range(12)]
    assert [result.output for result in await agent.map(tasks)] == tasks


async def test_a_listener_of_the_agent_hears_of_its_code() -> None:
    heard: list[str] = []
    agent = codeact(cell("add(1)"), "done")

    @agent.on("code.executed")
    def show(event: Event) -> None:
        heard.append(event.data["output"])

    await agent.run("go")
    assert heard == ["=> 2"]


async def test_a_session_keeps_variables_also_those_of_the_last_cell() -> None:
    agent = codeact(
        cell("x = add(1)"), cell("y = x + 1\nfinish('one')\nz = 9"), cell("[x, y]"), cell("z"),
        "two", cell("x"), "three",
    )  # fmt: skip
    session = SubAgentSession(agent)
    await session.send("first")
    other = session.fork()
    second = await session.send("second")
    assert told(second)[0] == "Output:\n=> [2, 3]"
    assert "NameError" in told(second)[1]
    assert told(await other.send("third"))[0] == "Output:\n=> 2"
    calls = [each for each in of_kind(second, "tool.started") if each.data["tool"] == "add"]
    assert calls == []


async def test_a_session_that_is_reset_has_no_variables() -> None:
    session = SubAgentSession(codeact(cell("x = add(1)"), "one", cell("x"), "two"))
    await session.send("first")
    session.reset()
    assert "NameError" in told(await session.send("second"))[0]


async def test_a_session_that_was_saved_has_its_variables() -> None:
    sandbox = Sandbox(key=b"0123456789abcdef")
    dialect = CodeAct(sandbox)
    session = SubAgentSession(codeact(cell("x = add(1)\nfinish('ok')"), dialect=dialect))
    await session.send("first")
    other = Sandbox(key=b"0123456789abcdef")
    agent = codeact(cell("x"), "done", dialect=CodeAct(other))
    again = SubAgentSession.load(session.save(), agent)
    assert told(await again.send("second"))[0] == "Output:\n=> 2"
    agent = codeact(cell("x"), "done", dialect=CodeAct(Sandbox()))
    lost = SubAgentSession.load(session.save(), agent)
    assert "variables of earlier turns are gone" in told(await lost.send("second"))[0]


async def test_a_native_agent_may_have_a_code_interpreter() -> None:
    python = PythonTool(SANDBOX, functions=["add"])
    model = ScriptedModel(
        [call("python", code="x = add(1)\nx"), call("python", code="x + 1"), "done"]
    )
    result = await Agent(model, tools=[add, python]).run("go")
    assert [m.text for m in result.messages if m.role == "tool"] == ["=> 2", "=> 3"]
    assert "Tools of yours that the code may call: add()." in model.requests[0].tools[1].description
    assert of_kind(result, "tool.started")[1].path == "root"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thinking_tag": "<x>"}, "thinking_tag="),
        ({"max_output_chars": 1}, "max_output_chars="),
        ({"max_saved_mb": -1}, "max_saved_mb="),
        ({"sandbox": 5}, "sandbox="),
        ({"prompt": 5}, "prompt="),
    ],
)
def test_wrong_options_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CodeAct(**options)


def test_names_that_codeact_needs_are_refused() -> None:
    @tool
    async def python() -> None:
        """Python."""

    @tool
    async def finish() -> None:
        """Finish."""

    with pytest.raises(ConfigError, match="'python', which codeact needs"):
        codeact(tools=[python])
    with pytest.raises(ConfigError, match="'finish', which output_type needs"):
        codeact(tools=[finish])
    with pytest.raises(ConfigError, match="works in the background"):
        codeact(subagents=[Agent("test", name="kid")], background=True)


def _price(tea: str) -> float:
    """What tea costs."""
    return 2.5 * len(tea)


async def test_the_model_is_told_what_the_sandbox_has(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text("{}")
    (tmp_path / "out").mkdir()
    sandbox = Sandbox(
        tools={"price": _price},
        mounts=[
            Mount("in.json", tmp_path / "in.json"),
            Mount("/o", tmp_path / "out", writable=True),
        ],
        modules=[Module("config", {"version": 2, "flag": len})],
        values={"tea": "x"},
    )
    result = await codeact("end", dialect=CodeAct(sandbox)).run("go")
    for said in (result.messages[0].text, PythonTool(sandbox).spec.description):
        assert 'def price(tea: str) -> float:\n    """What tea costs."""' in said
        assert (
            "There are also:\n- the file in.json, to read\n- the folder /o, to read and write\n"
            "- the module config, with version, flag()\n- the variable tea"
        ) in said
    assert "There are also" not in (await codeact("end").run("go")).messages[0].text


def test_a_tool_and_one_of_the_sandbox_have_different_names() -> None:
    sandbox = Sandbox(tools={"add": _price})
    with pytest.raises(ConfigError, match="'add' is a tool of the sandbox already"):
        codeact("end", dialect=CodeAct(sandbox))
    with pytest.raises(ConfigError, match="'add' is a tool of the sandbox already"):
        PythonTool(sandbox, functions=["add"])
