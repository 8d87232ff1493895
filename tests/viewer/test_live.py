"""The viewer on runs that are under way, and on trees that are large."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import anyio
import pytest
from playwright.sync_api import Page, expect

from tests.viewer.conftest import in_thread
from tests.viewer.scenes import at_work, said, turns
from tests.viewer.trees import large, origin, write_tree
from tinyagents import Agent, EventSink, MemoryJournal, SqliteJournal, ask_parent, tool
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, call
from tinyagents.viewer import Viewer
from tinyagents_graph.journal.protocol import Journal

pytestmark = pytest.mark.timeout(90)


def last_text(request: ModelRequest) -> str:
    return request.messages[-1].text


def waiting(go: anyio.Event) -> Agent[Any, str]:
    """Waits in a tool, then says what it was told."""

    @tool
    async def wait() -> str:
        """Wait."""
        await go.wait()
        return "waited"

    def last(request: ModelRequest) -> str:
        told = [message.text for message in request.messages if message.role == "user"]
        return "told: " + " | ".join(told)

    child = Agent(turns(call("wait"), last), name="child", tools=[wait], description="x")
    script = turns(call("child", input="wait for me"), last_text)
    return Agent(script, name="patient", subagents=[child])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "live.db"


@pytest.fixture
def viewer(path: Path) -> Iterator[Viewer]:
    with Viewer(SqliteJournal(path), by="ann") as shown:
        yield shown


def test_a_live_run_is_steered_and_obeys_and_a_reload_in_between_loses_nothing(
    page: Page, viewer: Viewer, path: Path
) -> None:
    async def run(journal: Journal, go: anyio.Event) -> None:
        result = await waiting(go).run("Begin.", run_id="live", journal=journal)
        assert "Only museums." in result.output

    with at_work(run, path) as go:
        page.goto(viewer.url)
        row = page.locator("a.runs-row", has_text="patient")
        expect(row).to_contain_text("running")
        row.click()
        page.locator(".tree-row", has_text="child[0]").click()
        expect(page.locator(".transcript")).to_contain_text("no result yet")
        page.get_by_role("tab", name="Steer").click()
        page.get_by_label("What to say").fill("Only museums.")
        page.get_by_role("button", name="Send").click()
        expect(page.locator(".detail .outcome")).to_contain_text("received")
        page.reload()  # in mid-run, at the same place
        expect(page.locator(".tree-row.is-selected")).to_contain_text("child[0]")
        page.get_by_role("tab", name="Messages").click()
        expect(page.locator(".card.is-steer")).to_contain_text("Only museums.")
        other = page.context.new_page()
        other.goto(page.url)
        go()
        for tab in (page, other):
            expect(tab.locator(".status-chip")).to_contain_text("completed")
            expect(tab.locator(".transcript")).to_contain_text("told: wait for me | Only museums.")
        expect(page.locator(".card.is-steer", has_text="applied")).to_be_visible()


def test_a_live_run_is_paused_and_goes_on_and_another_is_cancelled(
    page: Page, viewer: Viewer, path: Path
) -> None:
    async def run(journal: Journal, go: anyio.Event) -> None:
        await waiting(go).run("Begin.", run_id="calm", journal=journal)

    with at_work(run, path) as go:
        page.goto(viewer.url)
        page.locator("a.runs-row", has_text="patient").click()
        page.get_by_role("button", name="Pause").click()
        expect(page.locator(".outcome").first).to_contain_text("pause root")
        page.get_by_role("button", name="Go on").click()
        expect(page.locator(".outcome").first).to_contain_text("resume root")
        go()
        expect(page.locator(".status-chip")).to_contain_text("completed")

    async def doomed(journal: Journal, go: anyio.Event) -> None:
        with pytest.raises(Exception, match="cancelled in the viewer"):
            await waiting(anyio.Event()).run("Begin.", run_id="doomed", journal=journal)

    with at_work(doomed, path):
        page.get_by_role("link", name="Runs").click()
        page.locator("a.runs-row", has_text="doomed").click()
        page.get_by_role("button", name="Cancel run").click()
        expect(page.locator(".status-chip")).to_contain_text("cancelled")


def test_a_journal_and_a_sink_of_this_very_process_are_shown_live(page: Page) -> None:
    journal, sink = MemoryJournal(), EventSink()
    agent = Agent(FunctionModel(lambda request: f"turn {said(request)}"), name="here")

    async def run(run_id: str) -> str:
        return (await agent.run("Hello.", run_id=run_id, journal=journal, sink=sink)).output

    in_thread(lambda: run("first"))
    with Viewer(journal) as viewer, Viewer(sink) as watching:
        for shown in (viewer, watching):
            page.goto(shown.url)
            expect(page.locator("a.runs-row")).to_have_count(1)
        in_thread(lambda: run("second"))
        expect(page.locator("a.runs-row")).to_have_count(2)
        page.locator("a.runs-row", has_text="first").click()
        expect(page.locator(".transcript")).to_contain_text("turn 0")
        expect(page.get_by_role("tab", name="Steer")).to_have_count(0)


def test_a_tree_of_ten_thousand_runs_opens_and_scrolls(
    page: Page, viewer: Viewer, path: Path
) -> None:
    async def make() -> int:
        async with SqliteJournal(path) as journal:
            return await write_tree(journal, "large", large(100, 99, 3))

    n_events = in_thread(make)
    assert n_events > 190_000
    page.goto(viewer.url)
    page.wait_for_selector("a.runs-row")
    started = perf_counter()
    page.locator("a.runs-row").click()
    page.wait_for_selector(".tree-row")
    first = perf_counter() - started
    expect(page.locator(".totals")).to_contain_text("10,001 runs", timeout=30_000)
    print(f"first rows after {first:.1f} s, all 10,001 after {perf_counter() - started:.1f} s")
    assert first < 10  # on a machine that does other things, too; `make bench` measures it
    page.get_by_role("treegrid").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("*")
    tree = page.get_by_role("treegrid")
    expect(tree).to_have_attribute("aria-rowcount", "10002")
    assert page.locator(".tree-row").count() < 90  # only what can be seen is drawn
    slow = page.evaluate(
        """async () => {
            const box = document.querySelector(".tree-body");
            const took = [];
            for (let at = 0; at < 60; at += 1) {
                await new Promise(requestAnimationFrame);
                const from = performance.now();
                box.scrollTop = at * 3000;
                box.dispatchEvent(new Event("scroll"));
                await new Promise(requestAnimationFrame);
                took.push(performance.now() - from);
            }
            return took.sort((a, b) => a - b)[30];
        }"""
    )
    assert slow < 200, "half of the steps take longer than a fifth of a second"
    page.keyboard.press("End")
    expect(page.locator(".tree-row.is-selected")).to_contain_text("worker[98]")
    page.get_by_role("button", name="first failure").click()
    expect(page.locator(".tree-row.is-selected")).to_contain_text("failed")
    page.get_by_label("Search runs").fill("piece 42-17")
    expect(tree).to_have_attribute("aria-rowcount", "4")


def test_a_tail_of_two_thousand_events_a_second_is_kept_up_with(page: Page) -> None:
    sink = EventSink()
    where = origin("fast")
    over = threading.Event()

    def emit() -> None:
        for n in range(3_000):
            sink.emit("custom", where, {"name": "tick", "n": n})
        over.set()

    sink.emit("run.started", where, {"name": "fast", "task": "Hurry."})
    with Viewer(sink) as viewer:
        page.goto(viewer.url)
        page.locator("a.runs-row").click()
        page.wait_for_selector(".tree-row")
        page.keyboard.press("4")
        expect(page.locator(".left .event-row")).to_have_count(1)
        started = perf_counter()
        thread = threading.Thread(target=emit)
        thread.start()
        thread.join()
        assert over.is_set()
        expect(page.locator(".totals")).to_contain_text("3,001 events")
        behind = perf_counter() - started
    assert behind < 10, f"3,000 events were shown after {behind:.1f} s"


def test_a_reply_of_thousands_of_pieces_is_read_while_it_is_written(page: Page) -> None:
    sink, where = EventSink(), origin("quick")
    sink.emit("run.started", where, {"name": "quick", "task": "Hurry."})
    with Viewer(sink) as viewer:
        page.goto(viewer.url)
        page.locator("a.runs-row").click()
        expect(page.locator(".transcript")).to_contain_text("Hurry.")
        sink.emit("model.started", where, {"call_id": "m-0", "model": "m"})
        started = perf_counter()
        for piece in [*["."] * 12_000, "the end"]:
            sink.emit("model.delta", where, {"call_id": "m-0", "type": "text", "text": piece})
        writing = page.locator(".card.is-writing")
        expect(writing).to_contain_text("the end")
        behind = perf_counter() - started
        expect(writing).to_have_count(1)
        sink.emit("model.delta", where, {"call_id": "m-0", "type": "tool_call", "tool": "search"})
        expect(writing).to_contain_text("calls search…")
        again = {"call_id": "m-0", "error": {"type": "ModelError", "message": "cut"}, "attempt": 1}
        sink.emit("model.retried", where, again)  # what was written is void
        expect(writing).to_have_count(0)
        expect(page.locator(".transcript")).to_contain_text("The model is asked again")
        sink.emit("model.delta", where, {"call_id": "m-0", "type": "thinking", "text": "hm"})
        sink.emit("model.delta", where, {"call_id": "m-0", "type": "text", "text": "<b>once more"})
        expect(writing).to_contain_text("<b>once more")
        expect(writing.locator(".thinking")).to_contain_text("hm")
    assert behind < 10, f"12,000 pieces were shown after {behind:.1f} s"


def test_a_run_whose_journal_is_cut_off_is_shown_as_far_as_it_goes(
    page: Page, viewer: Viewer, path: Path
) -> None:
    lines = [*large(2, 2, 1)][:9]

    async def make() -> int:
        async with SqliteJournal(path) as journal:
            return await write_tree(journal, "half", lines)

    in_thread(make)
    page.goto(viewer.url)
    expect(page.locator("a.runs-row")).to_contain_text("cut off")
    page.locator("a.runs-row").click()
    expect(page.locator(".status-chip")).to_contain_text("cut off")
    expect(page.locator(".tree-row").first).to_contain_text("boss")


def test_a_viewer_that_went_away_is_missed(page: Page, path: Path) -> None:
    viewer = Viewer(SqliteJournal(path))
    viewer.start()
    page.goto(viewer.url)
    expect(page.locator(".state")).to_have_text("● live")
    viewer.stop()
    expect(page.locator(".state")).to_contain_text("reconnecting")
    expect(page.get_by_role("alert")).to_contain_text("does not answer")


def test_a_journal_in_memory_is_acted_on_while_its_run_is_at_work(page: Page) -> None:
    journal = MemoryJournal()
    done: list[str] = []
    answered = threading.Event()
    asked = Agent(
        turns(call("ask_parent", question="Which account?"), last_text),
        name="curious",
        tools=[ask_parent],
    )

    async def run() -> None:
        result = await asked.run("Pay.", run_id="mine", journal=journal)
        assert result.status == "paused"
        await anyio.to_thread.run_sync(answered.wait)
        result = await asked.resume("mine", journal=journal)
        done.append(str(result.output))

    thread = threading.Thread(target=lambda: anyio.run(run), daemon=True)
    thread.start()
    with Viewer(journal, by="ann") as viewer:
        page.goto(viewer.url)
        page.get_by_role("link", name="Inbox 1").click()
        ask = page.locator("article.ask")
        expect(ask).to_contain_text("Which account?")
        ask.get_by_label("Answer").fill("the savings")
        ask.get_by_role("button", name="Answer").click()
        expect(ask.locator(".outcome")).to_contain_text("Answered")
        answered.set()
        thread.join(20)
    assert done == ["the savings"]


def test_a_journal_that_cannot_be_read_for_a_while_is_said_and_shown_again(
    page: Page, viewer: Viewer, path: Path
) -> None:
    lines = [*large(1, 1, 1)]

    async def make(run_id: str) -> int:
        async with SqliteJournal(path) as journal:
            return await write_tree(journal, run_id, lines)

    in_thread(lambda: make("one"))
    page.goto(viewer.url)
    expect(page.locator("a.runs-row")).to_have_count(1)
    with sqlite3.connect(path, isolation_level=None) as database:
        database.execute("PRAGMA user_version=99")  # as a newer version would have made it
        database.execute("ALTER TABLE tree RENAME TO forest")
    database.close()
    expect(page.get_by_role("alert")).to_be_visible()
    with sqlite3.connect(path, isolation_level=None) as database:
        database.execute("ALTER TABLE forest RENAME TO tree")
        database.execute("PRAGMA user_version=1")
    database.close()
    in_thread(lambda: make("two"))
    expect(page.locator("a.runs-row")).to_have_count(2)
    expect(page.get_by_role("alert")).to_have_count(0)
