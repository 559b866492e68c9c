from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stancekit.errors import UserError
from stancekit.files import parquet_types, read_rows, row_writer, whole_file

ROWS: list[dict[str, Any]] = [
    {"id": "1", "statement": "“No,” he said,\nloudly.", "target": "x", "n": 1, "tags": ["a", "b"]},
    {"id": "2", "statement": "Ja — größer", "target": "y", "n": None, "note": "late column"},
]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_when_rows_are_written_and_read_again_then_the_texts_are_the_same(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    with row_writer(path) as write:
        for row in ROWS:
            write(row)
    rows = [row.values for row in read_rows(path)]
    assert [row["statement"] for row in rows] == [row["statement"] for row in ROWS]
    assert rows[1]["note"] == "late column" and not rows[0].get("note")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_when_a_column_mixes_types_then_parquet_keeps_it_as_json_text(tmp_path: Path) -> None:
    path = tmp_path / "mixed.parquet"
    with row_writer(path) as write:
        write({"a": 1, "b": 1})
        write({"a": "one", "b": 2.5})
    table = pq.read_table(path)
    assert table["a"].to_pylist() == ["1", "one"] and table["b"].to_pylist() == [1.0, 2.5]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_when_writing_fails_half_way_then_no_file_is_left_and_an_old_one_stays(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    path.write_text("old")
    with pytest.raises(RuntimeError), row_writer(path) as write:
        write({"a": 1})
        raise RuntimeError
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_when_the_disk_takes_no_more_then_the_error_says_so_and_nothing_looks_whole(
    tmp_path: Path, suffix: str
) -> None:
    # A limit on the size of files is the nearest thing to a full disk that a test can have without being root.
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "from stancekit.files import row_writer\n"
        "from stancekit.errors import UserError\n"
        "try:\n"
        f"    with row_writer({str(tmp_path / ('out.' + suffix))!r}) as write:\n"
        "        for i in range(5000): write({'a': f'{i} some text'})\n"
        "except UserError as error:\n"
        "    print(error); sys.exit(2)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert (
        f"output: '{tmp_path / ('out.' + suffix)}' cannot be written: File too large; nothing was kept" in done.stdout
    )
    assert list(tmp_path.iterdir()) == []


def test_when_the_output_cannot_be_written_then_the_error_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(UserError, match=r"output: '.*file/out.jsonl' cannot be written"),
        row_writer(tmp_path / "file" / "out.jsonl"),
    ):
        pass
    with pytest.raises(UserError, match="is a folder; expected a file name"), whole_file(tmp_path):
        pass
    with (
        pytest.raises(UserError, match=r"output: 'x.jsnl' is no row format.*did you mean '.jsonl'"),
        row_writer("x.jsnl"),
    ):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_when_the_folder_is_read_only_then_the_error_names_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="Permission denied"), row_writer(tmp_path / "out.jsonl"):
        pass


def test_when_lines_are_bad_then_each_is_a_row_with_its_reason_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n{"a": \nno\n["a"]\n{"a": "\xff"}\n{"a": 2}\n')
    rows = list(read_rows(path))
    assert [row.number for row in rows] == [1, 3, 4, 5, 6, 7]
    assert [row.values.get("a") for row in rows] == [1, None, None, None, None, 2]
    assert rows[1].error is not None and rows[1].error.startswith("not JSON")
    assert rows[3].error == "expected a JSON object, found list"
    assert rows[4].error == "not UTF-8: byte 0xff at byte 8 of the line"


def test_when_csv_cells_are_bad_then_only_their_rows_are(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"statement,target\ngood,t\nb\xe4d,t\none,two,three\nshort\n")
    rows = list(read_rows(path))
    assert [row.error for row in rows] == [
        None,
        "not UTF-8: column 'statement'",
        "1 more cells than the header has columns",
        None,
    ]
    assert rows[3].values == {"statement": "short", "target": None}


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("none.jsonl", None, "no file '.*none.jsonl'; did you mean 'nope.jsonl'"),
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


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            b'statement,target\na,t\n"b,t\nc,t\n',
            r"'.*rows.csv', line 3, column 'statement': a quotation mark opens a cell that is never closed",
        ),
        (b"statement,note,note\na,b,c\n", "has the column 'note' twice"),
        ("statement,target\na,b\n".encode("utf-16"), "is not UTF-8: it looks like UTF-16"),
    ],
)
def test_when_a_csv_cannot_be_told_apart_into_rows_then_the_error_says_where(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    (tmp_path / "rows.csv").write_bytes(content)
    with pytest.raises(UserError, match=expected):
        list(read_rows(tmp_path / "rows.csv"))


def test_when_values_are_strange_then_each_format_still_takes_the_row(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    lines = ['{"a": "x \\ud83d y"}', '{"a": ' + "9" * 5000 + "}", '{"a": "b", "n": NaN, "big": 73786976294838206464}']
    path.write_text("\n".join(lines))
    first, second, third = read_rows(path)
    assert first.error == "half a surrogate pair: not a whole character" and first.values == {"a": "x ? y"}
    assert second.error is not None and second.error.startswith("not JSON that can be read")
    for suffix in ("jsonl", "csv", "parquet"):
        with row_writer(tmp_path / f"out.{suffix}") as write:
            for row in (first, third):
                write(row.values)
        assert len(list(read_rows(tmp_path / f"out.{suffix}"))) == 2
    assert '"n": null' in (tmp_path / "out.jsonl").read_text()


def test_when_parquet_types_are_given_then_dates_and_lists_keep_them(tmp_path: Path) -> None:
    table = pa.table(
        {
            "day": pa.array([datetime.date(2025, 3, 4), None]),
            "tags": pa.array([["a"], ["b", "c"]]),
            "empty": pa.array([None, None], pa.int32()),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    with row_writer(tmp_path / "out.parquet", parquet_types(tmp_path / "in.parquet")) as write:
        for row in read_rows(tmp_path / "in.parquet"):
            write(row.values | {"stance": "supports"})
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.select(["day", "tags", "empty"]) == table and found["stance"].to_pylist() == ["supports"] * 2


def test_when_a_library_fails_within_the_block_then_the_output_is_not_blamed(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="the hub is away"), row_writer(tmp_path / "out.jsonl"):
        raise OSError("the hub is away")


def test_when_a_row_has_a_long_cell_then_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("statement,target\n" + "x" * 5_000_000 + ",t\n")
    assert len(next(read_rows(path)).values["statement"]) == 5_000_000


def test_when_json_is_written_then_signs_stay_readable(tmp_path: Path) -> None:
    with row_writer(tmp_path / "o.jsonl") as write:
        write({"a": "größer “x”"})
    assert "größer “x”" in (tmp_path / "o.jsonl").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "o.jsonl").read_text(encoding="utf-8"))["a"] == "größer “x”"


def test_when_a_file_is_tsv_then_quotation_marks_are_text_and_twins_can_be_numbered(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text('statement\tnote\tnote\n"No," he said\ta\tb\n', encoding="utf-8")
    [row] = read_rows(path, number_twins=True)
    assert row.values == {"statement": '"No," he said', "note": "a", "note.1": "b"}
    with pytest.raises(UserError, match="has the column 'note' twice"):
        list(read_rows(path))
    no_output = pytest.raises(
        UserError, match=r"output: '.*rows.tsv' is no row format; expected .jsonl, .csv, .parquet"
    )
    with no_output, row_writer(path):
        pass


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ('a,"b" c,d', "target"),
        ('"a, ""x"" y","b"c,d', "target"),
        ('a,b,"c"d', "label"),
    ],
)
def test_when_a_quotation_mark_breaks_a_cell_then_its_row_and_column_are_named(
    tmp_path: Path, line: str, column: str
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"statement,target,label\n{line}\nfine,t,supports\n", encoding="utf-8")
    bad, good = read_rows(path)
    assert bad.number == 1 and bad.error is not None and bad.error.startswith(f"not CSV in column '{column}'")
    assert good.values["statement"] == "fine"


def test_when_a_cell_is_never_closed_then_the_line_and_column_in_which_it_opens_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('statement,target,label\n"a, ""b""\nc",t,supports\nx,"t,supports\ny,t,supports\n', encoding="utf-8")
    with pytest.raises(UserError, match=r"line 4, column 'target': a quotation mark opens a cell that is never closed"):
        list(read_rows(path))
