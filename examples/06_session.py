"""A sub-agent kept over several turns: it remembers, and a turn that fails changes nothing."""

import asyncio
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from tinyagents import Agent, ModelError, SubAgentSession
from tinyagents.testing import ScriptedModel

MODEL = os.environ.get("TINYAGENTS_MODEL") or ScriptedModel(
    [
        "Rain drums on the roof. The cat has taken my warm chair. I write on the floor.",
        ModelError("overloaded", provider="test", status=529),
        "Rain on the roof; the cat in my chair; I write below.",
        "Regen auf dem Dach; die Katze in meinem Stuhl; ich schreibe darunter.",
    ]
)

poet = Agent(MODEL, name="poet", description="Writes short poems.", instructions="You are a poet.")


async def say(session: SubAgentSession[str], text: str) -> None:
    print(f"you   {text}")
    try:
        result = await session.send(text)
        print(f"poet  {result.output}")
    except ModelError as error:
        print(f"      -- failed: {error}")
    print(f"      -- {session.turns} turns, {len(session.transcript)} messages kept\n")


def save_and_load(session: SubAgentSession[str]) -> SubAgentSession[str]:
    with TemporaryDirectory() as folder:
        file = Path(folder, "poet.json")
        file.write_text(session.save())
        print(f"saved {file.name} and loaded it again, as after a restart\n")
        return SubAgentSession.load(file.read_text(), poet)


async def main() -> None:
    session = SubAgentSession(poet)
    await say(session, "A poem about a rainy evening.")
    await say(session, "Shorter, please.")
    if session.turns == 1:  # the script's second answer is an error: say it again
        await say(session, "Shorter, please.")
    session = save_and_load(session)
    await say(session, "And in German?")
    print("transcript:", *(message.role for message in session.transcript))


if __name__ == "__main__":
    asyncio.run(main())
