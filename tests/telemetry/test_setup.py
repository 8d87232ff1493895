"""One line turns it on: by variables, for a given provider, and whatever the collector does."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from tests.telemetry.collector import collector
from tinyagents import Agent, ConfigError, telemetry
from tinyagents.telemetry.delivery import within
from tinyagents.testing import ScriptedModel

HEAD = """
from tinyagents import Agent, telemetry, tool
from tinyagents.testing import ScriptedModel, call
telemetry.setup()
@tool
def look() -> str:
    "Look."
    print("looking", flush=True)
    return "seen"
agent = Agent(ScriptedModel([call("look"), "Done."]), name="boss", tools=[look])
"""
NAMES = ["chat scripted", "execute_tool look", "chat scripted", "invoke_agent boss"]


def run(code: str, env: Mapping[str, str], head: str = HEAD) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", head + code],
        env={**clean(), **env}, capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip


def clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}


def test_one_line_sends_traces_to_the_collector_that_the_variables_name() -> None:
    with collector() as there:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": there.url, "OTEL_SERVICE_NAME": "shop"}
        done = run('print(agent.run_sync("Go").output)', env)
        assert done.stdout == "looking\nDone.\n", done.stderr
        assert there.wait_for(4) == NAMES
        assert there.resources[0]["service.name"] == "shop"
        assert there.resources[0]["openinference.project.name"] == "shop"


def test_an_agent_alone_can_ask_for_it() -> None:
    with collector() as there:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": there.url}
        head = HEAD.replace("telemetry.setup()\n", "")
        code = 'agent.with_(telemetry=True).run_sync("Go")\nAgent("test", name="b").run_sync("Go")'
        done = run(code, env, head)
        assert done.returncode == 0, done.stderr
        assert there.wait_for(4) == NAMES


def test_a_run_is_exported_while_it_lives() -> None:
    code = """
import sys
@tool
def wait() -> str:
    "Wait."
    print("waiting", flush=True)
    return sys.stdin.readline()
script = [call("look"), call("wait"), "Done."]
Agent(ScriptedModel(script), name="boss", tools=[look, wait]).run_sync("Go")
"""
    with collector() as there:
        env = {**clean(), "OTEL_EXPORTER_OTLP_ENDPOINT": there.url}
        process = subprocess.Popen(
            [sys.executable, "-c", HEAD + code],
            env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with process:
            assert there.wait_for(3) == ["chat scripted", "execute_tool look", "chat scripted"]
            assert process.poll() is None
            process.communicate("on\n", timeout=15)
        names = there.wait_for(6)
        assert names[3:] == ["execute_tool wait", "chat scripted", "invoke_agent boss"]


@pytest.mark.parametrize(
    "ending", ["raise SystemExit(0)", "raise ValueError('oh')", "import sys; sys.exit(3)"]
)
def test_nothing_is_lost_at_exit(ending: str) -> None:
    code = f"""
@tool
def leave() -> str:
    "Leave."
    {ending}
Agent(ScriptedModel([call("leave"), "x"]), name="boss", tools=[leave]).run_sync("Go")
"""
    with collector() as there:
        run(code, {"OTEL_EXPORTER_OTLP_ENDPOINT": there.url})
        assert {"chat scripted", "execute_tool leave", "invoke_agent boss"} <= set(
            there.wait_for(3)
        )


def test_a_run_that_is_open_at_exit_is_told_as_unfinished() -> None:
    code = """
import asyncio
async def main():
    run = agent.with_(model=ScriptedModel(["x"], gate=asyncio.Event())).stream("Go")
    handle = await run.__aenter__()
    async for event in handle:
        if event.kind == "model.started":
            import sys; telemetry.shutdown(); sys.stdout.flush()
            import os; os._exit(0)
asyncio.run(main())
"""
    with collector() as there:
        done = run(code, {"OTEL_EXPORTER_OTLP_ENDPOINT": there.url})
        assert there.wait_for(2) == ["chat scripted", "invoke_agent boss"], done.stderr
        for span in there.spans:
            assert "tinyagents.unfinished" in [each.key for each in span.attributes]


def test_a_signal_that_raises_ends_in_a_whole_trace() -> None:
    code = """
import time
@tool
async def hang() -> str:
    "Hang."
    import anyio
    print("hanging", flush=True)
    await anyio.sleep_forever()
Agent(ScriptedModel([call("hang")]), name="boss", tools=[hang]).run_sync("Go")
"""
    with collector() as there:
        env = {**clean(), "OTEL_EXPORTER_OTLP_ENDPOINT": there.url}
        process = subprocess.Popen(
            [sys.executable, "-c", HEAD + code],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "hanging\n"
            process.send_signal(signal.SIGINT)
            process.wait(15)
        names = there.wait_for(3)
        assert set(names) == {"chat scripted", "execute_tool hang", "invoke_agent boss"}


@pytest.mark.parametrize("status", [500, 404, 0])
def test_a_collector_that_takes_nothing_harms_no_run(status: int) -> None:
    with collector(status) as there:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": there.url, "OTEL_EXPORTER_OTLP_TIMEOUT": "2"}
        begun = time.monotonic()
        done = run('print(agent.run_sync("Go").output, telemetry.flush(0.2))', env)
        assert done.stdout == "looking\nDone. False\n", done.stderr
        assert time.monotonic() - begun < 12
        if status != 0:
            assert f"the collector at {there.url} takes no spans" in done.stderr
        assert "Traceback" not in done.stderr


def test_an_absent_collector_is_told_once_and_harms_no_run() -> None:
    with collector() as there:
        gone = there.url
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": gone, "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    done = run('print(agent.run_sync("Go").output)', env)
    assert done.stdout == "looking\nDone.\n"
    assert done.stderr.count("takes no spans") == 1
    assert "OTEL_SDK_DISABLED" in done.stderr
    assert "Traceback" not in done.stderr


EXIT = """
import time
agent.run_sync("Go")
begun = time.monotonic()
telemetry.shutdown({deadline})
print(time.monotonic() - begun)
"""


@pytest.mark.parametrize("metrics", ["none", "otlp"])
def test_an_absent_collector_is_not_waited_for_at_exit(metrics: str) -> None:
    with collector() as there:
        gone = there.url
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": gone, "OTEL_METRICS_EXPORTER": metrics}
    done = run(EXIT.format(deadline=9), env)
    assert float(done.stdout.split()[-1]) < 4, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "takes no spans (nothing listens there)" in done.stderr


def test_one_that_hangs_is_waited_for_as_long_as_the_variable_says() -> None:
    code = 'agent.run_sync("Go")\nimport time; begun = time.monotonic()\n'
    code += "import atexit; from tinyagents.telemetry import setting_up\n"
    code += "atexit.unregister(setting_up._at_exit)\n"
    code += "setting_up._at_exit(); print(time.monotonic() - begun)"
    with collector(0) as there:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": there.url, "OTEL_BSP_EXPORT_TIMEOUT": "700"}
        done = run(code, env)
    assert 0.6 < float(done.stdout.split()[-1]) < 4, done.stderr
    assert "did not take all spans within 0.7 s at exit" in done.stderr


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"OTEL_BSP_EXPORT_TIMEOUT": "soon"}, "OTEL_BSP_EXPORT_TIMEOUT='soon': give milliseconds"),
        ({"OTEL_TRACES_EXPORTER": "jaeger"}, "OTEL_TRACES_EXPORTER='jaeger': choose otlp, console"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "pip install opentelemetry-exporter-otlp-proto"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "udp"}, "OTEL_EXPORTER_OTLP_PROTOCOL='udp': choose http/"),
        ({"OTEL_METRICS_EXPORTER": "statsd"}, "OTEL_METRICS_EXPORTER='statsd': choose otlp"),
    ],
)
def test_a_variable_that_does_not_do_is_named(env: dict[str, str], message: str) -> None:
    done = run("", env)
    assert done.returncode == 1
    assert message in done.stderr


def test_the_console_will_do_as_well() -> None:
    done = run('agent.run_sync("Go")', {"OTEL_TRACES_EXPORTER": "console"})
    assert '"name": "invoke_agent boss"' in done.stdout


@pytest.mark.parametrize(
    "env", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}], ids=str
)
def test_it_can_be_turned_off_from_outside(env: dict[str, str]) -> None:
    with collector() as there:
        env = {**env, "OTEL_EXPORTER_OTLP_ENDPOINT": there.url}
        done = run('print(agent.run_sync("Go").output)', env)
        assert done.stdout == "looking\nDone.\n", done.stderr
        assert there.spans == []


def test_a_provider_that_was_set_for_the_process_is_used() -> None:
    code = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
provider = TracerProvider()
exporter = ConsoleSpanExporter(formatter=lambda span: span.name + "\\n")
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
"""
    done = run('agent.run_sync("Go")', {}, code + HEAD)
    assert done.stdout.splitlines()[-1] == "invoke_agent boss", done.stderr


def test_what_is_not_captured_is_said_by_a_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    telemetry.setup(tracer_provider=TracerProvider())
    telemetry.shutdown()
    assert "choose one of NO_CONTENT, SPAN_ONLY" in caplog.text


def test_a_version_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="semconv_version='0.1': choose one of '1.41', 'next'"):
        telemetry.setup(semconv_version="0.1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_export_without_telemetry_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"telemetry\.setup\(\)"):
        telemetry.export([])


class Hanging(SpanExporter):
    """Waits for ever, once."""

    def __init__(self) -> None:
        from threading import Event

        self.released = Event()

    def export(self, spans: object) -> SpanExportResult:
        self.released.wait()
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


def test_a_flush_keeps_its_own_deadline() -> None:
    exporter = Hanging()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    made = telemetry.setup(tracer_provider=provider)
    Agent(ScriptedModel(["x"])).run_sync("Go")
    begun = time.monotonic()
    assert made.flush(0.1) is False
    assert time.monotonic() - begun < 5
    exporter.released.set()
    assert made.flush(10) is True
    telemetry.shutdown()


def test_what_is_not_done_in_time_goes_on_elsewhere() -> None:
    assert within(5, lambda: None) is True


def test_setting_it_up_again_takes_the_place_of_before(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    providers = [TracerProvider(), TracerProvider()]
    for provider in providers:
        telemetry.setup(tracer_provider=provider)
    result = Agent(ScriptedModel(["x"])).run_sync("Go")
    assert result.events[0].data["trace"]["traceparent"]
    telemetry.shutdown()
    assert "trace" not in Agent(ScriptedModel(["x"])).run_sync("Go").events[0].data
    assert caplog.text == ""


@pytest.mark.parametrize("given", ["x", 1, None, telemetry])
@pytest.mark.parametrize("name", ["telemetry", "verbose"])
def test_what_is_on_or_off_is_nothing_else(name: str, given: object) -> None:
    wrong: dict[str, Any] = {name: given}
    with pytest.raises(ConfigError, match=rf"Agent\({name}=.*\): give True or False"):
        Agent(ScriptedModel(["x"]), **wrong)
