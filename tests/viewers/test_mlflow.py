"""mlflow, another receiver that is not ours, shows the same runs: asked by its own client."""

import json
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.viewers.conftest import Viewer
from tests.viewers.servers import ask, eventually, shown

pytestmark = pytest.mark.timeout(300)

SCRIPT = Path(__file__).with_name("mlflow_traces.py")


def traces(url: str, experiment: str) -> list[dict[str, Any]]:
    python = Path(os.environ["TINYAGENTS_MLFLOW"]).absolute() / "bin" / "python"
    done = subprocess.run(
        [str(python), str(SCRIPT), url, experiment],
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def experiment(mlflow: Viewer) -> str:
    made = ask(f"{mlflow.url}/api/2.0/mlflow/experiments/create", {"name": "library"})
    return str(made["experiment_id"])


@pytest.fixture(scope="module")
def known(mlflow: Viewer, experiment: str) -> list[dict[str, Any]]:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": mlflow.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-mlflow-experiment-id={experiment}",
    }
    with shown("talk", env) as scene:
        scene.go_on()

    def look() -> list[dict[str, Any]]:
        found = traces(mlflow.url, experiment)
        return found if sum(len(each["spans"]) for each in found) >= 28 else []

    return eventually(look)


def root(trace: dict[str, Any]) -> dict[str, Any]:
    (found,) = [each for each in trace["spans"] if each["parent"] is None]
    return dict(found)


def test_each_tree_is_a_trace_that_is_over(known: list[dict[str, Any]]) -> None:
    assert Counter(root(each)["name"] for each in known) == {
        "invoke_agent editor": 2, "invoke_workflow house": 1, "invoke_agent patient": 1,
    }  # fmt: skip
    assert {each["state"] for each in known} == {"OK"}


def test_kinds_inputs_and_outputs(known: list[dict[str, Any]]) -> None:
    spans = [span for each in known for span in each["spans"]]
    assert {each["name"].split()[0]: each["type"] for each in spans} == {
        "invoke_agent": "AGENT", "chat": "LLM", "execute_tool": "TOOL",
        "invoke_workflow": "CHAIN", "step": "CHAIN", "node": "CHAIN",
    }  # fmt: skip
    failed = [each["name"] for each in spans if each["status"] == "ERROR"]
    assert failed == ["execute_tool search"]
    (first,) = [each for each in known if root(each)["inputs"] == "What goes with tea?"]
    assert root(first)["outputs"] == "Six kinds of tea fit two sizes of cups."


def test_the_tree_is_the_run_tree(known: list[dict[str, Any]]) -> None:
    (first,) = [each for each in known if root(each)["inputs"] == "What goes with tea?"]
    by_id = {each["id"]: each for each in first["spans"]}
    edges = Counter(
        (each["name"], by_id[each["parent"]]["name"])
        for each in first["spans"]
        if each["parent"] is not None
    )
    assert edges == {
        ("chat gpt-4o-mini", "invoke_agent editor"): 2,
        ("execute_tool reader", "invoke_agent editor"): 2,
        ("invoke_agent reader", "execute_tool reader"): 2,
        ("chat gpt-4o-mini", "invoke_agent reader"): 5,
        ("execute_tool search", "invoke_agent reader"): 3,
    }


def test_tokens_and_sessions(known: list[dict[str, Any]]) -> None:
    told = {
        (root(each)["inputs"], root(each)["name"]): (each["usage"]["total_tokens"], each["session"])
        for each in known
        if root(each)["name"] != "invoke_workflow house"
    }
    assert told == {
        ("What goes with tea?", "invoke_agent editor"): (840, "talk"),
        ("Thank you.", "invoke_agent editor"): (120, "talk"),
        ("Wait for it.", "invoke_agent patient"): (240, None),
    }
