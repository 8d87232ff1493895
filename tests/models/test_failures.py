"""Whatever goes wrong in an exchange is a `ModelError` that says what a retry policy must know."""

from collections.abc import Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tests.models.exchange import Side, asking, collected, failed
from tests.models.formats import BEGUN, JSON, answered, chat_stream, streamed
from tests.models.wire import Cut, Drip, Hang, Reply, WireServer
from tinyagents.errors import ModelError
from tinyagents.models import ModelDelta
from tinyagents.models.openai import OpenAIModel

pytestmark = pytest.mark.anyio

HTML = {"content-type": "text/html"}


def reported(message: str = "Out of order", **fields: Any) -> dict[str, Any]:
    return {"type": "error", "error": {"message": message} | fields}


def refusal(status: int, body: object | None = None, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    headers = {"content-type": "application/json", "x-request-id": "req-9"} | named
    return answered(reported() if body is None else body, status=status, headers=headers)


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        *[(status, False) for status in (400, 401, 402, 403, 404, 413, 422)],
        *[(status, True) for status in (408, 409, 429, 500, 502, 503, 504, 529)],
    ],
)
async def test_the_status_says_whether_a_retry_may_help(
    side: Side, wire: WireServer, status: int, retryable: bool
) -> None:
    error = await failed(side, wire, refusal(status))
    assert (error.status, error.retryable) == (status, retryable)
    assert (error.provider, error.request_id) == (side.provider, "req-9")
    assert str(error) == (
        f"{side.provider}:{error.model}: Out of order (status {status}, request req-9)"
    )
    assert len(wire.requests) == 1, "retries belong to the loop"


async def test_both_names_of_the_request_id_are_known(side: Side, wire: WireServer) -> None:
    reply = answered(reported(), status=500, headers={"request-id": "req-7"})
    assert (await failed(side, wire, reply)).request_id == "req-7"


@pytest.mark.parametrize(
    ("status", "kind"), [(429, {"code": "insufficient_quota"}), (402, {"type": "billing_error"})]
)
async def test_an_empty_account_is_not_asked_again(
    side: Side, wire: WireServer, status: int, kind: Mapping[str, str]
) -> None:
    reply = refusal(status, reported(**kind), x_should_retry="true")
    assert not (await failed(side, wire, reply)).retryable


@pytest.mark.parametrize(("wish", "retryable"), [("true", True), ("false", False)])
async def test_the_server_may_say_itself_whether_to_retry(
    side: Side, wire: WireServer, wish: str, retryable: bool
) -> None:
    status = 400 if retryable else 500
    assert (await failed(side, wire, refusal(status, x_should_retry=wish))).retryable is retryable


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "9", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
async def test_retry_after_is_read(
    side: Side, wire: WireServer, headers: dict[str, str], seconds: float | None
) -> None:
    error = await failed(side, wire, answered(reported(), status=429, headers=headers))
    assert (error.retry_after_s, error.retryable) == (seconds, True)


async def test_retry_after_may_be_a_date(side: Side, wire: WireServer) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    error = await failed(side, wire, refusal(429, retry_after=date))
    assert error.retry_after_s is not None
    assert 50 < error.retry_after_s <= 60


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": "no such model"}', "no such model"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b'{"object": "error", "message": "too long"}', "too long"),
        (b'{"fault": 1}', '{"fault": 1}'),
        (b'"busy"', "busy"),
        (b"<html>Bad gateway</html>", "<html>Bad gateway</html>"),
        (b"", "Scripted"),
        (b"x" * 10_000, "x" * 300),
    ],
)
async def test_errors_of_other_shapes_are_read_too(
    side: Side, wire: WireServer, body: bytes, message: str
) -> None:
    error = await failed(side, wire, Reply((body,), status=404, framing="length"))
    assert f": {message} (status 404)" in str(error)


@pytest.mark.parametrize(
    ("kind", "status", "retryable"),
    [
        ({"type": "overloaded_error"}, 529, True),
        ({"type": "rate_limit_error"}, 429, True),
        ({"type": "api_error"}, 500, True),
        ({"type": "invalid_request_error"}, 400, False),
        ({"type": "authentication_error"}, 401, False),
        ({"type": "server_error", "code": None}, 500, True),
        ({"type": "x", "code": "rate_limit_exceeded"}, 429, True),
        ({"code": "insufficient_quota"}, 429, False),
        ({"code": 502}, 502, True),
        ({"code": "404"}, 404, False),
        ({"type": "something_new"}, None, True),
        ({}, None, True),
    ],
)
@pytest.mark.parametrize("begun", [False, True], ids=["at once", "in the middle"])
async def test_an_error_in_a_stream_has_the_status_its_kind_means(
    side: Side,
    wire: WireServer,
    kind: dict[str, Any],
    status: int | None,
    retryable: bool,
    begun: bool,
) -> None:
    event = chat_stream([reported(**kind)], done=False)
    reply = streamed(BEGUN[side.provider] if begun else b": hi\n\n", b"event: error\n" + event)
    error = await failed(side, wire, reply)
    assert (error.status, error.retryable, error.request_id) == (status, retryable, "req-1")
    assert "Out of order" in str(error)


async def test_what_came_before_an_error_was_given(side: Side, wire: WireServer) -> None:
    wire.reply(streamed(BEGUN[side.provider], Cut()))
    async with aclosing(side.make(wire.url).stream(asking())) as items:
        assert await anext(items) == ModelDelta("text", "Hel")
        with pytest.raises(ModelError):
            await anext(items)


def cut(begun: bytes) -> Reply:
    return streamed(begun, Cut())


def closed(begun: bytes) -> Reply:
    return streamed(begun, framing="close")


def ended(begun: bytes) -> Reply:
    return streamed(begun)


def half_an_event(begun: bytes) -> Reply:
    return streamed(begun[:-9])


def nothing(begun: bytes) -> Reply:
    return streamed(b"")


def never_began(begun: bytes) -> Reply:
    return Reply((), first=(Cut(),))


def broken_json(begun: bytes) -> Reply:
    return streamed(begun, b'event: x\ndata: {"cho\n\n')


def endless_json(begun: bytes) -> Reply:
    return streamed(begun, b"event: x\ndata: " + b"[" * 100_000 + b"\n\n")


def no_object(begun: bytes) -> Reply:
    return streamed(begun, b"event: x\ndata: [1]\n\n")


def odd_openai(begun: bytes) -> Reply:
    return streamed(begun, b'data: {"choices": [{"delta": {"tool_calls": [1]}}]}\n\n')


def odd_anthropic(begun: bytes) -> Reply:
    return streamed(begun, b'event: x\ndata: {"type": "content_block_delta"}\n\n')


@pytest.mark.parametrize(
    "way",
    [
        cut,
        closed,
        ended,
        half_an_event,
        nothing,
        never_began,
        broken_json,
        endless_json,
        no_object,
    ],
)
async def test_an_answer_that_breaks_off_is_a_failure_to_retry(
    side: Side, wire: WireServer, way: Callable[[bytes], Reply]
) -> None:
    error = await failed(side, wire, way(BEGUN[side.provider]))
    assert (error.status, error.retryable, error.provider) == (None, True, side.provider)
    assert error.request_id == (None if way is never_began else "req-1")


async def test_an_event_of_another_shape_is_a_failure_to_retry(
    side: Side, wire: WireServer
) -> None:
    odd = odd_openai if side.provider == "openai" else odd_anthropic
    error = await failed(side, wire, odd(BEGUN[side.provider]))
    assert error.retryable
    assert "another shape" in str(error)


async def test_what_goes_wrong_after_the_last_event_does_not_matter(
    side: Side, wire: WireServer
) -> None:
    wire.reply(streamed(side.hello, Cut()))
    _, reply = await collected(side.make(wire.url))
    assert reply.message.text == "Hello"


async def test_nobody_listening_is_a_failure_to_retry(side: Side) -> None:
    with WireServer() as stopped:
        url = stopped.url
    with pytest.raises(ModelError, match="the connection failed") as caught:
        await collected(side.make(url))
    assert (caught.value.status, caught.value.retryable) == (None, True)


async def test_a_wrong_protocol_is_a_failed_connection(side: Side, wire: WireServer) -> None:
    with pytest.raises(ModelError, match="the connection failed"):
        await collected(side.make(wire.url.replace("http:", "https:")))


async def test_a_page_instead_of_a_stream_is_explained(side: Side, wire: WireServer) -> None:
    error = await failed(side, wire, Reply((b"<html>",), headers=HTML))
    assert (error.status, error.retryable) == (None, False)
    assert "text/html where a stream of events belongs: check base_url" in str(error)


async def test_an_error_with_status_200_is_an_error(side: Side, wire: WireServer) -> None:
    error = await failed(side, wire, answered(reported("Upstream is down", code=502)))
    assert (error.status, error.retryable) == (502, True)
    assert "Upstream is down" in str(error)


# An answer of OpenAI in one piece; Anthropic's is a stream underneath.


@pytest.mark.parametrize(
    ("reply", "status", "retryable", "message"),
    [
        (refusal(429), 429, True, "Out of order"),
        (answered(reported("Upstream is down", code=502)), 502, True, "Upstream is down"),
        (answered({"detail": "wrong path"}), None, True, "wrong path"),
        (answered([]), None, True, "no JSON object: \\[\\]"),
        (answered({"choices": [{"message": {"tool_calls": [1]}}]}), None, True, "another shape"),
        (Reply((b'{"cho',), headers=JSON), None, True, "broken JSON"),
        (Reply((b'{"cho', Cut()), headers=JSON), None, True, "the connection failed"),
        (Reply((b"<html>",), headers=HTML), None, False, "is text/html where JSON belongs"),
        (Reply((), first=(Cut(),)), None, True, "the connection failed"),
        (Reply((b'{"cho', Hang()), headers=JSON), None, True, "no answer in time"),
        (Reply((Drip(b"1\r\n \r\n"),), headers=JSON), None, True, "no answer in time"),
    ],
)
async def test_an_answer_in_one_piece_fails_the_same_way(
    wire: WireServer, reply: Reply, status: int | None, retryable: bool, message: str
) -> None:
    wire.reply(reply)
    model = OpenAIModel("m-1", base_url=f"{wire.url}/v1")
    with pytest.raises(ModelError, match=message) as caught:
        await model.request(asking(timeout_s=0.2))
    assert (caught.value.status, caught.value.retryable) == (status, retryable)
