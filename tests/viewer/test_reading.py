"""What was said and done is found and shown: cells of code, pictures, what is being written."""

import struct
import zlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path
from time import perf_counter

import anyio
import pytest
from playwright.sync_api import Page, expect

from tests.viewer.conftest import in_thread
from tests.viewer.scenes import at_work, office, search, team, turns
from tests.viewer.trees import large, write_tree
from tinyagents import Agent, Image, SqliteJournal, Text, UserMessage, tool
from tinyagents.models import ModelDelta, ModelReply, ModelRequest
from tinyagents.testing import ScriptedModel, call
from tinyagents.viewer import Viewer, export_html
from tinyagents_graph.journal.protocol import Journal

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "read.db"


@pytest.fixture
def viewer(path: Path) -> Iterator[Viewer]:
    with Viewer(SqliteJournal(path), by="ann") as shown:
        yield shown


def keep(path: Path, agent: Agent[None, str], task: object, run_id: str) -> None:
    async def run() -> None:
        async with SqliteJournal(path) as journal:
            await agent.run(task, run_id=run_id, journal=journal)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    in_thread(run)


def show(page: Page, viewer: Viewer, run_id: str, rest: str = "") -> None:
    page.goto(viewer.url)
    page.wait_for_selector("a.runs-row")
    page.evaluate(f"location.hash = '#/run/{run_id}{rest}'")
    page.wait_for_selector(".tree-row, .event-row, .graph")


def coder() -> Agent[None, str]:
    """Writes code: one cell that calls a tool and prints, one that delegates and fails, the end."""
    helper = Agent(turns("Four."), name="helper", description="Helps.")
    script = [
        "I look first.\n```python\npages = search(query='tea')\nprint('seen:', len(pages))\n```",
        "```python\nprint(helper(input='two and two'))\n1 / 0\n```",
        "```python\nfinish('Seven pages.')\n```",
    ]
    return Agent(
        ScriptedModel(script), name="coder", tools=[search], subagents=[helper], dialect="codeact"
    )


def test_cells_of_a_real_agent_have_their_code_their_calls_and_what_came_out(
    page: Page, viewer: Viewer, path: Path
) -> None:
    keep(path, coder(), "How many?", "code")
    show(page, viewer, "code")
    for tab in ("Messages", "Cells"):
        page.get_by_role("tab", name=tab).click()
        cells = page.locator(".card.is-cell, .card.is-cell.is-error")
        expect(cells).to_have_count(3)
        first, second = cells.nth(0), cells.nth(1)
        expect(first.locator("pre").first).to_contain_text("pages = search(query='tea')")
        expect(first.locator(".card", has_text="Call search")).to_contain_text("three pages")
        expect(first.locator("> .card-body > .output")).to_contain_text("seen: ")
        expect(first.locator("> header")).to_contain_text("ok")
        expect(first.locator("> header")).to_contain_text("1 call")
        expect(second.locator("> header")).to_contain_text("failed")
        expect(second.locator("> .card-body > .output")).to_contain_text("ZeroDivisionError")
        expect(second).to_contain_text("Delegates to root/python[1]/helper[0]")
        expect(page.locator(".transcript")).not_to_contain_text("[object")
        # The code stands once: in the cell, and not in the reply that it came from as well.
        expect(page.locator(".transcript pre", has_text="pages = search(")).to_have_count(1)
    page.get_by_role("tab", name="Messages").click()
    expect(page.locator(".card.is-assistant").first).to_contain_text("I look first.")
    cells.nth(1).get_by_role("button", name="root/python[1]/helper[0]").click()
    expect(page.locator(".tree-row.is-selected")).to_contain_text("helper[0]")
    page.get_by_role("tab", name="Cells").click()
    expect(page.locator(".detail .empty")).to_have_text("No code was run here.")


def png(width: int, height: int) -> bytes:
    """A red picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    rows = b"".join(b"\0" + b"\xff\0\0" * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@tool
async def photograph(of: str) -> Image:
    """Take a photograph."""
    return Image(png(30, 20))


def test_pictures_in_a_task_and_in_a_result_are_shown(
    page: Page, viewer: Viewer, path: Path, tmp_path: Path
) -> None:
    agent = Agent(turns(call("photograph", of="a cat"), "A cat."), name="eye", tools=[photograph])
    task = UserMessage((Text("What is this?"), Image(png(40, 10))))
    keep(path, agent, task, "eye")
    show(page, viewer, "eye")
    pictures = page.locator("img.picture")
    expect(pictures).to_have_count(2)
    widths = "images => images.map((image) => image.naturalWidth)"
    expect(page.locator(".card.is-tool")).to_contain_text("photograph")
    assert pictures.evaluate_all(widths) == [40, 30]

    async def export() -> str:
        async with SqliteJournal(path) as journal:
            return await export_html(journal, "eye")

    target = tmp_path / "eye.html"
    target.write_text(in_thread(export), encoding="utf-8")
    page.goto(target.as_uri())
    expect(pictures).to_have_count(2)
    assert pictures.evaluate_all(widths) == [40, 30]


class Halting(ScriptedModel):
    """Stops in the middle of its reply until it may go on."""

    go: anyio.Event

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelDelta | ModelReply]:
        n = 0
        async with aclosing(super().stream(request)) as pieces:
            async for piece in pieces:
                if n == 3:
                    await self.go.wait()
                yield piece
                n += 1


def test_a_reply_grows_while_it_is_written(page: Page, viewer: Viewer, path: Path) -> None:
    async def run(journal: Journal, go: anyio.Event) -> None:
        model = Halting(["zero one two three four five"])
        model.go = go
        agent = Agent(model, name="writer")
        async with agent.stream("Write.", run_id="live", journal=journal) as shown:
            await shown.result()

    with at_work(run, path) as go:
        page.goto(viewer.url)
        page.locator("a.runs-row", has_text="writer").click()
        writing = page.locator(".card.is-writing")
        expect(writing.locator(".card-body > .prose")).to_have_text("zero one two ")
        expect(writing).to_contain_text("is writing")
        expect(page.locator(".tree-row")).to_contain_text("writing")
        page.reload()  # what was written so far is there again
        expect(writing.locator(".card-body > .prose")).to_have_text("zero one two ")
        go()
        expect(page.locator(".status-chip")).to_contain_text("completed")
    expect(writing).to_have_count(0)
    replies = page.locator(".card.is-assistant")
    expect(replies).to_have_count(1)
    expect(replies).to_contain_text("zero one two three four five")


def test_words_are_found_in_messages_calls_and_code(
    page: Page, viewer: Viewer, path: Path, tmp_path: Path
) -> None:
    keep(path, team(), "A report on tea.", "team")
    keep(path, coder(), "How many?", "code")
    show(page, viewer, "team")
    rows, box = page.locator(".tree-row"), page.get_by_label("Search runs and messages")
    expect(rows).to_have_count(4)
    box.fill("let a = 1")  # in a reader's reply, and nowhere in what a row shows
    expect(page.locator(".tree-row .hits")).to_have_count(3)  # of both readers, and of who asked
    expect(rows).to_have_count(3)
    page.locator(".tree-row", has_text="reader[1]").click()
    assert page.evaluate("CSS.highlights.get('found').size") > 0
    box.fill("nothing says this")
    expect(rows).to_have_count(0)
    expect(page.locator(".count-line")).to_have_text("0 of 4")
    box.fill("")
    expect(rows).to_have_count(4)
    assert page.evaluate("CSS.highlights.has('found')") is False
    show(page, viewer, "code")
    box.fill("zerodivisionerror")
    expect(page.locator(".tree-row .hits")).to_have_count(1)

    async def export() -> str:
        async with SqliteJournal(path) as journal:
            return await export_html(journal, "team")

    target = tmp_path / "team.html"
    target.write_text(in_thread(export), encoding="utf-8")
    page.goto(target.as_uri())
    expect(rows).to_have_count(4)
    box.fill("let a = 1")
    expect(page.locator(".tree-row .hits")).to_have_count(3)


def test_words_are_found_among_two_hundred_thousand_events(
    page: Page, viewer: Viewer, path: Path
) -> None:
    async def make() -> int:
        async with SqliteJournal(path) as journal:
            lines = list(large(100, 99, 3))
            where = next(n for n, line in enumerate(lines) if line[0] == "root/lead[42]/worker[7]")
            said = {"call_id": "c-9", "tool": "search", "content": "a needle in the hay"}
            lines.insert(where + 1, ("root/lead[42]/worker[7]", "tool.completed", said))
            return await write_tree(journal, "large", lines)

    assert in_thread(make) > 190_000
    page.goto(viewer.url)
    page.locator("a.runs-row").click()
    expect(page.locator(".totals")).to_contain_text("10,001 runs", timeout=30_000)
    box = page.get_by_label("Search runs and messages")
    took: list[float] = []
    for words in ("needle hay", "a needle in"):
        started = perf_counter()
        box.fill(words)
        expect(page.locator(".tree-row .hits")).to_have_count(1, timeout=30_000)
        expect(page.get_by_role("treegrid")).to_have_attribute("aria-rowcount", "4")
        took.append(perf_counter() - started)
        box.fill("")
        expect(page.get_by_role("treegrid")).not_to_have_attribute("aria-rowcount", "4")
    print(f"found after {took[0]:.1f} s at first, then after {took[1]:.1f} s")
    assert took[1] < 5  # on a machine that does other things, too; what was read is not read again


def test_a_graph_in_a_graph_can_be_looked_into(page: Page, viewer: Viewer, path: Path) -> None:
    async def run() -> None:
        async with SqliteJournal(path) as journal:
            await office().run({"topic": "tea"}, run_id="office", journal=journal)

    in_thread(run)
    show(page, viewer, "office", "?view=graph")
    table = page.locator(".graph table")
    expect(table.locator("tr", has_text="review/check").locator("td").first).to_have_text("1")
    expect(table.locator("tr", has_text="review/mend").locator("td").first).to_have_text("0")
    table.get_by_role("button", name="writer").click()
    expect(page.locator(".tree-row")).to_have_count(2)


def test_a_link_within_a_run_is_followed_and_led_back_from(
    page: Page, viewer: Viewer, path: Path
) -> None:
    keep(path, team(), "A report on tea.", "team")
    show(page, viewer, "team")
    page.evaluate("location.hash = '#/run/team?at=root/writer[0]&tab=facts&view=timeline'")
    expect(page.locator(".tree-row.is-selected")).to_contain_text("writer[0]")
    expect(page.locator(".facts-list")).to_contain_text("root/writer[0]")
    expect(page.get_by_role("button", name="Timeline")).to_have_attribute("aria-pressed", "true")
    page.go_back()
    expect(page.locator(".tree-row.is-selected")).to_contain_text("boss")
    expect(page.get_by_role("button", name="Tree")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("tab", name="Messages")).to_have_attribute("aria-selected", "true")
