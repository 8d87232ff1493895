"""A program that leaves cells in every state behind, and ends. Its exit code has to be 0."""

import sys
from typing import Any

import anyio

from tinyagents.sandbox import HostCall, Sandbox


async def main(box: Sandbox, how: str) -> None:
    async def wait(call: HostCall) -> Any:
        await anyio.sleep_forever()

    session = box.session(functions=("wait",))
    assert (await session.run("x = 1\nx")).value == 1
    codes = {"loop": "while True: pass", "call": "wait()", "gather": "await wait()", "idle": "2"}
    with anyio.move_on_after(0.02):
        await session.run(codes[how], on_call=wait)
    assert (await session.run("x")).value == 1


if __name__ == "__main__":
    box = Sandbox(time_limit_s=5, workers=2)
    for how in sys.argv[2:]:
        anyio.run(main, box, how, backend=sys.argv[1])
    assert box.run("x = 'a' * 10**10").rolled_back
    print("left")
