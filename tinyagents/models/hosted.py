"""What models behind an HTTP API have in common, whichever format it speaks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Any, Protocol

import anyio
import httpx2

from tinyagents.errors import ConfigError
from tinyagents.models import prices
from tinyagents.models.failures import BrokenReply, Failures, fed, parsed, request_id
from tinyagents.models.http import Endpoint, events, is_event_stream
from tinyagents.models.protocol import Capabilities, ModelDelta, ModelReply, ModelRequest
from tinyagents_graph.usage import Usage

__all__ = ["HostedModel", "Reader"]


class Reader(Protocol):
    """Reads one streamed reply.

    Attributes:
        ended: Whether the last event of the reply has come.
    """

    ended: bool

    @property
    def is_finished(self) -> bool:
        """Whether the model said why it stopped."""
        ...

    def feed(self, event: dict[str, Any]) -> Iterator[ModelDelta]:
        """Take in an event and give what it adds to the reply."""
        ...

    def reply(self, request_id: str | None) -> ModelReply:
        """The whole reply."""
        ...


class HostedModel(ABC):
    """A model behind an HTTP API; `OpenAIModel` and `AnthropicModel` add the format.

    Args:
        name: The model.
        at: Where it is reached.
        failures: Makes errors of what goes wrong there.
        capabilities: What it can do, when the defaults are wrong.
        price: What usage costs, when the price tables do not know or are wrong.

    Raises:
        ConfigError: There is no name.
    """

    def __init__(
        self,
        name: str,
        at: Endpoint,
        failures: Failures,
        capabilities: Capabilities | None,
        price: Callable[[Usage], float | None] | None,
    ) -> None:
        if not name:
            raise ConfigError(f"{type(self).__name__}(name='') names no model")
        self._name = name
        self._at = at
        self._failures = failures
        self._capabilities = capabilities
        self._price = price

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r}, base_url={self._at.url!r})"

    @property
    def name(self) -> str:
        """The model's name."""
        return self._name

    @property
    def provider(self) -> str:
        """Whose API it speaks, also when a compatible server answers."""
        return self._failures.provider

    @property
    def url(self) -> str:
        """Where it is reached."""
        return self._at.url

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        if self._capabilities is None:
            # A compatible server mostly ignores what it does not know, and then nobody learns that
            # a schema was not enforced or a document not read: these must be claimed.
            self._capabilities = Capabilities(
                native_output=self._at.official,
                images=True,
                documents=self._at.official,
                context_tokens=prices.context_tokens(self._priced_by, self._name),
            )
        return self._capabilities

    @abstractmethod
    async def request(self, request: ModelRequest) -> ModelReply:
        """Answer in one piece.

        Raises:
            ModelError: The provider failed; it says whether a retry may help.
            ConfigError: The API cannot express something in the request.
        """

    @abstractmethod
    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelDelta | ModelReply]:
        """Answer piece by piece; the last item is the whole `ModelReply`.

        Closing it early (`contextlib.aclosing`) closes the connection.

        Raises:
            ModelError: The provider failed, before or in the middle.
            ConfigError: The API cannot express something in the request.
        """

    def cost(self, usage: Usage) -> float | None:
        """The price of one request's `usage` in US dollars, or `None` when it is not known."""
        if self._price is not None:
            return self._price(usage)
        return prices.usd(self._priced_by, self._name, usage)

    @property
    def _priced_by(self) -> str:
        return self.provider if self._at.official else self._at.url

    @abstractmethod
    async def _open(self, body: dict[str, Any], request: ModelRequest) -> httpx2.Response:
        """Send a request and give the response before its body is read."""

    async def _streamed(
        self, body: dict[str, Any], request: ModelRequest, reader: Reader
    ) -> AsyncGenerator[ModelDelta | ModelReply]:
        timeout_s = request.settings.timeout_s
        with self._failures.mapped():
            with anyio.fail_after(timeout_s):
                response = await self._open(body, request)
                if not is_event_stream(response):
                    raise await self._failures.not_a_stream(response)
        with self._failures.mapped(response):
            source = events(response, is_last=lambda _: reader.ended, timeout_s=timeout_s)
            async with aclosing(source):
                async for event in source:
                    for delta in self._read(reader, event.data, response):
                        yield delta
            if not (reader.ended or reader.is_finished):
                raise BrokenReply("the answer broke off before its end")
        yield reader.reply(request_id(response))

    def _read(self, reader: Reader, data: str, response: httpx2.Response) -> list[ModelDelta]:
        if not data:
            return []
        if data.startswith("[DONE]"):
            reader.ended = True
            return []
        event = parsed(data)
        if event.get("error"):
            raise self._failures.reported(event, response)
        return fed(reader.feed, event)
