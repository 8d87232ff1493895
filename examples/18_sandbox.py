"""Code that nobody trusts: functions, files and limits of a sandbox, and a session that forks."""

import asyncio
import tempfile
from pathlib import Path

from tinyagents.sandbox import HostCall, Mount, Sandbox


async def answer(call: HostCall) -> int:
    """What the code's `population` gives."""
    return {"Lisbon": 545_000, "Porto": 231_000}[call.args[0]]


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "towns.txt").write_text("Lisbon\nPorto\n")
        box = Sandbox(time_limit_s=1, mounts=[Mount("/data", folder)])
        async with box.session(functions=("population",)) as session:
            for code in (
                "towns = [line.strip() for line in open('/data/towns.txt')]\n"
                "import asyncio\n"
                "people = dict(zip(towns, await asyncio.gather(*[population(t) for t in towns])))\n"
                "people",
                "population('Atlantis')",
                "open('/etc/passwd').read()",
                "people.clear()\nwhile True: pass",
                "sum(people.values())",
            ):
                result = await session.run(code, on_call=answer)
                print(f">>> {code.splitlines()[-1]}\n{result.feedback()}\n")
            other = await session.fork()
            await other.run("people = 'changed in the fork'")
            print((await session.run("people")).value)


if __name__ == "__main__":
    asyncio.run(main())
