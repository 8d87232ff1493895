import socket

import anyio
import anyio.abc
import pytest
from anyio import to_thread

from tinyagents.testing import NetworkBlocked

pytestmark = pytest.mark.anyio

# Reserved for documentation (RFC 5737, RFC 3849, RFC 6761): nobody answers there.
ADDRESSES = ["192.0.2.1", "2001:db8::1"]
NAME = "tinyagents.invalid"


@pytest.mark.parametrize("host", [*ADDRESSES, NAME])
async def test_a_connection_to_another_machine_is_refused(host: str) -> None:
    blocked = pytest.RaisesExc(NetworkBlocked, match=host)
    with pytest.RaisesGroup(blocked, allow_unwrapped=True):
        await anyio.connect_tcp(host, 443)


async def test_a_name_lookup_in_a_thread_is_refused() -> None:
    with pytest.raises(NetworkBlocked, match=NAME):
        await to_thread.run_sync(socket.gethostbyname, NAME)


async def test_a_datagram_to_another_machine_is_refused() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        pytest.raises(NetworkBlocked, match=ADDRESSES[0]),
    ):
        datagrams.sendto(b"hello", (ADDRESSES[0], 53))


async def test_a_server_on_this_machine_can_be_reached() -> None:
    async def echo(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.send(await stream.receive())

    listeners = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listeners, anyio.create_task_group() as tasks:
        tasks.start_soon(listeners.serve, echo)
        port = listeners.extra(anyio.abc.SocketAttribute.local_port)
        async with await anyio.connect_tcp("localhost", port) as stream:
            await stream.send(b"hello")
            assert await stream.receive() == b"hello"
        tasks.cancel_scope.cancel()
