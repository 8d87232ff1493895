"""`Viewer`: runs in a browser on this machine."""

from __future__ import annotations

import errno
import secrets
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tinyagents.errors import ConfigError
from tinyagents.viewer.following import Source, Trees
from tinyagents_graph import EventSink
from tinyagents_graph.journal.protocol import Journal

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Viewer", "export_html"]

_HOST = "127.0.0.1"
_LEAVE_S = 2


class Viewer:
    """Shows runs in a browser: `with Viewer(journal) as viewer: print(viewer.url)`.

    It serves pages on loopback only, to whoever has the token in its address, from a thread of its
    own, so that it is there while this program runs agents, on whatever event loop.

    Args:
        shown: A journal, or the sink of runs of this process; those can only be looked at.
        port: Where to listen; 0 for a port that is free.
        read_only: Whether nothing can be answered, steered or forked.
        title: What the pages say that they show.
        by: Who acts in it, for the events.

    Raises:
        ConfigError: The port is in use, or not allowed.
    """

    def __init__(
        self,
        shown: Journal | EventSink,
        *,
        port: int = 0,
        read_only: bool = False,
        title: str = "",
        by: str = "human",
    ) -> None:
        self._source: Source
        self._journal: Journal | None = None
        if isinstance(shown, EventSink):
            from tinyagents.viewer.sink_source import SinkSource

            self._source = SinkSource(shown)
        else:
            self._source = shown
            self._journal = None if read_only else shown
        self._title, self._by = title, by
        self._token = secrets.token_urlsafe(24)
        self._socket = _bound(port)
        self._port: int = self._socket.getsockname()[1]
        self._server: Any = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def url(self) -> str:
        """The address to open, with the token that lets a browser in."""
        return f"http://{_HOST}:{self._port}/?token={self._token}"

    def serve(self) -> None:
        """Serve pages until the process is asked to end, by Ctrl-C or a signal."""
        self._server = self._made()
        self._server.run(sockets=[self._socket])

    def start(self) -> None:
        """Serve pages from a thread, until `stop` or the end of the process."""
        self._server = self._made()
        self._thread = threading.Thread(
            target=self._server.run,
            kwargs={"sockets": [self._socket]},
            name="tinyagents viewer",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Serve no more; pages that are open say that they have lost it."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._socket.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _made(self) -> Any:
        import uvicorn

        from tinyagents.viewer.guarding import Guard
        from tinyagents.viewer.server import application

        app = application(
            self._source,
            self._journal,
            title=self._title or _named(self._source),
            by=self._by,
            is_over=lambda: self._server.should_exit,
        )
        config = uvicorn.Config(
            Guard(app, self._port, self._token),
            lifespan="off",
            http="h11",
            ws="none",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_LEAVE_S,
        )
        return uvicorn.Server(config)


def _bound(port: int) -> socket.socket:
    if not 0 <= port < 65_536:
        raise ConfigError(f"port={port}: give one from 1 to 65535, or 0 for one that is free")
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_HOST, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            why = f"port {port} is in use: give another one, or 0 for one that is free"
            raise ConfigError(why) from error
        raise ConfigError(f"port {port} cannot be listened at: {error.strerror}") from error
    return listening


def _named(source: object) -> str:
    path = getattr(source, "path", None)
    return str(path) if isinstance(path, Path) else type(source).__name__


async def export_html(shown: Journal | EventSink, run_id: str) -> str:
    """A run as one HTML file, which needs nothing else: the text of it.

    Args:
        shown: Where the run is kept, or the sink that it published in.
        run_id: Id of its root.

    Raises:
        ConfigError: There is no such run.
        JournalError: The journal cannot be read.
    """
    from tinyagents.viewer.page import page_of

    source: Source
    if isinstance(shown, EventSink):
        from tinyagents.viewer.sink_source import SinkSource

        source = SinkSource(shown)
    else:
        source = shown
    return await page_of(source, await Trees(source).tree(run_id))
