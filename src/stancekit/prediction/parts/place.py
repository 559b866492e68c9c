"""Where a prediction's output ends up: a path, or a URL that fsspec knows; and where its parts lie until then."""

from __future__ import annotations

import hashlib
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from stancekit.errors import UserError
from stancekit.files.remote import check_writable, local_path, told
from stancekit.paths import home
from stancekit.prediction.parts.durable import sync_folder
from stancekit.prediction.parts.records import Finished, Stamp

RECORD = ".manifest.json"
"""What the name of a finished output's manifest ends with, after the output's own."""
_PARTS = ".parts"


class Place(Protocol):
    """The place of one output. Every method raises OSError or UserError where it cannot be reached, read or written."""

    output: str
    """As the user named it."""
    parts: Path
    """The folder of the unfinished output."""
    name: str
    """The file name of the output, from which its format follows."""
    atomic: bool
    """Whether ``put`` leaves the old output or the whole new one, whatever happens."""

    def exists(self) -> bool:
        """Return whether an output is there.

        Raises:
            UserError: what is there is not a file.
        """

    def holds(self, name: str) -> bool:
        """Return whether a file, by its path or URL, is the output, its manifest or one of its parts."""

    def stamp(self) -> Stamp | None:
        """Return the stamp of the output, or None where there is none."""

    def record(self) -> Finished | None:
        """Return the manifest beside the output, or None where there is none that can be read."""

    def put(self, whole: Path) -> None:
        """Put a whole file in place, and then its manifest, which lies beside it under the name with ``RECORD``."""

    def put_record(self, record: Path) -> None:
        """Put a manifest in place."""


def place_of(output: str) -> Place:
    """Return the place that ``output=`` names.

    Raises:
        UserError: no file system of that protocol is known or installed.
    """
    path = local_path(output)
    return RemotePlace(output) if path is None else LocalPlace(output, path)


class LocalPlace:
    """A path. A link is followed, so that two names of one output share its parts, and its lock."""

    atomic = True

    def __init__(self, output: str, path: Path) -> None:
        """Take the name as the user gave it, and the path."""
        self.output = output
        self._path = Path(os.path.realpath(os.path.expanduser(path)))
        self.name = self._path.name
        self.parts = self._path.with_name(self.name + _PARTS)
        self._record = self._path.with_name(self.name + RECORD)

    def exists(self) -> bool:
        """Return whether an output is there."""
        try:
            self._path.stat()
        except FileNotFoundError:
            return False
        if self._path.is_dir():
            raise UserError(f"output: '{self.output}' is a folder; expected a file name")
        if not self._path.is_file():
            raise UserError(f"output: '{self.output}' is no regular file; expected one, or - for standard output")
        return True

    def holds(self, name: str) -> bool:
        """Return whether a file, by its path, is the output, its manifest or one of its parts."""
        path = Path(os.path.realpath(name))
        return path in (self._path, self._record) or self.parts in path.parents

    def stamp(self) -> Stamp | None:
        """Return the stamp of the output, or None."""
        return Stamp.of(self._path) if self._path.is_file() else None

    def record(self) -> Finished | None:
        """Return the manifest beside the output, or None."""
        return _read(self._record.read_bytes()) if self._record.is_file() else None

    def put(self, whole: Path) -> None:
        """Rename a whole file of the same file system into place, and then its manifest."""
        whole.replace(self._path)
        # The manifest must never be on the disk before what it speaks of.
        sync_folder(self._path.parent)
        self.put_record(whole.with_name(whole.name + RECORD))

    def put_record(self, record: Path) -> None:
        """Rename a manifest into place."""
        record.replace(self._record)
        sync_folder(self._path.parent)


class RemotePlace:
    """A URL. Its parts lie in the project's home, so that only processes of this machine see each other."""

    atomic = False

    def __init__(self, url: str) -> None:
        """Find the file system of the URL; nothing is asked of it yet."""
        from fsspec.core import url_to_fs

        check_writable(url, "output")
        self.output = url
        self._files, self._path = url_to_fs(url)
        self.name = self._path.rstrip("/").rpartition("/")[2]
        self.parts = home() / "predictions" / hashlib.sha256(url.encode()).hexdigest()[:16]

    def exists(self) -> bool:
        """Return whether an output is there."""
        with self._told():
            self._files.invalidate_cache()
            try:
                kind = self._files.info(self._path)["type"]
            except FileNotFoundError:
                return False
        if kind == "directory":
            raise UserError(f"output: '{self.output}' is a folder; expected a file name")
        return True

    def holds(self, name: str) -> bool:
        """Return whether a file, by its URL, is the output or its manifest; the parts lie elsewhere."""
        return name in (self.output, self.output + RECORD)

    def stamp(self) -> Stamp | None:
        """Return the stamp of the output, which is read for it, or None."""
        if not self.exists():
            return None
        with self._told(), self._files.open(self._path, "rb") as stream:
            return Stamp.of_stream(stream)

    def record(self) -> Finished | None:
        """Return the manifest beside the output, or None."""
        with self._told():
            try:
                return _read(self._files.cat_file(self._path + RECORD))
            except FileNotFoundError:
                return None

    def put(self, whole: Path) -> None:
        """Upload a whole file, and then its manifest."""
        with self._told():
            self._files.put_file(str(whole), self._path)
        self.put_record(whole.with_name(whole.name + RECORD))

    def put_record(self, record: Path) -> None:
        """Upload a manifest."""
        with self._told():
            self._files.pipe_file(self._path + RECORD, record.read_bytes())

    def _told(self) -> AbstractContextManager[None]:
        return told(self.output, "output", "cannot be written")


def _read(text: bytes) -> Finished | None:
    try:
        return Finished.model_validate_json(text)
    except ValidationError:
        return None
