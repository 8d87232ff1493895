"""Data as a variable of a sandbox: looked at from there, and never sent there."""

from functools import partial
from typing import Any

import pytest

from tinyagents.data import Data, as_data
from tinyagents.data.variable import LOOK, PRELUDE, assignment, is_variable, look
from tinyagents.sandbox import CellResult, HostCall, Sandbox, Session

pytestmark = pytest.mark.anyio

TEXT = "".join(f"line {n} of a text\n" for n in range(30_000))


async def _answer(data: Data, given: list[Any], call: HostCall) -> Any:
    if call.name == LOOK:
        return await look(data, *call.args)
    given.extend(call.args)
    return None


async def run(data: Data, *cells: str, given: list[Any] | None = None) -> list[CellResult]:
    answer = partial(_answer, data, [] if given is None else given)
    with Sandbox() as box:
        async with box.session(functions=(LOOK, "hand_on")) as session:
            await start(session, data, answer)
            return [await session.run(cell, on_call=answer) for cell in cells]


async def start(session: Session, data: Data, answer: Any) -> None:
    made = await session.run(PRELUDE + assignment("context", data), on_call=answer)
    assert made.ok, made.feedback()


async def test_the_code_sees_what_the_host_sees() -> None:
    data = as_data(TEXT)
    looks: dict[str, Any] = {
        "context.length": data.length,
        "len(context)": len(data),
        "len(context[40:90]) + len('four') + len([5])": 55,
        "sorted(['aaa', 'b'], key=len)": ["b", "aaa"],
        "context.kind": "text",
        "context.text(3, 40)": data.text(3, 40),
        "context[-100:-50].text()": data.text(-100, -50),
        "context.slice(50)[10:90].text(5)": data.text(65, 140),
        "context.find('line 20000 ')": data.find("line 20000 "),
        "context[700:].grep('line 2999[0-9]', 3)": data.slice(700).grep("line 2999[0-9]", 3),
        "context.count('7 of')": data.count("7 of"),
        "context.count_lines('5 of')": data.count_lines("5 of"),
        "context.lines(29_998)": data.lines(29_998),
        "[c.length for c in context.chunks(90_000)]": [c.length for c in data.chunks(90_000)],
        "[c.length for c in context.split(7)]": [c.length for c in data.split(7)],
        "context.chunks(1000)[9].text(0, 9)": data.chunks(1000)[9].text(0, 9),
    }
    for (code, expected), result in zip(looks.items(), await run(data, *looks), strict=True):
        assert (code, result.error, result.value) == (code, None, expected)


async def test_folders_and_records_are_looked_at_too(tmp_path: Any) -> None:
    (tmp_path / "a.txt").write_text("alpha\nbeta\n")
    (tmp_path / "b.txt").write_text("gamma\n")
    names, part, text = await run(
        as_data(tmp_path),
        "context.names()",
        "context[1:].names()",
        "context.file('a.txt')[6:].text()",
    )
    assert (names.value, part.value, text.value) == (["a.txt", "b.txt"], ["b.txt"], "beta\n")
    records = [{"n": n} for n in range(9)]
    one, some = await run(as_data(records), "context.record(4)", "context[2:4].records()")
    assert (one.value, some.value) == ({"n": 4}, [{"n": 2}, {"n": 3}])
    mistakes = await run(as_data(records), "context[4]", "[each['n'] for each in context]")
    assert ["data.record(i)" in mistakes[0].feedback(), "data.records()" in mistakes[1].feedback()]


async def test_mistakes_are_raised_where_they_can_be_caught() -> None:
    mistakes = {
        "context.text()": "more than the 2,000,000 characters",
        "context.lines()": "more than the 2,000,000 characters",
        "context.chunks(1)": "more than 100,000 parts",
        "context.chunks(0)": "parts",
        "context.chunks('a')": "TypeError",
        "context.find(7)": "Error",
        "_look()": "TypeError",
        "_look([0, 5], 'slice')": "there is no 'slice'",
        "_look([0, 0.5], 'text')": "is no part of the data",
        "context[3]": "data[start:stop] is a part of it, and data.text(start, stop) what is in it",
        "context[::2]": "data[start:stop] is a part",
        "'a' in context": "write data.find(text) >= 0 instead of: text in data",
        "for line in context:\n    pass": "write data.lines() or data.chunks(chars) after: in",
        "context.split('\\n')": "data.split(n) makes n parts; see lines() and chunks(chars)",
        "context.split(0)": "data.split(n) makes n parts",
        "len(5)": "object of type 'int' has no len()",
        "context.grep('(a')": "ValueError: pattern '(a'",
        "d = context[0:5]\nd.ref = [0, 99_999_999]\nd.text()": "does not lie in",
        "context.record(1)": "has no records",
    }
    results = await run(as_data(TEXT * 9), *mistakes)
    for told, result in zip(mistakes.values(), results, strict=True):
        assert told in result.feedback()
    (caught,) = await run(
        as_data("abc"), "try:\n    context.grep('(a')\nexcept ValueError:\n    print('no')"
    )
    assert caught.printed == "no\n"


async def test_a_part_is_handed_on_as_a_reference() -> None:
    given: list[Any] = []
    await run(as_data(TEXT), "hand_on('count', context[100:90_100])", given=given)
    _, part = given
    assert is_variable(part)
    assert as_data(TEXT).at(part["ref"]).text() == TEXT[100:90_100]


async def test_it_is_written_down_with_the_session() -> None:
    data = as_data(TEXT)
    answer = partial(_answer, data, [])
    with Sandbox() as box:
        async with box.session(functions=(LOOK,)) as session:
            await start(session, data, answer)
            await session.run("part = context[18:36]", on_call=answer)
            written = await session.dump()
        assert len(written) < 20_000
        async with box.session(functions=(LOOK,)) as session:
            await session.restore(written)
            result = await session.run("part.text()", on_call=answer)
    assert result.value == TEXT[18:36]
