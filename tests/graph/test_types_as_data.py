"""Types as JSON data: what comes back is the same type, and what could not is not written."""

import collections
import collections.abc
import json
import re
import subprocess
import sys
import typing
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum, Flag, IntEnum, auto
from pathlib import PurePosixPath
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    Literal,
    NewType,
    Optional,
    TypedDict,
    TypeVar,
    Union,
)
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, create_model

from tests.graph.emitting import quick
from tests.project import ROOT
from tinyagents_graph import ConfigError
from tinyagents_graph.types_as_data import type_from_data, type_to_data

T = TypeVar("T")
UserId = NewType("UserId", int)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1


class Access(Flag):
    READ = auto()
    WRITE = auto()


class Report(BaseModel):
    title: str

    class Part(BaseModel):
        text: str


class Page(BaseModel, Generic[T]):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    items: list[T]


class Movie(TypedDict):
    name: str


@dataclass
class Box(Generic[T]):
    inside: T


IntPage = Page[int]


def local() -> type:
    class Local:
        pass

    return Local


class Replaced:
    pass


OLD = Replaced
globals()["Replaced"] = type("Replaced", (), {})


def round_trip(hint: Any) -> Any:
    data = type_to_data(hint)
    assert data is not None, hint
    return type_from_data(json.loads(json.dumps(data)))


# --- there and back ----------

PLAIN = [
    *(bool, int, float, str, bytes, object, list, dict, set, tuple, frozenset, Any, complex),
    *(Colour, Level, Access, Report, Report.Part, Movie, Box, Page, UserId),
    *(date, Decimal, UUID, PurePosixPath, collections.abc.Sequence, re.Pattern),
]


@pytest.mark.parametrize("hint", PLAIN, ids=str)
def test_what_has_a_name_comes_back_as_the_very_same(hint: Any) -> None:
    assert round_trip(hint) is hint


@pytest.mark.parametrize(
    ("hint", "data"),
    [
        (int, "int"),
        (None, "None"),
        (Report.Part, "tests.graph.test_types_as_data:Report.Part"),
        (list[int], {"of": "list", "with": ["int"]}),
        (tuple[int, ...], {"of": "tuple", "with": ["int", "..."]}),
        (tuple[()], {"of": "tuple", "with": []}),
        (int | None, {"any_of": ["int", "None"]}),
        (Optional[int], {"any_of": ["int", "None"]}),  # noqa: UP045
        (Literal["yes", 1, True, None], {"literal": ["yes", 1, True, None]}),
        (
            Literal[Colour.RED],
            {"literal": [{"enum": "tests.graph.test_types_as_data:Colour", "name": "RED"}]},
        ),
    ],
)
def test_the_data_stays_as_it_is_because_journals_have_it(hint: Any, data: Any) -> None:
    assert type_to_data(hint) == data


@pytest.mark.parametrize(
    ("hint", "same"),
    [
        (None, type(None)),
        (typing.List[int], list[int]),  # noqa: UP006
        (typing.List, list),  # noqa: UP006
        (typing.Tuple, tuple),  # noqa: UP006
        (typing.Tuple[()], tuple[()]),  # noqa: UP006
        (typing.Sequence[str], collections.abc.Sequence[str]),
        (typing.DefaultDict[str, int], collections.defaultdict[str, int]),  # noqa: UP006
        (collections.abc.Callable[..., int], collections.abc.Callable[..., int]),
        (type[Report], type[Report]),
        (Page[Report], Page[Report]),
        (IntPage, Page[int]),
        (Page[list[int]], Page[list[int]]),
        (Box[Report | None], Box[Report | None]),
        (dict[UserId, Colour], dict[UserId, Colour]),
        (Literal[Level.LOW], Literal[Level.LOW]),
        (Literal[Access.READ], Literal[Access.READ]),
    ],
    ids=str,
)
def test_what_is_made_of_types_comes_back_as_the_same(hint: Any, same: Any) -> None:
    back = round_trip(hint)
    assert back == same
    assert type_to_data(back) == type_to_data(same)


def of(kind: Any, *parts: Any) -> Any:
    """`kind[parts]`, where a type checker would take it for an annotation."""
    return kind[parts]


ONE = st.sampled_from([list, set, frozenset, Box, Page, collections.abc.Sequence])
TWO = st.sampled_from([dict, tuple, Union])


def _made_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(of, ONE, inner),
        st.builds(of, st.just(Union), inner, st.none()),
        st.builds(of, st.just(dict), inner, inner),
        st.builds(of, st.just(tuple), inner, st.just(...)),
        st.lists(inner, max_size=3).map(lambda hints: of(tuple, *hints)),
        st.lists(inner, min_size=1, max_size=3).map(lambda hints: of(Union, *hints)),
    )


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(), st.sampled_from([*Colour, *Level])
)
LITERALS = st.lists(VALUES, min_size=1, max_size=4).map(lambda values: of(Literal, *values))
NAMED = st.sampled_from([*PLAIN, type(None)])
HINTS = st.recursive(st.one_of(NAMED, LITERALS), _made_of, max_leaves=6)


@quick
@given(HINTS)
def test_whatever_is_built_of_what_can_be_said_comes_back(hint: Any) -> None:
    back = round_trip(hint)
    assert back == hint
    assert type_to_data(back) == type_to_data(hint)


@quick
@given(st.lists(VALUES, min_size=1, max_size=6))
def test_a_literal_keeps_its_values_their_types_and_their_order(values: list[Any]) -> None:
    hint = of(Literal, *values)
    back = typing.get_args(round_trip(hint))
    assert [(type(each), each) for each in back] == [
        (type(each), each) for each in typing.get_args(hint)
    ]


def test_another_process_finds_the_same_types() -> None:
    hints = [*PLAIN, Page[Report], Box[int] | None, Literal[Colour.RED, 1], tuple[UserId, ...]]
    code = (
        "import json, sys; from tinyagents_graph.types_as_data import *\n"
        "print(json.dumps([type_to_data(type_from_data(d)) for d in json.load(sys.stdin)]))"
    )
    data = [type_to_data(hint) for hint in hints]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, input=json.dumps(data), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == data
    assert None not in data


# --- what cannot be said ----------


class Wanderer:
    pass


Wanderer.__module__ = "nowhere.to.be.found"


UNSAYABLE: list[Any] = [
    local(),
    OLD,
    Wanderer,
    type("Homeless", (), {"__module__": None}),
    type("Made", (), {}),
    create_model("Made", x=(int, ...)),
    Annotated[int, Field(ge=0)],
    Annotated[int, str],
    PositiveInt,
    T,
    of(Box, T),
    "Report",
    typing.List["Report"],  # noqa: UP006
    list["Report"],
    ClassVar[int],
    typing.Never,
    typing.LiteralString,
    typing.Required[int],
    collections.abc.Callable[[int], str],
    type(lambda: None),
    NewType("Lost", int),
    Literal[b"x"],
    Literal[Access.READ | Access.WRITE],
    Literal[Enum("Made", ["ONE"]).ONE],  # type: ignore[attr-defined]  # made as it runs
    3,
    3.5,
    ...,
]


@pytest.mark.parametrize("hint", UNSAYABLE, ids=str)
def test_what_cannot_be_said_exactly_is_not_said(hint: Any) -> None:
    assert type_to_data(hint) is None


def _holding(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.builds(of, ONE, inner), st.builds(of, TWO, NAMED, inner))


@quick
@given(
    st.recursive(
        st.sampled_from([local(), OLD, PositiveInt, Annotated[str, Field(max_length=3)]]),
        _holding,
        max_leaves=4,
    )
)
def test_nothing_that_holds_what_cannot_be_said_is_said(hint: Any) -> None:
    assert type_to_data(hint) is None


def test_a_class_of_the_script_that_is_run_is_not_said(tmp_path: Any) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from tinyagents_graph.types_as_data import type_to_data\n"
        "class Report: pass\n"
        "print(type_to_data(Report), type_to_data(list[Report]))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout == "None None\n"


def test_saying_a_type_imports_nothing() -> None:
    class Far:
        pass

    Far.__module__, Far.__qualname__ = "antigravity", "Far"
    assert type_to_data(Far) is None
    assert "antigravity" not in sys.modules


# --- what does not come back ----------

HERE = "tests.graph.test_types_as_data"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("no.such.module:Report", "the type 'no.such.module:Report' cannot be imported (ModuleNot"),
        (f"{HERE}:Gone", f"the type '{HERE}:Gone' cannot be imported (AttributeError"),
        (f"{HERE}:Report.Gone", f"the type '{HERE}:Report.Gone' cannot be imported"),
        (f"{HERE}:local.<locals>.Local", "cannot be imported (AttributeError"),
        ("gone", "the type 'gone' cannot be imported"),
        (":", "the type ':' cannot be imported"),
        ("", "the type '' cannot be imported"),
        (".relative:Report", "the type '.relative:Report' cannot be imported (TypeError"),
        (f"{HERE}:local", f"the type '{HERE}:local' is no type any more, but <function"),
        ("len", "the type 'len' is no type any more"),
        ({"of": "int", "with": ["str"]}, "the type 'int' does not take (<class 'str'>,)"),
        ({"of": f"{HERE}:Report", "with": ["str"]}, f"the type '{HERE}:Report' does not take"),
        ({"of": "list", "with": [f"{HERE}:Gone"]}, f"the type '{HERE}:Gone' cannot be imported"),
        ({"any_of": ["int", f"{HERE}:Gone"]}, f"the type '{HERE}:Gone' cannot be imported"),
        (
            {"literal": [{"enum": f"{HERE}:Colour", "name": "GREEN"}]},
            f"the type '{HERE}:Colour' has no member 'GREEN' any more",
        ),
        (
            {"literal": [{"enum": f"{HERE}:Report", "name": "RED"}]},
            f"the type '{HERE}:Report' has no member 'RED' any more",
        ),
        ({"literal": [1.5]}, "1.5 is no value of a literal"),
        ({"literal": []}, "{'literal': []} stands for no type: give what type_to_data made"),
        ({"any_of": []}, "{'any_of': []} stands for no type"),
        ({"of": "list"}, "{'of': 'list'} stands for no type"),
        (None, "None stands for no type"),
        (3, "3 stands for no type"),
        (["int"], "['int'] stands for no type"),
    ],
)
def test_what_does_not_come_back_is_told_by_name(data: Any, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        type_from_data(data)
    assert told in str(caught.value)


def test_a_module_that_fails_to_import_is_told(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_answers.py").write_text("raise LookupError('no database')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(ConfigError, match=r"'broken_answers:Report'.*LookupError: no database"):
        type_from_data("broken_answers:Report")
