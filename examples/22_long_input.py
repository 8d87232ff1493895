"""A question about a file that no prompt can hold: code looks, and models read the parts."""

import asyncio
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

from tinyagents import RecursiveAgent
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel

QUESTION = "Which room had most complaints about the heating? Answer with its number."

# What a good model would write. Code cannot tell what a complaint is about; a model can.
PLAN = [
    """```python
print(context.length, context.lines(0, 3))
```""",
    """```python
ask = "Which rooms complain of the heating? Room numbers only, one for each complaint."
answers = llm_map(ask, context.chunks(80_000))
counts = {}
for room in " ".join(answer for answer in answers if answer).split():
    counts[room] = counts.get(room, 0) + 1
finish(max(counts, key=lambda room: counts[room]))
```""",
]
WORDS = ("freezing in here", "radiator is dead", "bathroom floods", "lovely stay")


def read(request: ModelRequest) -> str:
    """A small model, by the words it knows."""
    cold = re.findall(r"room (\d+): (?:freezing|radiator)", request.messages[-1].text)
    return " ".join(cold)


def write(file: Path) -> None:
    lines = (f"room {100 + n * n % 97 % 9}: {WORDS[n * 31 % 7 % 4]}\n" for n in range(12_000))
    file.write_text("".join(lines))


async def main() -> None:
    model = os.environ.get("TINYAGENTS_MODEL")
    agent = RecursiveAgent(
        model or ScriptedModel(PLAN), sub_model=model or FunctionModel(read), name="analyst"
    )
    with TemporaryDirectory() as folder:
        file = Path(folder, "guestbook.txt")
        write(file)
        result = await agent.run(QUESTION, data=file)
    calls = [event.path for event in result.events if event.kind == "run.completed"]
    print(*calls, sep="\n")
    print(f"\n{result.output} ({result.tree_usage.requests} requests)")


if __name__ == "__main__":
    asyncio.run(main())
