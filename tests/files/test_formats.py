from __future__ import annotations

import subprocess
import sys

import pytest

from stancekit.errors import UserError
from stancekit.files import RowFormat, row_format, row_suffix


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rows.jsonl", RowFormat(".jsonl")),
        ("a.b/rows.v2.CSV.GZ", RowFormat(".csv", "gz")),
        ("s3://bucket/rows.tsv.zst", RowFormat(".tsv", "zst")),
        ("rows.parquet", RowFormat(".parquet")),
    ],
)
def test_when_a_file_is_named_then_its_format_and_compression_follow(name: str, expected: RowFormat) -> None:
    assert row_format(name, "input") == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x.jsnl", "input: 'x.jsnl' is no row format; expected .jsonl, .csv, .parquet.*; did you mean '.jsonl'?"),
        ("x.jsonl.gzip", "'x.jsonl.gzip' is no row format; .*; did you mean '.jsonl.gz'?"),
        ("x.gz", "'x.gz' is no row format"),
        ("rows", r"'rows' is no row format; expected [^;]*$"),
    ],
)
def test_when_a_name_says_no_format_then_the_error_gives_the_nearest(name: str, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        row_format(name, "input")


def test_when_other_suffixes_are_valid_then_those_are_asked_for() -> None:
    assert row_suffix("metrics.JSON", "output", (".json",)) == ".json"
    with pytest.raises(UserError, match=r"output: 'metrics.json.gz' is no row format; expected .json"):
        row_suffix("metrics.json.gz", "output", (".json",))


def test_when_the_package_is_imported_then_nothing_heavy_comes_with_it() -> None:
    code = "import sys, stancekit.files; print(sorted({'pyarrow', 'fsspec', 'pandas', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
