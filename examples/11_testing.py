"""Testing an agent: a script instead of a model, the events as the trace of what happened."""

import anyio

from tinyagents import Agent, tool
from tinyagents.testing import ScriptedModel, call, check_tree, no_network, outline


@tool
async def seats(train: str) -> int:
    """Free seats of a train."""
    if train != "IC 8":
        raise LookupError(f"no train {train}")
    return 12


def clerk(model: ScriptedModel) -> Agent:
    return Agent(model, name="clerk", instructions="Sell tickets.", tools=[seats])


async def test_the_clerk_looks_before_it_promises() -> None:
    model = ScriptedModel([call("seats", train="IC 8"), "Yes, 12 are free."])
    result = await clerk(model).run("A seat in the IC 8?")
    assert result.output == "Yes, 12 are free."
    assert outline(result.events) == [
        "run.started clerk",
        "model.started",
        "model.completed",
        "tool.started seats",
        "tool.completed seats",
        "model.started",
        "model.completed",
        "run.completed",
    ]
    assert model.requests[1].messages[-1].text == "12"  # what the model was told
    assert model.left == 0  # and the script was used up


async def test_a_tool_that_fails_does_not_fail_the_run() -> None:
    model = ScriptedModel([call("seats", train="IC 9"), "There is no such train."])
    result = await clerk(model).run("A seat in the IC 9?")
    check_tree(result.events)  # everything that started has ended, nothing is out of order
    failed = [event.data["category"] for event in result.events if event.kind == "tool.failed"]
    assert failed == ["raised"]
    assert "LookupError" in model.requests[1].messages[-1].text


TESTS = [test_the_clerk_looks_before_it_promises, test_a_tool_that_fails_does_not_fail_the_run]

if __name__ == "__main__":  # pytest finds the tests as well, with the anyio plugin
    for test in TESTS:
        with no_network():
            anyio.run(test)
        print("passed:", test.__name__.removeprefix("test_").replace("_", " "))
