"""What a screen reader is told of every page, and that a keyboard is enough for all of them."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.viewer.conftest import in_thread
from tinyagents import SqliteJournal
from tinyagents.viewer import Viewer

pytestmark = pytest.mark.timeout(90)

PLACES = (
    "runs", "run/team", "run/team?view=timeline&tab=facts", "run/team?view=graph&tab=steer",
    "run/team?view=events&tab=events", "run/cells?tab=cells", "run/invoice", "run/failed", "inbox",
    "sessions", "session/ann", "compare", "compare?a=team&b=flow", "run/nothing",
)  # fmt: skip

NAMED = frozenset({
    "article", "button", "checkbox", "combobox", "dialog", "grid", "heading", "image", "img",
    "link", "listbox", "navigation", "option", "region", "searchbox", "separator", "tab",
    "tablist", "tabpanel", "textbox", "treegrid",
})  # fmt: skip
"""Roles that mean nothing without a name."""


def told(page: Page) -> list[tuple[str, str, dict[str, Any]]]:
    """What the browser tells a screen reader: role, name and properties of each thing, in order."""
    session: Any = page.context.new_cdp_session(page)
    answer = session.send("Accessibility.getFullAXTree")
    found: list[dict[str, Any]] = answer["nodes"]
    session.detach()
    return [
        (
            node["role"]["value"],
            str(node.get("name", {}).get("value", "")).strip(),
            {each["name"]: each["value"].get("value") for each in node.get("properties", [])},
        )
        for node in found
        if not node["ignored"]
    ]


def visit(page: Page, place: str) -> None:
    page.evaluate(f"location.hash = '#/{place}'")
    page.reload()
    page.wait_for_selector("main h1")
    expect(page.locator("main")).not_to_contain_text("Opening…")


@pytest.fixture
def shown(page: Page, viewer: Viewer) -> Page:
    page.goto(viewer.url)
    page.wait_for_selector("a.runs-row")
    return page


def test_everything_that_has_a_role_has_a_name_and_pages_have_their_landmarks(shown: Page) -> None:
    for place in PLACES:
        visit(shown, place)
        tree = told(shown)
        roles = [role for role, _, _ in tree]
        assert [role for role, name, _ in tree if role in NAMED and not name] == [], place
        assert (roles.count("main"), roles.count("banner")) == (1, 1), place
        levels = [
            facts["level"] for role, _, facts in tree if role == "heading" and "level" in facts
        ]
        assert levels[:1] == [1], (place, levels)
        assert levels.count(1) == 1, (place, levels)
        assert all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False)), (place, levels)


def test_a_tree_tells_how_deep_a_run_is_how_it_stands_and_whether_it_is_unfolded(
    shown: Page,
) -> None:
    visit(shown, "run/team")
    rows = [(name, facts) for role, name, facts in told(shown) if role == "row"][1:]
    assert [facts.get("level") for _, facts in rows] == [1, 2, 2, 2]
    assert rows[0][0].startswith("completed boss")
    assert rows[0][1]["expanded"] is True
    assert rows[0][1]["selected"] is True
    shown.get_by_role("treegrid").focus()
    shown.keyboard.press("ArrowLeft")
    rows = [(name, facts) for role, name, facts in told(shown) if role == "row"][1:]
    assert [facts["expanded"] for _, facts in rows] == [False]


# What a mouse could press. What has `tabindex=-1` is part of something that arrows walk in.
PRESSABLE = """() => [...document.querySelectorAll(
    "a[href], button, input, select, textarea, summary, [tabindex='0']"
)].filter((node) => !node.disabled && node.tabIndex >= 0 && node.checkVisibility()
    && node.getClientRects().length && !node.closest("dialog:not([open])")).length"""

FOCUSED = """() => {
    const node = document.activeElement;
    if (node === document.body) return null;
    const style = getComputedStyle(node);
    window.reached ??= new Set();
    window.reached.add(node);
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
}"""


def test_tab_leads_to_all_that_can_be_pressed_shows_where_it_is_and_leads_out_again(
    shown: Page,
) -> None:
    for place in PLACES:
        visit(shown, place)
        shown.evaluate("() => { document.activeElement.blur(); window.reached = new Set(); }")
        wanted = shown.evaluate(PRESSABLE)
        shown.evaluate("document.querySelector('.skip').focus()")
        unseen = 0
        for _ in range(wanted + 3):
            is_seen = shown.evaluate(FOCUSED)
            if is_seen is None:
                break
            unseen += not is_seen
            shown.keyboard.press("Tab")
        assert shown.evaluate("window.reached.size") >= wanted, place
        assert unseen == 0, place


def test_a_call_is_approved_with_keys_alone(shown: Page, journal_path: Path) -> None:
    shown.keyboard.press("g")
    shown.keyboard.press("i")
    expect(shown.locator("article.ask")).to_be_visible()
    for _ in range(12):
        if shown.evaluate("document.activeElement.textContent") == "Approve":
            break
        shown.keyboard.press("Tab")
    shown.keyboard.press("Enter")
    expect(shown.locator("article.ask .outcome")).to_contain_text("Answered")

    async def answers() -> int:
        async with SqliteJournal(journal_path) as journal:
            return len(await journal.deliveries("invoice"))

    assert in_thread(answers) == 1


def test_a_tree_is_sorted_searched_and_forked_with_keys_alone(shown: Page) -> None:
    visit(shown, "run/team")
    shown.get_by_role("treegrid").focus()
    for _ in range(3):
        shown.keyboard.press("Tab")
    shown.keyboard.press("Enter")
    cost = shown.get_by_role("columnheader", name="Cost")
    expect(cost).to_have_attribute("aria-sort", "descending")
    assert shown.evaluate("document.activeElement.textContent").startswith("Cost")  # still there
    shown.keyboard.press("/")
    shown.keyboard.type("window.pwned=1")
    expect(shown.locator("#live")).to_contain_text("3 runs")
    shown.keyboard.press("ArrowDown")
    shown.keyboard.press("End")
    expect(shown.locator(".tree-row.is-selected")).to_contain_text("writer[0]")
    shown.keyboard.press("Enter")
    expect(shown.get_by_role("tabpanel")).to_be_focused()
    shown.get_by_role("button", name="Fork").last.focus()
    shown.keyboard.press("Enter")
    expect(shown.get_by_role("dialog")).to_be_visible()
    shown.keyboard.press("Escape")
    expect(shown.get_by_role("dialog")).to_have_count(0)
    expect(shown.get_by_role("button", name="Fork").last).to_be_focused()
    shown.keyboard.press("4")
    expect(shown.locator(".left .event-row").first).to_contain_text("run.started")
    shown.locator(".left").get_by_role("listbox").focus()
    shown.keyboard.press("End")
    expect(shown.locator(".left .event-row.is-selected")).to_contain_text("run.completed")


CRITICAL = """async (runs) => {
    const { TreeStore } = await import("/static/store.js");
    const store = new TreeStore(["path", "parent", "started", "ended", "status"]);
    store.set({ tree: { is_live: false, updated: 100 } });
    store.apply(runs.map((run, n) => [n, ...run, ""]));
    return [...store.critical()].map((n) => runs[n][0]).sort();
}"""


@pytest.mark.parametrize(
    ("runs", "critical"),
    [
        # One after the other: all of them.
        ([("r", -1, 0, 9), ("a", 0, 1, 4), ("b", 0, 5, 8)], "a b r"),
        # Side by side: the one that was waited for, and what that waited for.
        (
            [("r", -1, 0, 9), ("a", 0, 1, 4), ("b", 0, 1, 8), ("c", 2, 2, 7), ("d", 2, 2, 3)],
            "b c r",
        ),
        # Two waves of two: the last of each.
        (
            [("r", -1, 0, 9), ("a", 0, 1, 3), ("b", 0, 1, 4), ("c", 0, 5, 8), ("d", 0, 5, 6)],
            "b c r",
        ),
        # One that began while another was still at work took nobody's end for its beginning.
        ([("r", -1, 0, 9), ("a", 0, 1, 6), ("b", 0, 4, 8), ("c", 0, 1, 3)], "b c r"),
        # One in the background that outlives its parent is not waited for.
        ([("r", -1, 0, 9), ("a", 0, 1, 20), ("b", 0, 2, 5)], "b r"),
        # What was cut off lasted until the last that is known.
        ([("r", -1, 0, None), ("a", 0, 1, None), ("b", 0, 1, 50)], "a r"),
    ],
)
def test_the_critical_path_is_what_was_waited_for(shown: Page, runs: Any, critical: str) -> None:
    assert " ".join(shown.evaluate(CRITICAL, runs)) == critical
