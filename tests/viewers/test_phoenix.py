"""Arize Phoenix, which is not ours, shows runs as they are: asked by its own API."""

import json
from collections import Counter
from typing import Any

import pytest

from tests.viewers.conftest import Viewer
from tests.viewers.servers import Scene, ask, eventually, screenshot, shown

pytestmark = pytest.mark.timeout(300)

QUERY = """{ projects { edges { node { id name traceCount tokenCountTotal
  costSummary { total { cost } }
  sessions(first: 50) { edges { node { id sessionId numTraces tokenUsage { total }
    traces(first: 50) { edges { node { traceId } } } } } }
  spans(first: 500) { edges { node { name spanKind statusCode parentId spanId
    trace { traceId } tokenCountTotal cumulativeTokenCountTotal costSummary { total { cost } }
    input { value } output { value } attributes events { name } } } } } } } }"""


class Project:
    """What Phoenix knows of the runs of one program."""

    def __init__(self, url: str, name: str) -> None:
        answer = ask(f"{url}/graphql", {"query": QUERY})
        assert "errors" not in answer, answer["errors"]
        nodes = {each["node"]["name"]: each["node"] for each in answer["data"]["projects"]["edges"]}
        self.node: dict[str, Any] = nodes.get(name, {})
        self.spans = [each["node"] for each in self.node.get("spans", {}).get("edges", ())]
        self.by_id = {each["spanId"]: each for each in self.spans}

    def chain(self, span: dict[str, Any]) -> str:
        names = [span["name"]]
        while span["parentId"] is not None:
            span = self.by_id.get(span["parentId"], {"name": "(not here yet)", "parentId": None})
            names.append(span["name"])
        return " < ".join(names)

    def named(self, name: str) -> list[dict[str, Any]]:
        return [each for each in self.spans if each["name"] == name]


def whole(url: str, name: str, n: int) -> Project:
    def look() -> Project | None:
        found = Project(url, name)
        return found if len(found.spans) >= n else None

    return eventually(look)


def watch(phoenix: Viewer, name: str) -> Any:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": phoenix.url, "OTEL_SERVICE_NAME": name}
    return shown(f"{name}-talk", env)


@pytest.fixture(scope="module")
def project(phoenix: Viewer) -> Project:
    scene: Scene
    with watch(phoenix, "library") as scene:
        scene.go_on()
    return whole(phoenix.url, "library", 28)


def test_the_tree_is_the_run_tree(project: Project) -> None:
    assert Counter(project.chain(each) for each in project.spans) == Counter(
        {
            "invoke_agent editor": 2,
            "chat gpt-4o-mini < invoke_agent editor": 3,
            "execute_tool reader < invoke_agent editor": 2,
            "invoke_agent reader < execute_tool reader < invoke_agent editor": 2,
            "chat gpt-4o-mini < invoke_agent reader < execute_tool reader < invoke_agent editor": 5,
            "execute_tool search < invoke_agent reader < execute_tool reader "
            "< invoke_agent editor": 3,
            "invoke_workflow house": 1,
            "step 0 < invoke_workflow house": 1,
            "node plan < step 0 < invoke_workflow house": 1,
            "step 1 < invoke_workflow house": 1,
            "node write < step 1 < invoke_workflow house": 1,
            "invoke_agent writer < node write < step 1 < invoke_workflow house": 1,
            "chat gpt-4o-mini < invoke_agent writer < node write < step 1 "
            "< invoke_workflow house": 1,
            "invoke_agent patient": 1,
            "chat gpt-4o-mini < invoke_agent patient": 2,
            "execute_tool wait < invoke_agent patient": 1,
        }
    )


def test_every_span_has_its_kind_and_its_status(project: Project) -> None:
    kinds = {each["name"].split()[0]: each["spanKind"] for each in project.spans}
    assert kinds == {
        "invoke_agent": "agent", "chat": "llm", "execute_tool": "tool",
        "invoke_workflow": "chain", "step": "chain", "node": "chain",
    }  # fmt: skip
    failed = [each for each in project.spans if each["statusCode"] == "ERROR"]
    assert [each["name"] for each in failed] == ["execute_tool search"]
    assert "exception" in [each["name"] for each in failed[0]["events"]]


def test_tokens_and_money_are_counted_once(project: Project) -> None:
    calls = len([each for each in project.spans if each["spanKind"] == "llm"])
    assert project.node["tokenCountTotal"] == 120 * calls
    assert project.node["costSummary"]["total"]["cost"] > 0
    root = [each for each in project.named("invoke_agent editor") if "goes" in str(each["input"])]
    assert root[0]["cumulativeTokenCountTotal"] == 840
    house = project.named("invoke_workflow house")[0]
    assert house["cumulativeTokenCountTotal"] == 120


def test_messages_and_calls_can_be_read(project: Project) -> None:
    calls = [each for each in project.named("chat gpt-4o-mini") if "tea" in str(each["output"])]
    asked = [each for each in calls if "What goes with tea?" in str(each["input"])][0]
    told = json.loads(asked["attributes"])["llm"]
    messages = [each["message"] for each in told["input_messages"]]
    assert [(each["role"], each["content"]) for each in messages] == [
        ("system", "Be brief."), ("user", "What goes with tea?"),
    ]  # fmt: skip
    (answer,) = told["output_messages"]
    asked_for = [each["tool_call"]["function"]["name"] for each in answer["message"]["tool_calls"]]
    assert asked_for == ["reader", "reader"]
    tool = [each for each in project.named("execute_tool search") if each["statusCode"] != "ERROR"]
    assert {each["output"]["value"] for each in tool} == {
        "Three books about tea.", "Three books about cups.",
    }  # fmt: skip


def test_turns_of_a_session_stand_together(project: Project) -> None:
    (session,) = [each["node"] for each in project.node["sessions"]["edges"]]
    assert (session["sessionId"], session["numTraces"]) == ("library-talk", 2)
    assert session["tokenUsage"]["total"] == 960


def test_a_run_can_be_seen_while_it_is_under_way(phoenix: Viewer) -> None:
    with watch(phoenix, "live") as scene:
        early = whole(phoenix.url, "live", 25)
        known = [early.chain(each) for each in early.spans]
        assert "chat gpt-4o-mini < (not here yet)" in known
        assert early.named("invoke_agent patient") == []
        scene.go_on()
    late = whole(phoenix.url, "live", 28)
    assert "(not here yet)" not in " ".join(late.chain(each) for each in late.spans)
    assert "execute_tool wait < invoke_agent patient" in [late.chain(each) for each in late.spans]


def test_pictures(phoenix: Viewer, project: Project) -> None:
    at = f"{phoenix.url}/projects/{project.node['id']}"
    root = [each for each in project.named("invoke_agent editor") if "goes" in str(each["input"])]
    trace_id, log = root[0]["trace"]["traceId"], phoenix.folder / "browser.log"
    screenshot(f"{at}/traces/{trace_id}", "phoenix_trace.png", log)
    session = project.node["sessions"]["edges"][0]["node"]
    screenshot(f"{at}/sessions/{session['id']}", "phoenix_session.png", log)
