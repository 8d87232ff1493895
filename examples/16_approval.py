"""An invoice that is paid only if a human says so, and as the human says."""

import os
from typing import Any

import anyio

from tinyagents import Agent, Autonomy, MemoryJournal, inbox, tool
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, call


@tool
async def read_invoice(number: int) -> str:
    """Read an invoice."""
    return f"invoice {number}: 420 francs, to Miller & Sons, 42 of it for a delivery"


@tool(reversible=False)
async def pay(to: str, amount: int) -> str:
    """Pay an amount."""
    print(f"   -> {amount} francs to {to}")
    return f"{amount} francs are on their way to {to}"


def bookkeeper(request: ModelRequest) -> Any:
    """Stands in for a model: it reads, pays, and says what became of it."""
    heard = [each.text for each in request.messages if each.role == "tool"]
    if not heard:
        return call("read_invoice", number=7)
    if len(heard) == 1:
        return ["The invoice is in order.", call("pay", to="Miller & Sons", amount=420)]
    return f"Done: {heard[1]}"


clerk = Agent(
    os.environ.get("TINYAGENTS_MODEL") or FunctionModel(bookkeeper),
    name="clerk",
    instructions="Pay invoices.",
    tools=[read_invoice, pay],
    autonomy=Autonomy(modes={"pay": "assisted"}),  # the others do as they like
)


async def main() -> None:
    journal = MemoryJournal()  # SqliteJournal("runs.db"), and it can wait for weeks
    result = await clerk.run("Pay invoice 7.", run_id="invoice-7", journal=journal)
    print("the run is", result.status)
    for ask in await inbox(journal):  # in any process, for all trees at once
        print(f"{ask.path} wants to {ask.tool} {dict(ask.arguments)}, and says: {ask.reasoning}")
        less = {**ask.arguments, "amount": 378}
        await ask.approve(arguments=less, by="ann", reason="no delivery was ordered")
    result = await clerk.resume("invoice-7", journal=journal)
    print(result.output)
    answers = [event.data for event in result.events if event.kind == "ask.answered"]
    print(*[f"by {answer['by']}, because {answer['reason']}" for answer in answers])


if __name__ == "__main__":
    anyio.run(main)
