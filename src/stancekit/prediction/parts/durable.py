"""Files that are whole or not there, even after a kill or a power cut, in a folder that one process writes to."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path

LOCK = "lock"
NEW = ".new"
"""What a file's name ends with until the file is whole."""

_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP)


class Busy(Exception):
    """Another process, or another part of this one, holds the lock; ``str()`` is its process id, if known."""


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all; ``sync_folder`` makes its name last.

    Raises:
        OSError: it cannot be written; what was there before is there still.
    """
    new = path.with_name(path.name + NEW)
    try:
        with new.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(path)
    except OSError:
        # On a full disk, half a file only makes it worse.
        with contextlib.suppress(OSError):
            new.unlink()
        raise


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk: a file's own fsync does not."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)


class FolderLock:
    """The right to write to a folder, which ends with the process, however that ends.

    Attributes:
        keeps_out: whether others are kept out; False on a file system that has no locks, as some of clusters.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder if it is not there, and lock it.

        Raises:
            Busy: somebody else has locked it.
            OSError: the folder cannot be made or written to.
        """
        self.keeps_out = True
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / LOCK
            try:
                self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except FileNotFoundError:
                if folder.is_dir():
                    raise
                continue  # removed by a process that finished between our two lines
            if self._locked(path):
                break
            os.close(self._handle)
        _held.add(self._handle)

    def _locked(self, path: Path) -> bool:
        """Lock the open file; False where its holder has removed it meanwhile, so that it locks nobody out."""
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._handle, 32, 0).decode("ascii", "replace").strip()
            os.close(self._handle)
            raise Busy(holder) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(self._handle)
                raise
            self.keeps_out = False
        try:
            same = os.path.samestat(os.fstat(self._handle), path.stat())
        except FileNotFoundError:
            return False
        if same:
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)
        return same

    def release(self) -> None:
        """Let others write; a second call does nothing."""
        if self._handle in _held:
            _held.remove(self._handle)
            os.close(self._handle)
            self._handle = -1


_held: set[int] = set()


def _forget() -> None:
    """Close the locks of the parent: a forked worker that outlives it would hold them on."""
    for handle in _held:
        os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_forget)
