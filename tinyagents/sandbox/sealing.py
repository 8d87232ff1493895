"""Sessions that leave the process are signed: the engine believes whatever it is given."""

from __future__ import annotations

import hashlib
import hmac

from tinyagents.errors import SandboxError
from tinyagents_graph.frozen import frozen

__all__ = ["Sealed"]

_MARK = b"tinyagents sandbox session 1\n"
_SIZE = hashlib.sha256().digest_size


@frozen
class Sealed:
    """A session, written down.

    Attributes:
        state: What the engine wrote, `None` for a session that ran nothing.
        n_calls: How many functions of the host it has called.
    """

    state: bytes | None
    n_calls: int

    def seal(self, key: bytes) -> bytes:
        """As bytes that say by whom they were written."""
        body = self.n_calls.to_bytes(8, "big") + (self.state or b"")
        return _MARK + _signature(key, body) + body

    @classmethod
    def unseal(cls, data: bytes, key: bytes) -> Sealed:
        """Read what `seal` wrote with the same key.

        Raises:
            SandboxError: It was written by somebody else, or changed since.
        """
        signature = data[len(_MARK) : len(_MARK) + _SIZE]
        body = data[len(_MARK) + _SIZE :]
        if not data.startswith(_MARK) or len(body) < 8:
            raise SandboxError("this is no session that a sandbox wrote")
        if not hmac.compare_digest(signature, _signature(key, body)):
            raise SandboxError(
                "this session was written with another key, or changed since: sandboxes that "
                "exchange sessions need the same Sandbox(key=…)"
            )
        return cls(body[8:] or None, int.from_bytes(body[:8], "big"))


def _signature(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, _MARK + body, hashlib.sha256).digest()
