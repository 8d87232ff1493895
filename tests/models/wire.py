"""A real HTTP server on loopback that answers as a test tells it, byte for byte.

It runs in a thread with an event loop of its own, so that it serves clients on asyncio, on Trio
and in plain threads alike, and nothing a client does can stop it.
"""

import asyncio
import itertools
import json
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self, TypeAlias

import anyio.to_thread

_PATIENCE_S: Final = 10
_DRIP_S: Final = 0.02


class Gate:
    """Closed until somebody opens it; threads and event loops can wait for that."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def open(self) -> None:
        self._event.set()

    @property
    def is_open(self) -> bool:
        return self._event.is_set()

    async def passed(self) -> None:
        """Return when it is open, on any event loop."""
        opened = await anyio.to_thread.run_sync(self._event.wait, _PATIENCE_S)
        assert opened, "nobody opened the gate"


class Hang:
    """Say nothing more and wait until the client is gone."""


@dataclass(frozen=True)
class Drip:
    """Send a piece, raw, every now and then until the client is gone."""

    piece: bytes


class Cut:
    """Close the connection, whether the body is complete or not."""


@dataclass(frozen=True)
class Tell:
    """Open a gate to tell the test that the answer has come this far."""

    gate: Gate


Step: TypeAlias = bytes | Gate | Hang | Drip | Cut | Tell


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        steps: The body and what happens in it; each `bytes` is sent as one HTTP chunk.
        framing: How the body's end is told: by a last chunk, by closing, or by a length.
        first: What happens before the status line.
    """

    steps: tuple[Step, ...]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    framing: Literal["chunked", "close", "length"] = "chunked"
    first: tuple[Gate | Hang | Drip | Cut | Tell, ...] = ()


@dataclass
class Received:
    """One request as it arrived.

    Attributes:
        connection: Number of the connection it came over.
        gone: Opens when the client leaves before its answer is complete.
    """

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    connection: int
    gone: Gate = field(default_factory=Gate)


class Silent(Exception):
    """The client closed the connection."""


class WireServer:
    """Use it as a context manager; `reply` says what it answers next."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.unexpected: list[str] = []
        self._script: deque[Reply] = deque()
        self._arrival = threading.Condition()
        self._connections = itertools.count()
        self._started: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._started.result()[0]}"

    def reply(self, *replies: Reply) -> None:
        """Script the next answers, one for each request."""
        self._script.extend(replies)

    async def has(self, n_requests: int) -> None:
        """Return when so many requests have come, on any event loop."""
        arrived = await anyio.to_thread.run_sync(self._wait_for, n_requests)
        assert arrived, f"{len(self.requests)} of {n_requests} requests came"

    def _wait_for(self, n_requests: int) -> bool:
        with self._arrival:
            return self._arrival.wait_for(lambda: len(self.requests) >= n_requests, _PATIENCE_S)

    def reset(self) -> None:
        """Begin a new test.

        Raises:
            AssertionError: The last one did not ask what it had scripted.
        """
        left, self.requests = len(self._script), []
        unexpected, self.unexpected = self.unexpected, []
        self._script.clear()
        assert not left, f"{left} scripted replies were never asked for"
        assert not unexpected

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.result(_PATIENCE_S)
        return self

    def __exit__(self, *exc_info: object) -> None:
        _, loop, stop = self._started.result()
        loop.call_soon_threadsafe(stop.set)
        self._thread.join(_PATIENCE_S)

    async def _run(self) -> None:
        stop = asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = server.sockets[0].getsockname()[1]
        self._started.set_result((port, asyncio.get_running_loop(), stop))
        await stop.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = next(self._connections)
        try:
            while (received := await _request(reader, connection)) is not None:
                await self._answer(received, reader, writer)
        except (Silent, ConnectionError):
            pass  # Either side may end a connection; `gone` has told whoever waits for it.
        except Exception as error:
            self.unexpected.append(repr(error))
        finally:
            writer.close()

    async def _answer(
        self, received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with self._arrival:
            self.requests.append(received)
            self._arrival.notify_all()
        if self._script:
            reply = self._script.popleft()
        else:
            self.unexpected.append(f"nobody scripted an answer to {received.path}")
            reply = Reply((b"{}",), status=501)
        try:
            for before in reply.first:
                await _take(before, reply, reader, writer)
            writer.write(_head(reply))
            for step in reply.steps:
                await _take(step, reply, reader, writer)
        except (Silent, ConnectionError):
            received.gone.open()
            raise
        if reply.framing == "chunked":
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        if reply.framing == "close":
            raise Silent


async def _leaves(reader: asyncio.StreamReader) -> bool:
    """Whether the client leaves before the next drop falls."""
    try:
        await asyncio.wait_for(reader.read(1), _DRIP_S)
    except TimeoutError:
        return False
    return True


async def _request(reader: asyncio.StreamReader, connection: int) -> Received | None:
    try:
        start = await reader.readexactly(1)
        if not start.isalpha():
            return None  # Somebody who speaks TLS here gets no answer.
        head = (start + await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in _partitioned(lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(first.split(" ")[1], headers, json.loads(body or b"{}"), connection)


def _partitioned(lines: Iterable[str]) -> Iterable[tuple[str, str, str]]:
    return (line.partition(":") for line in lines)


def _head(reply: Reply) -> bytes:
    framing = {"chunked": "transfer-encoding: chunked", "close": "connection: close"}
    length = sum(len(step) for step in reply.steps if isinstance(step, bytes))
    lines = [f"HTTP/1.1 {reply.status} Scripted"]
    lines.append(framing.get(reply.framing, f"content-length: {length}"))
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(piece), piece)


async def _take(
    step: Step, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    match step:
        case bytes():
            writer.write(_chunk(step) if reply.framing == "chunked" and step else step)
            await writer.drain()
        case Gate():
            await step.passed()
        case Tell():
            await writer.drain()
            step.gate.open()
        case Hang():
            await writer.drain()
            await reader.read(1)
            raise Silent
        case Drip():
            while not await _leaves(reader):
                writer.write(step.piece)
                await writer.drain()
            raise Silent
        case Cut():
            await writer.drain()
            raise Silent
