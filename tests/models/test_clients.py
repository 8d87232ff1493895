"""One model object serves many tasks, several event loops, and leaves nothing open behind it."""

import subprocess
import sys
import threading
from contextlib import aclosing

import anyio
import httpx2
import pytest

from tests.models.exchange import Side, asking, collected
from tests.models.formats import answered, streamed
from tests.models.wire import Gate, WireServer
from tinyagents.messages import UserMessage
from tinyagents.models import Model
from tinyagents.models.http import events

BACKENDS = ("asyncio", "trio")


async def _text(model: Model, text: str = "Hi") -> str:
    _, reply = await collected(model, asking(UserMessage(text)))
    return reply.message.text


@pytest.mark.anyio
async def test_a_connection_serves_one_request_after_another(side: Side, wire: WireServer) -> None:
    model = side.make(wire.url)
    wire.reply(*[streamed(side.hello)] * 3)
    for _ in range(3):
        assert await _text(model) == "Hello"
    assert len({request.connection for request in wire.requests}) == 1


@pytest.mark.anyio
async def test_a_connection_is_kept_although_its_answer_s_end_comes_late(wire: WireServer) -> None:
    late = Gate()

    def is_last(event: httpx2.ServerSentEvent) -> bool:
        late.open()
        return True

    wire.reply(streamed(b"data: 1\n\n", late), streamed(b"data: 2\n\n"))
    async with httpx2.AsyncClient() as client:
        for number in (1, 2):
            request = client.build_request("POST", wire.url, json={})
            response = await client.send(request, stream=True)
            async with aclosing(events(response, is_last=is_last, timeout_s=None)) as source:
                assert [event.data async for event in source] == [str(number)]
    assert len({request.connection for request in wire.requests}) == 1


@pytest.mark.anyio
async def test_models_of_the_same_place_share_connections(side: Side, wire: WireServer) -> None:
    wire.reply(*[streamed(side.hello)] * 2)
    for model in (side.make(wire.url), side.make(wire.url)):
        assert await _text(model) == "Hello"
    assert len({request.connection for request in wire.requests}) == 1


@pytest.mark.anyio
async def test_many_tasks_may_ask_at_once(side: Side, wire: WireServer) -> None:
    model, n = side.make(wire.url), 20
    all_there = Gate()
    wire.reply(*[streamed(all_there, side.hello)] * n)
    answers: list[str] = []

    async def ask(number: int) -> None:
        answers.append(await _text(model, f"number {number}"))

    async with anyio.create_task_group() as tasks:
        for number in range(n):
            tasks.start_soon(ask, number)
        await wire.has(n)
        all_there.open()
    assert answers == ["Hello"] * n
    asked = {str(request.body["messages"]) for request in wire.requests}
    assert len(asked) == n


def test_one_event_loop_after_another_may_ask(side: Side, wire: WireServer) -> None:
    model = side.make(wire.url)
    wire.reply(*[streamed(side.hello)] * 4)
    for backend in BACKENDS * 2:
        assert anyio.run(_text, model, backend=backend) == "Hello"
    assert len({request.connection for request in wire.requests}) == 4


def test_event_loops_in_several_threads_may_ask_at_once(side: Side, wire: WireServer) -> None:
    model, n = side.make(wire.url), 4
    all_there = Gate()
    wire.reply(*[streamed(all_there, side.hello)] * n)
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(anyio.run(_text, model, backend="asyncio")))
        for _ in range(n)
    ]
    for thread in threads:
        thread.start()
    anyio.run(wire.has, n)
    all_there.open()
    for thread in threads:
        thread.join()
    assert answers == ["Hello"] * n


# A stream that is read to its end, one that is left in the middle, and an answer in one piece; then
# the program ends. Spans that an SDK makes on its own would be printed.
SCRIPT = """
import gc, sys
from contextlib import aclosing
import anyio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from tests.models.exchange import asking
from tinyagents.models import resolve

async def main():
    model = resolve(sys.argv[1])
    async with aclosing(model.stream(asking())) as items:
        print([item async for item in items][-1].message.text)
    async with aclosing(model.stream(asking())) as items:
        print((await anext(items)).text)
    await model.request(asking())

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
trace.set_tracer_provider(provider)
for backend in ("asyncio", "trio"):
    anyio.run(main, backend=backend)
gc.collect()
"""


def test_a_program_ends_without_a_warning(side: Side, wire: WireServer) -> None:
    if side.provider == "anthropic":
        wire.reply(*[streamed(side.hello)] * 6)
    else:
        whole = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
        wire.reply(*[streamed(side.hello), streamed(side.hello), answered(whole)] * 2)
    url = f"{wire.url}/v1" if side.provider == "openai" else wire.url
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, f"{side.provider}:claude-1"],
        env={"PYTHONPATH": ":".join(sys.path), f"{side.provider.upper()}_BASE_URL": url},
        capture_output=True,
        text=True,
    )
    assert (done.stdout.split(), done.stderr) == (["Hello", "Hello"] * 2, "")
    assert done.returncode == 0
