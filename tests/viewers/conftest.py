"""Viewers that are not ours, each in a virtual environment of its own: `make viewers`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.viewers.servers import ask, free_port, serving


class Viewer(NamedTuple):
    """Where one is, and where its logs go."""

    url: str
    folder: Path


def _bin(variable: str) -> Path:
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"{variable} names no virtual environment with it; see `make viewers`")
    return Path(folder).absolute() / "bin"


@pytest.fixture(scope="session")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    folder, port = tmp_path_factory.mktemp("phoenix"), free_port()
    env = {
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_SQL_DATABASE_URL": f"sqlite:///{folder}/phoenix.db",
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    }
    command = [str(_bin("TINYAGENTS_PHOENIX") / "phoenix"), "serve"]
    url = f"http://127.0.0.1:{port}"
    with serving(command, env, folder / "log", lambda: ask(f"{url}/healthz") is not None):
        yield Viewer(url, folder)


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    env = {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{_bin('TINYAGENTS_MLFLOW')}:/usr/bin:/bin"}
    command = [
        str(_bin("TINYAGENTS_MLFLOW") / "mlflow"), "server", "--host", "127.0.0.1",
        "--port", str(port), "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
        "--default-artifact-root", str(folder / "artifacts"), "--workers", "1",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with serving(command, env, folder / "log", lambda: ask(f"{url}/health") == "OK"):
        yield Viewer(url, folder)
