"""The viewer in a real browser, clicked as a user would."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.viewer.conftest import in_thread
from tinyagents import Event, SqliteJournal
from tinyagents.viewer import Viewer, export_html

pytestmark = pytest.mark.timeout(60)


def events_of(path: Path, run_id: str) -> list[Event]:
    async def read() -> list[Event]:
        async with SqliteJournal(path) as journal:
            return await journal.read(run_id)

    return in_thread(read)


def open_run(page: Page, viewer: Viewer, run_id: str, rest: str = "") -> None:
    page.goto(viewer.url)
    page.wait_for_selector("a.runs-row")
    page.evaluate(f"location.hash = '#/run/{run_id}{rest}'")
    page.wait_for_selector(".tree-row, .event-row, .graph")


def test_runs_are_listed_searched_filtered_and_sorted(page: Page, viewer: Viewer) -> None:
    page.goto(viewer.url)
    assert "token" not in page.url
    rows = page.locator("a.runs-row")
    expect(rows).to_have_count(7)
    page.keyboard.press("/")
    page.keyboard.type("invoice")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("paused")
    page.keyboard.press("Escape")
    page.get_by_label("Status").select_option("failed")
    expect(rows).to_have_count(1)
    page.reload()  # what was chosen is in the address
    expect(rows).to_have_count(1)
    page.get_by_label("Status").select_option("")
    page.get_by_role("button", name="Cost").click()
    expect(rows.first).to_contain_text("coder")
    page.get_by_role("grid", name="Runs").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="coder")).to_be_visible()


def test_a_tree_is_unfolded_and_walked_by_keys(page: Page, viewer: Viewer) -> None:
    open_run(page, viewer, "team")
    tree = page.get_by_role("treegrid", name="Runs")
    rows = tree.locator(".tree-row")
    expect(rows).to_have_count(4)
    tree.focus()
    page.keyboard.press("ArrowLeft")
    expect(rows).to_have_count(1)
    expect(rows.first).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("ArrowRight")
    expect(rows).to_have_count(4)
    page.keyboard.press("ArrowDown")
    expect(page.locator(".tree-row.is-selected")).to_contain_text("reader[0]")
    assert "at=root%2Freader%5B0%5D" in page.url
    page.keyboard.press("Enter")
    messages = page.locator(".transcript")
    expect(messages).to_contain_text("tea in China")
    expect(messages.locator(".code").first).to_contain_text("print('found')")
    expect(messages.locator(".code").nth(1)).to_contain_text("let a = 1;")
    page.reload()
    expect(page.locator(".tree-row.is-selected")).to_contain_text("reader[0]")
    page.get_by_label("Search runs").fill("writer")
    expect(rows).to_have_count(2)


def test_messages_lead_to_children_events_and_facts(page: Page, viewer: Viewer) -> None:
    open_run(page, viewer, "team")
    messages = page.locator(".transcript")
    expect(messages).to_contain_text("Be brief.", use_inner_text=False)
    expect(messages).to_contain_text("Here is **the report**.")
    messages.get_by_role("button", name="root/writer[0]").click()
    expect(page.locator(".tree-row.is-selected")).to_contain_text("writer[0]")
    page.locator(".transcript .seq").last.click()
    expect(page.locator(".detail .event-row.is-selected")).to_contain_text("model.completed")
    expect(page.locator(".detail .event-detail")).to_contain_text("stop_reason")
    page.get_by_role("tab", name="Facts").click()
    expect(page.locator(".facts-list")).to_contain_text("root/writer[0]")


def test_what_models_and_tools_write_stays_text(page: Page, viewer: Viewer) -> None:
    open_run(page, viewer, "team")
    expect(page.locator(".transcript")).to_contain_text("<img src=x onerror=")
    page.locator(".tree-row", has_text="writer[0]").click()
    expect(page.locator(".transcript")).to_contain_text("window.pwned=1</script></script><!--")
    assert page.locator(".transcript img, .transcript script, .transcript svg").count() == 0
    open_run(page, viewer, "cells", "?tab=events")
    page.locator(".event-row", has_text="quantum.entangled").click()
    expect(page.locator(".event-detail")).to_contain_text("<img src=x")
    assert page.evaluate("window.pwned") is None


def test_cells_pictures_and_kinds_nobody_knows_are_shown(page: Page, viewer: Viewer) -> None:
    open_run(page, viewer, "cells")
    expect(page.locator(".card.is-cell")).to_contain_text("print(total)")
    assert page.locator("img.picture").evaluate("image => image.naturalWidth") == 1
    expect(page.locator(".transcript")).to_contain_text("https://example.com/x.png (not loaded)")
    expect(page.locator(".transcript")).to_contain_text("quantum.entangled")
    page.get_by_role("tab", name="Cells").click()
    expect(page.locator(".transcript .card")).to_have_count(1)
    more = page.locator(".card.is-cell").get_by_role("button", name="Show all")
    more.click()
    expect(page.locator(".card.is-cell .more")).to_have_text("Show less")


def test_time_graph_and_events_of_a_tree(page: Page, viewer: Viewer) -> None:
    open_run(page, viewer, "flow")
    page.keyboard.press("2")
    expect(page.locator(".bar").first).to_be_visible()
    expect(page.locator(".span.is-node").first).to_be_attached()
    page.keyboard.press("3")
    table = page.locator(".graph table")
    expect(table.locator("tbody tr")).to_have_count(3)
    expect(table.locator("tr", has_text="mend").locator("td").first).to_have_text("0")
    expect(table.locator("tr", has_text="check")).to_contain_text("critical")
    picture = page.locator(".graph img")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 50
    page.keyboard.press("4")
    rows = page.locator(".left .event-row")
    expect(rows).to_have_count(14)
    page.locator(".left").get_by_label("Kind of event").select_option("node.completed")
    expect(rows).to_have_count(2)
    open_run(page, viewer, "team", "?view=graph")
    expect(table.locator("tr", has_text="reader").locator("td").first).to_have_text("2")


def test_a_call_is_approved_with_other_arguments(
    page: Page, viewer: Viewer, journal_path: Path
) -> None:
    page.goto(viewer.url)
    page.get_by_role("link", name="Inbox 1").click()
    ask = page.locator("article.ask")
    expect(ask).to_contain_text("pay")
    expect(ask).to_contain_text("The invoice is in order. <img")
    ask.get_by_role("button", name="Edit arguments").click()
    ask.get_by_label("Arguments, as JSON").fill('{"to": "Miller", "amount": ')
    ask.get_by_role("button", name="Approve").click()
    assert "no JSON" in ask.get_by_label("Arguments, as JSON").evaluate("t => t.validationMessage")
    ask.get_by_label("Arguments, as JSON").fill('{"to": "Miller", "amount": 378}')
    ask.get_by_label("Reason").fill("no delivery")
    ask.get_by_role("button", name="Approve").click()
    expect(ask.locator(".outcome")).to_contain_text("tinyagents resume invoice")
    expect(page.get_by_role("link", name="Inbox 1")).to_have_count(0)

    async def answer() -> object:
        async with SqliteJournal(journal_path) as journal:
            (given,) = await journal.deliveries("invoice")
            return given.payload

    payload = in_thread(answer)
    assert isinstance(payload, dict)
    assert payload["arguments"] == {"to": "Miller", "amount": 378}
    assert (payload["by"], payload["reason"]) == ("ann", "no delivery")


def test_a_question_is_answered_where_it_stands_in_two_tabs(page: Page, viewer: Viewer) -> None:
    open_run(page, viewer, "invoice")
    other = page.context.new_page()
    other.goto(f"{viewer.url.partition('/?')[0]}/#/inbox")
    theirs = other.locator("article.ask")
    expect(theirs).to_have_count(1)
    ask = page.locator(".detail article.ask")
    ask.get_by_label("Reason").fill("too much")
    ask.get_by_role("button", name="Reject").click()
    expect(ask.locator(".outcome")).to_contain_text("Answered")
    expect(theirs).to_have_count(0)
    expect(other.locator(".empty")).to_contain_text("No question is open")


def test_a_run_is_forked_and_compared(page: Page, viewer: Viewer, journal_path: Path) -> None:
    open_run(page, viewer, "team", "?at=root/writer[0]")
    page.locator(".card.is-assistant").get_by_role("button", name="Fork").click()
    page.get_by_label("What that event says instead").fill("Another text.")
    page.get_by_role("button", name="Fork", exact=True).last.click()
    made = page.locator("dialog .outcome a")
    expect(made).to_be_visible()
    run_id = made.inner_text()
    assert events_of(journal_path, run_id)[-1].data["edited"] is True
    made.click()
    expect(page.locator(".run-title")).to_contain_text("fork of team")
    page.get_by_role("link", name="Compare").click()
    page.get_by_label("Run b").select_option("team")
    expect(page.locator(".diff tr.is-changed", has_text="Another text.")).to_be_visible()


def test_a_branch_can_be_had_alone_and_led_back_from(page: Page, viewer: Viewer) -> None:
    open_run(page, viewer, "team")
    page.get_by_role("button", name="Only this branch").click()
    page.locator(".tree-row", has_text="reader[1]").click()
    expect(page.get_by_role("button", name="Only this branch")).to_have_count(0)
    page.locator(".crumbs").get_by_role("button", name="boss").click()
    expect(page.locator(".tree-row.is-selected")).to_contain_text("boss")
    page.get_by_role("button", name="Show all").click()
    expect(page.locator(".tree-row")).to_have_count(4)
    page.get_by_role("button", name="slowest").click()
    expect(page.locator(".tree-row.is-selected")).not_to_contain_text("boss")


def test_sessions_have_their_turns(page: Page, viewer: Viewer) -> None:
    page.goto(viewer.url)
    page.wait_for_selector("a.runs-row")
    page.keyboard.press("g")
    page.keyboard.press("s")
    page.get_by_role("link", name="ann").click()
    expect(page.locator(".turns li")).to_have_count(2)
    expect(page.locator(".transcript")).to_contain_text("Hi again")
    page.locator(".turns a").first.click()
    expect(page.get_by_role("heading", name="talker")).to_be_visible()


def test_a_viewer_that_only_shows_offers_nothing_else(page: Page, journal_path: Path) -> None:
    with Viewer(SqliteJournal(journal_path), read_only=True) as viewer:
        open_run(page, viewer, "invoice")
        expect(page.locator(".detail article.ask")).to_contain_text("pay")
        expect(page.get_by_role("button", name="Approve")).to_have_count(0)
        expect(page.get_by_role("tab", name="Steer")).to_have_count(0)
        expect(page.get_by_role("button", name="Cancel run")).to_have_count(0)
        expect(page.locator(".where")).to_contain_text("read only")


def test_an_exported_file_needs_no_server(page: Page, journal_path: Path, tmp_path: Path) -> None:
    async def export() -> str:
        async with SqliteJournal(journal_path) as journal:
            return await export_html(journal, "team")

    target = tmp_path / "run.html"
    target.write_text(in_thread(export), encoding="utf-8")
    wanted: list[str] = []
    page.on("request", lambda request: wanted.append(request.url))
    page.goto(target.as_uri())
    expect(page.locator(".tree-row")).to_have_count(4)
    page.locator(".tree-row", has_text="writer[0]").click()
    expect(page.locator(".transcript")).to_contain_text("<img src=x onerror=")
    page.keyboard.press("2")
    expect(page.locator(".bar").first).to_be_visible()
    page.keyboard.press("3")
    assert page.locator(".graph img").evaluate("i => i.decode().then(() => i.naturalWidth)") > 50
    page.keyboard.press("4")
    expect(page.locator(".left .event-row").first).to_be_visible()
    assert [url for url in wanted if not url.startswith(("file:", "data:"))] == []


def test_the_theme_can_be_turned_and_is_kept(page: Page, viewer: Viewer) -> None:
    page.goto(viewer.url)
    page.wait_for_selector("a.runs-row")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Theme").click()
    page.get_by_role("button", name="Theme").click()
    page.reload()
    page.wait_for_selector("a.runs-row")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_have_count(0)


def test_what_is_not_there_is_said(page: Page, viewer: Viewer) -> None:
    page.goto(f"{viewer.url}#/run/nothing")
    expect(page.get_by_role("heading", name="This cannot be shown")).to_be_visible()
    expect(page.locator("main")).to_contain_text("There is no run 'nothing'")
    page.get_by_role("link", name="To the runs").click()
    expect(page.locator("a.runs-row").first).to_be_visible()


NAMELESS = """() => [...document.querySelectorAll(
    "button, a[href], input, select, textarea, img, [role=treegrid], [role=grid], [role=listbox]"
)].filter((node) => {
    if (node.closest("[hidden]")) return false;
    const label = node.labels?.length ? node.labels[0].textContent : "";
    const said = [node.getAttribute("aria-label"), node.textContent, node.title, node.alt, label];
    return !said.some((text) => text && text.trim());
}).map((node) => node.outerHTML.slice(0, 200))"""


def test_everything_that_can_be_used_has_a_name_and_fits_a_small_screen(
    page: Page, viewer: Viewer
) -> None:
    page.set_viewport_size({"width": 360, "height": 640})
    page.goto(viewer.url)
    page.wait_for_selector("a.runs-row")
    places = ("runs", "run/team", "run/flow?view=graph", "run/team?view=timeline&tab=steer")
    for place in (*places, "run/team?tab=events", "inbox", "sessions", "session/ann", "compare"):
        page.evaluate(f"location.hash = '#/{place}'")
        expect(page.get_by_role("heading", level=1).first).to_be_visible()
        assert page.evaluate(NAMELESS) == [], place
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, place
        assert page.locator("h1").count() == 1


def test_an_event_that_cannot_be_changed_can_be_forked_at(
    page: Page, viewer: Viewer, journal_path: Path
) -> None:
    open_run(page, viewer, "team", "?view=events")
    page.locator(".left .event-row", has_text="subagent.started").first.click()
    page.get_by_role("button", name="Fork here").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("textarea")).to_have_count(0)
    dialog.get_by_role("button", name="Fork", exact=True).click()
    made = dialog.locator(".outcome a")
    expect(made).to_be_visible()
    assert events_of(journal_path, made.inner_text())[-1].kind == "subagent.started"
