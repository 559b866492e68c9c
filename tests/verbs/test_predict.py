from __future__ import annotations

import io
import json
import signal
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stancekit.files import read_rows
from stancekit.labels import OUTCOMES
from stancekit.prediction.rows import PREDICTED_COLUMNS
from tests.conftest import CliRunner, spawn, write_jsonl

GOOD = {"statement": "the minister wants closing the port", "target": "closing the port", "holder": "the minister"}


@pytest.fixture
def use_trained(trained: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> str:
    run_id, home = trained
    monkeypatch.setenv("STANCEKIT_HOME", str(home))
    return run_id


def predicted(path: Path) -> list[dict[str, Any]]:
    return [row.values for row in read_rows(path)]


def test_when_rows_are_labelled_then_input_columns_lead_and_every_promised_column_follows(
    cli: CliRunner, use_trained: str, tmp_path: Path
) -> None:
    path = write_jsonl(tmp_path / "in.jsonl", [GOOD | {"id": 7, "page": 3, "tags": ["x"]}, GOOD])
    cli("predict", f"model={use_trained}", f"input={path}", f"output={tmp_path / 'out.jsonl'}")
    first, second = predicted(tmp_path / "out.jsonl")
    assert list(first) == ["statement", "target", "holder", "id", "page", "tags", *PREDICTED_COLUMNS]
    assert (first["id"], first["page"], first["tags"]) == (7, 3, ["x"])
    probabilities = [first[f"p_{outcome}"] for outcome in OUTCOMES]
    assert sum(probabilities) == pytest.approx(1, abs=1e-5) and first["confidence"] == max(probabilities)
    assert first["stance"] == OUTCOMES[probabilities.index(max(probabilities))] and first["status"] == "ok"
    assert [second[f"p_{outcome}"] for outcome in OUTCOMES] == probabilities


def test_when_rows_are_bad_then_each_says_why_and_none_is_lost_or_moved(
    cli: CliRunner, use_trained: str, tmp_path: Path
) -> None:
    lines = [
        json.dumps(GOOD | {"id": "0"}),
        "not json",
        json.dumps({"id": "2", "target": "x"}),
        json.dumps(GOOD | {"id": "3", "statement": " "}),
        json.dumps(GOOD | {"id": "4", "holder": 5}),
        json.dumps(GOOD | {"id": "5", "target": "port " * 400}),
        json.dumps(GOOD | {"id": "6", "statement": "the port " * 600000}),
        json.dumps(GOOD | {"id": "7", "statement": "a\u0000b \u202e \ud83d\ude00"}),
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    said = cli(
        *("predict", f"model={use_trained}", f"input={tmp_path / 'in.jsonl'}", f"output={tmp_path / 'out.jsonl'}"),
        "engine.window_rows=3",
    )
    found = predicted(tmp_path / "out.jsonl")
    assert [row.get("id") for row in found] == ["0", None, "2", "3", "4", "5", "6", "7"]
    assert [row["status"] for row in found] == ["ok", "error", "error", "error", "error", "error", "ok", "ok"]
    assert [row["truncated"] for row in found] == [False] * 6 + [True, False]
    reasons = [str(row["error"]) for row in found if row["status"] == "error"]
    for reason, expected in zip(
        reasons,
        ["not JSON", "'statement' is missing", "'statement' is empty", "'holder' must be text", "has 400 tokens"],
        strict=True,
    ):
        assert expected in reason
    assert found[1]["stance"] is None and "8 rows" in said and "error 5" in said


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_when_the_format_is_a_table_then_rows_come_back_in_it(
    cli: CliRunner, use_trained: str, tmp_path: Path, suffix: str
) -> None:
    table = pa.table({"statement": [GOOD["statement"], ""], "target": ["closing the port"] * 2, "n": [1, 2]})
    path = tmp_path / f"in.{suffix}"
    if suffix == "csv":
        path.write_text(
            "statement,target,n\n" + "".join(f"{r['statement']},{r['target']},{r['n']}\n" for r in table.to_pylist())
        )
    else:
        pq.write_table(table, path)
    cli("predict", f"model={use_trained}", f"input={path}", f"output={tmp_path / f'out.{suffix}'}")
    first, second = predicted(tmp_path / f"out.{suffix}")
    assert first["stance"] in OUTCOMES and first["status"] == "ok" and str(first["n"]) == "1"
    assert second["status"] == "error" and second["error"] == "'statement' is empty"


def test_when_rows_come_through_a_pipe_then_so_do_the_answers(
    cli: CliRunner, use_trained: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = json.dumps(GOOD) + "\n{}\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    said = cli("predict", f"model={use_trained}", "input=-", "output=-")
    first, second = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert first["status"] == "ok" and second["error"] == "'statement' is missing"


def test_when_the_input_was_labelled_before_then_the_old_columns_are_replaced_and_said(
    cli: CliRunner, use_trained: str, tmp_path: Path
) -> None:
    path = write_jsonl(tmp_path / "in.jsonl", [GOOD | {"stance": "mine", "error": "old", "page": 1}])
    said = cli("predict", f"model={use_trained}", f"input={path}", f"output={tmp_path / 'out.jsonl'}")
    (row,) = predicted(tmp_path / "out.jsonl")
    assert list(row) == ["statement", "target", "holder", "page", *PREDICTED_COLUMNS]
    assert row["stance"] in OUTCOMES and row["error"] is None
    assert "note: columns of the input that are replaced: stance, error" in said


def test_when_prediction_is_terminated_then_the_same_command_goes_on_and_nothing_is_lost(
    use_trained: str, tmp_path: Path
) -> None:
    rows = [GOOD | {"id": i, "statement": f"{GOOD['statement']} {i}"} for i in range(3000)]
    path = write_jsonl(tmp_path / "in.jsonl", rows)
    words = ["predict", f"model={use_trained}", f"input={path}", "engine.window_rows=100"]
    process = spawn([*words, f"output={tmp_path / 'o.csv'}"])
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("o.csv.parts/part-00003*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 143 and "Traceback" not in output
    assert not (tmp_path / "o.csv").exists() and (tmp_path / "o.csv.parts").is_dir()
    output, _ = (process := spawn([*words, f"output={tmp_path / 'o.csv'}"])).communicate(timeout=120)
    assert process.returncode == 0 and "going on after part" in output
    output, _ = (process := spawn([*words, f"output={tmp_path / 'p.csv'}"])).communicate(timeout=120)
    assert process.returncode == 0
    assert (tmp_path / "o.csv").read_bytes() == (tmp_path / "p.csv").read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {
        *("in.jsonl", "o.csv", "p.csv"),
        *("o.csv.manifest.json", "p.csv.manifest.json"),
    }


def test_when_articles_are_labelled_then_their_pairs_come_out(cli: CliRunner, use_trained: str, tmp_path: Path) -> None:
    folder = tmp_path / "articles"
    folder.mkdir()
    (folder / "a.txt").write_text("Mayor Ada Brandt ruled out sending U.S. troops to Ukraine.", encoding="utf-8")
    words = [f"model={use_trained}", f"input={folder}", f"output={tmp_path / 'out.jsonl'}", "targets=ukraine_2025"]
    said = cli("predict", *words)
    (row,) = [row for row in predicted(tmp_path / "out.jsonl") if row["target_name"] == "troops"]
    assert (row["article"], row["start"], row["holder"], row["status"]) == ("a", 0, "Ada Brandt", "ok")
    assert "1 article," in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["input={tmp}/inn.csv"], "no file or folder '{tmp}/inn.csv'; did you mean 'in.csv'?"),
        (["input={tmp}/empty.csv"], "'{tmp}/empty.csv' is empty; expected at least one row"),
        (["input={tmp}/in.csv"], "has no column 'statement'; did you mean 'statment'?"),
        (["input={tmp}/in.csv"], "found: statment, target"),
        (["input={tmp}/header.csv"], "has no rows; expected at least one"),
        (["input={tmp}/articles.jsonl"], "for articles give targets=…"),
        (["input={tmp}"], "is read as articles, and these need a target list: targets=ukraine_2025"),
        (
            ["input={tmp}/ok.jsonl", "output={tmp}/ok.jsonl/out.csv"],
            "output: '{tmp}/ok.jsonl/out.csv' cannot be written",
        ),
        (["input={tmp}/ok.jsonl", "model={tmp}"], "'{tmp}' is no saved model: no stancekit.json"),
        (["input={tmp}/ok.jsonl", "model=nowhere"], "model: 'nowhere': no such folder"),
        (["input={tmp}/ok.jsonl", "model={tmp}/ok.jsonl"], "model: '{tmp}/ok.jsonl': is a file"),
        (["input=-", "targets=ukraine_2025"], "input=-: rows are read from standard input, not articles"),
    ],
)
def test_when_something_is_wrong_then_the_message_says_what_and_no_output_is_left(
    cli: CliRunner, use_trained: str, tmp_path: Path, words: list[str], expected: str
) -> None:
    (tmp_path / "in.csv").write_text("statment,target\nx,y\n")
    (tmp_path / "header.csv").write_text("statement,target\n")
    (tmp_path / "empty.csv").touch()
    write_jsonl(tmp_path / "articles.jsonl", [{"text": "An article."}])
    write_jsonl(tmp_path / "ok.jsonl", [GOOD])
    before = set(tmp_path.rglob("*"))
    rest = [word for word in ["output={tmp}/out.jsonl", f"model={use_trained}"] if word.split("=")[0] not in str(words)]
    said = cli("predict", *(word.format(tmp=tmp_path) for word in [*words, *rest]), code=2)
    assert expected.format(tmp=tmp_path) in said
    assert set(tmp_path.rglob("*")) == before
