"""Slow, silent and abandoned answers: what is given up, and what the provider sees of it."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing

import anyio
import pytest

from tests.models.exchange import Side, asking, collected, failed
from tests.models.formats import BEGUN, ENDED, streamed
from tests.models.wire import Drip, Gate, Hang, Reply, Tell, WireServer
from tinyagents.errors import ModelError
from tinyagents.models import Model, ModelDelta, ModelReply

pytestmark = pytest.mark.anyio


def stuck(begun: bytes) -> list[Reply]:
    """Answers that never come to an end: silent ones, and some that only keep the line open."""
    return [
        Reply((), first=(Hang(),)),
        Reply((), first=(Drip(b"HTTP/1.1 102 Processing\r\n\r\n"),)),
        streamed(begun, Hang()),
        streamed(begun, Drip(b"5\r\n: hi\n\r\n")),
    ]


async def test_an_answer_that_gets_stuck_is_given_up_after_timeout_s(
    side: Side, wire: WireServer
) -> None:
    replies, errors = stuck(BEGUN[side.provider]), list[ModelError]()

    async def ask() -> None:
        errors.append(await failed(side, wire, request=asking(timeout_s=0.3)))

    wire.reply(*replies)
    async with anyio.create_task_group() as tasks:
        for _ in replies:
            tasks.start_soon(ask)
    assert len(errors) == len(replies)
    for error in errors:
        assert (error.status, error.retryable) == (None, True)
        assert "no answer in time" in str(error)
    await wire.has(len(replies))
    for request in wire.requests:
        await request.gone.passed()


async def test_a_patience_longer_than_the_sdk_s_own_is_told_to_it(
    side: Side, wire: WireServer
) -> None:
    wire.reply(streamed(side.hello))
    await collected(side.make(wire.url), asking(timeout_s=3600))
    assert wire.requests[0].headers["x-stainless-read-timeout"] == "3600"


async def test_a_slow_answer_is_given_as_it_comes(side: Side, wire: WireServer) -> None:
    gate = Gate()
    wire.reply(streamed(BEGUN[side.provider], gate, ENDED[side.provider]))
    seen: list[ModelDelta | ModelReply] = []
    async with aclosing(side.make(wire.url).stream(asking(timeout_s=10))) as items:
        async for item in items:
            seen.append(item)
            gate.open()
    assert seen[:2] == [ModelDelta("text", "Hel"), ModelDelta("text", "lo")]
    assert isinstance(seen[2], ModelReply)
    assert seen[2].message.text == "Hello"


async def _streaming(model: Model) -> None:
    await collected(model)


async def _requesting(model: Model) -> None:
    await model.request(asking())


@pytest.mark.parametrize("ask", [_streaming, _requesting])
@pytest.mark.parametrize("begun", [False, True], ids=["before the answer", "in the middle"])
async def test_cancellation_passes_through_and_closes_the_connection(
    side: Side, wire: WireServer, begun: bool, ask: Callable[[Model], Awaitable[None]]
) -> None:
    there = Gate()
    wire.reply(
        streamed(BEGUN[side.provider], Tell(there), Hang())
        if begun
        else Reply((), first=(Tell(there), Hang()))
    )
    came_back: list[str] = []

    async def asking_in_vain() -> None:
        try:
            await ask(side.make(wire.url))
        except BaseException as error:
            came_back.append(type(error).__name__)
            raise

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(asking_in_vain)
        await there.passed()
        tasks.cancel_scope.cancel()
    assert came_back == [anyio.get_cancelled_exc_class().__name__]
    await wire.requests[0].gone.passed()


async def test_leaving_a_stream_closes_the_connection(side: Side, wire: WireServer) -> None:
    wire.reply(streamed(BEGUN[side.provider], Hang()))
    async with aclosing(side.make(wire.url).stream(asking())) as items:
        assert await anext(items) == ModelDelta("text", "Hel")
    await wire.requests[0].gone.passed()
