"""What every test gets: no network, no keys from the outside, both event loops."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

from tinyagents.testing import no_network

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("tinyagents", deadline=None, print_blob=True)
hypothesis.settings.load_profile("tinyagents")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        # Such a process ignores Ctrl-C, and what the tests start would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def isolation() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.upper().endswith(("_API_KEY", "_PROXY")) or name == "TINYAGENTS_MODEL":
                patch.delenv(name)
        with no_network():
            yield


@pytest.fixture(
    scope="module",
    params=[("asyncio", {"debug": False}), ("trio", {"strict_exception_groups": True})],
    ids=["asyncio", "trio"],
)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param
