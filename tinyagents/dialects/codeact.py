"""CodeAct: the model writes Python, which runs in a sandbox where tools are functions.

A cell is a call of one tool, `python`. So all that holds for calls (journal, limits, leave, pauses,
cancellation, addresses in the tree) holds for cells, and for the calls in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tinyagents.dialect import Reading, Speech
from tinyagents.dialects.code_text import read_reply
from tinyagents.dialects.finishing import FinishTool, FinishWith
from tinyagents.dialects.python_tool import PythonTool, named
from tinyagents.dialects.signatures import function_name, told
from tinyagents.errors import ConfigError
from tinyagents.messages import (
    AssistantMessage,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from tinyagents.models.protocol import ModelRequest, ToolSpec
from tinyagents.output import OutputPlan
from tinyagents.tools import Tool
from tinyagents_graph.frozen import frozen

if TYPE_CHECKING:
    from tinyagents.sandbox import Sandbox

__all__ = ["CodeAct"]

_PROMPT = """\
You solve tasks by writing Python. In each reply write one block of code:

```python
print(1 + 1)
```

{thinking}It runs at once, and you are told what it printed and the value of its last expression. \
Variables stay. Call these functions like any other, without await (or several at once with \
await asyncio.gather(…)); a failure is an exception. Nothing else of the outside can be reached.

{functions}

Once you have the answer, call {finish}, or write it between <finish> and </finish> without any \
code. {answer}

{card}"""
_THINKING = "Before the code, say what you are up to between <{tag}> and </{tag}>. "
_IGNORED = "(Only the first block of code ran, not the {n} behind it. Write one block in a reply.)"
PYTHON = "python"
"""Name of the tool whose calls are the cells."""


@frozen
class CodeAct:
    """The dialect `codeact`.

    Attributes:
        sandbox: Where the code runs, with its limits, files and modules; one with the usual limits
            if not given. Runs do not share variables.
        prompt: How the model is told to work, in place of the text of this package, behind the
            agent's instructions. `{functions}` in it becomes the tools as functions, with what the
            sandbox has, `{finish}` how to finish, `{answer}` what the answer has to be, `{card}`
            which Python there is.
        thinking_tag: Name of tags in which the model says what it is up to, as `thinking` events.
        finish: A tool of the agent's own to finish with: what it returns is the answer.
        max_output_chars: Longer output is cut in the middle for the model.
        max_saved_mb: Up to which size variables are written down; see `PythonTool`.

    Raises:
        ConfigError: An argument does not do.
    """

    sandbox: Sandbox | None = None
    prompt: str = ""
    thinking_tag: str = ""
    finish: Any = None
    max_output_chars: int = 20_000
    max_saved_mb: float = 8.0

    name = "codeact"

    def __post_init__(self) -> None:
        if not isinstance(self.prompt, str):  # pyright: ignore[reportUnnecessaryIsInstance] # for who runs none
            raise ConfigError(f"CodeAct(prompt={self.prompt!r}): give a text")
        tag = self.thinking_tag
        if tag and not tag.replace("_", "").replace("-", "").isalnum():
            raise ConfigError(f"CodeAct(thinking_tag={tag!r}): give a name, 'intent' for <intent>")
        self._python()

    def _python(self, functions: Sequence[str] = ()) -> PythonTool:
        return PythonTool(
            self.sandbox,
            functions=functions,
            max_output_chars=self.max_output_chars,
            max_saved_mb=self.max_saved_mb,
            name=PYTHON,
        )

    def output(self, output_type: Any, *, native: bool) -> OutputPlan:
        """By the function `finish`; a provider's schema leaves no room for code."""
        plan = OutputPlan(output_type, native=False)
        # One of the agent's own is a call like others, with what it does on the outside.
        plan.answer_with(FinishTool(plan) if self.finish is None else None)
        return plan

    def speech(self, tools: Mapping[str, Tool], output: OutputPlan) -> Speech:
        """CodeAct with these tools as functions."""
        table = dict(tools)
        finish = output.tool
        if finish is None:
            own = self.finish if isinstance(self.finish, Tool) else Tool(self.finish)
            finish = FinishWith(own, output)
            if finish.name in table:
                raise ConfigError(
                    f"CodeAct(finish=…): there is a tool {finish.name!r} already; the one that "
                    "finishes is not among the agent's tools as well"
                )
            table[finish.name] = finish
        if PYTHON in table:
            raise ConfigError(f"a tool is called {PYTHON!r}, which codeact needs for its code")
        functions = named(table.values())
        python = table[PYTHON] = self._python(tuple(table))
        prompt = self._filled(functions, finish, output, python)
        return _CodeSpeech(table, prompt, self.thinking_tag)

    def _filled(
        self,
        functions: Mapping[str, Tool],
        finish: Tool,
        output: OutputPlan,
        python: PythonTool,
    ) -> str:
        thinking = _THINKING.format(tag=self.thinking_tag) if self.thinking_tag else ""
        answer = "" if output.is_text else f"The answer has to fit this JSON Schema: {output.shape}"
        places = {
            "{thinking}": thinking,
            "{functions}": _all_there_is(functions.values(), python.sandbox),
            "{finish}": next(name for name, each in functions.items() if each is finish) + "(…)",
            "{answer}": answer,
            "{card}": python.sandbox.card,
        }
        prompt = self.prompt or _PROMPT
        for place, text in places.items():
            # Not by `format`: a prompt of one's own may have braces in it.
            prompt = prompt.replace(place, text) if place in prompt else prompt
        return prompt


def _all_there_is(functions: Iterable[Tool], sandbox: Sandbox) -> str:
    parts = [*map(told, functions), sandbox.describe()]
    if found := sandbox.inventory():
        parts.append(f"There are also:\n{found}")
    return "\n\n".join(filter(None, parts))


class _CodeSpeech:
    def __init__(self, tools: Mapping[str, Tool], prompt: str, thinking_tag: str) -> None:
        self.tools = tools
        self.prompt = prompt
        self._tag = thinking_tag

    def offer(self, tools: Iterable[Tool]) -> tuple[ToolSpec, ...]:
        return ()

    def put(self, request: ModelRequest) -> ModelRequest:
        return request

    def read(self, message: AssistantMessage, call_id: str) -> Reading:
        if message.tool_calls:  # of tools that it was not offered
            message = AssistantMessage((*message.parts, Text(_as_code(message.tool_calls))))
        reply = read_reply(message.text, self._tag)
        if reply.code is None:
            kept = _with_text(message, reply.text)
            return Reading(kept, answer=reply.answer, thinking=reply.thinking)
        call = ToolCall(call_id, PYTHON, {"code": reply.code})
        n = reply.n_ignored
        remark = _IGNORED.format(n="one" if n == 1 else n) if n else ""
        kept = _with_text(message, reply.text)
        return Reading(kept, (call,), remark=remark, thinking=reply.thinking)

    def tell(self, results: Sequence[ToolMessage], remark: str) -> Sequence[Message]:
        text = "\n".join(filter(None, (f"Output:\n{results[0].text}", remark)))
        return (UserMessage(text),)


def _as_code(calls: Sequence[ToolCall]) -> str:
    """Tool calls as the code that makes them, and shows what came of the last one."""
    lines = [
        f"{function_name(each.name)}({', '.join(f'{k}={v!r}' for k, v in each.arguments.items())})"
        for each in calls
    ]
    return "\n".join(("\n```python", *lines, "```"))


def _with_text(message: AssistantMessage, text: str) -> AssistantMessage:
    """The message with this text, and its thinking, which a provider may want back."""
    if len(message.parts) == 1 and message.text == text:
        return message
    thinking = [part for part in message.parts if isinstance(part, Thinking)]
    return AssistantMessage((*thinking, Text(text)))
