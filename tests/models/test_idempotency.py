"""The key that names a model call for its provider: the same whenever the call is made again."""

import pytest

from tests.models.exchange import Side
from tests.models.formats import answered, streamed
from tests.models.wire import Cut, Reply, WireServer
from tinyagents import Agent, AssistantMessage, Fallback, Retry, RunContext, Text
from tinyagents.middleware import Middleware
from tinyagents.models import ModelReply, ModelRequest
from tinyagents.models.openai import OpenAIModel
from tinyagents.testing import FunctionModel, ScriptedModel, call

pytestmark = pytest.mark.anyio

QUICK = Retry(backoff_s=0.001, jitter=0)
BUSY = answered({"error": {"message": "busy"}}, status=503)
HELLO = answered(
    {
        "model": "m-1",
        "choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    }
)


def keys(wire: WireServer) -> list[str | None]:
    return [request.headers.get("idempotency-key") for request in wire.requests]


async def test_all_tries_of_a_call_have_one_key_and_another_run_has_another(
    wire: WireServer,
) -> None:
    agent = Agent(OpenAIModel("m-1", base_url=f"{wire.url}/v1"), retry=QUICK)
    wire.reply(BUSY, Reply((), first=(Cut(),)), HELLO, HELLO, HELLO)
    for run_id in ("r-1", "r-1", "r-2"):
        assert (await agent.run("Hi", run_id=run_id)).output == "Hello"
    tries, again, other = keys(wire)[:3], *keys(wire)[3:]
    assert tries == [again] * 3
    assert None not in tries
    assert other not in (None, again)


async def test_tries_that_stream_have_one_key_too(wire: WireServer, side: Side) -> None:
    agent = Agent(side.make(wire.url), retry=QUICK)
    wire.reply(BUSY, streamed(side.hello))
    async with agent.stream("Hi", run_id="r-1") as run:
        assert (await run.result()).output == "Hello"
    first, second = keys(wire)
    assert first == second
    # Anthropic's API knows no such key, and a header would promise what it does not keep.
    assert (first is None) == (side.provider == "anthropic")


async def test_a_run_whose_id_was_made_up_has_no_key(wire: WireServer) -> None:
    wire.reply(HELLO)
    await Agent(OpenAIModel("m-1", base_url=f"{wire.url}/v1")).run("Hi")
    assert keys(wire) == [None]


async def test_a_model_that_falls_back_is_asked_under_a_key_of_its_own(wire: WireServer) -> None:
    own, spare = (OpenAIModel(name, base_url=f"{wire.url}/v1") for name in ("m-1", "m-2"))
    wire.reply(BUSY, HELLO)
    agent = Agent(own, retry=Retry(attempts=1), middleware=[Fallback(spare)])
    assert (await agent.run("Hi", run_id="r-1")).output == "Hello"
    first, second = keys(wire)
    assert None not in (first, second)
    assert first != second


async def test_each_call_of_a_tree_has_a_key_of_its_own() -> None:
    model = ScriptedModel([call("child", input="a"), "from the child", "done"])
    child = Agent(model, name="child")
    await Agent(model, subagents=[child]).run("go", run_id="r-1")
    assert [request.idempotency_key for request in model.requests] == [
        "r-1#model-0", "r-1/child[0]#model-0", "r-1#model-1",
    ]  # fmt: skip


async def test_a_hook_may_name_the_call_itself() -> None:
    class Named(Middleware):
        async def before_model(self, ctx: RunContext, request: ModelRequest) -> ModelRequest:
            return ModelRequest(request.messages, idempotency_key="mine")

    def answer(request: ModelRequest) -> ModelReply:
        return ModelReply(AssistantMessage((Text(str(request.idempotency_key)),)))

    agent = Agent(FunctionModel(answer), middleware=[Named()])
    assert (await agent.run("go", run_id="r-1")).output == "mine"
