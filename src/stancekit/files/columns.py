"""The types of a table's columns: found from rows in JSON, or known; and the values that JSON has turned into text."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from stancekit.files.json_lines import to_json

if TYPE_CHECKING:
    import pyarrow as pa

_INT64 = range(-(2**63), 2**63)
_Restorer = Callable[[Any], Any]


class MisfitError(Exception):
    """A value does not fit the type that its column is known by.

    Attributes:
        column: its name.
    """

    def __init__(self, column: str) -> None:
        """Keep the column's name."""
        super().__init__(column)
        self.column = column


class ColumnOrder:
    """The columns of rows of which each may have others: a new one comes before those that it first stands before.

    So what is last in every row is last in all, whatever the first row lacks.

    Attributes:
        names: of the columns of all rows that were added.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.names: list[str] = []
        self._known: set[str] = set()

    def add(self, row: Mapping[str, Any]) -> None:
        """Take in the columns of a row."""
        if row.keys() <= self._known:
            return
        place = len(self.names)
        for name in reversed(list(row)):
            if name in self._known:
                place = self.names.index(name)
            else:
                self.names.insert(place, name)
        self._known.update(row)


def kinds_of(lines: Iterable[bytes]) -> dict[str, set[type]]:
    """Return the columns of rows in JSON lines, in the order of a ``ColumnOrder``, with the types of their values."""
    kinds: dict[str, set[type]] = {}
    order = ColumnOrder()
    for line in lines:
        row = json.loads(line)
        order.add(row)
        for name, value in row.items():
            found = kinds.setdefault(name, set())
            if value is not None:
                # An integer beyond 64 bits has no column type of its own.
                found.add(str if type(value) is int and value not in _INT64 else type(value))
    return {name: kinds[name] for name in order.names}


def schema_of(kinds: Mapping[str, set[type]], known: Mapping[str, Any]) -> pa.Schema:
    """Return the Arrow schema: the known type of a column or the one that holds all its values, else JSON text."""
    import pyarrow as pa

    simple = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
    types = {}
    for name, found in kinds.items():
        if name in known:
            types[name] = known[name]
        elif found == {int, float}:
            types[name] = pa.float64()
        else:
            # What no single column type holds, lists and objects included, is kept as JSON text.
            types[name] = simple.get(next(iter(found)), pa.string()) if len(found) == 1 else pa.string()
    return pa.schema(list(types.items()))


def table_of(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Return rows that come from JSON as a table.

    Raises:
        MisfitError: a value does not fit its column.
    """
    import pyarrow as pa

    arrays = [_column(field.name, [row.get(field.name) for row in rows], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _column(name: str, values: list[Any], type_: pa.DataType) -> pa.Array:
    import pyarrow as pa

    try:
        if restore := _restorer(type_):
            values = [None if value is None else restore(value) for value in values]
        return pa.array(values, type_)
    except (pa.ArrowException, ValueError, TypeError, ArithmeticError, AttributeError) as error:
        raise MisfitError(name) from error


def _restorer(type_: pa.DataType) -> _Restorer | None:
    """Return what makes a value from JSON one of an Arrow type; None where it is one already."""
    from pyarrow import types as is_

    if is_.is_dictionary(type_):
        return _restorer(type_.value_type)
    if is_.is_struct(type_):
        return _struct({field.name: _restorer(field.type) for field in type_})
    if is_.is_map(type_):
        return _map(_restorer(type_.key_type), _restorer(type_.item_type))
    if is_.is_list(type_) or is_.is_large_list(type_) or is_.is_fixed_size_list(type_):
        return _list(_restorer(type_.value_type))
    if is_.is_timestamp(type_) and type_.unit == "ns":
        return _nanoseconds(type_)
    simple: dict[Callable[[Any], bool], _Restorer] = {
        is_.is_string: _text,
        is_.is_large_string: _text,
        is_.is_integer: _integer,
        is_.is_timestamp: datetime.datetime.fromisoformat,
        is_.is_date: datetime.date.fromisoformat,
        is_.is_time: datetime.time.fromisoformat,
        is_.is_decimal: lambda value: Decimal(str(value)),
        is_.is_binary: base64.b64decode,
        is_.is_large_binary: base64.b64decode,
        is_.is_binary_view: base64.b64decode,
        is_.is_fixed_size_binary: base64.b64decode,
    }
    return next((restore for fits, restore in simple.items() if fits(type_)), None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value)


def _integer(value: Any) -> int:
    # Arrow would cut off what stands after the point.
    if type(value) is not int:
        raise TypeError(f"{value!r} is no integer")
    return value


def _nanoseconds(type_: pa.DataType) -> _Restorer:
    """Return what reads a time to the nanosecond, which Python's own has no place for."""
    import pyarrow as pa

    return lambda value: pa.scalar(value, pa.string()).cast(type_).value


def _list(inner: _Restorer | None) -> _Restorer:
    return lambda values: [_with(inner, value) for value in values]


def _map(key: _Restorer | None, item: _Restorer | None) -> _Restorer:
    return lambda pairs: [(_with(key, first), _with(item, second)) for first, second in pairs]


def _struct(inner: Mapping[str, _Restorer | None]) -> _Restorer:
    return lambda values: {name: _with(restore, values.get(name)) for name, restore in inner.items()}


def _with(restore: _Restorer | None, value: Any) -> Any:
    return value if value is None or restore is None else restore(value)
