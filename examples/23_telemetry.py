"""A trace of a run tree: one line turns it on, and here a few lines more print it."""

import asyncio
import os
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from tinyagents import Agent, telemetry, tool
from tinyagents.models import Model
from tinyagents.testing import ScriptedModel, call


def model(*script: object) -> str | Model:
    return os.environ.get("TINYAGENTS_MODEL") or ScriptedModel(script)


@tool
async def search(query: str) -> str:
    """Search the library."""
    ids = telemetry.headers()  # for a server that is asked, so that its spans hang here
    return f"Three books about {query}, asked for with {len(ids)} header."


class Printer(SpanExporter):
    """Prints spans as they end. In earnest: OTEL_EXPORTER_OTLP_ENDPOINT=…, and no provider."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            facts = span.attributes or {}
            print(f"{facts.get('tinyagents.run.id')}: {span.name} {facts.get('output.value', '')}")
        return SpanExportResult.SUCCESS


reader = Agent(
    model(call("search", query="tea"), "Six kinds of tea."),
    name="reader",
    description="Reads books.",
    tools=[search],
)
editor = Agent(
    model(call("reader", input="What is there about tea?"), "There are six kinds."),
    name="editor",
    subagents=[reader],
)


async def main() -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Printer()))
    telemetry.setup(tracer_provider=provider, content=True)
    await editor.run("Tell me about tea.", run_id="tea")


if __name__ == "__main__":
    asyncio.run(main())
