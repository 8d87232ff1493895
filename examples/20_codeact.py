"""CodeAct: a model writes Python, in which tools and other agents are functions."""

import os
from typing import Any

from tinyagents import Agent, CodeAct, Event, tool
from tinyagents.sandbox import Module, Sandbox
from tinyagents.testing import ScriptedModel


@tool
async def get_weather(city: str, units: str = "celsius") -> dict[str, Any]:
    """Get current weather for a city."""
    return {"city": city, "temp": {"Basel": 22, "Oslo": 9}.get(city, 15), "units": units}


writer = Agent(
    os.environ.get("TINYAGENTS_MODEL") or ScriptedModel(["Pack for Basel."]), name="writer"
)
CODE = [
    "```python\nfrom config import cities\n"
    "found = [get_weather(city) for city in cities]\nfound[0]['tmp']\n```",
    "```python\nwarm = [w['city'] for w in found if w['temp'] > 20]\nprint(warm)\n```",
    "```python\nif warm:\n    finish(writer(f'Where to? {warm}'))\n```",
]
sandbox = Sandbox(time_limit_s=5, modules=[Module("config", {"cities": ["Basel", "Oslo"]})])
agent = Agent(
    os.environ.get("TINYAGENTS_MODEL") or ScriptedModel(CODE),
    name="analyst",
    tools=[get_weather],
    subagents=[writer],
    dialect=CodeAct(sandbox),
)


@agent.on("code.executed")
def show(event: Event) -> None:
    print(f"[{'OK' if event.data['ok'] else 'ERR'}] {event.data['output']}")


if __name__ == "__main__":
    result = agent.run_sync("Where is it warm?")
    print(result.output)
