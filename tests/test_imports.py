"""Importing a package loads none of the libraries that only some programs need."""

import subprocess
import sys

import pytest

HEAVY = {
    "anthropic",
    "click",
    "genai_prices",
    "jsonschema",
    "networkx",
    "openai",
    "opentelemetry",
    "pydantic_monty",
    "referencing",
    "resvg_py",
    "rich",
    "trio",
}


def _loaded(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("package", ["tinyagents", "tinyagents_graph"])
def test_an_import_loads_no_heavy_library(package: str) -> None:
    loaded = _loaded(f"import {package}")
    assert package.partition(".")[0] in loaded
    assert loaded & HEAVY == set()


def test_who_has_no_graph_does_not_load_one() -> None:
    code = "import sys, tinyagents; print('tinyagents_graph.stategraph' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_who_has_no_sandbox_does_not_load_one() -> None:
    code = "import sys, tinyagents; print('tinyagents.sandbox' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_ground_floor_loads_nothing_above_it() -> None:
    assert "tinyagents" not in _loaded("import tinyagents_graph")


def test_a_heavy_library_would_be_seen() -> None:
    assert _loaded("import networkx") & HEAVY == {"networkx"}
