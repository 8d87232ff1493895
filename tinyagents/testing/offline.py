"""The network, switched off: only loopback addresses and local sockets can be reached.

An audit hook sees every connection and every name lookup of the process, whichever event loop
or thread makes it. Replacing `socket.socket.connect` would miss code that calls the C type.
"""

import ipaddress
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

__all__ = ["NetworkBlocked", "no_network"]

_INTERNET = {socket.AF_INET, socket.AF_INET6}
_blocks: list[object] = []
_hooked: list[object] = []


class NetworkBlocked(BaseException):
    """Something tried to leave this machine.

    It is no `Exception`, because provider clients retry those and report them as a bad connection.
    """

    def __init__(self, target: object) -> None:
        super().__init__(
            f"the network is off here, and something tried to reach {target!r}; "
            "use a scripted model or a server on 127.0.0.1"
        )


def _is_local(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode()
    if host is None or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


def _refuse_the_internet(event: str, arguments: tuple[Any, ...]) -> None:
    if not _blocks or not event.startswith("socket."):
        return
    if event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        if not _is_local(arguments[0]):
            raise NetworkBlocked(arguments[0])
    elif event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        via, address = arguments
        if via.family in _INTERNET and address is not None and not _is_local(address[0]):
            raise NetworkBlocked(address)


@contextmanager
def no_network() -> Generator[None]:
    """Refuse every connection and name lookup that would leave this machine, inside the block."""
    if not _hooked:
        # Python has no way to remove an audit hook, so it is added once and asks `_blocks`.
        sys.addaudithook(_refuse_the_internet)
        _hooked.append(_refuse_the_internet)
    block = object()
    _blocks.append(block)
    try:
        yield
    finally:
        _blocks.remove(block)
