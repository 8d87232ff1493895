"""ReAct: Thought, Action, Action Input, Observation, Final Answer; tools for models that have none.

The transcript holds what the model wrote, and results as messages of the user. So any model that
can write can use any tool, sub-agents included.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tinyagents.dialect import Reading, Speech
from tinyagents.dialects.arguments import arguments_of
from tinyagents.dialects.react_text import Action, Steps, asked_in_json, parse, render
from tinyagents.errors import ConfigError
from tinyagents.messages import (
    AssistantMessage,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
    UserPart,
)
from tinyagents.models.protocol import ModelRequest, ToolSpec
from tinyagents.output import OutputPlan
from tinyagents.tools import Tool
from tinyagents_graph.frozen import frozen

__all__ = ["React"]

_PROMPT = """\
You work in steps. In each step write exactly this, then stop:

Thought: what you think
Action: the name of one tool
Action Input: its arguments, as one JSON object

You are then told:

Observation: what came of it

Repeat this as often as you need to. Never write an Observation yourself. Once you know the answer:

Thought: I know the answer
Final Answer: the answer

{answer}The tools:

{tools}"""
_NO_STEP = (
    "You wrote neither an Action nor a Final Answer. Go on with either\n"
    "Action: the name of a tool\nAction Input: its arguments as JSON\nor\nFinal Answer: the answer"
)
_EARLY = (
    "(Your Final Answer was ignored: you gave it before you had seen this. Give it again, if it "
    "still holds.)"
)


@frozen
class React:
    """The dialect `react`, for models that cannot call tools, or do it badly.

    Attributes:
        prompt: How the model is told to work, in place of the text of this package, behind the
            agent's instructions. `{tools}` in it becomes the list of tools, `{names}` their names,
            `{answer}` what the answer has to be.
        stop: Where the provider stops the model, before it makes up a result. Empty for models that
            take no stop sequences: what they make up is cut off all the same.

    Raises:
        ConfigError: An argument does not do.
    """

    prompt: str = ""
    stop: tuple[str, ...] = ("\nObservation:",)

    name = "react"

    def __post_init__(self) -> None:
        if not isinstance(self.prompt, str):  # pyright: ignore[reportUnnecessaryIsInstance] # for who runs none
            raise ConfigError(f"React(prompt={self.prompt!r}): give a text")
        if isinstance(self.stop, str):
            raise ConfigError(f"React(stop={self.stop!r}): give a tuple, ({self.stop!r},)")

    def output(self, output_type: Any, *, native: bool) -> OutputPlan:
        """By what stands behind `Final Answer:`; with a schema there is no room for thoughts."""
        return OutputPlan(output_type, native=False)

    def speech(self, tools: Mapping[str, Tool], output: OutputPlan) -> Speech:
        """ReAct with these tools."""
        return _ReactSpeech(self, tools, output)


class _ReactSpeech:
    def __init__(self, dialect: React, tools: Mapping[str, Tool], output: OutputPlan) -> None:
        self.tools = tools
        self._stop = tuple(dialect.stop)
        listed = [tool for tool in tools.values() if tool is not output.tool]
        answer = "" if output.is_text else f"The answer is JSON of this schema: {output.shape}\n\n"
        self.prompt = _filled(dialect.prompt or _PROMPT, listed, answer)
        self._names = {_key(name): name for name in tools}
        if len(listed) == 1:  # then there is no need to name it
            self._names[""] = listed[0].name

    def offer(self, tools: Iterable[Tool]) -> tuple[ToolSpec, ...]:
        return ()

    def put(self, request: ModelRequest) -> ModelRequest:
        if not self._stop:
            return request
        settings = request.settings
        stop = (*settings.stop, *(each for each in self._stop if each not in settings.stop))
        return replace(request, settings=replace(settings, stop=stop))

    def read(self, message: AssistantMessage, call_id: str) -> Reading:
        text = message.text
        if native := message.tool_calls:  # which it was not offered
            actions = [Action(each.name, _input_of(each)) for each in native]
            steps = Steps(text, tuple(actions), None, render(text, actions))
        else:
            steps = self._steps(text)
        calls = [self._call(each, f"{call_id}.{n}") for n, each in enumerate(steps.actions)]
        remark = _EARLY if steps.is_early else ""
        mistake = _NO_STEP if not calls and steps.answer is None else ""
        told = _with_text(message, steps.text)
        return Reading(told, tuple(calls), steps.answer, mistake, remark)

    def _steps(self, text: str) -> Steps:
        steps = parse(text)
        if steps.answer is None or steps.answer != steps.text.strip():
            return steps
        # There is no label. It may be an action all the same, if it is one of a tool that there is.
        asked = asked_in_json(steps.answer)
        if asked is None or not asked.name or _key(asked.name) not in self._names:
            return steps
        is_action = '"action"' in steps.answer or asked.input != "{}"
        return Steps("", (asked,), None, steps.text) if is_action else steps

    def _call(self, action: Action, call_id: str) -> ToolCall:
        name = self._names.get(_key(action.name), action.name)
        tool = self.tools.get(name)
        parameters: Mapping[str, Any] = {} if tool is None else tool.parameters
        arguments = arguments_of(action.input, parameters)
        if arguments is None:
            return ToolCall(call_id, name, {}, malformed=None if tool is None else action.input)
        return ToolCall(call_id, name, arguments)

    def tell(self, results: Sequence[ToolMessage], remark: str) -> Sequence[Message]:
        parts: list[UserPart] = []
        for n, result in enumerate(results, 1):
            label = "Observation" if len(results) == 1 else f"Observation {n} ({result.name})"
            if isinstance(result.content, str):
                parts.append(Text(f"{label}: {result.content}"))
            else:
                parts += [Text(f"{label}:"), *result.content]
        if remark:
            parts.append(Text(remark))
        texts = [part.text for part in parts if isinstance(part, Text)]
        if len(texts) < len(parts):
            return (UserMessage(tuple(parts)),)
        return (UserMessage("\n".join(texts)),)


def _with_text(message: AssistantMessage, text: str) -> AssistantMessage:
    """The message with this text, and its thinking, which a provider may want back."""
    if len(message.parts) == 1 and message.text == text:
        return message
    thinking = [part for part in message.parts if isinstance(part, Thinking)]
    return AssistantMessage((*thinking, Text(text)))


def _input_of(call: ToolCall) -> str:
    if call.malformed is not None:
        return call.malformed
    return json.dumps(call.arguments, ensure_ascii=False, default=str)


def _key(name: str) -> str:
    """A name without what models vary: case, spaces, dashes."""
    return name.casefold().replace(" ", "_").replace("-", "_")


def _filled(prompt: str, tools: Sequence[Tool], answer: str) -> str:
    # Not by `format`: a prompt of one's own may have braces in it.
    names = ", ".join(tool.name for tool in tools)
    told = "\n".join(map(_told, tools)) or "(there are no tools: give the Final Answer at once)"
    for place, text in (("{tools}", told), ("{names}", names), ("{answer}", answer)):
        prompt = prompt.replace(place, text)
    return prompt


def _told(tool: Tool) -> str:
    lines = tool.description.strip().splitlines() or [""]
    description = "\n  ".join([lines[0], *lines[1:]])
    schema = json.dumps(dict(tool.parameters), ensure_ascii=False)
    return f"- {tool.name}: {description}\n  Arguments: {schema}"
