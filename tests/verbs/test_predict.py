from __future__ import annotations

import csv
import fcntl
import gzip
import io
import itertools
import json
import os
import pty
import random
import resource
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from stancekit.files import read_rows
from stancekit.labels import OUTCOMES
from stancekit.prediction.rows import PREDICTED_COLUMNS, Window
from stancekit.prediction.rows import labelled_rows as labelled_rows_of
from tests.conftest import CliRunner, labelled_rows, spawn, write_jsonl
from tests.files.helpers import odd_table
from tests.verbs.tiny_export import export_tiny

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


def test_when_a_glob_finds_what_the_command_writes_then_that_is_not_read(
    cli: CliRunner, use_trained: str, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        write_jsonl(tmp_path / f"{name}.jsonl", [GOOD | {"id": f"{name}{number}"} for number in range(4)])
    words = [
        *("predict", f"model={use_trained}", f"input={tmp_path}/**/*.jsonl", f"output={tmp_path}/out.jsonl"),
        *("engine.window_rows=2", "overwrite=true"),
    ]
    cli(*words)
    whole = (tmp_path / "out.jsonl").read_bytes()
    assert "8 rows" in cli(*words) and (tmp_path / "out.jsonl").read_bytes() == whole


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


# What follows needs no model that has learnt something: one that is ready in an instant.


@pytest.fixture(scope="session")
def tiny(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_tiny(tiny_encoder, tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """30 rows, one of them bad, one there twice, in 200 kB: more than is read at once."""
    rows: list[dict[str, Any]] = [row | {"note": f"{row['id']} " * 2000} for row in labelled_rows(30, seed=1)]
    rows[7] |= {"statement": None}
    rows[16] |= {"statement": rows[3]["statement"], "target": rows[3]["target"]}
    return write_jsonl(tmp_path / "in.jsonl", rows)


@pytest.fixture
def predict(tiny: Path, given: Path) -> list[str]:
    """The words that label the 30 rows, but for ``output=``."""
    return ["predict", f"model={tiny}", f"input={given}", "engine.threads=1", "engine.window_rows=10"]


def meanwhile(patch: pytest.MonkeyPatch, act: Callable[[], object], number: int) -> None:
    """Do something when the window of that number, from 0, is about to be written."""
    numbers = itertools.count()

    def found(window: Window) -> list[dict[str, Any]]:
        if next(numbers) == number:
            act()
        return labelled_rows_of(window)

    patch.setattr("stancekit.verbs.predict.labelled_rows", found)


def interrupt() -> None:
    raise KeyboardInterrupt


def parts_in(output: Path) -> int:
    return (Path(f"{output}.parts") / "journal.jsonl").read_bytes().count(b"\n")


def replaced(words: list[str], **values: object) -> list[str]:
    return [f"{key}={values[key]}" if (key := word.partition("=")[0]) in values else word for word in words]


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("model", "model: was tiny (sha256 "),
        ("window", "engine.window_rows: was 10, is now 20"),
        ("contents", "input in.jsonl: contents changed\n"),
        ("appended", "input in.jsonl: contents changed: was "),
        ("threads", "engine.threads: was 1, is now 2"),
    ],
)
def test_when_what_an_output_follows_from_has_changed_then_it_is_refused_by_name_and_made_anew_only_if_asked(
    cli: CliRunner,
    predict: list[str],
    given: Path,
    tiny_encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    finished: bool,
    change: str,
    expected: str,
) -> None:
    output = tmp_path / "out.jsonl"
    with monkeypatch.context() as patch:
        if not finished:
            meanwhile(patch, interrupt, 1)
        cli(*predict, f"output={output}", code=0 if finished else 130)
    rows = [json.loads(line) for line in given.read_bytes().splitlines()]
    words = predict
    if change == "model":
        words = replaced(predict, model=export_tiny(tiny_encoder, tmp_path / "other", seed=5))
    elif change == "contents":
        write_jsonl(given, [rows[0] | {"id": "rX"}, *rows[1:]])
    elif change == "appended":
        write_jsonl(given, [*rows, rows[0]])
    else:
        words = replaced(predict, **{"engine.threads": 2} if change == "threads" else {"engine.window_rows": 20})
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "lock"}
    said = cli(*words, f"output={output}", code=2)
    assert expected in f"{said}\n" and "nothing was touched; overwrite=true" in said
    now = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "lock"}
    assert now == before
    cli(*words, f"output={output}", "overwrite=true")
    cli(*words, f"output={tmp_path / 'fresh.jsonl'}")
    assert output.read_bytes() == (tmp_path / "fresh.jsonl").read_bytes()
    assert len(predicted(output)) == (31 if change == "appended" else 30)


def test_when_the_targets_of_articles_have_changed_then_that_is_named(
    cli: CliRunner, tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / "articles").mkdir()
    (tmp_path / "articles" / "a.txt").write_text("Mayor Ada Brandt ruled out closing the port.", encoding="utf-8")
    targets = tmp_path / "mine.yaml"
    listed = "targets: [{name: port, phrase: %s, aliases: [the port], question: 'Close it?'}]"
    targets.write_text(listed % "closing the port")
    words = ["predict", f"model={tiny}", f"input={tmp_path / 'articles'}", f"targets={targets}"]
    cli(*words, f"output={tmp_path / 'out.jsonl'}")
    targets.write_text(listed % "shutting the port")
    said = cli(*words, f"output={tmp_path / 'out.jsonl'}", code=2)
    assert "input targets: contents changed" in said
    out = cli(*words, "output=-")
    assert '"target": "shutting the port"' in out and "1 rows" in out


def test_when_the_output_is_finished_then_the_same_command_touches_nothing(
    cli: CliRunner, predict: list[str], tmp_path: Path
) -> None:
    cli(*predict, f"output={tmp_path / 'out.jsonl'}")
    before = {path: path.stat().st_mtime_ns for path in [tmp_path, *tmp_path.iterdir()]}
    for more in ([], ["overwrite=true"]):
        said = cli(*predict, f"output={tmp_path / 'out.jsonl'}", *more)
        assert "nothing to do" in said and "30 rows" in said and "error 1" in said
    assert {path: path.stat().st_mtime_ns for path in [tmp_path, *tmp_path.iterdir()]} == before


def test_when_the_output_was_edited_afterwards_then_it_is_not_written_over(
    cli: CliRunner, predict: list[str], tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    cli(*predict, f"output={output}")
    whole = output.read_bytes()
    output.write_bytes(whole.replace(b"supports", b"SUPPORTS"))
    edited = output.read_bytes()
    said = cli(*predict, f"output={output}", code=2)
    assert "was changed after this command had written it; overwrite=true replaces it" in said
    assert output.read_bytes() == edited != whole
    cli(*predict, f"output={output}", "overwrite=true")
    assert output.read_bytes() == whole


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        ("gone", "'{path}' is not there any more"),
        ("cut", "'{path}' shrank from "),
        ("rewritten", "'{path}' was changed while it was read"),
    ],
)
def test_when_the_input_is_lost_in_the_middle_then_no_row_of_another_one_is_kept_and_the_old_one_is_gone_on_with(
    cli: CliRunner,
    predict: list[str],
    given: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
    expected: str,
) -> None:
    output, words = tmp_path / "out.jsonl", replaced(predict, **{"engine.window_rows": 1})
    cli(*words, f"output={tmp_path / 'undisturbed.jsonl'}")
    content = given.read_bytes()

    def spoil() -> None:
        if trouble == "gone":
            given.unlink()
        elif trouble == "cut":
            # In the middle of a row far below what was read ahead: that row is the last of its window.
            os.truncate(given, len(content) * 2 // 3)
        else:
            with given.open("r+b") as stream:
                stream.write(content.replace(b"minister", b"MINISTER"))

    with monkeypatch.context() as patch:
        meanwhile(patch, spoil, 4)
        said = cli(*words, f"output={output}", code=2)
    kept = f"the 4 rows written so far are kept in '{output}.parts'; with the input as it was, the same command goes on"
    assert expected.format(path=given) in said and said.count("written so far") == 1 and kept in said
    assert not output.exists() and parts_in(output) == 4
    if trouble != "gone":
        assert "input in.jsonl: contents changed" in cli(*words, f"output={output}", code=2)
    given.write_bytes(content)
    assert "going on after part" in cli(*words, f"output={output}")
    assert output.read_bytes() == (tmp_path / "undisturbed.jsonl").read_bytes()


def test_when_one_of_several_files_changes_before_it_is_read_then_that_is_noticed(
    cli: CliRunner, predict: list[str], given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jn.jsonl").write_bytes(given.read_bytes())
    words = replaced(predict, input=f"{tmp_path}/?n.jsonl")
    meanwhile(monkeypatch, lambda: (tmp_path / "jn.jsonl").write_bytes(given.read_bytes()[:99]), 1)
    said = cli(*words, f"output={tmp_path / 'out.jsonl'}", code=2)
    assert f"'{tmp_path}/jn.jsonl' shrank from " in said
    # All of the first file's rows, and none of the other's.
    assert parts_in(tmp_path / "out.jsonl") == 3


def test_when_the_first_window_cannot_be_had_then_nothing_is_left(
    cli: CliRunner, predict: list[str], given: Path, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl.gz").write_bytes(gzip.compress(given.read_bytes())[:-9])
    words = replaced(predict, input=tmp_path / "in.jsonl.gz", **{"engine.window_rows": 100})
    said = cli(*words, f"output={tmp_path / 'out.jsonl'}", code=2)
    assert f"input: '{tmp_path}/in.jsonl.gz' is damaged" in said
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", "in.jsonl.gz"}


def test_when_the_folder_of_the_output_is_not_writable_then_it_says_so(
    cli: CliRunner, predict: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir(mode=0o555)
    if os.access(folder, os.W_OK):
        # To the superuser every folder is writable but those of the system itself.
        folder = Path("/sys/kernel")
    said = cli(*predict, f"output={folder}/out.jsonl", code=2)
    assert f"output: '{folder}/out.jsonl' cannot be written: " in said


@pytest.mark.parametrize(
    ("suffix", "limit", "rows_kept"),
    # A part takes 11 kB, and the last one 60 kB.
    [("jsonl", 50_000, 29), ("jsonl", 200_000, 30), ("csv", 200_000, 30), ("parquet", 200_000, 30)],
)
def test_when_the_disk_is_full_then_what_was_written_is_kept_and_the_same_command_goes_on(
    tiny: Path, tmp_path: Path, suffix: str, limit: int, rows_kept: int
) -> None:
    draw = random.Random(1)
    rows = [row | {"noise": draw.randbytes(5000).hex()} for row in labelled_rows(30)]
    rows[-1]["noise"] = draw.randbytes(30_000).hex()
    path = write_jsonl(tmp_path / "in.jsonl", rows)
    words = ["predict", f"model={tiny}", f"input={path}", "engine.threads=1", "engine.window_rows=1"]

    def run(name: str, bytes_at_most: int | None = None) -> subprocess.CompletedProcess[str]:
        def small() -> None:
            if bytes_at_most is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_at_most, bytes_at_most))

        command = [sys.executable, "-m", "stancekit", *words, f"output={tmp_path / name}"]
        return subprocess.run(command, capture_output=True, text=True, preexec_fn=small)

    output = f"out.{suffix}"
    full = run(output, limit)
    assert full.returncode == 2 and "Traceback" not in full.stderr, full.stderr
    assert f"output: '{tmp_path / output}' cannot be written: File too large" in full.stderr
    assert f"the {rows_kept} rows written so far are kept" in full.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", f"{output}.parts"}
    done = run(output)
    assert done.returncode == 0 and f"going on after part {rows_kept}" in done.stderr
    assert run(f"undisturbed.{suffix}").returncode == 0
    assert (tmp_path / output).read_bytes() == (tmp_path / f"undisturbed.{suffix}").read_bytes()


def piped(words: list[str], **options: Any) -> subprocess.Popen[bytes]:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-m", "stancekit", *words], **{**pipes, **options})


def test_when_many_rows_go_through_a_pipe_then_all_come_out_in_order_and_no_bar_is_drawn(tiny: Path) -> None:
    lines = [json.dumps(GOOD | {"id": i, "statement": f"\u017di\u017eek wants {i % 700}"}) for i in range(10_000)]
    lines[77] = "{not JSON"
    process = piped(
        ["predict", f"model={tiny}", "input=-", "output=-"], env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    out, said = process.communicate("\n".join(lines).encode())
    assert process.returncode == 0, said
    found = [json.loads(line) for line in out.splitlines()]
    assert [row.get("id") for row in found] == [None if i == 77 else i for i in range(10_000)]
    assert found[0]["statement"] == "\u017di\u017eek wants 0" and found[77]["status"] == "error"
    assert b"10,000 rows" in said and b"\x1b" not in said and b"labelled" not in said


def test_when_the_next_program_has_read_enough_then_it_ends_quietly(tiny: Path, given: Path) -> None:
    write_jsonl(given, [GOOD | {"id": i} for i in range(5000)])
    process = piped(["predict", f"model={tiny}", f"input={given}", "output=-", "engine.window_rows=10"])
    assert process.stdout is not None and process.stderr is not None
    assert json.loads(process.stdout.readline())["id"] == 0
    process.stdout.close()
    said = process.stderr.read().decode()
    assert process.wait() == 0
    assert said.startswith("engine: ") and said.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
def test_when_standard_output_is_a_full_disk_then_it_says_so(tiny: Path, given: Path) -> None:
    with open("/dev/full", "wb") as full:
        process = piped(["predict", f"model={tiny}", f"input={given}", "output=-"], stdout=full)
        _, said = process.communicate()
    assert process.returncode == 2
    assert said.decode().splitlines()[1:] == [
        "stancekit: output: standard output cannot be written: No space left on device"
    ]


@pytest.mark.parametrize("sent", [0, 1])
def test_when_it_is_interrupted_while_it_waits_for_rows_then_it_ends_at_once(tiny: Path, sent: int) -> None:
    process = piped(["predict", f"model={tiny}", "input=-", "output=-", "engine.window_rows=1"])
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    assert process.stderr.readline().startswith(b"engine: ")
    if sent:
        process.stdin.write(json.dumps(GOOD).encode() + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["status"] == "ok"
    process.send_signal(signal.SIGINT)
    # The pipe stays open: nothing but the signal can end it.
    assert process.wait(timeout=30) == 130
    assert process.stderr.read() == b"stancekit: interrupted\n"


def test_when_ctrl_c_is_typed_then_it_ends_without_a_trace_and_the_same_command_goes_on(
    cli: CliRunner, predict: list[str], given: Path, tmp_path: Path
) -> None:
    write_jsonl(given, [GOOD | {"statement": f"{GOOD['statement']} {i}"} for i in range(3000)])
    words = replaced(predict, **{"engine.window_rows": 20})
    output = tmp_path / "out.jsonl"
    terminal, theirs = pty.openpty()
    process = piped(
        [*words, f"output={output}"],
        **dict.fromkeys(("stdin", "stdout", "stderr"), theirs),
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    said, typed, deadline = b"", False, time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.01)[0]:
            try:
                said += os.read(terminal, 2**16)
            except OSError:
                break  # nobody is on the other side any more
        if not typed and Path(f"{output}.parts/part-00003.jsonl").exists():
            os.write(terminal, b"\x03")
            typed = True
    assert process.wait(timeout=30) == 130
    os.close(terminal)
    assert b"Traceback" not in said and said.rstrip().endswith(b"stancekit: interrupted")
    assert b"labelled" in said and b" of 3,000 rows" in said and b"\x1b[" in said, "a terminal shows the bar"
    assert not output.exists() and 3 <= parts_in(output) < 150
    assert "going on after part" in cli(*words, f"output={output}")
    cli(*words, f"output={tmp_path / 'undisturbed.jsonl'}")
    assert output.read_bytes() == (tmp_path / "undisturbed.jsonl").read_bytes()


def test_when_prediction_is_terminated_then_the_same_command_goes_on_and_nothing_is_lost(
    tiny: Path, tmp_path: Path
) -> None:
    rows = [GOOD | {"id": i, "statement": f"{GOOD['statement']} {i}"} for i in range(3000)]
    path = write_jsonl(tmp_path / "in.jsonl", rows)
    words = ["predict", f"model={tiny}", f"input={path}", "engine.window_rows=20"]
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


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_when_a_glob_names_several_files_then_their_rows_follow_each_other_and_errors_name_the_file(
    cli: CliRunner, tiny: Path, tmp_path: Path, suffix: str
) -> None:
    for name, values in (("a", ["wants", ""]), ("c", ["rejects"]), ("d", [])):
        rows = [{"statement": value, "target": "the port", "id": f"{name}{n}"} for n, value in enumerate(values)]
        if suffix == "jsonl":
            write_jsonl(tmp_path / f"{name}.jsonl", rows)
        else:
            schema = pa.schema([(column, pa.string()) for column in ("statement", "target", "id")])
            pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / f"{name}.parquet")
    (tmp_path / f"b.{suffix}").touch()
    if suffix == "jsonl":
        with (tmp_path / "c.jsonl").open("a") as stream:
            stream.write("oops\n")
    output = tmp_path / "out" / f"all.{suffix}"
    said = cli("predict", f"model={tiny}", f"input={tmp_path}/*.{suffix}", f"output={output}")
    found = predicted(output)
    assert [row.get("id") for row in found] == ["a0", "a1", "c0"] + [None] * (suffix == "jsonl")
    assert found[1]["error"] == "'statement' is empty" and f"{len(found)} rows" in said
    if suffix == "jsonl":
        assert found[3]["error"] == f"{tmp_path}/c.jsonl, line 2: not JSON: Expecting value at column 1"


def test_when_a_later_file_is_no_parquet_then_that_is_said_before_anything_is_labelled(
    cli: CliRunner, tiny: Path, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"statement": ["wants"], "target": ["the port"]}), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"not Parquet at all")
    output = tmp_path / "out.jsonl"
    said = cli("predict", f"model={tiny}", f"input={tmp_path}/*.parquet", f"output={output}", code=2)
    assert f"input: '{tmp_path}/b.parquet' is not a Parquet file" in said
    assert {path.name for path in tmp_path.iterdir()} == {"a.parquet", "b.parquet"}


def packed(content: bytes, compression: str) -> bytes:
    return gzip.compress(content) if compression == "gz" else bytes(pa.compress(content, "zstd", asbytes=True))


def unpacked(content: bytes, compression: str) -> bytes:
    if compression == "gz":
        return gzip.decompress(content)
    with pa.CompressedInputStream(pa.BufferReader(content), "zstd") as stream:
        return bytes(stream.read())


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "tsv", "parquet"])
def test_when_files_are_compressed_then_all_is_as_with_plain_ones(
    cli: CliRunner, tiny: Path, tmp_path: Path, suffix: str
) -> None:
    table = pa.Table.from_pylist([{"id": f"r{i}", **GOOD, "statement": f"wants {i} \u2013 \u00fc"} for i in range(50)])
    plain, output = tmp_path / f"in.{suffix}", tmp_path / f"out.{suffix}"
    if suffix == "jsonl":
        write_jsonl(plain, table.to_pylist())
    elif suffix == "parquet":
        pq.write_table(table, plain)
    else:
        sign = "," if suffix == "csv" else "\t"
        lines = [sign.join(table.column_names), *(sign.join(row.values()) for row in table.to_pylist())]
        plain.write_text("\n".join(lines), encoding="utf-8")
    cli("predict", f"model={tiny}", f"input={plain}", f"output={output}")
    for compression in ("gz", "zst"):
        path = tmp_path / f"in.{suffix}.{compression}"
        path.write_bytes(packed(plain.read_bytes(), compression))
        form = suffix if suffix == "parquet" else f"{suffix}.{compression}"
        cli("predict", f"model={tiny}", f"input={path}", f"output={tmp_path}/{compression}.{form}")
        found = (tmp_path / f"{compression}.{form}").read_bytes()
        assert (found if suffix == "parquet" else unpacked(found, compression)) == output.read_bytes()
    assert [row["id"] for row in predicted(output)] == [f"r{i}" for i in range(50)]


def test_when_input_and_output_are_urls_then_all_is_as_with_files(
    cli: CliRunner, predict: list[str], given: Path, tmp_path: Path, memory: MemoryFileSystem
) -> None:
    cli(*predict, f"output={tmp_path / 'out.csv'}")
    memory.pipe_file("/in/a.jsonl", given.read_bytes())
    cli(*replaced(predict, input="memory://in/*.jsonl"), "output=memory://out/o.csv")
    assert memory.cat_file("/out/o.csv") == (tmp_path / "out.csv").read_bytes()
    assert "nothing to do" in cli(*replaced(predict, input="memory://in/*.jsonl"), "output=memory://out/o.csv")
    cli(*replaced(predict, input=f"file://{given}"), f"output=file://{tmp_path}/from_url.csv")
    assert (tmp_path / "from_url.csv").read_bytes() == (tmp_path / "out.csv").read_bytes()
    memory.pipe_file("/in/a.jsonl", given.read_bytes() + b"{}\n")
    said = cli(*replaced(predict, input="memory://in/*.jsonl"), "output=memory://out/o.csv", code=2)
    assert "input memory:///in/a.jsonl: contents changed" in said


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("{tmp}/out.parquet.gz", "Parquet is compressed within; expected a name that ends in .parquet"),
        ("{tmp}/out.jsn", "no row format; expected .jsonl, .csv, .parquet, .tsv"),
        ("memory://out/out.jsn", "no row format; expected .jsonl, .csv, .parquet, .tsv"),
        ("memroy://out/out.jsonl", "no such protocol as 'memroy'; did you mean 'memory'?"),
    ],
)
def test_when_the_output_cannot_be_written_as_named_then_that_is_said_before_anything_is_labelled(
    cli: CliRunner, predict: list[str], given: Path, tmp_path: Path, output: str, expected: str
) -> None:
    said = cli(*predict, f"output={output.format(tmp=tmp_path)}", code=2)
    assert expected in said and "kept" not in said
    assert list(tmp_path.iterdir()) == [given] and not list((tmp_path / "home").glob("predictions/*"))


def test_when_a_statement_has_5_mb_then_it_is_cut_and_said_and_passed_on_whole(
    cli: CliRunner, tiny: Path, tmp_path: Path
) -> None:
    long = "the minister wants closing the port " * 140_000
    targets = ["closing the port", "opening the mine"]
    path = write_jsonl(tmp_path / "in.jsonl", [{"statement": long, "target": target} for target in targets])
    cli("predict", f"model={tiny}", f"input={path}", f"output={tmp_path / 'out.jsonl'}")
    first, second = predicted(tmp_path / "out.jsonl")
    assert len(long) > 5_000_000 and first["statement"] == second["statement"] == long
    assert first["truncated"] is second["truncated"] is True and first["status"] == "ok"
    # All that is left to tell them apart is the target.
    assert [first[f"p_{outcome}"] for outcome in OUTCOMES] != [second[f"p_{outcome}"] for outcome in OUTCOMES]


def test_when_cells_hold_control_characters_then_json_lines_hold_none(
    cli: CliRunner, tiny: Path, tmp_path: Path
) -> None:
    signs = "".join(map(chr, range(32)))
    path = write_jsonl(tmp_path / "in.jsonl", [GOOD | {"statement": f"a{signs}b", signs: signs}])
    out = cli("predict", f"model={tiny}", f"input={path}", "output=-").splitlines()
    (line,) = [line for line in out if line.startswith("{")]
    assert not set(signs) & set(line)
    row = json.loads(line)
    assert (row["statement"], row[signs], row["status"]) == (f"a{signs}b", signs, "ok")


def test_when_csv_has_quotes_and_line_breaks_then_they_come_back(cli: CliRunner, tiny: Path, tmp_path: Path) -> None:
    odd = ['say "no"', "two\nlines", "a,b", "re\rturn", "both\r\n", "'single'", " edge ", '"', "", "\\", "=1+1"]
    with (tmp_path / "in.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
        writer.writerow(["statement", "target", 'odd "name"\r'])
        writer.writerows([f"wants {cell}", "the port", cell] for cell in odd)
    cli("predict", f"model={tiny}", f"input={tmp_path / 'in.csv'}", f"output={tmp_path / 'out.csv'}")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as stream:
        found = list(csv.DictReader(stream, strict=True))
    assert [row['odd "name"\r'] for row in found] == odd
    assert [row["statement"] for row in found] == [f"wants {cell}" for cell in odd]
    assert {row["status"] for row in found} == {"ok"}


def test_when_the_first_row_of_a_table_is_broken_then_the_predicted_columns_are_still_the_last(
    cli: CliRunner, tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text('statement,target,id\n"broken"x,b,0\nwants,the port,1\n')
    for suffix in ("csv", "parquet"):
        output = tmp_path / f"out.{suffix}"
        cli("predict", f"model={tiny}", f"input={tmp_path / 'in.csv'}", f"output={output}")
        first, second = predicted(output)
        assert list(second) == ["statement", "target", "id", *PREDICTED_COLUMNS]
        assert "not CSV" in first["error"] and (second["id"], second["status"]) == ("1", "ok")


def test_when_parquet_passes_through_then_the_types_of_its_columns_stay_and_ours_are_ours(
    cli: CliRunner, tiny: Path, tmp_path: Path
) -> None:
    table = odd_table()
    texts = {"statement": pa.array(["wants", ""]), "target": pa.array(["the port"] * 2, pa.large_string())}
    theirs = {
        "error": pa.array([b"x", None]),
        "confidence": pa.array([1, 2], pa.float32()),
        "stance": pa.array([1, 2]),
        "truncated": pa.array(["a", "b"]),
    }
    for columns in (texts, theirs):
        for name, values in columns.items():
            table = table.append_column(name, values)
    pq.write_table(table, tmp_path / "in.parquet")
    table = pq.read_table(tmp_path / "in.parquet")
    cli("predict", f"model={tiny}", f"input={tmp_path / 'in.parquet'}", f"output={tmp_path / 'out.parquet'}")
    found = pq.read_table(tmp_path / "out.parquet")
    passed = [name for name in table.column_names if name not in theirs]
    assert found.column_names == [*passed, *PREDICTED_COLUMNS]
    for name in passed:
        assert found.schema.field(name).type == table.schema.field(name).type, name
        assert found.column(name).to_pylist() == table.column(name).to_pylist(), name
    numbers = dict.fromkeys([*(f"p_{outcome}" for outcome in OUTCOMES), "confidence"], pa.float64())
    types = {**dict.fromkeys(PREDICTED_COLUMNS, pa.string()), **numbers, "truncated": pa.bool_()}
    assert {name: found.schema.field(name).type for name in PREDICTED_COLUMNS} == types
    assert found.column("error").to_pylist() == [None, "'statement' is empty"]


def test_when_integers_and_fractions_fit_no_column_together_then_parquet_keeps_them_as_text(
    cli: CliRunner, tiny: Path, tmp_path: Path
) -> None:
    path = write_jsonl(tmp_path / "in.jsonl", [GOOD | {"n": value, "m": value} for value in (2**53 + 1, 0.5, None)])
    cli("predict", f"model={tiny}", f"input={path}", f"output={tmp_path / 'out.parquet'}")
    assert [row["n"] for row in predicted(tmp_path / "out.parquet")] == ["9007199254740993", "0.5", None]
