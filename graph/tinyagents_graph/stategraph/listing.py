"""Where a function is written: from what is called to its syntax tree. Nothing is run for it.

`inspect.getsource` takes a function out of its file line by line. It does not do for a lambda,
whose lines are seldom code by themselves, and it is slower than parsing each file once.
"""

from __future__ import annotations

import ast
import linecache
import warnings
from collections.abc import Mapping
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import Any, TypeAlias, cast

__all__ = ["Written", "function_in", "written"]

Written: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
"""A function as it is written."""
_Index: TypeAlias = Mapping[tuple[int, str], list[Written]]

# A few files at a time: syntax trees are large, and what is read off them is kept elsewhere.
_MAX_FILES = 4
_files: dict[str, tuple[list[str], _Index]] = {}


def function_in(body: Any) -> tuple[FunctionType, int] | None:
    """The function that runs when something is called, and how many arguments it has already.

    `None` for what is not written in Python, for classes, and for a `partial` that names arguments:
    which of its parameters is the first is not worth finding out.
    """
    bound = 0
    kind = cast("Any", type(body))  # not `isinstance`, which asks the object itself for its class
    while issubclass(kind, partial):
        if body.keywords:
            return None
        body, bound = body.func, bound + len(body.args)
        kind = cast("Any", type(body))
    if issubclass(kind, MethodType):
        body, bound = body.__func__, bound + 1
    elif not issubclass(kind, (FunctionType, type)):
        body, bound = getattr(kind, "__call__", None), bound + 1  # noqa: B004  # which, not whether
    return (body, bound) if isinstance(body, FunctionType) else None


def written(function: FunctionType) -> Written | None:
    """The text of a function, as a syntax tree; `None` if it cannot be found for certain."""
    code = function.__code__
    name = code.co_filename
    linecache.checkcache(name)
    lines = linecache.getlines(name, function.__globals__)
    known = _files.get(name)
    if known is None or known[0] is not lines:
        if len(_files) >= _MAX_FILES:
            _files.clear()
        known = _files[name] = lines, _functions("".join(lines))
    found = known[1].get((code.co_firstlineno, code.co_name), ())
    # The file may have changed since it was imported: names and places have to agree.
    fits = [each for each in found if _parameters(each) == code.co_varnames[: code.co_argcount]]
    if len(fits) > 1:
        fits = [each for each in fits if _holds(each, code)]
    return fits[0] if len(fits) == 1 else None


def _functions(text: str) -> _Index:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they were given when the file was imported
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    made: dict[tuple[int, str], list[Written]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            made.setdefault((node.lineno, "<lambda>"), []).append(node)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.decorator_list[0].lineno if node.decorator_list else node.lineno
            made.setdefault((first, node.name), []).append(node)
    return made


def _parameters(function: Written) -> tuple[str, ...]:
    given = function.args
    return tuple(each.arg for each in (*given.posonlyargs, *given.args))


def _holds(function: Written, code: CodeType) -> bool:
    """Whether the code was made of this function's text, of several that begin on one line."""
    body = function.body
    if not isinstance(body, ast.expr):
        return False
    start = body.lineno, body.col_offset
    end = body.end_lineno or 0, body.end_col_offset or 0
    places = [
        ((line, column), (end_line, end_column))
        for line, end_line, column, end_column in code.co_positions()
        if line and end_line and column is not None and end_column
    ]
    return bool(places) and all(start <= first and last <= end for first, last in places)
