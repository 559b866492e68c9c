from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from stancekit.errors import UserError
from stancekit.prediction.parts import place
from stancekit.prediction.parts.records import Finished, Stamp
from stancekit.prediction.parts.store import PartStore
from tests.prediction import writer
from tests.prediction.writer import IDENTITY, ROWS, rows_of, write, write_part

OTHER = IDENTITY | {"engine": {"name": "onnx"}}


def lines_of(parts: int) -> bytes:
    rows = [row for part in range(parts) for row in rows_of(part)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def begin(output: Path | str, parts: int) -> None:
    """Leave an output unfinished after so many parts."""
    with PartStore.open(str(output), IDENTITY) as store:
        for _ in range(parts):
            write_part(store)


def refusal(output: Path | str, identity: Any = IDENTITY, overwrite: bool = False) -> str:
    with pytest.raises(UserError) as error:
        PartStore.open(str(output), identity, overwrite)
    return str(error.value)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "lock"}


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl.parts"


def test_when_nothing_disturbs_then_the_output_is_its_parts_in_order_and_only_its_manifest_is_beside_it(
    output: Path, tmp_path: Path
) -> None:
    write(str(output), parts=4)
    assert output.read_bytes() == lines_of(4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "out.jsonl.manifest.json"]
    manifest = json.loads((tmp_path / "out.jsonl.manifest.json").read_text())
    stances = [row["stance"] for part in range(4) for row in rows_of(part)]
    assert manifest["rows"] == 4 * ROWS == sum(manifest["counts"].values())
    assert manifest["counts"]["supports"] == stances.count("supports")
    assert manifest["identity"] == IDENTITY
    assert manifest["output"] == Stamp.of_bytes(lines_of(4)).model_dump()
    assert set(manifest["versions"]) == {"python", "stancekit", "numpy", "pyarrow"}


def test_when_killed_at_random_moments_then_the_same_command_ends_with_the_same_bytes(tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed.csv.gz"
    write(str(undisturbed), parts=40)
    draw = random.Random(6)
    kills, parts_at_kill = 0, set()
    for number in range(100):
        output = tmp_path / str(number) / "out.csv.gz"
        while True:
            words = [sys.executable, writer.__file__, str(output), "40"]
            process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            assert process.stdout is not None
            process.stdout.readline()  # it has begun to write, or ended
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(draw.uniform(0.001, 0.080))
            process.kill()
            _, errors = process.communicate()
            assert process.returncode in (0, -9), errors
            if process.returncode == 0:
                break
            kills += 1
            parts_at_kill.add(len(list(Path(f"{output}.parts").glob("part-*.jsonl"))))
        assert output.read_bytes() == undisturbed.read_bytes()
        assert sorted(path.name for path in output.parent.iterdir()) == ["out.csv.gz", "out.csv.gz.manifest.json"]
        if kills >= 25:
            break
    assert kills >= 25
    assert len(parts_at_kill) > 5, "the kills came at different moments"


def test_when_killed_before_any_change_to_a_file_then_the_same_command_ends_with_the_same_bytes(tmp_path: Path) -> None:
    words = [sys.executable, writer.__file__, str(tmp_path), "2", "every-step"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Two parts, put together and tidied up, with an old output to replace and without: no fewer changes can do it.
    assert int(done.stdout.splitlines()[-1].removeprefix("kills ")) >= 60


def test_when_a_part_is_written_then_its_files_and_their_names_are_on_the_disk_before_the_journal_lists_it(
    output: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(output, 1)
    synced: list[str] = []
    fsync = os.fsync

    def remember(handle: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{handle}")).name)
        fsync(handle)

    with PartStore.open(str(output), IDENTITY) as store:
        monkeypatch.setattr(os, "fsync", remember)
        write_part(store)
    assert synced == ["part-00001.jsonl.new", "scores-00001.npz.new", folder.name, "journal.jsonl"]


def test_when_parts_are_there_then_it_says_where_it_goes_on_and_gives_back_their_scores(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(output, 3)
    with PartStore.open(str(output), IDENTITY) as store:
        assert (store.parts_done, store.rows_done, store.finished) == (3, 3 * ROWS, None)
        assert store.counts.total() == 3 * ROWS
        assert store.counts["supports"] == sum(row["stance"] == "supports" for n in range(3) for row in rows_of(n))
        # Part 0 has none.
        assert [number for number, _ in store.scores()] == [2, 1]
        assert [number for number, _ in store.scores(newest_first=False)] == [1, 2]
        (_, scores), _ = store.scores()
        np.testing.assert_array_equal(scores["p"], [row["p"] for row in rows_of(2)])
    assert f"'{output}': going on after part 3, 150 rows" in capsys.readouterr().err


def test_when_overwrite_is_given_again_with_the_same_command_then_it_goes_on_all_the_same(
    output: Path, folder: Path
) -> None:
    output.write_text("old")
    for done in range(3):
        with PartStore.open(str(output), IDENTITY, overwrite=True) as store:
            assert store.parts_done == done
            write_part(store)
        assert output.read_text() == "old"
    write(str(output), parts=3, overwrite=True)
    assert output.read_bytes() == lines_of(3) and not folder.exists()


def test_when_the_journals_last_line_is_torn_then_that_part_alone_is_written_again(output: Path, folder: Path) -> None:
    begin(output, 3)
    journal = (folder / "journal.jsonl").read_bytes()
    last = journal.splitlines(keepends=True)[-1]
    for cut in (1, len(last) // 2, len(last) - 1):
        (folder / "journal.jsonl").write_bytes(journal[:-cut])
        with PartStore.open(str(output), IDENTITY) as store:
            assert store.parts_done == 2
            write_part(store)
        assert (folder / "journal.jsonl").read_bytes() == journal
    write(str(output), parts=3)
    assert output.read_bytes() == lines_of(3)


@pytest.mark.parametrize("noise", [b"\0\0\0\0\n", b"{}\n", b"not json\n", b"\xff\n"])
def test_when_the_journal_ends_in_noise_then_what_is_before_it_counts(output: Path, folder: Path, noise: bytes) -> None:
    begin(output, 2)
    with (folder / "journal.jsonl").open("ab") as journal:
        journal.write(noise)
    write(str(output), parts=3)
    assert output.read_bytes() == lines_of(3)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("part-00001.jsonl", "'part-00001.jsonl' is missing"),
        ("scores-00001.npz", "'scores-00001.npz' is missing"),
        ("part-00001.jsonl", "'part-00001.jsonl' is not as it was written"),
        ("scores-00001.npz", "'scores-00001.npz' is not as it was written"),
    ],
)
def test_when_a_listed_file_is_not_as_it_was_then_its_part_and_all_after_it_are_made_anew(
    output: Path, folder: Path, name: str, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(output, 4)
    if "missing" in fault:
        (folder / name).unlink()
    else:
        damaged = bytearray((folder / name).read_bytes())
        damaged[len(damaged) // 2] ^= 1  # of the same size
        (folder / name).write_bytes(damaged)
    with PartStore.open(str(output), IDENTITY) as store:
        assert (store.parts_done, store.rows_done, store.counts.total()) == (1, ROWS, ROWS)
    assert f"{fault}; all from part 2 on is made anew" in capsys.readouterr().err
    write(str(output), parts=4)
    assert output.read_bytes() == lines_of(4)


def test_when_the_output_is_finished_then_nothing_is_done_and_that_is_said(
    output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(str(output), parts=2)
    before = {path: path.stat().st_mtime_ns for path in [tmp_path, *tmp_path.iterdir()]}
    for overwrite in (False, True):
        capsys.readouterr()
        with PartStore.open(str(output), IDENTITY, overwrite) as store:
            assert store.finished is not None and store.finished.rows == store.rows_done == 2 * ROWS
            assert store.finish() == store.finished
            assert store.counts.total() == 2 * ROWS
        assert "is there already, of the same model, settings and input: nothing to do" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in [tmp_path, *tmp_path.iterdir()]} == before


@pytest.mark.parametrize("finished", [True, False])
def test_when_another_prediction_is_there_then_what_differs_is_named_and_nothing_is_touched(
    output: Path, tmp_path: Path, finished: bool
) -> None:
    if finished:
        write(str(output), parts=2)
    else:
        begin(output, 2)
    before = contents(tmp_path)
    said = refusal(output, OTHER)
    assert 'engine.name: was "torch", is now "onnx"' in said
    assert "nothing was touched" in said and "overwrite=true" in said
    assert contents(tmp_path) == before


def test_when_another_output_is_replaced_then_it_stays_until_the_new_one_is_whole(output: Path, folder: Path) -> None:
    write(str(output), parts=2)
    with PartStore.open(str(output), OTHER, overwrite=True) as store:
        for part in range(3):
            write_part(store)
            assert output.read_bytes() == lines_of(2), part
        store.finish()
    assert output.read_bytes() == lines_of(3) and not folder.exists()
    with PartStore.open(str(output), OTHER) as store:
        assert store.finished is not None and store.finished.identity == OTHER


def test_when_parts_of_another_prediction_are_replaced_then_none_of_them_is_left(output: Path, folder: Path) -> None:
    begin(output, 5)
    with PartStore.open(str(output), OTHER, overwrite=True) as store:
        assert store.parts_done == 0
        write_part(store)
        assert sorted(contents(folder)) == ["journal.jsonl", "manifest.json", "part-00000.jsonl"]


def test_when_a_finished_output_meets_parts_of_another_prediction_then_these_stay(output: Path, folder: Path) -> None:
    write(str(output), parts=2)
    with PartStore.open(str(output), OTHER, overwrite=True) as store:
        write_part(store)
    before = contents(folder)
    with PartStore.open(str(output), IDENTITY) as store:
        assert store.finished is not None
    assert contents(folder) == before
    with PartStore.open(str(output), OTHER, overwrite=True) as store:
        assert store.parts_done == 1


def test_when_the_output_was_not_written_by_this_command_then_it_is_refused(output: Path, tmp_path: Path) -> None:
    output.write_text("somebody's own\n")
    said = refusal(output)
    assert f"'{output}' is there already and was not written by this command; overwrite=true replaces it" in said
    (tmp_path / "out.jsonl.manifest.json").write_text("{}")
    assert "was not written by this command" in refusal(output)
    assert output.read_text() == "somebody's own\n" and not (tmp_path / "out.jsonl.parts").exists()


def test_when_the_output_was_edited_after_it_was_written_then_it_is_refused_until_it_may_be_replaced(
    output: Path,
) -> None:
    write(str(output), parts=2)
    edited = output.read_bytes().replace(b"supports", b"SUPPORTS", 1)
    output.write_bytes(edited)
    assert "was changed after this command had written it; overwrite=true replaces it" in refusal(output)
    assert output.read_bytes() == edited
    write(str(output), parts=2, overwrite=True)
    assert output.read_bytes() == lines_of(2)


def test_when_the_output_was_deleted_then_it_is_made_anew_though_its_manifest_is_there(output: Path) -> None:
    write(str(output), parts=2)
    output.unlink()
    write(str(output), parts=2)
    assert output.read_bytes() == lines_of(2)


def test_when_something_takes_the_outputs_place_meanwhile_then_it_is_not_replaced_and_the_parts_are_kept(
    output: Path, folder: Path
) -> None:
    with PartStore.open(str(output), IDENTITY) as store:
        write_part(store)
        output.write_text("somebody's own\n")
        with pytest.raises(UserError, match=r"has appeared meanwhile; overwrite=true replaces it\n.*50 rows .* kept"):
            store.finish()
    assert output.read_text() == "somebody's own\n" and not (folder / "whole").exists()
    write(str(output), parts=1, overwrite=True)
    assert output.read_bytes() == lines_of(1)


def test_when_another_process_writes_the_same_output_then_the_second_is_refused_until_the_first_is_killed(
    output: Path, tmp_path: Path
) -> None:
    hold = f"import sys; from tests.prediction.test_parts import *; store = PartStore.open({str(output)!r}, IDENTITY)"
    root = Path(__file__).parents[2]
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{hold}; print('holds', flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
    )
    assert holder.stdout is not None and holder.stdout.readline() == "holds\n"
    (tmp_path / "link.jsonl").symlink_to(output)
    for name in (output, tmp_path / "link.jsonl"):
        said = refusal(name, overwrite=True)
        assert f"another prediction is writing '{name}' (process {holder.pid})" in said
    holder.kill()
    holder.communicate()
    write(str(output), parts=1)
    assert output.read_bytes() == lines_of(1)


def test_when_a_store_is_open_in_this_process_then_a_second_is_refused_until_it_is_closed(output: Path) -> None:
    with PartStore.open(str(output), IDENTITY) as store:
        write_part(store)
        assert f"(process {os.getpid()})" in refusal(output)
    with PartStore.open(str(output), IDENTITY) as store:
        assert store.parts_done == 1


def test_when_a_forked_worker_outlives_the_store_then_the_lock_is_free_all_the_same(output: Path) -> None:
    store = PartStore.open(str(output), IDENTITY)
    born, be_born = os.pipe()
    die, let_die = os.pipe()
    if not (worker := os.fork()):
        os.write(be_born, b"x")
        os.close(let_die)
        os.read(die, 1)
        os._exit(0)
    try:
        os.read(born, 1)
        store.close()
        PartStore.open(str(output), IDENTITY).close()
    finally:
        os.close(let_die)
        os.waitpid(worker, 0)
        for handle in (born, be_born, die):
            os.close(handle)


@pytest.mark.parametrize("made_anew", [False, True])
def test_when_the_folder_goes_while_it_is_being_locked_then_the_lock_is_taken_in_a_new_one(
    output: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, made_anew: bool
) -> None:
    flock = fcntl.flock

    def finished_by_another(handle: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        shutil.rmtree(folder)
        if made_anew:
            folder.mkdir()
            (folder / "lock").touch()
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", finished_by_another)
    with PartStore.open(str(output), IDENTITY) as store:
        write_part(store)
        assert "another prediction is writing" in refusal(output)


def test_when_the_file_system_has_no_locks_then_it_goes_without_and_says_so(
    output: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_locks(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    write(str(output), parts=1)
    assert output.read_bytes() == lines_of(1)
    assert "has no locks; start no second prediction into it" in capsys.readouterr().err


def test_when_a_folder_is_in_the_outputs_place_then_it_is_refused(output: Path, folder: Path) -> None:
    output.mkdir()
    for overwrite in (False, True):
        assert f"'{output}' is a folder; expected a file name" in refusal(output, overwrite=overwrite)
    assert not folder.exists()


def test_when_the_output_is_a_device_then_it_is_refused() -> None:
    assert "'/dev/null' is no regular file; expected one, or - for standard output" in refusal("/dev/null")


def test_when_a_file_is_what_an_output_is_made_of_then_its_place_holds_it(output: Path, folder: Path) -> None:
    begin(output, 1)
    local, remote = place.place_of(str(output)), place.place_of("memory://there/out.jsonl")
    parts = [path for path in folder.iterdir() if path.suffix == ".jsonl"]
    assert len(parts) > 1 and all(local.holds(str(path)) for path in (output, *parts, f"{output}.manifest.json"))
    assert not local.holds(f"{output}.gz") and not local.holds(str(folder.parent / "in.jsonl"))
    assert remote.holds("memory://there/out.jsonl") and not remote.holds("memory://there/in.jsonl")


def test_when_a_file_is_in_the_place_of_the_parts_then_it_is_refused(output: Path, folder: Path) -> None:
    folder.write_text("mine")
    assert f"'{folder}' is in the way" in refusal(output, overwrite=True)
    assert folder.read_text() == "mine"


def test_when_a_folder_of_somebody_elses_is_in_the_place_of_the_parts_then_it_is_not_touched(
    output: Path, folder: Path
) -> None:
    folder.mkdir()
    (folder / "part-1.txt").write_text("mine")
    for overwrite in (False, True):
        assert "it holds 'part-1.txt', so it is no folder of parts" in refusal(output, overwrite=overwrite)
    assert [path.name for path in folder.iterdir()] == ["part-1.txt"]


def test_when_somebody_puts_a_file_among_the_parts_then_it_is_left_and_that_is_said(
    output: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(output, 1)
    (folder / "notes.txt").write_text("mine")
    write(str(output), parts=1)
    assert output.read_bytes() == lines_of(1)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert f"note: '{folder}' is no longer needed and could not be removed" in capsys.readouterr().err


def test_when_a_kill_comes_while_the_parts_are_removed_then_the_folder_is_known_by_its_manifest_till_the_last(
    output: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(output, 3)
    (folder / "notes.txt").write_text("mine")
    unlink = Path.unlink
    removed: list[str] = []

    def killed(path: Path, missing_ok: bool = False) -> None:
        if path.parent == folder and len(removed) == 4:
            raise KeyboardInterrupt
        removed.append(path.name)
        unlink(path, missing_ok)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "unlink", killed)
        write(str(output), parts=3)
    assert len(removed) == 4 and (folder / "manifest.json").exists()
    write(str(output), parts=3)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_when_the_journal_is_gone_then_no_part_counts(output: Path, folder: Path) -> None:
    begin(output, 2)
    (folder / "journal.jsonl").unlink()
    with PartStore.open(str(output), IDENTITY) as store:
        assert store.parts_done == 0
        write_part(store)
    write(str(output), parts=2)
    assert output.read_bytes() == lines_of(2)


def test_when_the_parts_manifest_cannot_be_understood_then_only_overwrite_starts_anew(
    output: Path, folder: Path
) -> None:
    begin(output, 1)
    (folder / "manifest.json").write_text('{"format": 99}')
    assert "manifest.json' cannot be understood; nothing was touched; overwrite=true starts anew" in refusal(output)
    assert (folder / "part-00000.jsonl").exists()
    write(str(output), parts=1, overwrite=True)
    assert output.read_bytes() == lines_of(1)


@contextlib.contextmanager
def at_most(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes: writes then fail half done, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_when_there_is_no_room_for_a_part_then_what_was_written_is_kept_and_gone_on_from(
    output: Path, folder: Path
) -> None:
    with PartStore.open(str(output), IDENTITY) as store:
        write_part(store)
        write_part(store)
        with at_most(1000), pytest.raises(UserError) as error:
            write_part(store)
        # No half part takes up what room is left.
        assert not (folder / "part-00002.jsonl.new").exists()
        assert store.rows_done == store.counts.total() == 2 * ROWS
    assert str(error.value) == (
        f"output: '{output}' cannot be written: File too large\n"
        f"  the 100 rows written so far are kept in '{folder}'; the same command goes on from there"
    )
    write(str(output), parts=3)
    assert output.read_bytes() == lines_of(3)


def test_when_there_is_no_room_for_the_journals_line_then_the_half_line_is_neither_counted_nor_in_the_way(
    output: Path, folder: Path
) -> None:
    with PartStore.open(str(output), IDENTITY) as store:
        store.write(b"{}\n", 1, {"error": 1})
        whole = (folder / "journal.jsonl").read_bytes()
        with at_most(len(whole) + 20), pytest.raises(UserError, match="File too large"):
            store.write(b"{}\n", 1, {"error": 1})
        torn = (folder / "journal.jsonl").read_bytes()
        assert len(torn) == len(whole) + 20
        store.write(b"[]\n", 1, {"ok": 1})
    (folder / "copy.jsonl").write_bytes(torn)
    with PartStore.open(str(output), IDENTITY) as store:
        assert store.parts_done == 2 and store.counts == {"error": 1, "ok": 1}
    shutil.move(folder / "copy.jsonl", folder / "journal.jsonl")
    with PartStore.open(str(output), IDENTITY) as store:
        assert store.parts_done == 1


def test_when_there_is_no_room_for_the_whole_then_all_parts_are_kept_and_the_room_is_given_back(
    output: Path, folder: Path
) -> None:
    with PartStore.open(str(output), IDENTITY) as store:
        for _ in range(3):
            write_part(store)
        with at_most(2 * len(lines_of(1))), pytest.raises(UserError) as error:
            store.finish()
        assert not (folder / "whole").exists() and not output.exists()
    assert str(error.value).endswith(
        f"File too large\n  the 150 rows written so far are kept in '{folder}'; the same command goes on from there"
    )
    assert "nothing was kept" not in str(error.value)
    write(str(output), parts=3)
    assert output.read_bytes() == lines_of(3)


def test_when_the_manifest_cannot_take_its_place_then_the_same_command_goes_on_once_it_can(
    output: Path, tmp_path: Path
) -> None:
    (tmp_path / "out.jsonl.manifest.json").mkdir()
    with PartStore.open(str(output), IDENTITY) as store:
        write_part(store)
        with pytest.raises(UserError, match=r"Is a directory"):
            store.finish()
    assert output.read_bytes() == lines_of(1)
    (tmp_path / "out.jsonl.manifest.json").rmdir()
    with PartStore.open(str(output), IDENTITY) as store:
        assert store.finished is not None and store.finished.rows == ROWS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "out.jsonl.manifest.json"]


def test_when_the_folder_is_deleted_meanwhile_then_the_error_does_not_say_that_anything_is_kept(
    output: Path, folder: Path
) -> None:
    with PartStore.open(str(output), IDENTITY) as store:
        write_part(store)
        shutil.rmtree(folder)
        for action in (lambda: write_part(store), store.finish):
            with pytest.raises(UserError) as error:
                action()
            assert f"the 50 rows written so far were in '{folder}', which was removed" in str(error.value)
    write(str(output), parts=2)
    assert output.read_bytes() == lines_of(2)


@contextlib.contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Be somebody whom permissions stop, where the tests run as root."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_when_the_folder_is_not_writable_then_the_error_says_so_but_a_finished_output_is_still_recognised() -> None:
    # pytest's own folders are closed to an ordinary user.
    with tempfile.TemporaryDirectory() as name:
        place = Path(name).resolve()
        write(str(place / "done.jsonl"), parts=1)
        place.chmod(0o555)
        try:
            with as_ordinary_user():
                said = refusal(place / "out.jsonl")
                with PartStore.open(str(place / "done.jsonl"), IDENTITY) as store:
                    assert store.finished is not None
        finally:
            place.chmod(0o755)
        assert said == (f"output: '{place}/out.jsonl' cannot be written: Permission denied ('{place}/out.jsonl.parts')")


def test_when_the_parts_are_not_writable_any_more_then_the_error_says_what_is_kept() -> None:
    with tempfile.TemporaryDirectory() as name:
        output, folder = Path(name).resolve() / "out.jsonl", Path(name).resolve() / "out.jsonl.parts"
        Path(name).chmod(0o755)
        with PartStore.open(str(output), IDENTITY) as store:
            write_part(store)
            folder.chmod(0o555)
            try:
                with as_ordinary_user(), pytest.raises(UserError, match=r"Permission denied.*\n.*50 rows .* are kept"):
                    write_part(store)
            finally:
                folder.chmod(0o755)
            write_part(store)
            store.finish()
        assert output.read_bytes() == lines_of(2)


def test_when_the_path_leads_through_a_file_then_the_error_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "cannot be written: Not a directory" in refusal(tmp_path / "file" / "out.jsonl")


def test_when_the_name_is_too_long_then_the_error_says_so(tmp_path: Path) -> None:
    assert "cannot be written: File name too long" in refusal(tmp_path / f"{'x' * 245}.jsonl")


def test_when_the_output_is_a_link_then_the_file_that_it_leads_to_is_written(output: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    output.symlink_to(tmp_path / "elsewhere" / "real.jsonl")
    write(str(output), parts=2)
    assert output.is_symlink() and (tmp_path / "elsewhere" / "real.jsonl").read_bytes() == lines_of(2)


def test_when_the_outputs_folder_is_not_there_then_it_is_made(tmp_path: Path) -> None:
    write(str(tmp_path / "new" / "folder" / "out.jsonl"), parts=1)
    assert (tmp_path / "new" / "folder" / "out.jsonl").read_bytes() == lines_of(1)


def test_when_the_output_has_the_name_of_a_part_then_the_parts_are_not_mixed_up_with_it(tmp_path: Path) -> None:
    write(str(tmp_path / "part-00000.jsonl"), parts=2)
    assert (tmp_path / "part-00000.jsonl").read_bytes() == lines_of(2)


def test_when_the_output_is_parquet_then_its_rows_are_those_of_the_parts(tmp_path: Path) -> None:
    write(str(tmp_path / "out.parquet"), parts=3)
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == [row for part in range(3) for row in rows_of(part)]


def test_when_a_file_url_is_given_then_the_parts_lie_beside_the_file(tmp_path: Path) -> None:
    begin(f"file://{tmp_path}/out.jsonl", 1)
    assert (tmp_path / "out.jsonl.parts" / "part-00000.jsonl").is_file()


URL = "memory://bucket/out.jsonl"


def test_when_the_output_is_far_away_then_its_parts_are_here_until_it_is_whole(
    memory: MemoryFileSystem, tmp_path: Path
) -> None:
    begin(URL, 2)
    assert list(memory.store) == []
    (folder,) = (tmp_path / "home" / "predictions").iterdir()
    assert (folder / "part-00001.jsonl").is_file()
    write(URL, parts=3)
    assert memory.cat_file("/bucket/out.jsonl") == lines_of(3)
    assert sorted(memory.store) == ["/bucket/out.jsonl", "/bucket/out.jsonl.manifest.json"]
    assert not folder.exists()


def test_when_an_output_far_away_is_there_then_the_same_rules_hold(memory: MemoryFileSystem) -> None:
    write(URL, parts=2)
    with PartStore.open(URL, IDENTITY) as store:
        assert store.finished is not None and store.finished.rows == 2 * ROWS
    assert 'engine.name: was "torch", is now "onnx"' in refusal(URL, OTHER)
    memory.pipe_file("/bucket/out.jsonl", b"edited")
    assert "was changed after this command had written it" in refusal(URL)
    memory.rm_file("/bucket/out.jsonl.manifest.json")
    assert "was not written by this command" in refusal(URL)
    assert "is a folder; expected a file name" in refusal("memory://bucket")
    write(URL, parts=2, overwrite=True)
    assert memory.cat_file("/bucket/out.jsonl") == lines_of(2)


def test_when_something_appears_far_away_meanwhile_then_it_is_seen_though_listings_are_remembered(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent: set[str] = set()
    info = MemoryFileSystem.info

    def remembered(files: MemoryFileSystem, path: str, **options: Any) -> Any:
        if path not in absent:
            absent.add(path)
            found = info(files, path, **options)
            absent.discard(path)
            return found
        raise FileNotFoundError(path)

    monkeypatch.setattr(MemoryFileSystem, "info", remembered)
    monkeypatch.setattr(MemoryFileSystem, "invalidate_cache", lambda files, path=None: absent.clear())
    with PartStore.open(URL, IDENTITY) as store:
        write_part(store)
        memory.pipe_file("/bucket/out.jsonl", b"somebody's own")
        with pytest.raises(UserError, match="has appeared meanwhile"):
            store.finish()
    assert memory.cat_file("/bucket/out.jsonl") == b"somebody's own"


@pytest.mark.parametrize("uploaded", [b"half", None])
def test_when_an_upload_breaks_off_then_the_same_command_puts_the_whole_in_its_place(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch, uploaded: bytes | None
) -> None:
    begin(URL, 2)

    def broken_off(remote: place.RemotePlace, whole: Path) -> None:
        memory.pipe_file("/bucket/out.jsonl", whole.read_bytes() if uploaded is None else uploaded)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(place.RemotePlace, "put", broken_off)
        with PartStore.open(URL, IDENTITY) as store, pytest.raises(KeyboardInterrupt):
            store.finish()
    write(URL, parts=2)
    assert memory.cat_file("/bucket/out.jsonl") == lines_of(2)
    record = Finished.model_validate_json(memory.cat_file("/bucket/out.jsonl.manifest.json"))
    assert record.rows == 2 * ROWS


def test_when_the_place_cannot_be_reached_then_the_parts_are_kept_and_the_same_command_goes_on(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoCredentialsError(Exception):
        pass

    def refuse(*_: object, **__: object) -> None:
        raise NoCredentialsError("Unable to locate credentials")

    begin(URL, 2)
    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "put_file", refuse)
        with PartStore.open(URL, IDENTITY) as store, pytest.raises(UserError) as error:
            store.finish()
    assert f"'{URL}' cannot be written: Unable to locate credentials\n  the 100 rows" in str(error.value)
    write(URL, parts=2)
    assert memory.cat_file("/bucket/out.jsonl") == lines_of(2)


def test_when_the_protocol_is_unknown_then_the_error_names_it() -> None:
    assert "memroy" in refusal("memroy://bucket/out.jsonl")


def test_when_no_part_was_written_then_the_folder_goes_with_the_store(output: Path, folder: Path) -> None:
    with pytest.raises(UserError), PartStore.open(str(output), IDENTITY):
        assert folder.is_dir()
        raise UserError("the input is no good")
    assert not folder.exists()
    begin(output, 1)
    before = contents(folder)
    with PartStore.open(str(output), IDENTITY):
        pass
    assert contents(folder) == before
    (folder / "manifest.json").write_text("garbled")
    refusal(output)
    assert folder.is_dir() and (folder / "part-00000.jsonl").exists()
