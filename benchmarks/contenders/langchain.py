"""LangChain's `create_agent` on LangGraph: an agent inside a tool is its documented sub-agent."""

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from benchmarks.workload import TASK, Contender, Gate, Workload, answer_leaf

# Through import_module, as Any: the checks of this project run where no peer is installed.
agents: Any = import_module("langchain.agents")
tools: Any = import_module("langchain_core.tools")
messages_: Any = import_module("langchain_core.messages")
outputs: Any = import_module("langchain_core.outputs")
BaseChatModel: Any = import_module("langchain_core.language_models").BaseChatModel

Decide = Callable[[list[Any]], Awaitable[Any]]


class FakeModel(BaseChatModel):  # type: ignore[misc]  # the base is Any, and no duck type will do
    decide: Decide

    @property
    def _llm_type(self) -> str:
        return "fake"

    def _generate(self, *_: object, **__: object) -> Any:
        raise RuntimeError("the benchmark calls the model with ainvoke only")

    async def _agenerate(self, messages: list[Any], *_: object, **__: object) -> Any:
        reply = await self.decide(messages)
        return outputs.ChatResult(generations=[outputs.ChatGeneration(message=reply)])

    def bind_tools(self, *_: object, **__: object) -> "FakeModel":
        return self


def say(text: str) -> Any:
    return messages_.AIMessage(text)


def call(name: str, turn: int, *arguments: dict[str, str]) -> Any:
    calls = [
        {"name": name, "args": each, "id": f"{turn}-{i}", "type": "tool_call"}
        for i, each in enumerate(arguments)
    ]
    return messages_.AIMessage("", tool_calls=calls)


async def echo(text: str) -> str:
    """Repeat a text."""
    return text


def leaf(gate: Gate | None) -> Any:
    async def decide(_: list[Any]) -> Any:
        return say(await answer_leaf(gate))

    return agents.create_agent(FakeModel(decide=decide), name="leaf")


async def final_text(agent: Any, task: str) -> str:
    state = await agent.ainvoke({"messages": [{"role": "user", "content": task}]})
    return str(state["messages"][-1].content)


def delegator(child: Any, n: int) -> Any:
    async def ask(input: str) -> str:
        """Ask the sub-agent."""
        return await final_text(child, input)

    async def decide(messages: list[Any]) -> Any:
        if len(messages) == 1:
            return call("ask", 0, *({"input": f"go {i}"} for i in range(n)))
        return say(f"{len(messages) - 2} {messages[-1].content}")

    return agents.create_agent(FakeModel(decide=decide), tools=[tools.tool(ask)], name="boss")


class LangChain(Contender):
    """`create_agent` without a checkpointer, which is its default."""

    def chain(self, levels: int, gate: Gate | None = None) -> Workload:
        root = leaf(gate)
        for _ in range(levels):
            root = delegator(root, 1)
        return lambda: final_text(root, TASK)

    def turns(self, n: int) -> Workload:
        async def decide(messages: list[Any]) -> Any:
            turn = len(messages) // 2
            if turn < n - 1:
                return call("echo", turn, {"text": str(turn)})
            return say(str(messages[-1].content))

        root = agents.create_agent(FakeModel(decide=decide), tools=[tools.tool(echo)])
        return lambda: final_text(root, TASK)

    def fan_out(self, n: int, gate: Gate | None = None) -> Workload:
        root = delegator(leaf(gate), n)
        return lambda: final_text(root, TASK)
