"""What both providers share below their formats: endpoints, clients and event streams."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol, TypeAlias, TypeVar, cast

import anyio
import httpx2
from anyio.lowlevel import RunVar

from tinyagents.errors import ConfigError
from tinyagents_graph.place import trace_headers

__all__ = [
    "TRACED", "Endpoint", "endpoint", "events", "is_event_stream", "shared_client", "tls",
]  # fmt: skip

# How long the end of a body may take after its last event; the openai SDK grants as much.
_REST_S = 0.1


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a provider is reached.

    Attributes:
        url: The base URL.
        official: Whether it is the provider's own service, and not a compatible server.
        key: The API key.
    """

    url: str
    official: bool
    key: str = field(repr=False)


def endpoint(
    provider: str, api_key: str | None, base_url: str | None, *, default: str, domain: str
) -> Endpoint:
    """Settle where to call and with which key, from arguments first and the environment second.

    Args:
        provider: `"openai"` or `"anthropic"`: the variables are `OPENAI_API_KEY` and so on.
        api_key: The key that was given.
        base_url: The URL that was given.
        default: The provider's own URL.
        domain: Hosts under this domain are the provider's own.

    Raises:
        ConfigError: The URL is none, or the provider's own service would be called without a key.
    """
    key_variable, url_variable = f"{provider.upper()}_API_KEY", f"{provider.upper()}_BASE_URL"
    url = base_url or os.environ.get(url_variable) or default
    host = httpx2.URL(url).host if url.startswith(("http://", "https://")) else ""
    if not host:
        source = "base_url" if base_url else url_variable
        raise ConfigError(f"{source}={url!r} is no URL: it must look like https://host/path")
    official = host == domain or host.endswith(f".{domain}")
    key = api_key or os.environ.get(key_variable)
    if official and not key:
        raise ConfigError(
            f"no API key for {provider}: set the environment variable {key_variable}, "
            "or give api_key= to the model object"
        )
    # A server of one's own may want no key, but both SDKs insist on sending one.
    return Endpoint(url, official, key or "no-key")


class _Closable(Protocol):
    async def close(self) -> None: ...


_Client = TypeVar("_Client", bound=_Closable)
_Clients: TypeAlias = dict[Hashable, tuple[_Closable, AsyncGenerator[None]]]
_clients: RunVar[_Clients] = RunVar("tinyagents_model_clients")


async def shared_client(key: Hashable, make: Callable[[], _Client]) -> _Client:
    """The client of this event loop for `key`: made at its first use, closed with the loop.

    A client's connections belong to one event loop, while a model object may serve several, one
    after the other or in several threads. A client per request would pay for a new TLS connection
    each time, and a `close()` on models would have to be called by everyone who uses an agent.
    """
    clients = _clients.get(None)
    if clients is None:
        clients = _Clients()
        _clients.set(clients)
    if key not in clients:
        client = make()
        # Both event loops finish the async generators that are still open when they end.
        lifetime = _until_the_loop_ends(client)
        clients[key] = (client, lifetime)
        await anext(lifetime)
    return cast("_Client", clients[key][0])


async def _until_the_loop_ends(client: _Closable) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await client.close()


@cache
def tls() -> ssl.SSLContext:
    """The certificates to trust, loaded once; they are most of what making a client costs."""
    return httpx2.create_ssl_context()


async def _name_the_call(request: httpx2.Request) -> None:
    request.headers.update(trace_headers())


TRACED = {"request": [_name_the_call]}
"""Hooks of a client whose requests carry the ids of the model call that they are for."""


def is_event_stream(response: httpx2.Response) -> bool:
    """Whether the body of this response is a stream of events."""
    kind = response.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower() == "text/event-stream"


async def events(
    response: httpx2.Response,
    *,
    is_last: Callable[[httpx2.ServerSentEvent], bool],
    timeout_s: float | None,
) -> AsyncGenerator[httpx2.ServerSentEvent]:
    """The events of a streamed response; closing this generator closes the connection.

    The SDKs' own streams are not used for this. They hide OpenAI's last event, without which a
    reply that was cut off looks complete, and after the last event or a stop in the middle they
    leave inner generators half read, for which Trio warns.

    Args:
        response: A response whose body was not read yet.
        is_last: Tells the event after which nothing more is expected.
        timeout_s: Seconds to wait for each event.

    Raises:
        TimeoutError: An event did not come in time.
        httpx2.HTTPError: The connection broke.
    """
    source = aiter(httpx2.EventSource(response, max_event_size=None))
    rest_s = 0.0
    try:
        while True:
            with anyio.fail_after(timeout_s):
                event = await anext(source, None)
            if event is None:
                return
            yield event
            if is_last(event):
                # A body read to its end leaves the connection free for the next request.
                rest_s = _REST_S
                return
    finally:
        # Reading on under a scope that is cancelled unwinds every generator below us; closing the
        # outermost would leave the others to the garbage collector. What happens to a connection
        # after the last event is no failure of the reply.
        with anyio.move_on_after(rest_s), suppress(httpx2.HTTPError):
            async for _ in source:
                pass
        await response.aclose()
