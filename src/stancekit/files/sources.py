"""Where rows come from: a file, the files that a glob matches, an address far away, or standard input."""

from __future__ import annotations

import glob
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from stancekit.errors import UserError, nearest
from stancekit.files.formats import INPUT_SUFFIXES, STANDARD_STREAM, RowFormat, row_format
from stancekit.files.hashing import sha256_of
from stancekit.files.remote import (
    find_remote,
    has_wildcard,
    is_url,
    local_path,
    open_remote,
    reason_of,
    remote_stamp,
    told,
)
from stancekit.paths import find_file, shipped_root, siblings

_WHAT = "input"


@dataclass(frozen=True, slots=True)
class Source:
    """One file of rows, or standard input.

    Attributes:
        name: what messages call it: a path, a URL or ``-``.
        path: where it lies, if on this machine.
    """

    name: str
    path: Path | None = None

    @property
    def format(self) -> RowFormat:
        """Its format and compression; standard input is JSONL.

        Raises:
            UserError: its name says none.
        """
        if self.name == STANDARD_STREAM:
            return RowFormat(".jsonl")
        name = self.name.partition("?")[0] if self.name.lower().startswith("http") else self.name
        return row_format(name, _WHAT, INPUT_SUFFIXES)

    def size(self) -> int | None:
        """Return its size in bytes as it is stored; None where that is not known.

        Raises:
            UserError: it is not there any more.
        """
        size = self._state().get("size")
        return None if size is None else int(size)

    def fingerprint(self) -> dict[str, str | int]:
        """Return what tells whether its contents are still the same: nothing for standard input, which passes once.

        A file on this machine has ``name``, ``size`` and ``sha256``; one far away ``name``, ``mark`` (its ETag or
        what else its file system has) and, where known, ``size``.

        Raises:
            UserError: it cannot be read.
        """
        if self.name == STANDARD_STREAM:
            return {}
        if self.path is None:
            return {"name": self.name, **self._state()}
        with self._told():
            return {"name": self.path.name, "size": self.path.stat().st_size, "sha256": sha256_of(self.path)}

    def open(self) -> BinaryIO:
        """Return its bytes as they are stored, as a stream; trouble on the way is a UserError that names it.

        Raises:
            UserError: it cannot be opened.
        """
        if self.name == STANDARD_STREAM:
            return _standard_input()
        with self._told():
            stream = self.path.open("rb", buffering=0) if self.path else open_remote(self.name, _WHAT)
        return io.BufferedReader(_Told(stream, self), 64 * 1024)

    def watch(self) -> Callable[[], None]:
        """Return a function that raises a UserError once the source has gone, shrunk or been changed.

        Raises:
            UserError: it is not there, or cannot be asked for.
        """
        before = self._state()
        return lambda: self._compare(before)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Read within the block; at its end, the source must be the one that it was.

        Raises:
            UserError: it has gone, shrunk or been changed meanwhile.
        """
        refuse_change = self.watch()
        try:
            yield
        except UserError:
            # Rather the cause than what it looks like from within.
            refuse_change()
            raise
        refuse_change()

    def _state(self) -> dict[str, str | int]:
        if self.name == STANDARD_STREAM:
            return {}
        if self.path is None:
            return remote_stamp(self.name, _WHAT)
        with self._told():
            found = self.path.stat()
        return {"size": found.st_size, "modified": found.st_mtime_ns}

    def _compare(self, before: dict[str, str | int]) -> None:
        if (now := self._state()) == before:
            return
        was, size = int(before.get("size", 0)), int(now.get("size", 0))
        how = f"shrank from {was:,} to {size:,} bytes" if size < was else "was changed"
        raise UserError(f"input: '{self.name}' {how} while it was read; expected a file that stays as it is")

    @contextmanager
    def _told(self) -> Iterator[None]:
        if self.path is None:
            with told(self.name, _WHAT, "cannot be read"):
                yield
            return
        try:
            yield
        except FileNotFoundError as error:
            raise UserError(f"input: '{self.name}' is not there any more") from error
        except OSError as error:
            raise UserError(f"input: '{self.name}' cannot be read: {reason_of(error)}") from error


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise UserError("input=-: standard input is closed; expected rows of JSONL on it")
    try:
        handle = sys.stdin.fileno()
    except OSError:
        # One that stands for it, in memory.
        return sys.stdin.buffer
    # Not sys.stdin's own buffer: a thread that waits in it when the interpreter ends makes that abort.
    return io.BufferedReader(io.FileIO(handle, closefd=False))


class _Told(io.RawIOBase):
    """A stream whose troubles come out as the source's."""

    def __init__(self, stream: Any, source: Source) -> None:
        self._stream = stream
        self._source = source

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._stream.seekable())

    def readinto(self, buffer: Any) -> int:
        with self._source._told():
            return int(self._stream.readinto(buffer))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with self._source._told():
            return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self._stream.tell())

    def close(self) -> None:
        self._stream.close()
        super().close()


def find_sources(name: str) -> list[Source]:
    """Return the sources that a name stands for, sorted by name: their rows are read one after the other.

    Args:
        name: a path, a glob (``data/*.jsonl``, with ``**`` for folders below), a URL or a glob of one, or ``-``.
            Relative paths count from the working folder, then from what ships.

    Raises:
        UserError: nothing is there, it is a folder, no format of rows, or a protocol that is not installed.
    """
    if name == STANDARD_STREAM:
        return [Source(name)]
    path = local_path(name)
    if path is None:
        found = [Source(url) for url in find_remote(name, _WHAT)]
    else:
        found = [Source(str(each), each) for each in _find_local(str(path) if is_url(name) else name)]
    for source in found:
        _ = source.format
    return found


def _find_local(name: str) -> list[Path]:
    given = Path(name).expanduser()
    if not has_wildcard(name) or given.exists():
        path = find_file(name, _WHAT)
        if path.is_dir():
            raise UserError(f"input: '{name}' is a folder; expected a file of rows or a glob, as '{path}/*.jsonl'")
        return [path]
    roots = [given] if given.is_absolute() else [given, shipped_root() / given]
    for pattern in roots:
        if matched := sorted(each for each in glob.glob(str(pattern), recursive=True) if Path(each).is_file()):
            return [Path(each) for each in matched]
    raise UserError(f"input: no file matches '{name}'{_near_pattern(given)}")


def _near_pattern(pattern: Path) -> str:
    """Return what may have been meant: a folder that is spelt wrong, or a file that is nearly matched."""
    folder = next(parent for parent in pattern.parents if not has_wildcard(str(parent)))
    if not folder.is_dir():
        return f"; there is no folder '{folder}'{nearest(folder.name, siblings(folder))}"
    return nearest(pattern.name, [other.name for other in folder.iterdir() if other.is_file()])
