"""Code that nobody trusts: functions, files and limits of a sandbox, and a session that forks."""

import asyncio
import tempfile
from pathlib import Path

from tinyagents.sandbox import HostCall, Mount, Sandbox


async def answer(call: HostCall) -> int:
    """What the code's `population` gives."""
    return {"Lisbon": 545_000, "Porto": 231_000}[call.args[0]]


CELLS = """
towns = [line.strip() for line in open('/data/towns.txt')]
import asyncio
people = dict(zip(towns, await asyncio.gather(*[population(town) for town in towns])))
people
---
population('Atlantis')
---
open('/etc/passwd').read()
---
people.clear()
while True: pass
---
sum(people.values())
"""


async def main(folder: Path) -> None:
    box = Sandbox(time_limit_s=1, mounts=[Mount("/data", folder)])
    async with box.session(functions=("population",)) as session:
        for code in CELLS.strip().split("\n---\n"):
            result = await session.run(code, on_call=answer)
            print(f">>> {code.splitlines()[-1]}\n{result.feedback()}\n")
        other = await session.fork()
        await other.run("people = 'changed in the fork'")
        print((await session.run("people")).value)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        Path(name, "towns.txt").write_text("Lisbon\nPorto\n")
        asyncio.run(main(Path(name)))
