from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import fsspec
import pytest

from stancekit.errors import UserError
from stancekit.files import read_rows, row_writer, whole_file

ROWS: list[dict[str, Any]] = [
    {"id": "1", "statement": "“No,” he said,\nloudly.", "target": "x", "n": 1, "tags": ["a", "b"]},
    {"id": "2", "statement": "Ja — größer", "target": "y", "n": None, "note": "late column"},
]
SUFFIXES = [".jsonl", ".csv", ".parquet", ".jsonl.gz", ".csv.zst"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_when_rows_are_written_and_read_again_then_the_texts_are_the_same(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    with row_writer(path) as write:
        for row in ROWS:
            write(row)
    rows = [row.values for row in read_rows(path)]
    assert [row["statement"] for row in rows] == [row["statement"] for row in ROWS]
    assert rows[1]["note"] == "late column" and not rows[0].get("note")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_when_writing_fails_half_way_then_no_file_is_left_and_an_old_one_stays(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    path.write_text("old")
    with pytest.raises(RuntimeError), row_writer(path) as write:
        write({"a": 1})
        raise RuntimeError
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet", "jsonl.gz", "jsonl.zst", "tsv.zst"])
def test_when_the_disk_takes_no_more_then_the_error_says_so_and_nothing_looks_whole(
    tmp_path: Path, suffix: str
) -> None:
    # A limit on the size of files is the nearest thing to a full disk that a test can have without being root.
    code = (
        "import os, resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "from stancekit.files import row_writer\n"
        "from stancekit.errors import UserError\n"
        "try:\n"
        f"    with row_writer({str(tmp_path / ('out.' + suffix))!r}) as write:\n"
        "        for i in range(5000): write({'a': f'{i} some text', 'b': os.urandom(20).hex()})\n"
        "except UserError as error:\n"
        "    print(error); sys.exit(2)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert (
        f"output: '{tmp_path / ('out.' + suffix)}' cannot be written: File too large; nothing was kept" in done.stdout
    )
    assert done.stderr == "" and list(tmp_path.iterdir()) == []


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
    with (
        pytest.raises(UserError, match=r"'x.parquet.gz': Parquet is compressed within"),
        row_writer("x.parquet.gz"),
    ):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_when_the_folder_is_read_only_then_the_error_names_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="Permission denied"), row_writer(tmp_path / "out.jsonl"):
        pass


def test_when_a_library_fails_within_the_block_then_the_output_is_not_blamed(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="the hub is away"), row_writer(tmp_path / "out.jsonl"):
        raise OSError("the hub is away")


def test_when_json_is_written_then_signs_stay_readable(tmp_path: Path) -> None:
    with row_writer(tmp_path / "o.jsonl") as write:
        write({"a": "größer “x”"})
    assert "größer “x”" in (tmp_path / "o.jsonl").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "o.jsonl").read_text(encoding="utf-8"))["a"] == "größer “x”"


def test_when_the_output_is_standard_output_then_rows_are_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with row_writer("-") as write:
        write({"a": "größer", "n": float("nan")})
    assert capsys.readouterr().out == '{"a": "größer", "n": null}\n'


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_when_the_output_is_far_away_then_it_appears_when_it_is_whole(tmp_path: Path, suffix: str) -> None:
    memory = fsspec.filesystem("memory")
    url = f"memory://{uuid.uuid4().hex}/out{suffix}"
    with pytest.raises(RuntimeError), row_writer(url) as write:
        write(ROWS[0])
        raise RuntimeError
    assert not memory.exists(url)
    with row_writer(url) as write, row_writer(tmp_path / f"out{suffix}") as write_here:
        for row in ROWS:
            write(row)
            write_here(row)
        assert not memory.exists(url)
    assert memory.cat(url) == (tmp_path / f"out{suffix}").read_bytes()


def test_when_the_output_is_a_url_of_a_file_here_then_it_is_written_here(tmp_path: Path) -> None:
    with row_writer(f"file://{tmp_path}/new/out.jsonl") as write:
        write({"a": 1})
    assert (tmp_path / "new" / "out.jsonl").read_text() == '{"a": 1}\n'


def test_when_a_place_far_away_takes_no_file_then_the_error_names_it() -> None:
    refused = pytest.raises(UserError, match=r"output: 'http://127.0.0.1:9/out.jsonl' cannot be written: ")
    with refused, row_writer("http://127.0.0.1:9/out.jsonl") as write:
        write({"a": 1})


def test_when_the_terminal_speaks_no_unicode_then_standard_output_is_utf_8_all_the_same() -> None:
    words = "from stancekit.files import row_writer\nwith row_writer('-') as write: write({'a': '\u017di\u017eek'})"
    options: Any = {"env": {**os.environ, "PYTHONIOENCODING": "ascii"}, "capture_output": True}
    done = subprocess.run([sys.executable, "-c", words], **options)
    assert (done.returncode, done.stdout, done.stderr) == (0, '{"a": "Žižek"}\n'.encode(), b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
def test_when_standard_output_takes_no_more_then_the_error_says_so_once() -> None:
    words = (
        "from stancekit.errors import UserError\nfrom stancekit.files import row_writer\ntry:\n"
        "    with row_writer('-') as write: write({'a': 1})\n"
        "except UserError as error:\n    raise SystemExit(str(error))"
    )
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-c", words], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr == b"output: standard output cannot be written: No space left on device\n"


def test_when_an_output_lies_in_the_home_folder_then_the_tilde_stands_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with row_writer("~/rows.jsonl") as write:
        write({"a": 1})
    assert (tmp_path / "rows.jsonl").read_bytes() == b'{"a": 1}\n'
