"""Three ways to ask a human: a node that ends in a question, a gate before one, within one."""

import asyncio
import os

from pydantic import BaseModel

from tinyagents import Agent
from tinyagents.graph import END, START, Ask, NodeContext, StateGraph
from tinyagents.testing import ScriptedModel

MODEL = os.environ.get("TINYAGENTS_MODEL") or ScriptedModel(["Dear Ann, the money is on its way."])
clerk = Agent(MODEL, name="clerk", instructions="Write a letter.")


class State(BaseModel):
    task: str
    amount: int = 0
    letter: str = ""
    log: str = ""


async def estimate(state: State) -> Ask:
    return Ask(f"How many francs for: {state.task}?", type=int, output="amount")


async def transfer(amount: int) -> str:
    print(f"  {amount} francs leave the bank")
    return "paid"


async def pay(state: State, ctx: NodeContext) -> dict[str, str]:
    paid = await ctx.step("transfer", transfer, state.amount)  # once, though the body runs twice
    who = await ctx.ask(str, "Who signs?", key="who")
    return {"log": f"{paid} {state.amount} francs, signed by {who}"}


g = StateGraph(State, name="payment")
g.add_node(estimate)
g.add_node("write", clerk, output="letter")
g.add_node(pay, approve=lambda state: f"Pay {state.amount}?" if state.amount > 100 else None)
g.add_sequence(START, "estimate", "write", "pay", END)
payment = g.compile()


async def main() -> None:
    human = {"How many francs for: a new roof?": 900, "Pay 900?": True, "Who signs?": "Bea"}
    result = await payment.run({"task": "a new roof"})
    while result.status == "paused":
        for ask in result.pending:
            print(f"{ask.id}: {ask.question}")
        answers = {ask.id: human[ask.question] for ask in result.pending}
        result = await payment.resume(result.run_id, answers)
    print(result.output.letter, result.output.log, sep="\n")


if __name__ == "__main__":
    asyncio.run(main())
