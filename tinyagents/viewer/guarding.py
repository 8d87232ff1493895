"""`Guard`: who may talk to the viewer, and what its pages may do.

A page of another origin can reach a server on this machine, by its name (DNS rebinding) or by a
form (CSRF), and so can other users of the machine. Hence: only requests to this very address, only
with the cookie that the token of the printed URL is exchanged for, and changes only from our page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from hmac import compare_digest
from http.cookies import CookieError, SimpleCookie
from typing import Any, TypeAlias
from urllib.parse import parse_qs

__all__ = ["POLICY", "Guard"]

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]
_App: TypeAlias = Callable[[_Message, _Receive, _Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""What a page of the viewer may do: load its own files, and nothing else. No text becomes code."""

_HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_NO_TOKEN = (
    "This is the viewer of tinyagents. Open it with the address that `tinyagents view` printed: "
    "the token in it is what lets you in.\n"
)


class Guard:
    """Stands before an ASGI application.

    Args:
        app: The application.
        port: Where the server listens, on loopback.
        token: What lets a browser in.
    """

    def __init__(self, app: _App, port: int, token: str) -> None:
        self._app = app
        self._hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
        self._token = token
        # Cookies are shared by all ports of a host.
        self._cookie = f"tinyagents-{port}"

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] != "http":
            return
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }

        async def send_guarded(message: _Message) -> None:
            if message["type"] == "http.response.start":
                own = {key for key, _ in message.get("headers", [])}
                message["headers"] = [
                    *message.get("headers", []),
                    *(
                        (name.encode(), value.encode())
                        for name, value in _HEADERS.items()
                        if name.encode() not in own
                    ),
                ]
            await send(message)

        if headers.get("host") not in self._hosts:
            await _refuse(send_guarded, 421, "This is not the address of this viewer.\n")
        elif scope["method"] == "GET" and scope["path"] == "/" and self._has_token(scope):
            await self._let_in(send_guarded)
        elif not self._has_cookie(headers):
            await _refuse(send_guarded, 401, _NO_TOKEN)
        elif scope["method"] not in ("GET", "HEAD") and (why := self._why_not_ours(headers)):
            await _refuse(send_guarded, 403, f"{why}\n")
        else:
            await self._app(scope, receive, send_guarded)

    def _has_token(self, scope: _Message) -> bool:
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        return compare_digest(given.encode(), self._token.encode())

    def _has_cookie(self, headers: Mapping[str, str]) -> bool:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:  # somebody else's on the same host
            return False
        return found is not None and compare_digest(found.value.encode(), self._token.encode())

    async def _let_in(self, send: _Send) -> None:
        """Exchange the token for a cookie, so that it does not stay in the address."""
        cookie = f"{self._cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/"
        headers = [(b"location", b"/"), (b"set-cookie", cookie.encode())]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _why_not_ours(self, headers: Mapping[str, str]) -> str:
        """What shows that a request to change something is not from our page; empty if it is."""
        if headers.get("origin", "") not in {f"http://{host}" for host in self._hosts}:
            return "Only the viewer's own page may change something: the Origin is another one."
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return "Only the viewer's own page may change something: this comes from another site."
        if headers.get("x-tinyagents") != "1":
            return "Only the viewer's own page may change something: X-Tinyagents is missing."
        if headers.get("content-type", "").partition(";")[0] != "application/json":
            return "What changes something is sent as application/json."
        return ""


async def _refuse(send: _Send, status: int, why: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": why.encode()})
