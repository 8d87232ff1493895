"""Which schemas providers can enforce, and the form they want them in."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, cast

import pytest
from pydantic import BaseModel, Field, RootModel

from tinyagents.models.schema import is_closed, is_recursive, strict


class Leaf(BaseModel):
    kind: Literal["leaf"] = "leaf"
    size: int = 3


class Branch(BaseModel):
    kind: Literal["branch"] = "branch"
    children: list["Branch | Leaf"]


class Plan(BaseModel):
    title: str
    leaf: Leaf = Field(Leaf(), description="The one that counts.")
    note: str | None = None
    parts: list[Annotated[Leaf | Branch, Field(discriminator="kind")]]


class Free(BaseModel):
    counts: dict[str, int]


class Anything(BaseModel):
    value: Any


class Pair(BaseModel):
    both: tuple[int, str]


class Short(BaseModel):
    text: str = Field(max_length=5)


class Several(RootModel[list[int]]):
    pass


def _dicts(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        yield found
        value = list(found.values())
    if isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _dicts(item)


def test_strict_requires_every_property_and_forbids_all_others() -> None:
    schema = strict(Plan.model_json_schema())
    objects = [one for one in _dicts(schema) if one.get("type") == "object"]
    assert len(objects) == 3
    for one in objects:
        assert one["required"] == list(one["properties"])
        assert one["additionalProperties"] is False
    keywords = {key for one in _dicts(schema) for key in one}
    assert not {"default", "oneOf", "discriminator"} & keywords


def test_strict_keeps_the_description_beside_a_reference() -> None:
    schema = strict(Plan.model_json_schema())
    assert schema is not None
    leaf = schema["properties"]["leaf"]
    assert leaf == {"anyOf": [{"$ref": "#/$defs/Leaf"}], "description": "The one that counts."}


@pytest.mark.parametrize("model", [Free, Anything, Pair, Short, Several])
def test_what_strict_mode_cannot_express_is_not_strict(model: type[BaseModel]) -> None:
    assert strict(model.model_json_schema()) is None


def test_a_property_may_have_the_name_of_a_keyword() -> None:
    properties = {name: {"type": "string"} for name in ("default", "not", "$ref", "items")}
    schema = {"type": "object", "properties": properties}
    assert strict(schema) == schema | {
        "required": ["default", "not", "$ref", "items"],
        "additionalProperties": False,
    }


def test_a_tool_without_parameters_is_strict_when_it_says_so() -> None:
    empty: dict[str, Any] = {"type": "object", "properties": {}}
    assert strict(empty) == empty | {"required": [], "additionalProperties": False}
    assert strict({"type": "object"}) is None


@pytest.mark.parametrize(
    ("model", "closed"),
    [(Plan, True), (Leaf, True), (Short, True), (Several, True), (Free, False), (Anything, False)],
)
def test_a_closed_schema_names_every_property(model: type[BaseModel], closed: bool) -> None:
    assert is_closed(model.model_json_schema()) is closed


@pytest.mark.parametrize(("model", "recursive"), [(Plan, True), (Branch, True), (Leaf, False)])
def test_a_definition_that_contains_itself_is_recursive(
    model: type[BaseModel], recursive: bool
) -> None:
    assert is_recursive(model.model_json_schema()) is recursive


def test_the_schema_that_was_given_stays_as_it_was() -> None:
    schema = Plan.model_json_schema()
    before = str(schema)
    strict(schema)
    assert str(schema) == before
