"""Models behind OpenAI's Chat Completions API, or any server that speaks it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from hashlib import sha256
from typing import Any

import anyio
import httpx2
import openai

from tinyagents.models.failures import Failures, fed, request_id
from tinyagents.models.hosted import HostedModel
from tinyagents.models.http import TRACED, endpoint, shared_client, tls
from tinyagents.models.openai_wire import ChatReader, chat_body
from tinyagents.models.protocol import Capabilities, ModelDelta, ModelReply, ModelRequest
from tinyagents_graph.usage import Usage

__all__ = ["OpenAIModel"]

_PATH = "/chat/completions"


class OpenAIModel(HostedModel):
    """A model behind OpenAI's Chat Completions API, or any server that speaks it.

    It may be used by many tasks at once, on asyncio and Trio, and by one event loop after another.

    Args:
        name: The model, for example `"gpt-5-mini"`.
        api_key: The key; without it, the environment variable `OPENAI_API_KEY`. Only OpenAI's own
            service insists on one.
        base_url: Where the API is; without it, the environment variable `OPENAI_BASE_URL`, and
            without that, OpenAI itself.
        capabilities: What the model can do. By default everything at OpenAI itself, and at a
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
        at = endpoint(
            "openai", api_key, base_url, default="https://api.openai.com/v1", domain="openai.com"
        )
        failures = Failures("openai", name, openai.OpenAIError)
        super().__init__(name, at, failures, capabilities, price)

    async def request(self, request: ModelRequest) -> ModelReply:
        """Answer in one piece; see `HostedModel.request`."""
        body = chat_body(request, self._name)
        with self._failures.mapped():
            client = await self._client()
            with anyio.fail_after(request.settings.timeout_s):
                response = await client.post(
                    _PATH, cast_to=httpx2.Response, body=body, options=_options(request, body)
                )
        with self._failures.mapped(response):
            answer = self._failures.object_in(response)
            if answer.get("error") or "choices" not in answer:
                raise self._failures.reported(answer, response)
            reader = ChatReader()
            fed(reader.feed, answer)
            return reader.reply(request_id(response))

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelDelta | ModelReply]:
        """Answer piece by piece; see `HostedModel.stream`."""
        streaming = {"stream": True, "stream_options": {"include_usage": True}}
        return self._streamed(streaming | chat_body(request, self._name), request, ChatReader())

    async def _open(self, body: dict[str, Any], request: ModelRequest) -> httpx2.Response:
        client = await self._client()
        stream = await client.post(
            _PATH,
            cast_to=object,
            body=body,
            options=_options(request, body),
            stream=True,
            stream_cls=openai.AsyncStream[object],
        )
        return stream.response

    async def _client(self) -> openai.AsyncOpenAI:
        at = self._at

        def make() -> openai.AsyncOpenAI:
            # Retries belong to the agent's loop, where each one is an event and counts in limits.
            return openai.AsyncOpenAI(
                api_key=at.key,
                base_url=at.url,
                max_retries=0,
                http_client=openai.DefaultAsyncHttpxClient(verify=tls(), event_hooks=TRACED),
            )

        return await shared_client((openai.AsyncOpenAI, at), make)


def _options(request: ModelRequest, body: dict[str, Any]) -> openai.RequestOptions:
    options: openai.RequestOptions = {}
    if request.idempotency_key is not None:
        options["headers"] = {"Idempotency-Key": _key(request.idempotency_key, body)}
    if request.settings.timeout_s is not None:
        options["timeout"] = request.settings.timeout_s
    return options


def _key(key: str, body: dict[str, Any]) -> str:
    # With the body in it: another model that falls back, a shorter reply that a budget asks for or
    # a run id that is used twice are other requests, which a key alone would have answered with
    # the reply of the first. And as digits, for an id may hold what no header can.
    asked = json.dumps([key, body], sort_keys=True, default=str)
    return sha256(asked.encode()).hexdigest()[:32]
