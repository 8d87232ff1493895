"""Code that asks a human in the middle, and goes on in it when there is an answer."""

import asyncio
import os

from tinyagents import Agent, Autonomy, MemoryJournal, inbox, tool
from tinyagents.testing import ScriptedModel


@tool
async def price(item: str) -> int:
    """What an item costs."""
    print(f"  looked up {item}")
    return {"tea": 4, "cake": 9}[item]


@tool(reversible=False)
async def pay(amount: int) -> str:
    """Pay."""
    print(f"  paid {amount}")
    return f"paid {amount}"


CODE = """```python
total = price("tea") + price("cake")
finish(pay(total))
```"""
MODEL = os.environ.get("TINYAGENTS_MODEL") or ScriptedModel([CODE])
buyer = Agent(
    MODEL,
    name="buyer",
    tools=[price, pay],
    dialect="codeact",
    autonomy=Autonomy(modes={"pay": "assisted"}),
)


async def main() -> None:
    journal = MemoryJournal()
    result = await buyer.run("Buy tea and cake.", run_id="buy-1", journal=journal)
    print(result.status)
    for ask in await inbox(journal):
        print(f"{ask.question} {dict(ask.arguments or {})}")
        await ask.approve(by="ann")
        result = await buyer.resume("buy-1", journal=journal)  # prices are not looked up again
    print(result.status, result.output)


if __name__ == "__main__":
    asyncio.run(main())
