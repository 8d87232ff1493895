"""`llm`, `llm_map` and `recurse`: what the code of a recursive agent can call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, cast

from pydantic import Field
from typing_extensions import TypedDict

from tinyagents.context import RunContext
from tinyagents.data import Data, as_data
from tinyagents.data.variable import is_variable, part_of
from tinyagents.errors import ModelRetry, ToolError
from tinyagents.execute import execute
from tinyagents.inputs import check_fits
from tinyagents.recursion import OnFailure, Recursion
from tinyagents.runnable import Opened
from tinyagents.subagents import SubAgent, SubAgentTool
from tinyagents.tools import Tool
from tinyagents_graph.errors import Parked
from tinyagents_graph.tasks import gather

if TYPE_CHECKING:
    from tinyagents.agent import Agent

__all__ = ["PartTool", "map_tool"]

_LLM = "Asks a language model once, and returns its answer as text."
_RECURSE = (
    "Hands a task to an agent like you, which works on `data` with code of its own, and returns "
    "what it finds. For parts that are too much for one prompt."
)
_DATA = Field(
    description="What it gets to see: a part of the context, a text, a record, or a list of them."
)


class _Prompt(TypedDict):
    prompt: Annotated[str, Field(description="What is asked; nothing else is known to it.")]
    data: NotRequired[Annotated[Any, _DATA]]


class _Task(TypedDict):
    task: Annotated[str, Field(description="What to find out; nothing else is known to it.")]
    data: NotRequired[Annotated[Any, _DATA]]


class PartTool(SubAgentTool):
    """The call of an agent with a part of the data: `llm(prompt, data)`, `recurse(task, data)`.

    Args:
        agent: Who does it.
        name: `"llm"` or `"recurse"`.
        fits_chars: How many characters a prompt may hold.
    """

    def __init__(self, agent: Agent[Any, Any], name: str, fits_chars: int) -> None:
        asks, told = (_Prompt, _LLM) if name == "llm" else (_Task, _RECURSE)
        super().__init__(SubAgent(agent), name=name, description=told, input_type=asks)
        self._agent = agent
        self._fits_chars = fits_chars

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Check what the code gave."""
        return Tool.validate(self, arguments)

    def _open(self, ctx: RunContext[Any], arguments: dict[str, Any]) -> Opened:
        is_plain = "prompt" in arguments
        prompt: str = arguments["prompt" if is_plain else "task"]
        _check_prompt(prompt, self._fits_chars)
        return self._agent.open(
            prompt,
            place=ctx,
            path=ctx.path if not ctx.attempt else ctx.run.next_path(self.name),
            # How much data it can take is the matter of an agent like the one that asks.
            data=_part(ctx, arguments.get("data"), self._fits_chars if is_plain else None),
        )


def map_tool(agent: Agent[Any, Any], max_concurrency: int, how: Recursion) -> Tool:
    """The tool `llm_map`: many prompts at once.

    Args:
        agent: Who answers.
        max_concurrency: How many at once.
        how: What a prompt may hold, and what the code gets for one that failed.
    """

    async def llm_map(
        ctx: RunContext[Any], prompts: str | list[str], data: list[Any] | None = None
    ) -> list[str | None]:
        """Asks a language model many times at once, and returns the answers in order.

        Args:
            ctx: Where the call stands.
            prompts: What is asked: one for each of `data`, or one for all of them.
            data: What each gets to see: parts of the context, texts, or lists of records.
        """
        jobs = [
            (prompt, _part(ctx, part, how.fits_chars)) for prompt, part in _paired(prompts, data)
        ]
        for prompt, _ in jobs:
            _check_prompt(prompt, how.fits_chars)
        # Numbered before any starts: a child's address must not depend on who is quicker.
        paths = [ctx.next_path(agent.name) for _ in jobs]
        results = _Answers(how.on_failure)
        calls = [
            partial(results.take, agent, ctx, path, prompt, part)
            for path, (prompt, part) in zip(paths, jobs, strict=True)
        ]
        await gather(calls, max_concurrency, name=ctx.path)
        return results.in_order(paths)

    return Tool(llm_map)


class _Answers:
    """What comes of the calls of one `llm_map`; one that fails harms no other."""

    def __init__(self, on_failure: OnFailure) -> None:
        self._on_failure = on_failure
        self._answers: dict[str, str] = {}
        self._errors: dict[str, Exception] = {}
        self._waits = False

    async def take(
        self,
        agent: Agent[Any, Any],
        ctx: RunContext[Any],
        path: str,
        prompt: str,
        part: Data | None,
    ) -> None:
        try:
            work = agent.open(prompt, place=ctx, path=path, data=part)
            result = await execute(work)
        except Parked:
            self._waits = True  # the others go on
        except Exception as error:
            self._errors[path] = error
        else:
            if result.status == "completed":
                self._answers[path] = result.output
            else:
                self._errors[path] = result.error or ToolError("llm_map", result.status)

    def in_order(self, paths: Sequence[str]) -> list[str | None]:
        """The answers.

        Raises:
            Parked: Some wait for the human.
            Exception: All failed; this is why the first did.
        """
        if self._waits:
            raise Parked
        if paths and not self._answers:
            raise self._errors[paths[0]]
        return [self._answers.get(path, self._failed(path)) for path in paths]

    def _failed(self, path: str) -> str | None:
        error = self._errors.get(path)
        if error is None or self._on_failure == "none":
            return None
        return f"[no answer: {type(error).__name__}: {error}]"


def _paired(prompts: str | list[str], data: list[Any] | None) -> list[tuple[str, Any]]:
    if isinstance(prompts, str):
        if data is None:
            raise ModelRetry("llm_map takes a list of prompts, or one prompt and a list of data")
        return [(prompts, part) for part in data]
    if data is not None and len(data) != len(prompts):
        raise ModelRetry(f"{len(prompts)} prompts and {len(data)} data: give one for each")
    return list(zip(prompts, data or [None] * len(prompts), strict=True))


def _part(ctx: RunContext[Any], given: Any, fits_chars: int | None) -> Data | None:
    """What the code gave as data: a part of what its own run was given, or something new.

    Raises:
        ModelRetry: It is nothing of that, or too long.
    """
    if given is None:
        return None
    data = _data(ctx, given)
    if fits_chars is not None:
        check_fits(data, fits_chars)
    return data


def _data(ctx: RunContext[Any], given: Any) -> Data:
    if is_variable(given):
        inside = ctx.run.work.input
        if inside is None:
            raise ModelRetry("this run was given no data, so there are no parts of it")
        return part_of(inside.data, given["ref"])
    if isinstance(given, str):
        return as_data(given)
    records = cast("list[Any]", given if isinstance(given, list) else [given])
    if any(map(is_variable, records)):
        raise ModelRetry("data is one part of the context; of several, llm_map(prompt, parts)")
    return as_data(records)


def _check_prompt(prompt: str, chars: int) -> None:
    """What is long is data.

    Raises:
        ModelRetry: It is too long for a prompt.
    """
    if len(prompt) > chars:
        raise ModelRetry(
            f"the prompt has {len(prompt):,} characters, and one may hold {chars:,}: hand on a "
            "part of the context, or a text, as the second argument"
        )
