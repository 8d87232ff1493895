"""The model that reads: right, but for errors that grow with how much it has to read at once."""

import json
import random
import re
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import combinations

import anyio.lowlevel

from benchmarks.recursive.tasks import LABEL_OF, LABELS
from tinyagents import AssistantMessage, ModelError, Text, Usage
from tinyagents.models import Capabilities, ModelDelta, ModelReply, ModelRequest

CHARS_PER_TOKEN = 4
_CITY = re.compile(r"magic number of (\w+)")
_KIND = re.compile(r"about a kind of (\w+)")


@dataclass(frozen=True)
class Reader:
    """A model that answers what `tasks` asks, and what `strategy` asks on the way.

    Attributes:
        name: Its name.
        window: Tokens it can read at once; more is an error, as of a provider.
        misses: Share of the lines that it overlooks when its window is full, and in proportion
            less with less to read; of the others it takes a quarter of that for something else.
        usd_in: Dollars for a million tokens read.
        usd_out: Dollars for a million tokens written.
        latency_s: Seconds before it begins to answer.
        reads_per_s: Tokens it reads in a second.
        writes_per_s: Tokens it writes in a second.
    """

    name: str = "reader"
    window: int = 128_000
    misses: float = 0.3
    usd_in: float = 0.25
    usd_out: float = 2.0
    latency_s: float = 0.5
    reads_per_s: float = 10_000
    writes_per_s: float = 100
    provider: str = "test"
    capabilities: Capabilities = field(default_factory=Capabilities)

    async def request(self, request: ModelRequest) -> ModelReply:
        prompt = "\n".join(message.text for message in request.messages)
        n_read = len(prompt) // CHARS_PER_TOKEN + 1
        if n_read > self.window:
            raise ModelError(f"{n_read:,} tokens, and the window has {self.window:,}")
        await anyio.lowlevel.checkpoint()  # what runs at the same time has to overlap
        rng = random.Random(blake2b(prompt.encode(), digest_size=8).digest())
        answer = self._answer(prompt, rng, self.misses * n_read / self.window)
        usage = Usage(
            requests=1, input_tokens=n_read, output_tokens=len(answer) // CHARS_PER_TOKEN + 1
        )
        return ModelReply(AssistantMessage((Text(answer),)), usage, "stop", self.name)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelDelta | ModelReply]:
        yield await self.request(request)

    def cost(self, usage: Usage) -> float:
        return (usage.input_tokens * self.usd_in + usage.output_tokens * self.usd_out) / 1e6

    def seconds(self, usage: Usage) -> float:
        """How long it would have taken."""
        read = usage.input_tokens / self.reads_per_s
        return self.latency_s * usage.requests + read + usage.output_tokens / self.writes_per_s

    def _answer(self, prompt: str, rng: random.Random, misses: float) -> str:
        if city := _CITY.search(prompt):
            return _number(prompt, city[1], rng, misses)
        labels = _read_lines(prompt, rng, misses)
        if "as JSON, by user" in prompt:
            by_user: dict[str, Counter[str]] = {}
            for user, label in labels:
                by_user.setdefault(user, Counter())[label] += 1
            return json.dumps(dict(sorted(by_user.items())))
        kind = _KIND.search(prompt)
        wanted = kind[1] if kind else ""
        if "pairs of users" in prompt:
            having = sorted({user for user, label in labels if label == wanted})
            return json.dumps(list(combinations(having, 2)))
        return str(sum(label == wanted for _, label in labels))


def _number(prompt: str, city: str, rng: random.Random, misses: float) -> str:
    found = re.search(rf"(?:number of|anybody in) {city}\b\D* (\d+)\.", prompt)
    return found[1] if found and rng.random() >= misses else "none"


def _read_lines(prompt: str, rng: random.Random, misses: float) -> list[tuple[str, str]]:
    """User and label of each line it sees, some of them wrong."""
    labels, found = list(LABELS), list[tuple[str, str]]()
    chance: Callable[[], float] = rng.random
    for line in prompt.splitlines():
        label = LABEL_OF.get(line.rpartition(" ")[2])
        if label is None or line[4:7] != " | " or chance() < misses:
            continue  # no line of these, or overlooked
        found.append((line[:4], rng.choice(labels) if chance() < misses / 4 else label))
    return found
