from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stancekit.errors import UserError
from stancekit.files import find_sources
from stancekit.files.counting import count_rows


def count(pattern: Path) -> int | None:
    return count_rows(find_sources(str(pattern)))


def test_when_files_lie_here_then_their_lines_and_rows_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"{}\n{}\n{}")
    (tmp_path / "b.jsonl").write_bytes(b"{}\n")
    (tmp_path / "c.jsonl").touch()
    assert count(tmp_path / "*.jsonl") == 4
    (tmp_path / "a.csv").write_bytes(b"a,b\n1,2\n3,4\n")
    (tmp_path / "b.csv").touch()
    assert count(tmp_path / "*.csv") == 2
    pq.write_table(pa.table({"a": [1, 2, 3]}), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").touch()
    assert count(tmp_path / "*.parquet") == 3


def test_when_only_reading_would_tell_then_nobody_knows(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(b"packed")
    assert count(tmp_path / "a.jsonl.gz") is None


def test_when_a_file_is_no_parquet_then_the_error_names_it(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match=r"a\.parquet' is not a Parquet file"):
        count(tmp_path / "a.parquet")
