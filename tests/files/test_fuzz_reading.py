"""Whatever bytes a file holds: rows and bad rows come out, and after them at most one error that says what is wrong."""

from __future__ import annotations

import functools
import gzip
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stancekit.files import Row, encode_rows
from tests.files.helpers import rows_and_error

COUNT = 40
ROWS = [
    {
        "id": f"row-{number}",
        "statement": f"“No,” said minister {number}: " + "closing the port, again, " * (number % 4),
        "target": "closing the \U0001f6a2 port",
        "holder": None if number % 5 == 0 else "the minister",
        "page": number,
    }
    for number in range(COUNT)
]
NASTY = [
    b"\x00",
    b'"',
    b'""',
    b"\\",
    b"\n",
    b"\r",
    b"\r\n",
    b"\t",
    b",",
    b"{",
    b"}",
    b"[" * 300,
    b"[" * 60 + b"]" * 60,
    b'{"a":' * 200,
    b"\xff",
    b"\xfe\xff",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\\ud83d",
    b"\\u0000",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9" * 5000,
    b"\x1b[31m",
    "\u202e\u2028\x85".encode(),
    b"x" * 100_000,
]

Mutation = tuple[str, int, bytes]
mutations: st.SearchStrategy[list[Mutation]] = st.lists(
    st.tuples(
        st.sampled_from(["flip", "insert", "replace", "delete", "truncate", "splice"]),
        st.integers(0, 2**16),
        st.one_of(st.sampled_from(NASTY), st.binary(min_size=1, max_size=16)),
    ),
    min_size=1,
    max_size=4,
)


def fuzzed(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test on so many lists of mutations, the same ones every time."""
    chosen = settings(max_examples=examples, derandomize=True, database=None, deadline=None, print_blob=True)
    return lambda test: chosen(given(changes=mutations)(test))


def mutated(content: bytes, changes: list[Mutation]) -> tuple[bytes, int]:
    """Return the content after the changes, and how many of its first bytes they left alone."""
    untouched = len(content)
    for kind, where, data in changes:
        place = where % (len(content) + 1)
        untouched = min(untouched, place)
        before, after = content[:place], content[place:]
        content = {
            "flip": before + bytes([(after[:1] or b"\0")[0] ^ (1 << where % 8)]) + after[1:],
            "insert": before + data + after,
            "replace": before + data + after[len(data) :],
            "delete": before + after[len(data) :],
            "truncate": before,
            "splice": before + content[where % 97 * len(content) // 97 :],
        }[kind]
    return content, untouched


@functools.cache
def content_of(suffix: str) -> bytes:
    """The bytes of a file of the rows, none of which stancekit wrote."""
    form, _, packed = suffix.partition(".")
    if form == "jsonl":
        content = b"".join(json.dumps(row, ensure_ascii=row["page"] == 3).encode() + b"\n" for row in ROWS)
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), stream := io.BytesIO(), row_group_size=10)
        content = stream.getvalue()
    else:
        content = b"".join(line.encode() for line in lines_of(form))
    if packed == "zst":
        return bytes(pa.compress(content, "zstd", asbytes=True))
    return gzip.compress(content) if packed == "gz" else content


def lines_of(form: str) -> list[str]:
    """The header and the records of a CSV file, whose statements are quoted and broken in two, or of a TSV file."""
    sign, quote, middle = (",", '"', '""\n') if form == "csv" else ("\t", "", '"')
    lines = [sign.join(ROWS[0]) + "\n"]
    for row in ROWS:
        cells = {name: "" if cell is None else str(cell) for name, cell in row.items()}
        cells["statement"] = f"{quote}{cells['statement']}{middle}x{quote}"
        lines.append(sign.join(cells.values()) + "\n")
    return lines


def read(content: bytes, suffix: str) -> tuple[list[Row], str | None]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"in.{suffix}"
        path.write_bytes(content)
        rows, error = rows_and_error(path)
    # What is read can be written: a row of the input must have its row of the output.
    written = encode_rows(row.values for row in rows).splitlines()
    assert [type(json.loads(line)) for line in written] == [dict] * len(rows)
    return rows, error


def whole_before(lines: list[bytes], untouched: int) -> int:
    """Return how many of the lines end before the first change."""
    count, end = 0, 0
    for line in lines:
        end += len(line)
        if end > untouched:
            break
        count += 1
    return count


@fuzzed(600)
def test_when_a_jsonl_file_is_broken_then_every_line_has_its_row(changes: list[Mutation]) -> None:
    content, untouched = mutated(content_of("jsonl"), changes)
    rows, error = read(content, "jsonl")
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    assert len(rows) == sum(bool(line.strip()) for line in lines)
    assert (error is None) == (content != b"")
    kept = whole_before(content_of("jsonl").splitlines(keepends=True), untouched)
    assert [(row.values, row.error) for row in rows[:kept]] == [(row, None) for row in ROWS[:kept]]


@pytest.mark.parametrize("form", ["csv", "tsv"])
@fuzzed(300)
def test_when_a_table_of_text_is_broken_then_the_rows_before_stay(form: str, changes: list[Mutation]) -> None:
    content, untouched = mutated(content_of(form), changes)
    rows, error = read(content, form)
    lines = [line.encode() for line in lines_of(form)]
    kept = whole_before(lines, untouched) - 1
    if kept < 0:
        return
    assert error is None
    expected, _ = read(content_of(form), form)
    assert len(expected) == COUNT and rows[:kept] == expected[:kept]


@fuzzed(300)
def test_when_a_parquet_file_is_broken_then_the_row_groups_before_stay(changes: list[Mutation]) -> None:
    whole = content_of("parquet")
    content, untouched = mutated(whole, changes)
    rows, error = read(content, "parquet")
    footer = int.from_bytes(whole[-8:-4], "little") + 8
    if content[-footer:] == whole[-footer:]:
        found = pq.ParquetFile(io.BytesIO(whole)).metadata
        ends = [found.row_group(group).column(0).dictionary_page_offset for group in range(1, found.num_row_groups)]
        kept = 10 * sum(end <= untouched for end in ends)
        assert [row.values for row in rows[:kept]] == ROWS[:kept]
    assert error is not None or len(rows) == COUNT


@pytest.mark.parametrize("suffix", ["jsonl.gz", "jsonl.zst", "csv.gz", "tsv.zst", "parquet.gz", "parquet.zst"])
@fuzzed(60)
def test_when_a_compressed_file_is_broken_then_nothing_but_an_error_comes_of_it(
    suffix: str, changes: list[Mutation]
) -> None:
    read(mutated(content_of(suffix), changes)[0], suffix)


@pytest.mark.parametrize("suffix", ["jsonl.gz", "jsonl.zst", "csv.gz", "tsv.zst"])
@settings(max_examples=20, derandomize=True, database=None, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_when_a_compressed_file_is_cut_off_then_what_comes_out_is_its_beginning(suffix: str, share: float) -> None:
    content = content_of(suffix)
    rows, error = read(content[: int(share * len(content))], suffix)
    whole: list[dict[str, Any]] = [row.values for row in read(content, suffix)[0]]
    assert error is not None and [row.values for row in rows] == whole[: len(rows)]
