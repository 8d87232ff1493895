"""W3C Trace Context: from a request into a run, and from a run to whatever it calls."""

import json
import random
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.request import Request, urlopen

import anyio
import pytest
from opentelemetry import trace

from tests.models.exchange import Side
from tests.models.formats import answered, streamed
from tests.models.wire import WireServer
from tests.telemetry.collecting import Traces, facts, id_of, trace_of
from tinyagents import Agent, MemoryJournal, telemetry, tool
from tinyagents.graph import END, START, StateGraph
from tinyagents.testing import ScriptedModel, call

pytestmark = pytest.mark.anyio

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
WHOLE = {
    "model": "m-1",
    "choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
}
seen: list[dict[str, str]] = []


@tool
async def ask_a_server() -> str:
    """Ask a server."""
    seen.append(telemetry.headers())
    return "asked"


@tool
def ask_in_a_thread() -> str:
    """Ask a server, in a thread."""
    seen.append(telemetry.headers())
    return "asked"


@pytest.fixture(autouse=True)
def forget() -> None:
    seen.clear()


def agent(name: str = "a", using: Any = ask_a_server) -> Agent:
    return Agent(ScriptedModel([call(using.name), "Done."]), name=name, tools=[using])


async def test_a_request_s_trace_goes_on_in_the_run(traces: Traces) -> None:
    with telemetry.incoming({"Traceparent": PARENT, "tracestate": "a=b"}):
        result = await agent().run("Go")
    root = traces.one("invoke_agent a")
    assert root.parent is not None
    assert f"{root.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert {f"{trace_of(each):032x}" for each in traces.spans} == {
        "4bf92f3577b34da6a3ce929d0e0e4736"
    }
    assert root.context is not None
    assert root.context.trace_state.get("a") == "b"
    assert result.events[0].data["trace"]["parent"].startswith(PARENT[:53])
    assert seen[0]["tracestate"] == "a=b"


def test_a_request_over_http_goes_on_in_its_run(traces: Traces) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with telemetry.incoming(dict(self.headers)):
                output = Agent("test", name="a").run_sync("Go").output.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(output)))
            self.end_headers()
            self.wfile.write(output)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    with urlopen(Request(url, headers={"traceparent": PARENT}), timeout=10) as answer:
        assert answer.read() == b"test: Go"
    server.shutdown()
    server.server_close()
    thread.join()
    root = traces.one("invoke_agent a")
    assert root.parent is not None
    assert f"{trace_of(root):032x}-{root.parent.span_id:016x}" == PARENT[3:-3]


@pytest.mark.parametrize("header", ["", "nonsense", "00-0-0-01", PARENT[:-5]])
async def test_a_header_that_is_none_begins_a_trace(traces: Traces, header: str) -> None:
    with telemetry.incoming({"traceparent": header}):
        await agent().run("Go")
    assert traces.one("invoke_agent a").parent is None


async def test_a_span_of_the_host_is_the_parent_of_the_run(traces: Traces) -> None:
    with traces.provider.get_tracer("host").start_as_current_span("request") as span:
        await agent().run("Go")
    root = traces.one("invoke_agent a")
    assert root.parent is not None
    assert root.parent.span_id == span.get_span_context().span_id


@pytest.mark.parametrize("using", [ask_a_server, ask_in_a_thread])
async def test_a_tool_hands_on_the_ids_of_its_call(traces: Traces, using: Any) -> None:
    await agent(using=using).run("Go")
    span = traces.one(f"execute_tool {using.name}")
    assert seen == [{"traceparent": f"00-{trace_of(span):032x}-{id_of(span):016x}-03"}]


async def test_in_a_kept_run_too_where_events_are_heard_later(traces: Traces) -> None:
    await agent().run("Go", run_id="r-1", journal=MemoryJournal())
    span = traces.one("execute_tool ask_a_server")
    assert seen[0]["traceparent"].split("-")[2] == f"{id_of(span):016x}"


async def test_spans_of_a_tool_s_own_hang_at_its_call(traces: Traces) -> None:
    tracer = traces.provider.get_tracer("database")

    @tool
    async def query() -> str:
        """Query."""
        with tracer.start_as_current_span("SELECT"):
            return "rows"

    await agent(using=query).run("Go")
    assert traces.chain(traces.one("SELECT")) == ["SELECT", "execute_tool query", "invoke_agent a"]


async def test_a_node_s_own_spans_hang_at_its_visit(traces: Traces) -> None:
    from pydantic import BaseModel

    class State(BaseModel):
        n: int = 0

    async def count(state: State) -> dict[str, int]:
        with traces.provider.get_tracer("x").start_as_current_span("inside"):
            return {"n": state.n + 1}

    g = StateGraph(State, name="g").add_node(count).add_edge(START, "count").add_edge("count", END)
    await g.compile().run()
    assert traces.chain(traces.one("inside"))[:2] == ["inside", "node count"]


async def test_a_tree_begun_in_a_tool_is_part_of_its_trace(traces: Traces) -> None:
    @tool
    async def elsewhere() -> str:
        """Start a tree of its own."""
        return (await Agent("test", name="other").run("x", run_id="r-2")).text

    await agent(using=elsewhere).run("Go", run_id="r-1")
    chain = traces.chain(traces.one("invoke_agent other"))
    assert chain == ["invoke_agent other", "execute_tool elsewhere", "invoke_agent a"]


async def test_nothing_stays_current_when_a_run_is_over(traces: Traces) -> None:
    async with agent().stream("Go") as run:
        async for _ in run:
            assert not trace.get_current_span().get_span_context().is_valid
    await agent().run("Go")
    assert not trace.get_current_span().get_span_context().is_valid


async def test_runs_side_by_side_do_not_mix(traces: Traces) -> None:
    async with anyio.create_task_group() as group:
        for n in range(5):
            group.start_soon(agent(f"a{n}").run, "Go")
    assert len({trace_of(each) for each in traces.spans}) == 5
    for n in range(5):
        root = traces.one(f"invoke_agent a{n}")
        mine = [each for each in traces.spans if trace_of(each) == trace_of(root)]
        assert len(mine) == 4


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_request_to_a_provider_names_the_model_call(
    traces: Traces, wire: WireServer, side: Side, is_streamed: bool
) -> None:
    is_whole = not is_streamed and side.provider == "openai"  # the other one always streams
    wire.reply(answered(WHOLE) if is_whole else streamed(side.hello))
    agent = Agent(side.make(wire.url), name="a")
    if is_streamed:
        async with agent.stream("Hi") as run:
            await run.result()
    else:
        await agent.run("Hi")
    (request,) = wire.requests
    span = [each for each in traces.spans if each.name.startswith("chat ")][0]
    assert request.headers["traceparent"].split("-")[1:3] == [
        f"{trace_of(span):032x}", f"{id_of(span):016x}",
    ]  # fmt: skip
    assert facts(span)["gen_ai.provider.name"] == side.provider
    assert facts(span)["server.address"] == "127.0.0.1"
    assert facts(span)["server.port"] == int(wire.url.rpartition(":")[2])


async def test_without_telemetry_a_request_names_nothing(wire: WireServer, side: Side) -> None:
    wire.reply(streamed(side.hello))
    async with Agent(side.make(wire.url)).stream("Hi") as run:
        await run.result()
    assert "traceparent" not in wire.requests[0].headers
    assert telemetry.headers() == {}


async def test_seeding_random_repeats_no_id(traces: Traces) -> None:
    for _ in range(3):
        random.seed(7)
        await agent().run("Go")
    assert len({trace_of(each) for each in traces.spans}) == 3
    assert len({id_of(each) for each in traces.spans}) == len(traces.spans)


CHILD = """
import json, os
from opentelemetry.sdk.trace import TracerProvider
from tinyagents import Agent, telemetry
telemetry.setup(tracer_provider=TracerProvider())
with telemetry.incoming({"traceparent": os.environ["TRACEPARENT"]}):
    print(json.dumps(dict(Agent("test").run_sync("x").events[0].data["trace"])))
"""


async def test_another_process_goes_on_in_the_same_trace(traces: Traces) -> None:
    @tool
    def start_process() -> str:
        """Start a process."""
        env = {"TRACEPARENT": telemetry.headers()["traceparent"]}
        done = subprocess.run([sys.executable, "-c", CHILD], env=env, capture_output=True)
        return done.stdout.decode() or done.stderr.decode()

    result = await agent(using=start_process).run("Go")
    span = traces.one("execute_tool start_process")
    told = json.loads(result.messages[-2].text)
    parent = told["parent"].split("-")
    assert parent[1:3] == [f"{trace_of(span):032x}", f"{id_of(span):016x}"]
    assert told["traceparent"].split("-")[1] == parent[1]
