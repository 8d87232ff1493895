"""From a signature to the JSON Schema a model is told, and what cannot be told."""

import datetime
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial, wraps
from typing import Annotated, Any, Literal, Optional, Union
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import TypedDict

from tinyagents import Agent, ConfigError, RunContext, Tool, tool


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    """A place on the page."""

    x: int = Field(description="from the left", ge=0)
    y: int = 0


@dataclass
class Size:
    width: float
    height: float = 1.0


class Options(TypedDict, total=False):
    bold: bool
    title: str


class Branch(BaseModel):
    name: str
    branches: list["Branch"] = []


def properties(function: Callable[..., Any]) -> dict[str, Any]:
    return dict(Tool(function).parameters["properties"])


# --- types ----------------------------------------------------------------------------------------


def test_a_signature_becomes_an_object_with_what_is_required() -> None:
    def search(query: str, limit: int = 10, *, exact: bool = False, tags: list[str]) -> None: ...

    assert Tool(search).parameters == {
        "type": "object",
        "properties": {
            "query": {"type": "string"},
            "limit": {"type": "integer", "default": 10},
            "exact": {"type": "boolean", "default": False},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["query", "tags"],
        "additionalProperties": False,
    }


def test_a_function_without_parameters_takes_an_empty_object() -> None:
    def now() -> None: ...

    tool_ = Tool(now)
    assert tool_.parameters == {"type": "object", "properties": {}, "additionalProperties": False}
    assert tool_.validate({}) == {}


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (str, {"type": "string"}),
        (float, {"type": "number"}),
        (Any, {}),
        (Literal["a", "b"], {"enum": ["a", "b"], "type": "string"}),
        (Literal[3], {"const": 3, "type": "integer"}),
        (Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}),  # noqa: UP045
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (Union[int, str], {"anyOf": [{"type": "integer"}, {"type": "string"}]}),  # noqa: UP007
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (set[int], {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}),
        (Sequence[int], {"type": "array", "items": {"type": "integer"}}),
        (datetime.date, {"type": "string", "format": "date"}),
        (UUID, {"type": "string", "format": "uuid"}),
        (Annotated[int, Field(ge=1, description="from 1")],
         {"type": "integer", "minimum": 1, "description": "from 1"}),
    ],
)  # fmt: skip
def test_the_types_of_python_have_their_schemas(hint: Any, schema: dict[str, Any]) -> None:
    def work(value: Any) -> None: ...

    work.__annotations__["value"] = hint
    assert properties(work)["value"] == schema


@pytest.mark.parametrize(
    ("hint", "name", "schema"),
    [
        (Colour, "Colour", {"type": "string", "enum": ["red", "blue"]}),
        (
            Point,
            "Point",
            {
                "type": "object",
                "description": "A place on the page.",
                "properties": {
                    "x": {"type": "integer", "minimum": 0, "description": "from the left"},
                    "y": {"type": "integer", "default": 0},
                },
                "required": ["x"],
            },
        ),
        (
            Size,
            "Size",
            {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "width": {"type": "number"},
                    "height": {"type": "number", "default": 1.0},
                },
                "required": ["width"],
            },
        ),
        (
            Options,
            "Options",
            {
                "type": "object",
                "additionalProperties": False,
                "properties": {"bold": {"type": "boolean"}, "title": {"type": "string"}},
            },
        ),
        (
            Branch,
            "Branch",
            {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "branches": {
                        "type": "array", "default": [], "items": {"$ref": "#/$defs/Branch"},
                    },
                },
                "required": ["name"],
            },
        ),
    ],
)  # fmt: skip
def test_classes_of_your_own_are_defined_once_and_referred_to(
    hint: Any, name: str, schema: dict[str, Any]
) -> None:
    def work(one: Any, two: Any) -> None: ...

    work.__annotations__ |= {"one": hint, "two": hint}
    parameters = Tool(work).parameters
    assert parameters["properties"]["one"] == {"$ref": f"#/$defs/{name}"}
    assert parameters["properties"]["two"] == {"$ref": f"#/$defs/{name}"}
    assert parameters["$defs"] == {name: schema}


def test_titles_are_left_out_but_not_the_word_title() -> None:
    def write(title: str, options: Options, extra: dict[str, str] = {"title": "kept"}) -> None:  # noqa: B006
        ...

    schema = Tool(write).parameters
    assert schema["properties"]["title"] == {"type": "string"}
    assert schema["$defs"]["Options"]["properties"]["title"] == {"type": "string"}
    assert '"title": "' not in json.dumps(schema)


@pytest.mark.parametrize(
    ("hint", "given_", "coerced"),
    [
        (int, "3", 3),
        (float, 3, 3.0),
        (bool, "true", True),
        (Colour, "red", Colour.RED),
        (Point, {"x": "1"}, Point(x=1)),
        (Size, {"width": 2}, Size(2.0)),
        (Options, {"bold": 1}, {"bold": True}),
        (Branch, {"name": "a", "branches": [{"name": "b"}]},
         Branch(name="a", branches=[Branch(name="b")])),
        (tuple[int, str], [1, "a"], (1, "a")),
        (frozenset[int], [1, 1], frozenset({1})),
        (datetime.date, "2026-11-20", datetime.date(2026, 11, 20)),
        (int | str, "3", "3"),
        (Point | Size, {"width": 1}, Size(1.0)),
    ],
)  # fmt: skip
def test_arguments_are_checked_and_made_what_was_declared(
    hint: Any, given_: Any, coerced: Any
) -> None:
    def work(value: Any) -> None: ...

    work.__annotations__["value"] = hint
    assert Tool(work).validate({"value": given_}) == {"value": coerced}


def test_what_was_not_given_is_left_to_the_functions_own_default() -> None:
    def work(a: int, colour: Colour = Colour.RED, many: list[int] = [1]) -> None:  # noqa: B006
        ...

    made = Tool(work)
    assert made.validate({"a": 1}) == {"a": 1}
    # A default that has no plain JSON is Python's business and not told to the model.
    assert made.parameters["properties"]["many"] == {"type": "array", "items": {"type": "integer"}}
    with pytest.raises(ValidationError):
        made.validate({"a": 1, "b": 2})


class Strict(BaseModel):
    """Takes no text for a number, and a date only as JSON writes one."""

    model_config = ConfigDict(strict=True)
    day: datetime.date
    n: int
    pair: tuple[int, int]


def test_a_strict_model_is_checked_as_json_is() -> None:
    def work(value: Strict) -> None: ...

    said = {"day": "2026-11-20", "n": 3, "pair": [1, 2]}
    strict = Strict(day=datetime.date(2026, 11, 20), n=3, pair=(1, 2))
    assert Tool(work).validate({"value": said}) == {"value": strict}
    with pytest.raises(ValidationError) as caught:
        Tool(work).validate({"value": said | {"n": "3"}})
    assert "valid integer" in str(caught.value)


def test_annotations_may_be_texts() -> None:
    def work(point: "Point", note: "str | None" = None) -> "None": ...

    assert properties(work)["point"] == {"$ref": "#/$defs/Point"}


# --- words ----------------------------------------------------------------------------------------


def google(query: str, limit: int = 3) -> None:
    """Search the library.

    Finds books and nothing else.

    Args:
        query: What to look for,
            in any language.
        limit: At most so many.

    Returns:
        Nothing yet.

    Raises:
        OSError: The library is closed.
    """


def numpy(query: str, limit: int = 3) -> None:
    """Search the library.

    Finds books and nothing else.

    Parameters
    ----------
    query : str
        What to look for,
        in any language.
    limit : int, optional
        At most so many.

    Returns
    -------
    None
        Nothing yet.
    """


def sphinx(query: str, limit: int = 3) -> None:
    """Search the library.

    Finds books and nothing else.

    :param query: What to look for,
        in any language.
    :param int limit: At most so many.
    :returns: Nothing yet.
    """


@pytest.mark.parametrize("function", [google, numpy, sphinx])
def test_descriptions_come_from_the_docstring_in_each_style(function: Callable[..., Any]) -> None:
    made = Tool(function)
    assert made.description == "Search the library.\n\nFinds books and nothing else."
    shown = made.parameters["properties"]
    described = " ".join(shown["query"]["description"].split())
    assert described == "What to look for, in any language."
    assert shown["limit"] == {
        "type": "integer", "default": 3, "description": "At most so many.",
    }  # fmt: skip


def test_a_given_name_and_description_win() -> None:
    made = Tool(google, name="find", description="Find it.")
    assert (made.name, made.description) == ("find", "Find it.")
    assert (made.spec.name, made.spec.description) == ("find", "Find it.")
    assert Tool(google, description="").description == ""


def test_a_docstring_wins_over_the_annotation_and_takes_nothing_else_from_it() -> None:
    def work(
        a: Annotated[int, Field(description="said here", ge=1)] = 2,
        b: Annotated[int, Field(description="said here")] = 3,
    ) -> None:
        """Work.

        Args:
            b: said there
        """

    assert properties(work) == {
        "a": {"type": "integer", "default": 2, "minimum": 1, "description": "said here"},
        "b": {"type": "integer", "default": 3, "description": "said there"},
    }


def test_a_function_without_a_docstring_has_no_description() -> None:
    def work(a: int) -> None: ...

    assert Tool(work).description == ""


def test_the_docstring_of_the_context_is_not_told() -> None:
    def work(ctx: RunContext[Any], a: int) -> None:
        """Work.

        Args:
            ctx: Where it stands.
            a: A number.
        """

    assert properties(work) == {"a": {"type": "integer", "description": "A number."}}
    assert "ctx" not in Tool(work).description


@settings(max_examples=150)
@given(st.text(max_size=200) | st.from_regex(r"(?s).{0,30}\n(Args|Parameters|:param).{0,60}"))
@example("Args:\n    :")
@example(":param")
@example("Parameters\n----------\n:")
def test_no_docstring_breaks_a_tool(docstring: str) -> None:
    def work(a: int) -> None: ...

    work.__doc__ = docstring
    made = Tool(work)
    assert made.parameters["properties"]["a"]["type"] == "integer"
    assert isinstance(made.description, str)


# --- the decorator --------------------------------------------------------------------------------


def test_the_decorator_takes_every_option_or_none() -> None:
    @tool
    def plain(a: int) -> int:
        """Plain."""
        return a

    @tool(name="fancy-1", retries=2, timeout_s=1.5, sequential=True, strict=True)
    async def fancy(a: int) -> int:
        return a

    assert (plain.name, plain.description, plain.spec.strict) == ("plain", "Plain.", False)
    assert (fancy.name, fancy.retries, fancy.timeout_s, fancy.sequential) == (
        "fancy-1",
        2,
        1.5,
        True,
    )
    assert fancy.spec.strict
    assert repr(fancy) == "Tool('fancy-1')"


def test_decorated_functions_show_the_signature_they_wrap() -> None:
    def logged(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return inner

    @logged
    def work(a: int) -> int:
        """Work."""
        return a

    made = Tool(work)
    assert (made.name, made.description) == ("work", "Work.")
    assert made.parameters["properties"] == {"a": {"type": "integer"}}


def test_a_partial_of_positions_shows_what_is_open() -> None:
    def work(a: int, b: str) -> str:
        """Work."""
        return b * a

    assert Tool(partial(work, 3)).parameters["properties"] == {"b": {"type": "string"}}


# --- what is no tool ------------------------------------------------------------------------------


def star(*numbers: int) -> None: ...
def double_star(**options: int) -> None: ...
def positional(a: int, /, b: int) -> None: ...
def unknown_type(a: Any) -> None: ...
def no_type(a: Any) -> None: ...
def no_schema(a: int, work: Callable[[int], int]) -> None: ...
def late_context(a: int, ctx: RunContext[Any]) -> None: ...
def keyword_context(*, ctx: RunContext[Any]) -> None: ...
def field_as_default(a: int = Field(default=3)) -> None: ...


unknown_type.__annotations__["a"] = "Nowhere"
no_type.__annotations__["a"] = "not a type!"


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (star, "'*numbers' cannot be filled in by name"),
        (double_star, "'**options' cannot be filled in by name"),
        (positional, "'a' cannot be filled in by name"),
        (unknown_type, "annotations cannot be read (name 'Nowhere' is not defined)"),
        (no_type, "annotations cannot be read"),
        (no_schema, "parameter 'work' has no JSON Schema"),
        (late_context, "'ctx' is the RunContext, which comes first"),
        (keyword_context, "'ctx' is the RunContext, which comes first"),
        (field_as_default, "'a' has Field(...) as its default; write Annotated"),
        (len, "'obj' cannot be filled in by name"),
        (Point, "is no function"),
        (7, "is no function"),
    ],
)
def test_a_function_that_no_model_can_call_is_refused_by_name(function: Any, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Tool(function)
    name = getattr(function, "__name__", "int")
    assert str(caught.value).startswith(f"tool {name!r}: ")
    assert named in str(caught.value)
    assert "errors.pydantic.dev" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "ä", "a.b", "<lambda>", "a\n"])
def test_a_name_that_no_provider_takes_is_refused(name: str) -> None:
    def work() -> None: ...

    work.__name__ = name
    with pytest.raises(ConfigError, match="tool name .*: use 1 to 64 letters"):
        Tool(work)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"timeout_s": 0}, "timeout_s=0"),
        ({"timeout_s": float("nan")}, "timeout_s=nan"),
        ({"retries": -1}, "retries=-1"),
        ({"backoff_s": -0.5}, "backoff_s=-0.5"),
        ({"max_result_chars": 0}, "max_result_chars=0"),
        ({"on_error": "tel"}, "on_error='tel': give 'tell', 'fail' or a function"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Tool(google, **options)
    assert str(caught.value).startswith("tool 'google': ")
    assert named in str(caught.value)


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two tools are called 'google'"):
        Agent("test", tools=[google, Tool(numpy, name="google")])


def test_the_name_of_the_final_answer_is_taken_when_there_is_one() -> None:
    answer = Tool(google, name="final_answer")
    assert Agent("test", tools=[answer]).name == "agent"
    with pytest.raises(ConfigError, match="'final_answer', which output_type needs"):
        Agent("test", tools=[answer], output_type=Point)
