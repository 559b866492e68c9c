from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from stancekit.errors import UserError
from stancekit.files import delimited, read_rows, row_writer


def test_when_csv_cells_are_bad_then_only_their_rows_are(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"statement,target\ngood,t\nb\xe4d,t\none,two,three\none,two,thr\xe4\nshort\n\n\x00,t\n")
    rows = list(read_rows(path))
    assert [row.error for row in rows] == [
        None,
        "not UTF-8: column 'statement'",
        "1 more cells than the header has columns",
        "not UTF-8: a cell beyond the header's",
        None,
        None,
    ]
    assert [row.number for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[1].values == {"statement": None, "target": "t"}
    assert rows[4].values == {"statement": "short", "target": None} and rows[5].values["statement"] == "\0"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"statement,note,note\na,b,c\n", "has the column 'note' twice"),
        ("statement,target\na,b\n".encode("utf-16"), "is not UTF-8: it looks like UTF-16"),
        (b"statement,l\xe4nge\na,b\n", "is not UTF-8: the name of column 2 in its header row"),
        (b'statement,"target" x\na,b\n', "its header row is not CSV"),
        (b'"statement,target\na,b\n', "its header row is not CSV: unexpected end of data"),
        (b"\n\n", "has no header row"),
    ],
)
def test_when_the_header_is_no_good_then_the_file_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "rows.csv").write_bytes(content)
    with pytest.raises(UserError, match=f"input: '.*rows.csv'.*{expected}"):
        list(read_rows(tmp_path / "rows.csv"))


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ('a,"b" c,d', "target"),
        ('"a, ""x"" y","b"c,d', "target"),
        ('a,b,"c"d', "label"),
        ('a ""b,c,"d"e', "label"),
    ],
)
def test_when_a_quotation_mark_breaks_a_cell_then_its_row_and_column_are_named(
    tmp_path: Path, line: str, column: str
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"statement,target,label\n{line}\nfine,t,supports\n", encoding="utf-8")
    bad, good = read_rows(path)
    assert bad.number == 1 and bad.error is not None and bad.error.startswith(f"not CSV in column '{column}'")
    assert good.values["statement"] == "fine" and good.number == 2


@pytest.mark.parametrize(
    ("tail", "error"),
    [
        (
            'x,"t,supports\ny,t,supports\n',
            "line 4, column 'target': a quotation mark opens a cell that is never closed: "
            "the rest of the file, 2 lines, is this one row",
        ),
        (
            '"x\ny","t,supports',
            "line 5, column 'target': a quotation mark opens a cell that is never closed: "
            "the rest of the file, 2 lines, is this one row",
        ),
        (
            '"x',
            "line 4, column 'statement': a quotation mark opens a cell that is never closed: "
            "the rest of the file, 1 line, is this one row",
        ),
    ],
)
def test_when_a_cell_is_never_closed_then_the_rest_of_the_file_is_one_row_that_says_where(
    tmp_path: Path, tail: str, error: str
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f'statement,target,label\n"a, ""b""\nc",t,supports\n{tail}', encoding="utf-8")
    good, bad = read_rows(path)
    assert good.values["statement"] == 'a, "b"\nc' and good.error is None
    assert (bad.number, bad.error, bad.values) == (2, error, {})


def test_when_a_cell_is_longer_than_memory_should_hold_then_the_rest_is_counted_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "_LONGEST_CELL", 1000)
    path = tmp_path / "rows.csv"
    path.write_text('statement,target\na,t\n"b,t\n' + "x,t\n" * 1000)
    good, bad = read_rows(path)
    assert good.values == {"statement": "a", "target": "t"}
    assert bad.error is not None and bad.error.startswith("line 3, column 'statement': a quotation mark opens a cell")
    assert bad.error.endswith("the rest of the file, 1,001 lines, is this one row")


@pytest.mark.parametrize(
    ("suffix", "error"),
    [
        ("csv", "not CSV in column 'target': field larger than field limit (1000)"),
        ("tsv", "not TSV: field larger than field limit (1000)"),
    ],
)
def test_when_a_cell_without_quotation_marks_is_too_long_then_the_next_line_is_the_next_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, error: str
) -> None:
    monkeypatch.setattr(delimited, "_LONGEST_CELL", 1000)
    path = tmp_path / f"rows.{suffix}"
    path.write_text("statement,target\na," + "x" * 2000 + "\nb,t\n".replace(",", "\t" if suffix == "tsv" else ","))
    bad, good = read_rows(path)
    assert (bad.number, bad.error) == (1, error) and good.number == 2 and "b" in str(good.values)


def test_when_a_row_has_a_long_cell_then_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("statement,target\n" + "x" * 5_000_000 + ",t\n")
    assert len(next(read_rows(path)).values["statement"]) == 5_000_000


def test_when_a_file_is_tsv_then_quotation_marks_are_text_and_twins_can_be_numbered(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text('statement\tnote\tnote\n"No," he said\ta\tb\n', encoding="utf-8")
    [row] = read_rows(path, number_twins=True)
    assert row.values == {"statement": '"No," he said', "note": "a", "note.1": "b"}
    with pytest.raises(UserError, match="has the column 'note' twice"):
        list(read_rows(path))


def test_when_tsv_is_written_then_a_cell_stays_in_its_row_and_column(tmp_path: Path) -> None:
    path = tmp_path / "out.tsv"
    with row_writer(path) as write:
        write({"statement": '"No,"\the said\r\nloudly', "n": 1, "tags": ["a", None]})
        write({"statement": "yes", "ok": True})
    assert path.read_bytes() == (b'statement\tn\ttags\tok\n"No," he said  loudly\t1\t["a", null]\t\nyes\t\t\tTrue\n')
    assert [row.values["statement"] for row in read_rows(path)] == ['"No," he said  loudly', "yes"]


def test_when_a_cell_holds_a_carriage_return_then_csv_quotes_it(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"a": "1\r2", "b\r": None}, {"a": "3", "b\r": "\r"}, {"a": "\r\n", "b\r": "x"}]
    with row_writer(tmp_path / "rows.csv") as write:
        for row in rows:
            write(row)
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as stream:
        assert list(csv.reader(stream, strict=True)) == [["a", "b\r"], ["1\r2", ""], ["3", "\r"], ["\r\n", "x"]]
    assert (tmp_path / "rows.csv").read_bytes().count(b"\n") == 5


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_when_later_rows_have_more_columns_then_what_is_last_in_every_row_stays_last(
    tmp_path: Path, suffix: str
) -> None:
    with row_writer(tmp_path / f"rows.{suffix}") as write:
        for names in (["y", "z"], ["a", "b", "y", "z"], ["b", "c", "y", "d", "z"], ["e"], ["z", "a"]):
            write(dict.fromkeys(names, "1"))
    row = next(read_rows(tmp_path / f"rows.{suffix}"))
    assert list(row.values) == ["a", "b", "c", "y", "d", "z", "e"]
