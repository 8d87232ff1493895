"""Models behind Anthropic's Messages API, or any server that speaks it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import anthropic
import httpx2

from tinyagents.models.anthropic_wire import MessageReader, message_body
from tinyagents.models.failures import Failures
from tinyagents.models.hosted import HostedModel
from tinyagents.models.http import TRACED, endpoint, shared_client, tls
from tinyagents.models.protocol import Capabilities, ModelDelta, ModelReply, ModelRequest
from tinyagents_graph.usage import Usage

__all__ = ["AnthropicModel"]


class AnthropicModel(HostedModel):
    """A model behind Anthropic's Messages API, or any server that speaks it.

    It may be used by many tasks at once, on asyncio and Trio, and by one event loop after another.

    Args:
        name: The model, for example `"claude-sonnet-5-5"`.
        api_key: The key; without it, the environment variable `ANTHROPIC_API_KEY`. Only
            Anthropic's own service insists on one.
        base_url: Where the API is; without it, the environment variable `ANTHROPIC_BASE_URL`, and
            without that, Anthropic itself.
        capabilities: What the model can do. By default everything at Anthropic itself, and at a
            compatible server everything but `native_output` and `documents`.
        price: What one request's usage costs in US dollars, for models that the price tables do
            not have.

    Raises:
        ConfigError: There is no name or no key, or the base URL is none.
    """

    def __init__(
        self,
        name: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        capabilities: Capabilities | None = None,
        price: Callable[[Usage], float | None] | None = None,
    ) -> None:
        url, domain = "https://api.anthropic.com", "anthropic.com"
        at = endpoint("anthropic", api_key, base_url, default=url, domain=domain)
        failures = Failures("anthropic", name, anthropic.AnthropicError)
        super().__init__(name, at, failures, capabilities, price)

    async def request(self, request: ModelRequest) -> ModelReply:
        """Answer in one piece; see `HostedModel.request`."""
        # On the wire it is a stream too: without one the API refuses long replies, and what lies
        # between cuts connections that are silent for minutes.
        async with aclosing(self.stream(request)) as items:
            return [item async for item in items if isinstance(item, ModelReply)][0]

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelDelta | ModelReply]:
        """Answer piece by piece; see `HostedModel.stream`."""
        body = message_body(request, self._name) | {"stream": True}
        return self._streamed(body, request, MessageReader())

    async def _open(self, body: dict[str, Any], request: ModelRequest) -> httpx2.Response:
        client = await self._client()
        timeout_s = request.settings.timeout_s
        # No idempotency key: the API knows none, and the SDK drops the one it takes.
        stream = await client.post(
            "/v1/messages",
            cast_to=object,
            body=body,
            options={} if timeout_s is None else {"timeout": timeout_s},
            stream=True,
            stream_cls=anthropic.AsyncStream[object],
        )
        return stream.response

    async def _client(self) -> anthropic.AsyncAnthropic:
        at = self._at

        def make() -> anthropic.AsyncAnthropic:
            # Retries belong to the agent's loop, where each one is an event and counts in limits.
            return anthropic.AsyncAnthropic(
                api_key=at.key,
                base_url=at.url,
                max_retries=0,
                http_client=anthropic.DefaultAsyncHttpxClient(verify=tls(), event_hooks=TRACED),
            )

        return await shared_client((anthropic.AsyncAnthropic, at), make)
