"""The model that plans: it writes the code that a good model would write, and is priced as one."""

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from benchmarks.recursive.oracle import CHARS_PER_TOKEN, Reader
from benchmarks.recursive.tasks import LABELS
from tinyagents import AssistantMessage, Text, Usage
from tinyagents.models import Capabilities, ModelDelta, ModelReply, ModelRequest

COUNTS = "How many lines are about which kind? Answer as JSON, by user."
_PART = "Of this part: "

_LOOK = """\
print(context.kind, context.length)
print(context.lines(0, 3))
"""

_NEEDLE_BY_CODE = """\
hits = context.grep("magic number of {city}")
finish(hits[0]["text"].split()[-1].strip(".") if hits else "none")
"""

_NEEDLE = """\
hits = context.grep("magic number of {city}")
if hits:
    finish(hits[0]["text"].split()[-1].strip("."))
answers = llm_map("{question}", context.chunks({chunk}))
found = [each for each in answers if each and each != "none"]
finish(found[0] if found else "none")
"""

_COUNTING_BY_CODE = """\
finish(str(sum(context.count_lines(word + "$") for word in {words})))
"""

_COUNTING = """\
answers = llm_map("{question}", context.chunks({chunk}))
finish(str(sum(int(each) for each in answers if each)))
"""

_PAIRS_BY_CODE = """\
import json
users = set()
for word in {words}:
    for hit in context.grep(word + "$", 10_000):
        users.add(hit["text"][:4])
users = sorted(users)
finish(json.dumps([[a, b] for a in users for b in users if a < b]))
"""

_ADDED_UP = """\
import json
def added_up(answers):
    counts = {{}}
    for answer in answers:
        for user, kinds in (json.loads(answer) if answer else {{}}).items():
            mine = counts.setdefault(user, {{}})
            for kind, n in kinds.items():
                mine[kind] = mine.get(kind, 0) + n
    return counts
"""

_COUNTS = (
    _ADDED_UP
    + """\
counts = added_up(llm_map({counts!r}, context.chunks({chunk})))
"""
)

_PAIRS = """\
users = sorted(u for u, k in counts.items() if k.get("{kind}", 0) > 0.1 * sum(k.values()))
finish(json.dumps([[a, b] for a in users for b in users if a < b]))
"""

_DEEPER = """\
import asyncio
parts = context.split({n_parts})
answers = await asyncio.gather(*[recurse({task!r}, part) for part in parts])
"""

_NEEDLE_DEEPER = """\
found = [each for each in answers if each != "none"]
finish(found[0] if found else "none")
"""

_COUNTING_DEEPER = """\
finish(str(sum(int(each) for each in answers)))
"""


@dataclass(frozen=True)
class Planner:
    """A model that writes code, and reads by itself only what is put into its prompt.

    Attributes:
        reader: How well it reads, and what it costs.
        sub_calls: Whether it may call models from its code.
        levels: How many levels of agents it plans for.
        chunk: Characters it hands to one call.
        n_parts: In how many parts it cuts what it hands to agents.
    """

    reader: Reader
    sub_calls: bool = True
    levels: int = 1
    chunk: int = 50_000
    n_parts: int = 8
    provider: str = "test"
    capabilities: Capabilities = field(default_factory=Capabilities)

    @property
    def name(self) -> str:
        return self.reader.name

    async def request(self, request: ModelRequest) -> ModelReply:
        prompt = "\n".join(message.text for message in request.messages)
        if "the variable `context`" not in prompt:
            return await self.reader.request(request)
        turns = sum(message.role == "assistant" for message in request.messages)
        code = _LOOK if turns == 0 else self._code(prompt)
        answer = f"```python\n{code}```"
        usage = Usage(
            requests=1,
            input_tokens=len(prompt) // CHARS_PER_TOKEN + 1,
            output_tokens=len(answer) // CHARS_PER_TOKEN + 1,
        )
        return ModelReply(AssistantMessage((Text(answer),)), usage, "stop", self.name)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelDelta | ModelReply]:
        yield await self.request(request)

    def cost(self, usage: Usage) -> float:
        return self.reader.cost(usage)

    def _code(self, prompt: str) -> str:
        asked = re.search(r"(?:Of this part: )?(What is the magic|How many|Which pairs).*", prompt)
        question = asked[0] if asked else ""
        if not self.sub_calls:
            return _by_code(question)
        facts = {"chunk": self.chunk, "question": question.removeprefix(_PART), "counts": COUNTS}
        if self.levels > 1 and not question.startswith(_PART):
            return self._deeper(question)
        if "magic" in question:
            return _NEEDLE.format(city=_city(question), **facts)
        if COUNTS in question:
            return _COUNTS.format(**facts) + "finish(json.dumps(counts))\n"
        if "pairs" in question:
            return _COUNTS.format(**facts) + _PAIRS.format(kind=_kind(question))
        return _COUNTING.format(**facts)

    def _deeper(self, question: str) -> str:
        is_pairs = "pairs" in question
        task = _PART + (COUNTS if is_pairs else question)
        code = _DEEPER.format(n_parts=self.n_parts, task=task)
        if is_pairs:
            added = _ADDED_UP.format() + "counts = added_up(answers)\n"
            return code + added + _PAIRS.format(kind=_kind(question))
        return code + (_NEEDLE_DEEPER if "magic" in question else _COUNTING_DEEPER)


def _by_code(question: str) -> str:
    """What code alone can do: it looks for the words that come to mind, half of those there are."""
    if "magic" in question:
        return _NEEDLE_BY_CODE.format(city=_city(question))
    words = LABELS[_kind(question)][:5]
    code = _PAIRS_BY_CODE if "pairs" in question else _COUNTING_BY_CODE
    return code.format(words=words)


def _city(question: str) -> str:
    found = re.search(r"magic number of (\w+)", question)
    return found[1] if found else ""


def _kind(question: str) -> str:
    found = re.search(r"about a kind of (\w+)", question)
    return found[1] if found else ""
