from __future__ import annotations

import datetime
import decimal
import json
from pathlib import Path

import pytest

from stancekit.files import encode_rows, read_rows, row_writer


def test_when_lines_are_bad_then_each_is_a_row_with_its_reason_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n{"a": \nno\n["a"]\n{"a": "\xff"}\n{"a": 2}\n')
    rows = list(read_rows(path))
    assert [row.number for row in rows] == [1, 3, 4, 5, 6, 7]
    assert [row.values.get("a") for row in rows] == [1, None, None, None, None, 2]
    assert rows[1].error is not None and rows[1].error.startswith("not JSON")
    assert rows[3].error == "expected a JSON object, found list"
    assert rows[4].error == "not UTF-8: byte 0xff at byte 8 of the line"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b'{"a": "x\x00y"}', "not JSON: Invalid control character at at column 9"),
        (b'{"a": "x\x1by"}', "not JSON: Invalid control character at at column 9"),
        (b"\x00", "not JSON: Expecting value at column 1"),
        (
            b'{"a": ' + b"9" * 5000 + b"}",
            "not JSON that can be read: Exceeds the limit (4300 digits) for integer string conversion: "
            "value has 5000 digits",
        ),
        (b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}", "not JSON that can be read: nested more than 100 levels deep"),
        (b'{"a": "x \\uDBFF y"}', "half a surrogate pair: not a whole character"),
        (b'{"a": "\xed\xa0\xbd"}', "not UTF-8: byte 0xed at byte 8 of the line"),
        (b'{"a": "\xe4"}', "not UTF-8: byte 0xe4 at byte 8 of the line"),
    ],
)
def test_when_a_line_is_hostile_then_it_alone_is_an_error(tmp_path: Path, line: bytes, error: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n' + line + b'\n{"a": 2}\n')
    first, bad, last = read_rows(path)
    assert bad.error == error and bad.number == 2
    assert (first.values, last.values) == ({"a": 1}, {"a": 2})


def test_when_parsing_itself_recurses_too_deep_then_the_line_alone_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": ' + b"[" * 100_000 + b'}\n{"a": 2}\n')
    bad, good = read_rows(path)
    assert bad.error is not None and bad.error.startswith("not JSON that can be read: maximum recursion depth")
    assert good.values == {"a": 2}


def test_when_a_line_has_much_in_it_that_is_allowed_then_it_is_read(tmp_path: Path) -> None:
    nested: object = "x"
    for _ in range(99):
        nested = [nested]
    rows = [
        {"a": "\U0001f600 \\ud83d"},
        {"deep": nested},
        {"wide": [[i] for i in range(300)]},
        {"long": "x" * 5_000_000},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="ascii")
    found = list(read_rows(path))
    assert [row.error for row in found] == [None] * 4 and [row.values for row in found] == rows


def test_when_a_key_comes_twice_then_the_last_one_counts(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"a": 1, "a": 2}')
    assert [row.values for row in read_rows(tmp_path / "rows.jsonl")] == [{"a": 2}]


def test_when_values_are_strange_then_each_format_still_takes_the_row(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"a": "x \\ud83d y"}\n{"a": "b", "n": NaN, "big": 73786976294838206464, "m": -Infinity}')
    first, second = read_rows(path)
    assert first.error == "half a surrogate pair: not a whole character" and first.values == {"a": "x ? y"}
    for suffix in ("jsonl", "csv", "parquet", "tsv"):
        with row_writer(tmp_path / f"out.{suffix}") as write:
            for row in (first, second):
                write(row.values)
        assert len(list(read_rows(tmp_path / f"out.{suffix}"))) == 2
    assert '"n": null' in (tmp_path / "out.jsonl").read_text()
    assert (tmp_path / "out.csv").read_text() == "a,n,big,m\nx ? y,,,\nb,,73786976294838206464,\n"


def test_when_rows_are_encoded_then_the_bytes_are_those_of_the_row_writer(tmp_path: Path) -> None:
    rows = [
        {"a": "größer “x”", "n": float("nan"), "in": [float("inf"), 1.5]},
        {"day": datetime.date(2025, 3, 4), "price": decimal.Decimal("1.50"), "raw": b"\x00\xff", "half": "\ud83d"},
    ]
    expected = (
        '{"a": "größer “x”", "n": null, "in": [null, 1.5]}\n'
        '{"day": "2025-03-04", "price": "1.50", "raw": "AP8=", "half": "?"}\n'
    )
    assert encode_rows(rows).decode("utf-8") == expected
    with row_writer(tmp_path / "out.jsonl") as write:
        for row in rows:
            write(row)
    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8") == expected
    assert encode_rows([]) == b""
