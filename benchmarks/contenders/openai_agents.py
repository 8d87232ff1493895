"""openai-agents: `Agent.as_tool` is its way to delegate and come back."""

import json
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from benchmarks.workload import TASK, Contender, Gate, Workload, answer_leaf

# Through import_module, as Any: the checks of this project run where no peer is installed.
lib: Any = import_module("agents")
responses: Any = import_module("openai.types.responses")

Decide = Callable[[list[Any]], Awaitable[list[Any]]]


class FakeModel(lib.Model):  # type: ignore[misc]  # the base is Any, and no duck type will do
    def __init__(self, decide: Decide) -> None:
        self._decide = decide

    async def get_response(self, *, input: Any, **_: object) -> Any:
        usage = lib.Usage(requests=1, input_tokens=1, output_tokens=1, total_tokens=2)
        return lib.ModelResponse(await self._decide(input), usage, None)

    def stream_response(self, **_: object) -> Any:
        raise RuntimeError("the benchmark does not stream")


def say(text: str) -> list[Any]:
    part = responses.ResponseOutputText(annotations=[], text=text, type="output_text")
    return [
        responses.ResponseOutputMessage(
            id="m", content=[part], role="assistant", status="completed", type="message"
        )
    ]


def call(name: str, turn: int, *arguments: dict[str, str]) -> list[Any]:
    return [
        responses.ResponseFunctionToolCall(
            arguments=json.dumps(each), call_id=f"{turn}-{i}", name=name, type="function_call"
        )
        for i, each in enumerate(arguments)
    ]


async def echo(text: str) -> str:
    """Repeat a text."""
    return text


def agent(name: str, decide: Decide, tools: list[Any]) -> Any:
    return lib.Agent(name=name, model=FakeModel(decide), tools=tools)


def leaf(gate: Gate | None) -> Any:
    async def decide(_: list[Any]) -> list[Any]:
        return say(await answer_leaf(gate))

    return agent("leaf", decide, [])


def delegator(child: Any, n: int) -> Any:
    async def decide(messages: list[Any]) -> list[Any]:
        if len(messages) == 1:
            return call("ask", 0, *({"input": f"go {i}"} for i in range(n)))
        # Each call and each result is an item of its own in this library.
        return say(f"{(len(messages) - 1) // 2} {messages[-1]['output']}")

    return agent("boss", decide, [child.as_tool("ask", "Ask the sub-agent.")])


def workload(root: Any) -> Workload:
    async def run() -> str:
        return str((await lib.Runner.run(root, TASK)).final_output)

    return run


class OpenAIAgents(Contender):
    """`Runner.run` with tracing on: traces and spans are built, but no processor sends them."""

    def __init__(self) -> None:
        # The only default processor is the one that uploads.
        lib.set_trace_processors([])

    def chain(self, levels: int, gate: Gate | None = None) -> Workload:
        root = leaf(gate)
        for _ in range(levels):
            root = delegator(root, 1)
        return workload(root)

    def turns(self, n: int) -> Workload:
        async def decide(messages: list[Any]) -> list[Any]:
            turn = len(messages) // 2
            if turn < n - 1:
                return call("echo", turn, {"text": str(turn)})
            return say(messages[-1].get("output") or messages[-1]["content"])

        return workload(agent("worker", decide, [lib.function_tool(echo)]))

    def fan_out(self, n: int, gate: Gate | None = None) -> Workload:
        return workload(delegator(leaf(gate), n))
