"""Types that a journal has to keep; a module of their own, so that any process finds them."""

from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated

from pydantic import AfterValidator, BaseModel

__all__ = ["Colour", "Inner", "Place", "Point", "Shade", "Twice"]


class Colour(Enum):
    RED = "red"


class Shade(str, Enum):  # noqa: UP042  # as most are written
    DARK = "dark"


class Inner(BaseModel):
    when: date
    tags: set[str] = set()


@dataclass(frozen=True)
class Point:
    x: float
    y: float


class Place(BaseModel):
    inner: Inner
    points: list[Point] = []


Twice = Annotated[int, AfterValidator(lambda value: value * 2)]
"""A type that does not take what it made for what it was given."""
