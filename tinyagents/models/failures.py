"""From what goes wrong in an exchange with a provider to a `ModelError`."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any, cast

import anyio
import httpx2

from tinyagents.errors import ModelError
from tinyagents.models.protocol import ModelDelta

__all__ = ["BrokenReply", "Failures", "fed", "parsed", "request_id"]

# Characters of a body that is no JSON; an error page of a proxy can be very long.
_EXCERPT = 300

# Errors inside a stream carry a word and no status; the reply's own status is 200 by then.
_STATUS_OF = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}

# Asking again does not fill an empty account.
_OUT_OF_MONEY = frozenset({"insufficient_quota", "billing_error", "billing_hard_limit_reached"})


class BrokenReply(Exception):
    """What came back is not what the API promises; the next attempt may be whole."""


@dataclass(frozen=True, slots=True)
class Failures:
    """Turns what goes wrong in an exchange into a `ModelError`.

    Attributes:
        provider: Who was asked.
        model: Which model.
        sdk_error: The root of the SDK's errors.
    """

    provider: str
    model: str
    sdk_error: type[Exception]

    @contextmanager
    def mapped(self, response: httpx2.Response | None = None) -> Generator[None]:
        """Inside, every failure of the exchange is a `ModelError`; cancellation passes through.

        Args:
            response: What has come of the answer so far.
        """
        # The last two are TLS failures that the HTTP library lets through unmapped.
        foreign = (self.sdk_error, httpx2.HTTPError, ssl.SSLError, anyio.EndOfStream)
        try:
            yield
        except (*foreign, TimeoutError, BrokenReply) as error:
            raise self._of(error, response) from error

    def reported(self, body: object, response: httpx2.Response) -> ModelError:
        """The error that a body tells of: of an error response, or in the middle of a stream."""
        message, words = _told(body)
        status: int | None = response.status_code
        if response.is_success:
            status = next((_status(word) for word in words if _status(word)), None)
        return ModelError(
            message or response.reason_phrase or "no explanation given",
            provider=self.provider,
            model=self.model,
            status=status,
            retryable=_is_retryable(status, words, response.headers.get("x-should-retry")),
            request_id=request_id(response),
            retry_after_s=_retry_after_s(response.headers),
        )

    def broken(
        self, what: str, response: httpx2.Response | None = None, *, retryable: bool = True
    ) -> ModelError:
        """The error when the exchange itself broke, and nobody said why."""
        return ModelError(
            what,
            provider=self.provider,
            model=self.model,
            retryable=retryable,
            request_id=None if response is None else request_id(response),
        )

    async def not_a_stream(self, response: httpx2.Response) -> ModelError:
        """The error when an answer should have been a stream of events and is none."""
        await response.aread()
        body = _body(response)
        if isinstance(body, Mapping) and "error" in body:
            return self.reported(cast("object", body), response)
        kind = response.headers.get("content-type", "no content type")
        return self.broken(
            f"the answer is {kind} where a stream of events belongs: check base_url, or give "
            "capabilities=Capabilities(streaming=False) if that server cannot stream",
            response,
            retryable=False,
        )

    def object_in(self, response: httpx2.Response) -> dict[str, Any]:
        """The JSON object in an answer that came in one piece.

        Raises:
            ModelError: The answer is no JSON at all.
            BrokenReply: It is broken JSON, or no object.
        """
        kind = response.headers.get("content-type", "no content type")
        if "json" in kind.lower():
            return parsed(response.text)
        raise self.broken(
            f"the answer is {kind} where JSON belongs: check base_url", response, retryable=False
        )

    def _of(self, error: Exception, begun: httpx2.Response | None) -> ModelError:
        response: object = getattr(error, "response", None)
        if isinstance(response, httpx2.Response):
            return self.reported(_body(response), response)
        if isinstance(error, BrokenReply):
            return self.broken(str(error), begun)
        cause = error.__cause__ or error
        if isinstance(cause, (TimeoutError, httpx2.TimeoutException)):
            return self.broken("no answer in time", begun)
        why = str(cause) or type(cause).__name__
        return self.broken(f"the connection failed: {why}", begun)


def parsed(text: str) -> dict[str, Any]:
    """The JSON object in a reply or event.

    Raises:
        BrokenReply: It is none.
    """
    try:
        data: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BrokenReply(f"the answer is broken JSON ({error}): {text[:_EXCERPT]}") from error
    if not isinstance(data, dict):
        raise BrokenReply(f"the answer is no JSON object: {text[:_EXCERPT]}")
    return cast("dict[str, Any]", data)


def fed(
    feed: Callable[[dict[str, Any]], Iterator[ModelDelta]], event: dict[str, Any]
) -> list[ModelDelta]:
    """What an event adds to a reply.

    Args:
        feed: Takes in the event.
        event: Its data.

    Raises:
        BrokenReply: The event does not have the API's shape.
    """
    try:
        return list(feed(event))
    except (AttributeError, KeyError, TypeError) as error:
        text = str(event)[:_EXCERPT]
        raise BrokenReply(f"the answer has another shape ({error!r}): {text}") from error


def request_id(response: httpx2.Response) -> str | None:
    """The provider's id of the exchange."""
    headers = response.headers
    return headers.get("x-request-id") or headers.get("request-id")


def _body(response: httpx2.Response) -> object:
    try:
        return json.loads(response.text)
    except (ValueError, RecursionError):
        return response.text


def _told(body: object) -> tuple[str, tuple[str, ...]]:
    """The message in an error's body, and the words that say what kind of error it is.

    Compatible servers put them in several places; OpenAI's and Anthropic's are the first.
    """
    if isinstance(body, Mapping):
        whole = cast("Mapping[str, object]", body)
        error = whole.get("error") or whole
        if isinstance(error, Mapping):
            facts = cast("Mapping[str, object]", error)
            message = facts.get("message") or facts.get("detail") or facts.get("error")
            words = [str(facts[key]) for key in ("code", "type") if facts.get(key) is not None]
            return str(message or json.dumps(facts))[:_EXCERPT], tuple(words)
        body = error
    return str(body or "")[:_EXCERPT].strip(), ()


def _status(word: str) -> int | None:
    if word.isdecimal() and 400 <= int(word) <= 599:
        return int(word)
    return _STATUS_OF.get(word)


def _is_retryable(status: int | None, words: tuple[str, ...], wish: str | None) -> bool:
    if _OUT_OF_MONEY.intersection(words):
        return False
    if wish in {"true", "false"}:
        return wish == "true"
    # An error without a status comes in the middle of a stream that had begun well.
    return status is None or status in {408, 409, 429} or status >= 500


def _retry_after_s(headers: httpx2.Headers) -> float | None:
    in_ms = _number(headers.get("retry-after-ms"))
    if in_ms is not None:
        return in_ms / 1000
    wish = headers.get("retry-after", "")
    seconds = _number(wish)
    if seconds is not None or not wish:
        return seconds
    try:
        moment = parsedate_to_datetime(wish)
    except ValueError:
        # Neither seconds nor a date: the retry policy's own pause is the better guess.
        return None
    return max(
        0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    )


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return max(0.0, value) if isfinite(value) else None
