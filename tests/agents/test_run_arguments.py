"""What a run is given beside its task is checked before anything happens."""

from typing import Any

import pytest
from pydantic import BaseModel

from tinyagents import Agent, ConfigError, MemoryJournal
from tinyagents.graph import END, START, StateGraph
from tinyagents.testing import ScriptedModel

pytestmark = pytest.mark.anyio


class Nothing(BaseModel):
    pass


async def do_nothing(_: Nothing) -> None:
    pass


@pytest.mark.parametrize("is_kept", [False, True])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"run_id": 7}, "run_id=7: give a text"),
        ({"sink": 3}, r"sink=3: give an EventSink\(\)"),
        ({"journal": "runs.db"}, r"journal='runs.db': give a journal, .*Journal\('runs.db'\)"),
        ({"journal": 3}, r"journal=3: give a journal, such as SqliteJournal\('runs.db'\)"),
    ],
)
async def test_of_a_wrong_type_the_error_says_what_to_give(
    given: dict[str, Any], message: str, is_kept: bool
) -> None:
    options: dict[str, Any] = {"journal": MemoryJournal(), **given} if is_kept else given
    model = ScriptedModel(["a"])
    with pytest.raises(ConfigError, match=message):
        await Agent(model).run("t", **options)
    assert model.requests == []
    graph = StateGraph(Nothing).add_node("n", do_nothing).add_sequence(START, "n", END).compile()
    with pytest.raises(ConfigError, match=message):
        await graph.run({}, **options)
