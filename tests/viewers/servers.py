"""The viewers as they are installed from their packages, each started on a port of this machine."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import URLError
from urllib.request import Request, urlopen

from tests.project import ROOT

__all__ = ["Scene", "ask", "eventually", "free_port", "screenshot", "serving", "shown"]

T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ask(url: str, body: object = None, **headers: str) -> Any:
    """What a server answers, as JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data=data, headers={"Content-Type": "application/json", **headers})
    with urlopen(request, timeout=30) as response:
        text = response.read()
    return json.loads(text) if text[:1] in (b"{", b"[") else text.decode()


def eventually(look: Callable[[], T | None], seconds: float = 50) -> T:
    """What a look finds, once it finds something: an answer of 200 is not yet to be seen."""
    until = time.monotonic() + seconds
    while True:
        try:
            found = look()
            if found:
                return found
        except URLError:
            found = None  # it has not started yet
        if time.monotonic() > until:
            raise AssertionError(f"nothing after {seconds:g} s: {found!r}")
        threading.Event().wait(0.5)  # nothing of another program tells when it has changed


@contextmanager
def serving(
    command: list[str], env: Mapping[str, str], log: Path, answers: Callable[[], bool]
) -> Generator[None]:
    """A server, and all that it starts, for as long as the block lasts.

    Args:
        command: What starts it.
        env: Its variables, beside those of this process.
        log: Where it writes what it says.
        answers: Whether it is up. The first start after an installation takes minutes on a machine
            that does other things; one that has ended is not waited for.
    """
    with log.open("w") as file:
        process = subprocess.Popen(
            command, env={**os.environ, **env}, stdout=file, stderr=file, start_new_session=True
        )

    def is_up() -> bool:
        assert process.poll() is None, log.read_text()[-2_000:]
        return answers()

    try:
        eventually(is_up, 240)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # its own group, and nobody else's
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Scene:
    """A program that is being watched, which waits in its last run."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def go_on(self) -> None:
        """Let it come to its end."""
        self._process.communicate("on\n", timeout=60)
        assert self._process.returncode == 0


@contextmanager
def shown(session: str, env: Mapping[str, str]) -> Generator[Scene]:
    """The scene, as far as where it waits."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.viewers.scene", session],
        cwd=ROOT, env={**os.environ, **env}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        yield Scene(process)
    finally:
        process.kill()
        process.wait()


def screenshot(url: str, name: str, log: Path) -> None:
    """A picture of a page, in docs/, if there is a browser and pictures are wanted."""
    browser = os.environ.get("TINYAGENTS_BROWSER", "")
    if not browser:
        return
    target = ROOT / "docs" / name
    command = [
        browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        "--window-size=1400,900", "--virtual-time-budget=20000", f"--screenshot={target}",
        f"--user-data-dir={log.parent / 'browser'}", url,
    ]  # fmt: skip
    with log.open("w") as file:
        subprocess.run(command, stdout=file, stderr=file, timeout=120, check=True)
    assert target.stat().st_size > 10_000
