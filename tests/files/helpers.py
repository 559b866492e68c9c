"""What several tests of reading need."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from stancekit.errors import UserError
from stancekit.files import Row, Source, read_rows

DAY = datetime.datetime(2025, 3, 4, 10, 30, 0, 123456)


def odd_table() -> pa.Table:
    """Two rows of every type that a Parquet file keeps and JSON has no form for."""
    return pa.table(
        {
            "day": pa.array([datetime.date(2025, 3, 4), None]),
            "milliday": pa.array([datetime.date(2025, 3, 4), None], pa.date64()),
            "seconds": pa.array([DAY.replace(microsecond=0), None], pa.timestamp("s")),
            "millis": pa.array([DAY.replace(microsecond=123000), None], pa.timestamp("ms")),
            "micros": pa.array([DAY, None], pa.timestamp("us", "Europe/Berlin")),
            "nanos": pa.array([1_234_567_890_123_456_789, None], pa.timestamp("ns", "UTC")),
            "time": pa.array([datetime.time(1, 2, 3, 4), None], pa.time64("us")),
            "price": pa.array([decimal.Decimal("1.50"), None], pa.decimal128(20, 2)),
            "raw": pa.array([b"\x00\xff", None]),
            "tags": pa.array([["a"], None]),
            "days": pa.array([[datetime.date(2025, 3, 4), None], None]),
            "nested": pa.array([{"at": DAY, "of": [{"price": decimal.Decimal("2.5")}]}, None]),
            "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int32())),
            "word": pa.array(["a", None]).dictionary_encode(),
            "empty": pa.array([None, None], pa.int32()),
            "small": pa.array([7, None], pa.int8()),
            "half": pa.array([0.5, None], pa.float32()),
            "large": pa.array(["x", None], pa.large_string()),
        }
    )


def rows_and_error(source: Path | str | Sequence[Source]) -> tuple[list[Row], str | None]:
    """Return the rows that come out, and what the error after them says, if there is one."""
    rows: list[Row] = []
    try:
        rows.extend(read_rows(source))
    except UserError as error:
        return rows, str(error)
    return rows, None
