from __future__ import annotations

import datetime
import sys
import tracemalloc
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stancekit.errors import UserError
from stancekit.files import assemble, encode_rows, parquet, parquet_types, read_rows, row_writer
from tests.files.helpers import odd_table

ROWS: list[dict[str, Any]] = [
    {"id": 1, "statement": "“No,”\nhe said", "p": 0.5, "ok": True, "tags": ["a", {"b": None}]},
    {"id": 2**70, "statement": None, "p": 1, "late": float("nan"), "ok": False},
    {"id": None, "half": "\ud83d", "day": datetime.date(2025, 3, 4), "raw": b"\xff"},
]
SUFFIXES = [".jsonl", ".csv", ".tsv", ".parquet", ".jsonl.gz", ".csv.gz", ".tsv.zst", ".jsonl.zst"]


def parts_of(folder: Path, rows: Sequence[dict[str, Any]], size: int) -> list[Path]:
    """Write the rows as parts of JSON lines, ``size`` rows each."""
    parts = []
    for number, begin in enumerate(range(0, len(rows), size)):
        parts.append(folder / f"part-{number:05}.jsonl")
        parts[-1].write_bytes(encode_rows(rows[begin : begin + size]))
    return parts


def direct(path: Path, rows: Sequence[dict[str, Any]], types: dict[str, Any] | None = None) -> Path:
    with row_writer(path, types) as write:
        for row in rows:
            write(row)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_when_parts_are_assembled_then_the_bytes_are_those_of_a_row_writer(
    tmp_path: Path, suffix: str, size: int
) -> None:
    rows = ROWS * 3
    expected = direct(tmp_path / f"direct{suffix}", rows).read_bytes()
    assemble(parts_of(tmp_path, rows, size), tmp_path / f"out{suffix}")
    assert (tmp_path / f"out{suffix}").read_bytes() == expected
    assert len(list(read_rows(tmp_path / f"out{suffix}"))) == len(rows)


def test_when_types_are_known_then_the_table_is_that_of_the_input(tmp_path: Path) -> None:
    pq.write_table(odd_table(), tmp_path / "in.parquet")
    types = parquet_types(tmp_path / "in.parquet")
    rows = [row.values | {"stance": "supports"} for row in read_rows(tmp_path / "in.parquet")]
    assemble(parts_of(tmp_path, rows, 1), tmp_path / "out.parquet", types)
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.drop_columns("stance").to_pylist() == odd_table().to_pylist()
    assert {field.name: field.type for field in table.schema} == types | {"stance": pa.string()}
    assert (tmp_path / "out.parquet").read_bytes() == direct(tmp_path / "d.parquet", rows, types).read_bytes()


def test_when_parts_are_parquet_then_their_row_groups_are_copied(tmp_path: Path) -> None:
    table = odd_table()
    parts = [tmp_path / f"part-{number:05}.parquet" for number in range(3)]
    for part in parts:
        pq.write_table(table, part, row_group_size=1)
    assemble(parts, tmp_path / "out.parquet")
    file = pq.ParquetFile(tmp_path / "out.parquet")
    assert file.num_row_groups == 6 and file.schema_arrow == pq.read_schema(parts[0])
    assert file.read().to_pylist() == table.to_pylist() * 3


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_when_there_is_no_part_then_the_output_is_what_no_row_gives(tmp_path: Path, suffix: str) -> None:
    assemble([], tmp_path / f"out{suffix}")
    assert (tmp_path / f"out{suffix}").read_bytes() == direct(tmp_path / f"d{suffix}", []).read_bytes()


def test_when_the_output_is_far_away_then_it_is_put_there(tmp_path: Path) -> None:
    url = f"memory://{uuid.uuid4().hex}/out.csv.gz"
    assemble(parts_of(tmp_path, ROWS, 2), url)
    assert fsspec.filesystem("memory").cat(url) == direct(tmp_path / "d.csv.gz", ROWS).read_bytes()


def test_when_the_output_is_standard_output_then_the_lines_are_written_there(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assemble(parts_of(tmp_path, ROWS, 1), "-")
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == encode_rows(ROWS)


def test_when_the_output_cannot_be_written_then_the_parts_stay(tmp_path: Path) -> None:
    parts = parts_of(tmp_path, ROWS, 1)
    with pytest.raises(UserError, match="cannot be written: File exists"):
        assemble(parts, parts[0] / "out.jsonl")
    with pytest.raises(UserError, match="no such protocol as 'memery'"):
        assemble(parts, "memery://x/out.jsonl")
    assert sorted(tmp_path.iterdir()) == parts


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".csv", ".tsv.zst", ".parquet"])
def test_when_there_are_ten_times_as_many_rows_then_it_takes_no_more_memory(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_GROUP_ROWS", 500)
    peaks = []
    for count in (3_000, 30_000):
        (part := tmp_path / "part-00000.jsonl").write_bytes(encode_rows([{"n": 1, "text": "some text " * 10}]) * count)
        tracemalloc.start()
        assemble([part], tmp_path / f"out{suffix}")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
