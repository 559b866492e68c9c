from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stancekit.errors import UserError
from stancekit.files import encode_rows, parquet, parquet_types, read_rows, row_writer
from tests.files.helpers import odd_table, rows_and_error


def test_when_parquet_types_are_given_then_every_column_comes_out_as_it_went_in(tmp_path: Path) -> None:
    table = odd_table()
    pq.write_table(table, tmp_path / "in.parquet")
    rows = list(read_rows(tmp_path / "in.parquet"))
    assert [row.error for row in rows] == [None, None]
    with row_writer(tmp_path / "out.parquet", parquet_types(tmp_path / "in.parquet")) as write:
        for row in rows:
            write(row.values | {"stance": "supports"})
    found = pq.read_table(tmp_path / "out.parquet")
    expected = pq.read_table(tmp_path / "in.parquet")
    for name in expected.column_names:
        assert found[name].type == expected[name].type, name
        assert found[name].to_pylist() == expected[name].to_pylist(), name
    assert found["stance"].to_pylist() == ["supports"] * 2
    assert found["nanos"].cast(pa.int64()).to_pylist()[0] == 1_234_567_890_123_456_789


def test_when_no_types_are_given_then_what_json_has_no_form_for_is_text(tmp_path: Path) -> None:
    with row_writer(tmp_path / "out.parquet") as write:
        write({"day": datetime.date(2025, 3, 4), "tags": ["a"], "n": 2**70, "none": None, "ok": True})
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.to_pylist() == [{"day": "2025-03-04", "tags": '["a"]', "n": str(2**70), "none": None, "ok": True}]


def test_when_a_column_mixes_types_then_parquet_keeps_it_as_json_text(tmp_path: Path) -> None:
    path = tmp_path / "mixed.parquet"
    with row_writer(path) as write:
        write({"a": 1, "b": 1})
        write({"a": "one", "b": 2.5})
    table = pq.read_table(path)
    assert table["a"].to_pylist() == ["1", "one"] and table["b"].to_pylist() == [1.0, 2.5]


@pytest.mark.parametrize(
    ("known", "value"),
    [
        (pa.int64(), 1.5),
        (pa.int8(), 300),
        (pa.timestamp("us"), "yesterday"),
        (pa.decimal128(5, 2), "many"),
        (pa.list_(pa.date32()), "2025-03-04"),
        (pa.struct([("a", pa.int64())]), [1]),
        (pa.binary(), "not Base64"),
        (pa.duration("s"), "1 day, 0:00:00"),
    ],
)
def test_when_a_later_value_does_not_fit_the_known_type_then_the_column_goes_without(
    tmp_path: Path, known: Any, value: object
) -> None:
    with row_writer(tmp_path / "out.parquet", {"a": known, "day": pa.date32()}) as write:
        for number in range(10000):
            write({"a": None, "day": datetime.date(2025, 3, 4), "n": number})
        write({"a": value})
    table = pq.read_table(tmp_path / "out.parquet")
    expected = value if isinstance(value, int | float | str) else "[1]"
    assert table.num_rows == 10001 and table["a"].to_pylist()[-1] == expected
    assert table["day"].type == pa.date32()


def test_when_a_column_comes_twice_then_the_error_names_it(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / "in.parquet")
    with pytest.raises(UserError, match=r"'.*in.parquet' has the column 'a' twice"):
        list(read_rows(tmp_path / "in.parquet"))


def test_when_pages_are_damaged_then_the_rows_before_come_out_and_the_error_says_so(tmp_path: Path) -> None:
    table = pa.table({"n": list(range(3000)), "text": [f"row {n}" for n in range(3000)]})
    path = tmp_path / "in.parquet"
    pq.write_table(table, path, row_group_size=1000)
    groups = pq.ParquetFile(path).metadata
    begin = groups.row_group(1).column(1).data_page_offset
    content = bytearray(path.read_bytes())
    content[begin : begin + 200] = bytes(200)
    path.write_bytes(content)
    rows, error = rows_and_error(path)
    assert [row.values["n"] for row in rows[:1000]] == list(range(1000)) and len(rows) < 2000
    assert error is not None and error.startswith(f"input: '{path}' is damaged: ")


def test_when_a_row_group_ends_before_its_last_row_then_the_missing_rows_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"n": list(range(2500))}), path, row_group_size=1000)
    whole = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile,
        "iter_batches",
        lambda self, batch_size, row_groups: list(whole(self, batch_size=300, row_groups=row_groups))[:3],
    )
    rows, error = rows_and_error(path)
    assert [row.values["n"] for row in rows] == list(range(900))
    assert error == f"input: '{path}' is damaged: row group 1 holds 900 rows where it should hold 1000"


def test_when_one_value_has_no_form_in_python_then_its_row_alone_is_an_error(tmp_path: Path) -> None:
    far = pa.array([0, 10**15, 1], pa.int64()).cast(pa.timestamp("s"))
    words = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"ab\xff")]
    )
    pq.write_table(pa.table({"at": far, "word": words}), tmp_path / "in.parquet")
    first, second, third = read_rows(tmp_path / "in.parquet")
    assert first.values == {"at": datetime.datetime(1970, 1, 1), "word": "a"} and first.error is None
    assert second.values == {"at": None, "word": "b"}
    assert second.error is not None and second.error.startswith("a value that cannot be read: column 'at': ")
    assert third.values["word"] is None and "column 'word': 'utf-8' codec can't decode byte 0xff" in str(third.error)


def test_when_rows_are_skipped_then_whole_row_groups_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"n": list(range(2500))}), path, row_group_size=1000)
    asked: list[int] = []
    whole = pq.ParquetFile.iter_batches

    def noted(self: Any, batch_size: int, row_groups: list[int]) -> Any:
        asked.extend(row_groups)
        return whole(self, batch_size=batch_size, row_groups=row_groups)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", noted)
    rows = list(read_rows(path, skip=1998))
    assert asked == [1, 2] and len(rows) == 502
    assert (rows[0].number, rows[0].values) == (1999, {"n": 1998}) and rows[-1].values == {"n": 2499}
    assert list(read_rows(path, skip=2500)) == []


def test_when_rows_are_long_then_they_are_written_and_read_in_small_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_GROUP_BYTES", 300_000)
    with row_writer(tmp_path / "long.parquet") as write:
        for number in range(20):
            write({"text": f"{number} " + os.urandom(25_000).hex()})
    file = pq.ParquetFile(tmp_path / "long.parquet")
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [6, 6, 6, 2]
    sizes: list[int] = []
    whole = pq.ParquetFile.iter_batches

    def noted(self: Any, batch_size: int, row_groups: list[int]) -> Any:
        sizes.append(batch_size)
        return whole(self, batch_size=batch_size, row_groups=row_groups)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", noted)
    monkeypatch.setattr(parquet, "_GROUP_BYTES", 100_000)
    texts = [row.values["text"] for row in read_rows(tmp_path / "long.parquet")]
    assert [text.split()[0] for text in texts] == [str(number) for number in range(20)]
    assert sizes == [1, 1, 1, 1]


def test_when_types_are_asked_of_several_files_then_those_that_agree_are_told(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1], "b": [1]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": [2], "b": ["x"], "c": [1.0]}), tmp_path / "2.parquet")
    (tmp_path / "3.jsonl").write_text("{}")
    assert parquet_types(f"{tmp_path}/*.parquet") == {"a": pa.int64(), "c": pa.float64()}
    assert parquet_types(tmp_path / "3.jsonl") == {} and parquet_types("-") == {} and parquet_types(tmp_path) == {}


def test_when_a_table_has_odd_types_then_its_rows_can_be_json(tmp_path: Path) -> None:
    pq.write_table(odd_table(), tmp_path / "in.parquet")
    first = encode_rows([next(read_rows(tmp_path / "in.parquet")).values]).decode()
    assert '"day": "2025-03-04"' in first and '"raw": "AP8="' in first and '"price": "1.50"' in first
    assert '"nanos": "2009-02-13 23:31:30.123456789+00:00"' in first and '"map": [["k", 1]]' in first


def test_when_integers_and_fractions_fit_no_number_then_the_column_is_json_text(tmp_path: Path) -> None:
    with row_writer(tmp_path / "out.parquet") as write:
        for value in (2**53 + 1, 0.5, None):
            write({"far": value, "near": value if value is None else value % 7})
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["far"] for row in rows] == ["9007199254740993", "0.5", None]
    assert [row["near"] for row in rows] == [(2**53 + 1) % 7, 0.5, None]


def test_when_a_known_type_is_binary_view_then_the_bytes_come_back(tmp_path: Path) -> None:
    table = pa.table({"raw": pa.array([b"\x00\xff and more than twelve", None], pa.binary_view())})
    pq.write_table(table, tmp_path / "in.parquet")
    with row_writer(tmp_path / "out.parquet", parquet_types(tmp_path / "in.parquet")) as write:
        for row in read_rows(tmp_path / "in.parquet"):
            write(row.values)
    assert pq.read_table(tmp_path / "out.parquet") == table


def test_when_a_time_zone_is_unknown_then_its_rows_are_errors_that_name_the_column(tmp_path: Path) -> None:
    times = pa.array([1, None], pa.timestamp("us", tz="Mars/Olympus"))
    pq.write_table(pa.table({"id": ["a", "b"], "at": times}), tmp_path / "in.parquet")
    first, second = read_rows(tmp_path / "in.parquet")
    assert first.error is not None and "column 'at'" in first.error and "Mars/Olympus" in first.error
    assert first.values == {"id": "a", "at": None}
    assert (second.values, second.error) == ({"id": "b", "at": None}, None)


def test_when_one_of_several_files_is_empty_then_the_types_are_those_of_the_others(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": pa.array([1], pa.int8())}), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").touch()
    assert parquet_types(f"{tmp_path}/*.parquet") == {"n": pa.int8()}
