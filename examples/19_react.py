"""ReAct: a model without tool calls uses tools, by writing what it thinks and wants."""

import os

from tinyagents import Agent, RunLimits, tool
from tinyagents.testing import ScriptedModel


@tool
async def calculator(expression: str) -> str:
    """Work out sums such as 2 + 3 * 4."""
    total = 0
    for term in expression.replace("-", "+-").split("+"):
        product = 1
        for factor in term.split("*"):
            product *= int(factor)
        total += product
    return str(total)


MODEL = os.environ.get("TINYAGENTS_MODEL") or ScriptedModel(
    [
        # It makes up a result, and an answer with it: neither is taken.
        "Thought: Let me calculate.\nAction: calculator\nAction Input: 2 + 2\n"
        "Observation: 5\nFinal Answer: 5",
        'Thought: And doubled?\nACTION: Calculator\naction input: {"expression": "4 * 2"}',
        "Thought: I now have enough information.\nFinal Answer: 4, and doubled it is 8.",
    ]
)

agent = Agent(
    MODEL,
    name="clerk",
    instructions="You are a concise agent. Be brief.",
    tools=[calculator],
    dialect="react",
    limits=RunLimits(max_turns=10, on_limit="return"),
)

if __name__ == "__main__":
    result = agent.run_sync("What is 2 + 2, and twice that?")
    for entry in result.scratchpad:
        print(entry)
    print(f"\n{result.status} after {result.iterations} rounds: {result.output}")
