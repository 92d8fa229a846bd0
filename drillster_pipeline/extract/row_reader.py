"""Compiles the paths of a table's columns into one function that reads a row, in the way in which dataclasses are made.

An object or a value that several paths lead through is read once, so that a row costs little more than its fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from drillster_pipeline.tables.schema import Column, Form, Table

from .parsing import FORMS, as_object

Row: TypeAlias = tuple[Any, ...]
RowReader: TypeAlias = Callable[..., Row]
"""Reads an item, and the values of the columns that are given, into a row."""

_STEP = re.compile(r"(\?\.|[./]|^)(\w+|@)")


def row_reader(table: Table, *given: str) -> Callable[[Mapping[str, Any]], RowReader]:
    """What makes a reader of rows from the context of a response (``{group_id}`` in paths).

    The reader takes an item and, in this order, the values of the ``given`` columns, which are read elsewhere.
    """
    return _Compiler(table, given).compiled()


class _Compiler:
    def __init__(self, table: Table, given: tuple[str, ...]) -> None:
        self._table, self._given = table, given
        self._lines: list[str] = []
        self._indent = " " * 8
        self._context: dict[str, str] = {}
        self._known = {("value", ""): "item", ("object", ""): "item", ("value", "@"): "item", ("object", "@"): "item"}
        """By use and path, the variable that has it."""
        self._variables = 0

    def compiled(self) -> Callable[[Mapping[str, Any]], RowReader]:
        row = [column.name if column.name in self._given else self._column(column) for column in self._table.columns]
        source = [
            "def bind(context):",
            *(f"    {variable} = context.get({name!r})" for name, variable in self._context.items()),
            f"    def read_row({', '.join(('item', *self._given))}):",
            *self._lines,
            f"        return ({', '.join(row)},)",
            "    return read_row",
        ]
        namespace: dict[str, Any] = {"as_object": as_object, **{form.value: read for form, read in FORMS.items()}}
        exec("\n".join(source), namespace)  # noqa: S102 - made of the declarations alone, as dataclasses do it
        bind: Callable[[Mapping[str, Any]], RowReader] = namespace["bind"]
        return bind

    def _column(self, column: Column) -> str:
        if column.path is None or ": " in column.path:
            raise ValueError(f"{self._table.name}.{column.name} has no path in an item, so its reader must give it")
        if re.fullmatch(r"\{\w+\}", column.path):
            return self._read(column.path)
        value = self._first_of(column.path)
        if column.form is Form.ID:
            self._emit(f"if type({value}) is not str or not {value}:")
            self._emit(f"    {value} = {column.form.value}({value})")
        elif column.form is not None:
            return f"{column.form.value}({value})"
        return value

    def _first_of(self, paths: str) -> str:
        """The variable of the first of these paths at which there is something."""
        path, *others = paths.split(" | ")
        value = self._assign(self._read(path))
        for other in others:
            self._emit(f"if {value} is None:")
            outside, self._known = self._known, dict(self._known)
            self._indent += "    "
            self._emit(f"{value} = {self._read(other)}")
            self._indent = self._indent[4:]
            self._known = outside
        return value

    def _read(self, path: str) -> str:
        """The expression of what is at a path."""
        if path.startswith("{"):
            return self._context.setdefault(path[1:-1], f"context_{path[1:-1]}")
        operator, name = _STEP.findall(path)[-1]
        parent = path[: len(path) - len(operator + name)]
        if not operator:
            return self._known.get(("value", path), f"item.get({name!r})")
        if operator == ".":
            return f"{self._object(parent)}.get({name!r})"
        value = self._value(parent)
        return f"({value}.get({name!r}) if type({value}) is dict else {value if operator == '/' else None})"

    def _value(self, path: str) -> str:
        if ("value", path) not in self._known:
            scope = self._table.scopes.get(path)
            self._known["value", path] = self._assign(self._read(path)) if scope is None else self._first_of(scope)
        return self._known["value", path]

    def _object(self, path: str) -> str:
        if ("object", path) not in self._known:
            value = self._value(path)
            self._known["object", path] = self._assign(f"{value} if type({value}) is dict else as_object({value})")
        return self._known["object", path]

    def _assign(self, expression: str) -> str:
        self._variables += 1
        self._emit(f"v{self._variables} = {expression}")
        return f"v{self._variables}"

    def _emit(self, line: str) -> None:
        self._lines.append(self._indent + line)
