"""The pictures of docs/viewer.md: `python -m tests.viewer.pictures` takes them anew."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import time
from typing import Any

from playwright.sync_api import sync_playwright

from tests.project import ROOT
from tests.viewer.conftest import chromium_path, in_thread
from tests.viewer.scenes import clerk, pipeline
from tests.viewer.trees import Line, origin
from tinyagents import Agent, SqliteJournal, tool
from tinyagents.testing import ScriptedModel
from tinyagents.viewer import Viewer
from tinyagents_graph import Event

CITIES = ("Basel", "Zurich", "Geneva", "Lugano")
SHOTS: Sequence[tuple[str, str, str, Sequence[str]]] = (
    ("tree", "#/run/report?at=root/planner[0]", "light", []),
    ("timeline", "#/run/report?view=timeline", "dark", []),
    ("inbox", "#/inbox", "light", ["Edit arguments"]),
    ("cells", "#/run/count?tab=cells", "light", []),
)


def usage(n: int) -> dict[str, Any]:
    """What a model call used."""
    return {"requests": 1, "input_tokens": 900 * n, "output_tokens": 120 * n, "usd": 0.0042 * n}


def turn(path: str, n: int, parts: list[Any]) -> Iterator[Line]:
    """A model call."""
    yield path, "model.started", {"call_id": f"m-{n}", "model": "gpt-5-mini"}
    message = {"role": "assistant", "parts": parts}
    reply = {"call_id": f"m-{n}", "model": "gpt-5-mini", "message": message, "usage": usage(n + 1)}
    yield path, "model.completed", reply


def searched(path: str, n: int, query: str, found: str) -> Iterator[Line]:
    """A model call, and the call of a tool that it wants."""
    call_id, arguments = f"c-{n}", {"query": query, "most": 5}
    wanted = {"type": "tool_call", "id": call_id, "name": "search", "arguments": arguments}
    yield from turn(path, n, [{"type": "text", "text": f"I look for {query}."}, wanted])
    yield path, "tool.started", {"call_id": call_id, "tool": "search", "arguments": arguments}
    yield path, "tool.completed", {"call_id": call_id, "tool": "search", "content": found}


def report() -> Iterator[Line]:
    """A report that several agents are at work on."""
    task = "A guide to four Swiss cities, one page each, for a rainy weekend."
    yield "root", "run.started", {"name": "editor", "task": task, "model": "gpt-5"}
    plan = "root/planner[0]"
    yield "root", "model.started", {"call_id": "m-0", "model": "gpt-5"}
    yield plan, "run.started", {"name": "planner", "task": "Plan the guide", "model": "gpt-5-mini"}
    yield from searched(plan, 0, "rainy weekend cities", '["museums", "baths", "cafés"]')
    code = "What holds for all of them:\n```python\npages = {city: 1 for city in cities}\n```"
    yield from turn(plan, 1, [{"type": "text", "text": code}])
    yield plan, "run.completed", {"output": code, "usage": usage(3), "tree_usage": usage(3)}
    for at, city in enumerate(CITIES):
        path = f"root/writer[{at}]"
        yield (
            path,
            "run.started",
            {"name": "writer", "task": f"A page on {city}", "model": "gpt-5-mini"},
        )
        yield from searched(path, 0, f"{city} in the rain", f"12 pages about {city}")
        for n, what in enumerate(("museums", "food")):
            child = f"{path}/reader[{n}]"
            yield (
                child,
                "run.started",
                {"name": "reader", "task": f"{what} of {city}", "model": "gpt-5-nano"},
            )
            yield from searched(child, 0, f"{city} {what}", f"{3 + n} {what}")
            if (at, n) == (2, 1):
                error = {"type": "ModelError", "message": "the provider is overloaded"}
                yield (
                    child,
                    "run.failed",
                    {"error": error, "usage": usage(1), "tree_usage": usage(1)},
                )
            elif at < 3:
                said = f"{city} is good for {what}."
                yield (
                    child,
                    "run.completed",
                    {"output": said, "usage": usage(2), "tree_usage": usage(2)},
                )
        if at < 2:
            page = f"{city}, in the rain: 40 museums."
            yield from turn(path, 1, [{"type": "text", "text": page}])
            yield path, "run.completed", {"output": page, "usage": usage(3), "tree_usage": usage(6)}


def counter() -> Agent[Any, str]:
    """Counts by code."""
    script = [
        "I count them.\n```python\npages = search(query='tea')\nprint(pages)\nlen(pages)\n```",
        "```python\nfinish('Three pages.')\n```",
    ]
    look = tool(name="search")(found)
    return Agent(ScriptedModel(script), name="counter", tools=[look], dialect="codeact")


async def found(query: str) -> str:
    """Search for something."""
    return f"three pages about {query}"


async def write(path: Path) -> SqliteJournal:
    """A journal that looks as one does after a while; as long as it is there, a run is at work."""
    journal = SqliteJournal(path)
    await pipeline().run({"topic": "tea"}, run_id="flow", journal=journal)
    await counter().run("How many pages are about tea?", run_id="count", journal=journal)
    await clerk().run("Pay invoice 7.", run_id="invoice-7", journal=journal)
    opening = await journal.open("report", name="editor", task="A guide to four Swiss cities")
    lines = list(report())
    began = time() - len(lines) * 1.1
    events = [
        Event(seq, began + seq * 1.1, kind, origin("report", where), data)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        for seq, (where, kind, data) in enumerate(lines)
    ]
    journal.append(opening.lease, events, lambda error: None)
    return journal


def main() -> None:
    """Take them."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "runs.db"
        journal = in_thread(lambda: write(path))
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=["--no-sandbox"])
        with Viewer(SqliteJournal(path), title="runs.db", by="ann") as viewer:
            for name, place, scheme, clicks in SHOTS:
                size: Any = {"width": 1180, "height": 540}
                page = browser.new_page(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
                page.goto(f"{viewer.url}{place}")
                page.wait_for_timeout(1500)
                for label in clicks:
                    page.get_by_role("button", name=label).click()
                page.screenshot(path=ROOT / "docs" / f"viewer_{name}.png")
        browser.close()
        in_thread(journal.aclose)


if __name__ == "__main__":
    main()
