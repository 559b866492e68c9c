from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stancekit.files import read_rows, row_writer
from tests.files.helpers import rows_and_error

ROWS = [{"statement": f"“No,” he said,\n{number}.", "n": number * number % 9973} for number in range(20_000)]
COMPRESSED = [f".{form}.{packed}" for form in ("jsonl", "csv", "tsv") for packed in ("gz", "zst")]


def written(path: Path) -> Path:
    with row_writer(path) as write:
        for row in ROWS:
            write(row)
    return path


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_when_rows_are_written_compressed_then_they_are_smaller_and_read_as_they_were(
    tmp_path: Path, suffix: str
) -> None:
    path = written(tmp_path / f"rows{suffix}")
    plain = written(tmp_path / f"rows{suffix.rpartition('.')[0]}")
    assert list(read_rows(path)) == list(read_rows(plain))
    assert path.stat().st_size < plain.stat().st_size / 3


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_when_the_same_rows_are_written_to_another_name_then_the_bytes_are_the_same(
    tmp_path: Path, suffix: str
) -> None:
    assert written(tmp_path / f"a{suffix}").read_bytes() == written(tmp_path / f"other{suffix}").read_bytes()


def test_when_gzip_is_written_then_it_carries_neither_time_nor_name_and_others_read_it(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl.gz")
    assert path.read_bytes()[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
    assert [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()] == ROWS


@pytest.mark.parametrize("packed", ["gz", "zst"])
def test_when_a_stream_is_of_several_pieces_then_all_are_read(tmp_path: Path, packed: str) -> None:
    path = written(tmp_path / f"rows.jsonl.{packed}")
    path.write_bytes(path.read_bytes() * 2)
    assert sum(1 for _ in read_rows(path)) == 2 * len(ROWS)


@pytest.mark.parametrize("packed", ["gz", "zst"])
def test_when_a_stream_ends_too_early_then_the_rows_before_come_out_and_one_error_says_so(
    tmp_path: Path, packed: str
) -> None:
    path = written(tmp_path / f"rows.jsonl.{packed}")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])
    rows, error = rows_and_error(path)
    assert [row.values for row in rows] == ROWS[: len(rows)] and len(rows) > len(ROWS) // 4
    method = {"gz": "gzip", "zst": "Zstandard"}[packed]
    assert error is not None and error.startswith(f"input: '{path}' is damaged or no {method} stream: ")


@pytest.mark.parametrize("packed", ["gz", "zst"])
def test_when_something_else_follows_the_stream_then_no_row_before_it_is_lost(tmp_path: Path, packed: str) -> None:
    path = written(tmp_path / f"rows.jsonl.{packed}")
    path.write_bytes(path.read_bytes() + b"something else")
    rows, error = rows_and_error(path)
    assert [row.values for row in rows] == ROWS and error is not None and "is damaged" in error


def test_when_gzip_is_damaged_within_then_an_error_says_so(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.csv.gz")
    content = bytearray(path.read_bytes())
    content[-8] ^= 0xFF
    path.write_bytes(content)
    rows, error = rows_and_error(path)
    assert len(rows) == len(ROWS) and error is not None and "CRC check failed" in error


def test_when_zstandard_is_damaged_within_then_the_blocks_before_come_out(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl.zst")
    content = bytearray(path.read_bytes())
    content[-10_000:-9_900] = bytes(100)
    path.write_bytes(content)
    rows, error = rows_and_error(path)
    # A block holds at most 128 KiB of the text (RFC 8878, section 3.1.1.2.4): what lies before its own is whole.
    lost = sum(len(json.dumps(row, ensure_ascii=False).encode()) + 1 for row in ROWS[len(rows) :])
    assert [row.values for row in rows] == ROWS[: len(rows)] and lost < 3 * 128 * 1024
    assert error is not None and "is damaged or no Zstandard stream" in error


@pytest.mark.parametrize("packed", ["gz", "zst"])
def test_when_a_file_only_calls_itself_compressed_then_the_error_says_so(tmp_path: Path, packed: str) -> None:
    path = tmp_path / f"rows.jsonl.{packed}"
    path.write_text('{"a": 1}\n')
    rows, error = rows_and_error(path)
    assert rows == [] and error is not None and "is damaged or no" in error


@pytest.mark.parametrize("packed", ["gz", "zst"])
def test_when_parquet_is_compressed_once_more_then_it_is_read(tmp_path: Path, packed: str) -> None:
    pq.write_table(pa.table({"n": [1, 2, 3]}), tmp_path / "in.parquet")
    content = (tmp_path / "in.parquet").read_bytes()
    path = tmp_path / f"in.parquet.{packed}"
    path.write_bytes(gzip.compress(content) if packed == "gz" else pa.compress(content, "zstd", asbytes=True))
    assert [row.values for row in read_rows(path, skip=1)] == [{"n": 2}, {"n": 3}]
    path.write_bytes(path.read_bytes()[:-20])
    rows, error = rows_and_error(path)
    assert rows == [] and error is not None and "is damaged" in error
