"""pydantic-ai: an agent inside a tool, sharing usage, is its documented delegation."""

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from benchmarks.workload import TASK, Contender, Gate, Workload, answer_leaf

# Through import_module, as Any: the checks of this project run where no peer is installed.
lib: Any = import_module("pydantic_ai")
messages_: Any = import_module("pydantic_ai.messages")
usage: Any = import_module("pydantic_ai.usage")
FunctionModel: Any = import_module("pydantic_ai.models.function").FunctionModel

Decide = Callable[[list[Any], Any], Awaitable[Any]]

# The default of 50 requests counts the whole delegation and would stop 1,000 sub-agents.
LIMITS: Any = usage.UsageLimits(request_limit=100_000)


def reply(*parts: Any) -> Any:
    # Usage is given, or FunctionModel estimates it from the whole history at every turn.
    spent = usage.RequestUsage(input_tokens=1, output_tokens=1)
    return messages_.ModelResponse(parts=list(parts), usage=spent)


def say(text: str) -> Any:
    return reply(messages_.TextPart(text))


def call(name: str, turn: int, *arguments: dict[str, str]) -> Any:
    return reply(
        *(
            messages_.ToolCallPart(name, each, tool_call_id=f"{turn}-{i}")
            for i, each in enumerate(arguments)
        )
    )


async def echo(text: str) -> str:
    """Repeat a text."""
    return text


def agent(decide: Decide, tools: list[Any]) -> Any:
    return lib.Agent(FunctionModel(decide), tools=tools)


def leaf(gate: Gate | None) -> Any:
    async def decide(_: list[Any], __: Any) -> Any:
        return say(await answer_leaf(gate))

    return agent(decide, [])


def delegator(child: Any, n: int) -> Any:
    async def ask(ctx: Any, input: str) -> str:
        """Ask the sub-agent."""
        result = await child.run(input, usage=ctx.usage, usage_limits=LIMITS)
        return str(result.output)

    # The library reads it at run time; in the signature it would be a type no checker can see.
    ask.__annotations__["ctx"] = lib.RunContext[None]

    async def decide(messages: list[Any], _: Any) -> Any:
        if len(messages) == 1:
            return call("ask", 0, *({"input": f"go {i}"} for i in range(n)))
        parts = messages[-1].parts
        return say(f"{len(parts)} {parts[-1].content}")

    return agent(decide, [lib.Tool(ask, takes_ctx=True)])


def workload(root: Any) -> Workload:
    async def run() -> str:
        return str((await root.run(TASK, usage_limits=LIMITS)).output)

    return run


class PydanticAI(Contender):
    """`Agent.run` on its own `FunctionModel`, not instrumented, which is its default."""

    def chain(self, levels: int, gate: Gate | None = None) -> Workload:
        root = leaf(gate)
        for _ in range(levels):
            root = delegator(root, 1)
        return workload(root)

    def turns(self, n: int) -> Workload:
        async def decide(messages: list[Any], _: Any) -> Any:
            turn = len(messages) // 2
            if turn < n - 1:
                return call("echo", turn, {"text": str(turn)})
            return say(str(messages[-1].parts[-1].content))

        return workload(agent(decide, [lib.Tool(echo)]))

    def fan_out(self, n: int, gate: Gate | None = None) -> Workload:
        return workload(delegator(leaf(gate), n))
