"""One agent, one question."""

import os

from tinyagents import Agent
from tinyagents.testing import ScriptedModel

# A real model by its name, such as "openai:gpt-5-mini"; without one a script: offline and free.
SCRIPT = ["Tea: it forgives you for forgetting it."]
MODEL = os.environ.get("TINYAGENTS_MODEL") or ScriptedModel(SCRIPT)

friend = Agent(MODEL, name="friend", instructions="Answer in one short sentence.")

if __name__ == "__main__":
    result = friend.run_sync("Tea or coffee, and why?")
    print(result.output)
    print(f"\n{result.status}: {result.usage.requests} request, {result.usage.total_tokens} tokens")
    for message in result.messages:
        print(f"  {message.role:<9} {message.text}")
