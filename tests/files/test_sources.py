from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from stancekit.errors import UserError
from stancekit.files import RowFormat, Source, find_sources, read_rows, row_writer
from tests.files.helpers import rows_and_error


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.jsonl", "a.csv", "sub/c.jsonl", "sub/deep/d.jsonl", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a\n1\n" if name.endswith("csv") else '{"a": "1"}\n')
    return tmp_path


@pytest.fixture
def bucket() -> Iterator[str]:
    """The URL of an empty folder in memory, where several tests may run at once."""
    url = f"memory://{uuid.uuid4().hex}"
    yield url
    memory = fsspec.filesystem("memory")
    if memory.exists(url):
        memory.rm(url, recursive=True)


def put(url: str, content: bytes) -> None:
    with fsspec.open(url, "wb") as stream:
        stream.write(content)


def names(sources: list[Source], folder: Path) -> list[str]:
    return [str(source.path.relative_to(folder)) for source in sources if source.path]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("b.jsonl", ["b.jsonl"]),
        ("*.jsonl", ["b.jsonl"]),
        ("[ab].*", ["a.csv", "b.jsonl"]),
        ("**/*.jsonl", ["b.jsonl", "sub/c.jsonl", "sub/deep/d.jsonl"]),
        ("sub/?.jsonl", ["sub/c.jsonl"]),
    ],
)
def test_when_a_name_is_a_path_or_a_glob_then_its_files_are_found_in_order(
    folder: Path, pattern: str, expected: list[str]
) -> None:
    assert names(find_sources(f"{folder}/{pattern}"), folder) == expected
    assert names(find_sources(f"file://{folder}/{pattern}"), folder) == expected


def test_when_a_file_is_called_like_a_glob_then_it_is_itself(folder: Path) -> None:
    (folder / "b[1].jsonl").write_text("{}")
    assert names(find_sources(f"{folder}/b[1].jsonl"), folder) == ["b[1].jsonl"]


def test_when_a_path_is_relative_then_it_counts_from_the_working_folder_and_then_from_what_ships(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert [source.name for source in find_sources("*.csv")] == ["a.csv"]
    shipped = find_sources("data/*/*.jsonl")
    assert shipped and all(source.path and source.path.is_absolute() for source in shipped)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("{tmp}/bb.jsonl", "input: no file or folder '{tmp}/bb.jsonl'; did you mean 'b.jsonl'?"),
        ("{tmp}/b*.jsnl", "input: no file matches '{tmp}/b*.jsnl'; did you mean 'b.jsonl'?"),
        (
            "{tmp}/sup/*.jsonl",
            "no file matches '{tmp}/sup/*.jsonl'; there is no folder '{tmp}/sup'; did you mean 'sub'?",
        ),
        ("{tmp}/sub", "input: '{tmp}/sub' is a folder; expected a file of rows or a glob, as '{tmp}/sub/*.jsonl'"),
        ("{tmp}/*", "input: '{tmp}/notes.txt' is no row format; expected .jsonl, .csv, .parquet"),
        ("file://{tmp}/bb.jsonl", "input: no file or folder '{tmp}/bb.jsonl'; did you mean 'b.jsonl'?"),
        ("memery://x/a.jsonl", "input: 'memery://x/a.jsonl': no such protocol as 'memery'; did you mean 'memory'?"),
    ],
)
def test_when_nothing_is_there_to_read_then_the_error_says_what_was_meant(
    folder: Path, name: str, expected: str
) -> None:
    with pytest.raises(UserError) as caught:
        find_sources(name.format(tmp=folder))
    assert expected.format(tmp=folder) in str(caught.value)


def test_when_the_package_of_a_protocol_is_missing_then_the_error_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    expected = "put: 'gs://bucket/a.jsonl' needs a package that is not installed: Please install gcsfs"
    with pytest.raises(UserError, match=expected.replace("put", "input")):
        find_sources("gs://bucket/a.jsonl")
    with (
        pytest.raises(UserError, match=expected.replace("put", "output")),
        row_writer("gs://bucket/a.jsonl"),
    ):
        pytest.fail("the mistake must be told before any work is done")


def test_when_files_are_far_away_then_they_are_found_and_read_like_those_here(bucket: str) -> None:
    for name in ("b.jsonl", "a.csv.gz", "c.parquet", "d.tsv.zst"):
        with row_writer(f"{bucket}/in/{name}") as write:
            write({"name": name})
    found = find_sources(f"{bucket}/in/*")
    assert [source.name.rpartition("/")[2] for source in found] == ["a.csv.gz", "b.jsonl", "c.parquet", "d.tsv.zst"]
    assert [row.values for row in read_rows(found)] == [
        {"name": n} for n in ("a.csv.gz", "b.jsonl", "c.parquet", "d.tsv.zst")
    ]
    [alone] = find_sources(f"{bucket}/in/c.parquet")
    assert alone.path is None and alone.format == RowFormat(".parquet")
    with pytest.raises(UserError, match=r"no file 'memory://.*/in/bb.jsonl'; did you mean 'b.jsonl'\?"):
        find_sources(f"{bucket}/in/bb.jsonl")
    with pytest.raises(UserError, match=r"no file matches 'memory://.*/in/\*.json'"):
        find_sources(f"{bucket}/in/*.json")
    with pytest.raises(UserError, match=r"'memory://.*/in' is a folder; expected a file or a glob"):
        find_sources(f"{bucket}/in")


def test_when_a_web_address_has_a_query_then_the_format_is_that_of_its_path() -> None:
    assert Source("https://x.org/a.csv.gz?sig=a.b").format == RowFormat(".csv", "gz")


def test_when_the_contents_change_then_so_does_the_fingerprint(tmp_path: Path, bucket: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n')
    [source] = find_sources(str(path))
    digest = hashlib.sha256(b'{"a": 1}\n').hexdigest()
    assert source.fingerprint() == {"name": "a.jsonl", "size": 9, "sha256": digest}
    assert source.size() == 9
    path.write_bytes(b'{"a": 2}\n')
    assert source.fingerprint() == {
        "name": "a.jsonl",
        "size": 9,
        "sha256": hashlib.sha256(b'{"a": 2}\n').hexdigest(),
    }
    put(f"{bucket}/a.jsonl", b"{}")
    [far] = find_sources(f"{bucket}/a.jsonl")
    first = far.fingerprint()
    assert first == far.fingerprint() and (first["name"], first["size"]) == (far.name, 2)
    put(f"{bucket}/a.jsonl", b"[]")
    assert far.fingerprint() != first
    assert find_sources("-")[0].fingerprint() == {} and find_sources("-")[0].size() is None


def test_when_there_are_several_files_then_rows_are_numbered_through_and_errors_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('\n{"a": 1}\nbad\n')
    (tmp_path / "b.csv").write_text("a\n2\n2,3\n")
    (tmp_path / "c.csv").touch()
    sources = find_sources(f"{tmp_path}/*")
    rows = list(read_rows(sources))
    assert [row.number for row in rows] == [1, 2, 3, 4]
    assert [row.values.get("a") for row in rows] == [1, None, "2", "2"]
    assert [row.source for row in rows] == [sources[0].name] * 2 + [sources[1].name] * 2
    assert rows[1].error == f"{tmp_path}/a.jsonl, line 3: not JSON: Expecting value at column 1"
    assert rows[3].error == f"{tmp_path}/b.csv, row 2: 1 more cells than the header has columns"
    for skip in range(5):
        assert list(read_rows(sources, skip=skip)) == rows[skip:]


def test_when_a_file_vanishes_before_its_turn_then_the_rows_before_come_out_and_the_error_names_it(
    tmp_path: Path,
) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text('{"a": 1}\n')
    sources = find_sources(f"{tmp_path}/*.jsonl")
    (tmp_path / "b.jsonl").unlink()
    rows, error = rows_and_error(sources)
    assert len(rows) == 1 and error == f"input: '{tmp_path}/b.jsonl' is not there any more"


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet", "jsonl.gz"])
def test_when_a_file_shrinks_or_goes_while_it_is_read_then_an_error_names_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows.{suffix}"

    def begun() -> Iterator[object]:
        with row_writer(path) as write:
            for number in range(40_000):
                write({"a": os.urandom(8).hex(), "n": number})
        rows = read_rows(path)
        next(rows)
        return rows

    rows, size = begun(), path.stat().st_size
    os.truncate(path, 100)
    with pytest.raises(UserError, match=rf"'{path}' shrank from {size:,} to 100 bytes while it was read"):
        list(rows)
    rows = begun()
    path.unlink()
    with pytest.raises(UserError, match=rf"input: '{path}' is not there any more"):
        list(rows)


def test_when_a_remote_file_is_replaced_while_it_is_read_then_an_error_names_it(bucket: str) -> None:
    put(f"{bucket}/a.jsonl", b'{"a": 1}\n{"a": 2}\n')
    rows = read_rows(f"{bucket}/a.jsonl")
    next(rows)
    put(f"{bucket}/a.jsonl", b'{"a": 3}\n{"a": 4}\n')
    with pytest.raises(UserError, match=r"'memory://.*a.jsonl' was changed while it was read"):
        list(rows)


def test_when_rows_come_through_standard_input_then_they_are_json_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"a": 1}\n{"a": 2}\n')))
    assert [row.values for row in read_rows("-", skip=1)] == [{"a": 2}]


def test_when_standard_input_cannot_be_read_then_the_error_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: object) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(Broken())))
    with pytest.raises(UserError, match="input: '-' cannot be read: Input/output error"):
        list(read_rows("-"))


def test_when_standard_input_is_closed_then_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(UserError, match="input=-: standard input is closed"):
        list(read_rows("-"))


def test_when_a_thread_waits_for_standard_input_then_the_interpreter_can_end() -> None:
    waits = (
        "import threading\nfrom stancekit.files import read_rows\nread = threading.Event()\n"
        "def work():\n    for _ in read_rows('-'): read.set()\n"
        # After the row that comes it waits for one that does not.
        "threading.Thread(target=work, daemon=True).start()\nread.wait()\nprint('end')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", waits], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        process.stdin.write("{}\n")
        process.stdin.flush()
        assert process.wait(timeout=60) == 0
        assert process.stdout is not None and process.stdout.read() == "end\n"
        assert process.stderr is not None and process.stderr.read() == ""


def test_when_a_source_is_watched_then_a_change_is_told_whenever_it_is_asked_for(tmp_path: Path, bucket: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n')
    put(f"{bucket}/a.jsonl", path.read_bytes())
    (here,), (far,) = find_sources(str(path)), find_sources(f"{bucket}/a.jsonl")
    watches = [here.watch(), far.watch()]
    for watch in watches:
        watch()
    path.write_bytes(b"{}\n")
    put(f"{bucket}/a.jsonl", b"{}\n")
    for watch in watches:
        with pytest.raises(UserError, match=r"a\.jsonl' shrank from 9 to 3 bytes while it was read"):
            watch()
    path.unlink()
    with pytest.raises(UserError, match=r"a\.jsonl' is not there any more"):
        watches[0]()
