"""A real browser for the viewer's tests; where there is none, they are skipped and say why."""

import os
import shutil
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from tests.viewer.scenes import fill
from tinyagents import SqliteJournal
from tinyagents.viewer import Viewer

T = TypeVar("T")

expect.set_options(timeout=15_000)  # milliseconds; a machine that does other things is slow

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def in_thread(do: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run something async beside the browser, which has an event loop in this thread."""
    found: list[T] = []
    thread = threading.Thread(target=lambda: found.append(anyio.run(do)))
    thread.start()
    thread.join(60)
    assert found, "it failed; its traceback is above"
    return found[0]


def chromium_path() -> str | None:
    """The browser of this machine."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium_path()
    if path is None:
        pytest.skip(
            f"no browser: none of {', '.join(BROWSERS)} is installed (apt install chromium)"
        )
    # A browser has no sandbox of its own for root, and in a test it sees nothing but our pages.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=path, args=arguments)
        except Error as error:
            pytest.skip(f"{path} does not start: {error}")
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that lets no error and no script of a model's pass."""
    with browser.new_context(viewport={"width": 1400, "height": 850}) as context:
        context.set_default_timeout(15_000)
        shown = context.new_page()
        errors: list[str] = []
        shown.on("pageerror", lambda error: errors.append(str(error)))
        # A viewer that is gone, or refuses something, is what some tests are about.
        shown.on(
            "console",
            lambda said: (
                errors.append(said.text)
                if said.type == "error" and not said.text.startswith("Failed to load resource")
                else None
            ),
        )
        yield shown
        assert shown.evaluate("window.pwned") is None
        assert errors == []


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("viewer") / "runs.db"

    async def make() -> Path:
        async with SqliteJournal(path) as journal:
            await fill(journal)
        return path

    return in_thread(make)


@pytest.fixture
def journal_path(filled: Path, tmp_path: Path) -> Path:
    """A journal with runs of every kind, for this test alone."""
    return Path(shutil.copy(filled, tmp_path / "runs.db"))


@pytest.fixture
def viewer(journal_path: Path) -> Iterator[Viewer]:
    with Viewer(SqliteJournal(journal_path), title="runs.db", by="ann") as shown:
        yield shown
