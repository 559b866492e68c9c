from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from stancekit.errors import UserError
from stancekit.files import read_rows, row_writer


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("none.jsonl", None, "no file or folder '.*none.jsonl'; did you mean 'nope.jsonl'"),
        ("empty.csv", b"", "'.*empty.csv' is empty; expected at least one row"),
        ("rows.xlsx", b"x", "'.*rows.xlsx' is no row format; expected .jsonl, .csv, .parquet"),
        ("rows.parquet", b"not parquet at all", "is not a Parquet file"),
    ],
)
def test_when_the_file_is_no_good_then_the_error_says_what_was_expected(
    tmp_path: Path, name: str, content: bytes | None, expected: str
) -> None:
    (tmp_path / "nope.jsonl").write_text("{}")
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=expected):
        list(read_rows(tmp_path / name))


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "tsv", "parquet", "jsonl.gz", "csv.zst"])
def test_when_rows_are_skipped_then_the_others_come_as_without(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows.{suffix}"
    with row_writer(path) as write:
        for number in range(50):
            write({"n": number, "text": f"row {number}"})
    rows = list(read_rows(path))
    assert len(rows) == 50
    for skip in (0, 1, 20, 49, 50, 60):
        assert list(read_rows(path, skip=skip)) == rows[skip:]


@pytest.mark.parametrize(
    ("name", "content", "count"),
    [
        ("a.jsonl", b'{"a": 1}\n\nbad\n[]\n{"a": 2}\n', 4),
        ("a.csv", b'a,b\n1,2\n"x" y,2\n1,2,3\n\xff,2\n3,"4\n5,6\n', 5),
    ],
)
def test_when_bad_rows_are_skipped_then_they_count(tmp_path: Path, name: str, content: bytes, count: int) -> None:
    (tmp_path / name).write_bytes(content)
    rows = list(read_rows(tmp_path / name))
    assert len(rows) == count
    for skip in range(count + 1):
        assert list(read_rows(tmp_path / name, skip=skip)) == rows[skip:]


@pytest.mark.parametrize("suffix", ["jsonl.gz", "jsonl.zst", "csv", "parquet"])
def test_when_a_file_is_ten_times_as_long_then_reading_takes_no_more_memory(tmp_path: Path, suffix: str) -> None:
    peaks = []
    for count in (3_000, 30_000):
        path = tmp_path / f"{count}.{suffix}"
        with row_writer(path) as write:
            for number in range(count):
                write({"n": number, "text": f"{number} " * 10})
        tracemalloc.start()
        assert sum(1 for _ in read_rows(path)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
