from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq

from tests.conftest import CliRunner

COLUMNS = ["id", "statement", "holder", "target", "topic", "perturbation"]


def test_when_a_corpus_is_pooled_then_the_rows_by_kind_are_said_and_every_format_holds_the_same(
    cli: CliRunner, tmp_path: Path, labelled_file: Path
) -> None:
    for name in ("pool.jsonl", "pool.csv", "pool.parquet"):
        said = cli("pool", "data=file", f"data.path={labelled_file}", f"output={tmp_path / name}", "pool.rows=50")
        assert said.startswith("50 pairs (plain ") and ", no holder " in said and said.endswith(f"{name}\n")
    rows = [json.loads(line) for line in (tmp_path / "pool.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 50 and {tuple(row) for row in rows} == {tuple(COLUMNS)}
    assert pq.read_table(tmp_path / "pool.parquet").to_pylist() == rows
    with (tmp_path / "pool.csv").open(encoding="utf-8", newline="") as stream:
        cells = [{name: cell or None for name, cell in row.items()} for row in csv.DictReader(stream)]
    assert cells == rows


def test_when_the_data_has_no_topic_then_nothing_is_left_behind(
    cli: CliRunner, tmp_path: Path, labelled_file: Path
) -> None:
    rows = [json.loads(line) for line in labelled_file.read_text(encoding="utf-8").splitlines()]
    bare = tmp_path / "bare.jsonl"
    bare.write_text("".join(json.dumps(row | {"topic": None}) + "\n" for row in rows), encoding="utf-8")
    said = cli("pool", "data=file", f"data.path={bare}", f"output={tmp_path / 'out' / 'pool.jsonl'}", code=2)
    assert "no training row has the column 'topic' (or 'group')" in said
    assert list((tmp_path / "out").iterdir()) == []


def test_when_the_output_is_no_row_format_then_it_is_said(cli: CliRunner, labelled_file: Path) -> None:
    said = cli("pool", "data=file", f"data.path={labelled_file}", "output=pool.txt", code=2)
    assert "output: 'pool.txt' is no row format; expected .jsonl, .csv, .parquet" in said
