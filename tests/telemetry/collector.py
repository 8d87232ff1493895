"""A collector of OTLP over HTTP, on a port of this machine: one that works, fails, or hangs."""

import gzip
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

__all__ = ["Collector", "collector"]


class Collector:
    """What has come in.

    Attributes:
        url: Where it is.
        status: What it answers; 0 not at all.
        spans: The spans, as OTLP has them.
        resources: The attributes of whoever sent them.
    """

    def __init__(self, status: int) -> None:
        self.status = status
        self.url = ""
        self.spans: list[Any] = []
        self.resources: list[dict[str, str]] = []
        self.released = threading.Event()
        self._has_come = threading.Condition()

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self._has_come:
            for resource in request.resource_spans:
                known = resource.resource.attributes
                self.resources.append({each.key: each.value.string_value for each in known})
                for scope in resource.scope_spans:
                    self.spans.extend(scope.spans)
            self._has_come.notify_all()

    def wait_for(self, n: int) -> Sequence[str]:
        """The names of the spans, once there are so many."""
        with self._has_come:
            assert self._has_come.wait_for(lambda: len(self.spans) >= n, 10), self.names
        return self.names

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.spans]


@contextmanager
def collector(status: int = 200, port: int = 0) -> Generator[Collector]:
    """A collector that answers with this status, at this port if one is given."""
    made = Collector(status)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if made.status == 0:
                made.released.wait()
                return
            if made.status == 200:
                made.take(body)
            self.send_response(made.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
