"""100 MB are never in memory at once, however many runs work on them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import ROOT

MB = 1_000_000

SCRIPT = """
import json, sys
from pathlib import Path

import anyio

from tinyagents import RunLimits
from tinyagents.recursive import RecursiveAgent
from tinyagents.testing import FunctionModel

DEEPER = '''```python
import asyncio
answers = await asyncio.gather(*[recurse("Count", part) for part in context.split(4)])
finish(sum(int(each) for each in answers))
```'''
COUNT = '''```python
answers = llm_map("Count", context.chunks(100_000))
finish(sum(int(each) for each in answers))
```'''

def plan(request):
    return DEEPER if "length 100,000,000" in request.messages[-1].text else COUNT

def read(request):
    return str(request.messages[-1].text.count("needle"))

agent = RecursiveAgent(
    FunctionModel(plan),
    sub_model=FunctionModel(read),
    max_concurrency=16,
    limits=RunLimits(max_requests=5_000, max_runs=5_000),
)

def most():
    # Not `getrusage`: that knows of the process that started this one, too.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1_024

async def main(file):
    await agent.run("Count", data="short " * 50_000)  # what is loaded once
    before = most()
    result = await agent.run("Count", data=file)
    events = sum(len(event.to_json()) for event in result.events)
    n_runs = result.tree_usage.requests
    print(json.dumps([result.output, n_runs, most() - before, events]))

anyio.run(main, Path(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_100_mb_are_not_in_memory_and_not_in_the_events(tmp_path: Path) -> None:
    file = tmp_path / "long.txt"
    block = (b"hay " * 24_998 + b"needle!\n") * 10
    assert len(block) == MB
    with file.open("wb") as out:
        for _ in range(100):
            out.write(block)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(file)],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    output, n_requests, grown, events = json.loads(done.stdout)
    assert output == "1000"
    assert n_requests > 1_000
    assert grown < 30 * MB
    assert events < 10 * MB
    print(
        f"{n_requests:,} requests, {grown / MB:.0f} MB more memory, {events / MB:.1f} MB of events"
    )
