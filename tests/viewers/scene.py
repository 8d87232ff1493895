"""What the viewers are shown: `python -m tests.viewers.scene`, as a user's program would do it."""

import sys

from pydantic import BaseModel

from tinyagents import Agent, SubAgentSession, Usage, telemetry, tool
from tinyagents.graph import END, START, StateGraph
from tinyagents.testing import ScriptedModel, call

MODEL = "gpt-4o-mini"
USED = Usage(requests=1, input_tokens=100, output_tokens=20, cached_tokens=40)


@tool
async def search(query: str) -> str:
    """Search the library.

    Args:
        query: What to look for.
    """
    if query == "nothing":
        raise LookupError("the shelf is empty")
    return f"Three books about {query}."


@tool
def wait() -> str:
    """Wait until somebody says to go on."""
    print("waiting", flush=True)
    return sys.stdin.readline().strip()


def scripted(*steps: object) -> ScriptedModel:
    return ScriptedModel(steps, name=MODEL, usage=USED)


def editor() -> Agent:
    reader = Agent(
        scripted(
            call("search", query="tea"), call("search", query="nothing"), "Tea comes in six kinds.",
            call("search", query="cups"), "Cups come in two sizes.",
        ),
        name="reader",
        description="Reads books.",
        instructions="Read, and say what you found.",
        tools=[search],
    )  # fmt: skip
    steps = (
        [call("reader", input="Find books about tea."), call("reader", input="And about cups.")],
        "Six kinds of tea fit two sizes of cups.",
        "You are welcome.",
    )
    return Agent(scripted(*steps), name="editor", instructions="Be brief.", subagents=[reader])


class Page(BaseModel):
    topic: str
    text: str = ""


def house() -> StateGraph[Page]:
    def plan(state: Page) -> dict[str, str]:
        return {"topic": state.topic.title()}

    writer = Agent(scripted("Tea, in one page."), name="writer")
    g = StateGraph(Page, name="house").add_node(plan)
    g.add_node("write", writer, input=lambda state: state.topic, output="text")
    g.add_edge(START, "plan").add_edge("plan", "write").add_edge("write", END)
    return g


async def main() -> None:
    session = SubAgentSession(editor(), session_id=sys.argv[1])
    await session.send("What goes with tea?")
    await session.send("Thank you.")
    await house().compile().run({"topic": "tea"})
    telemetry.flush(30)
    slow = Agent(scripted(call("wait"), "At last."), name="patient", tools=[wait])
    await slow.run("Wait for it.")
    telemetry.flush(30)


if __name__ == "__main__":
    import anyio

    telemetry.setup(content=True)
    anyio.run(main)
