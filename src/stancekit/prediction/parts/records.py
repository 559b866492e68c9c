"""What is noted of a prediction beside its output: of every part, of the unfinished whole, of the finished one."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

from pydantic import Field, JsonValue, ValidationError

from stancekit.config.base import Schema, Sha256

FORMAT: Literal[1] = 1

_BLOCK = 1 << 20
_VERSIONS = ("stancekit", "numpy", "pyarrow")

Count = Annotated[int, Field(ge=0)]


class Stamp(Schema):
    """By which a file is known again: its size in bytes and its hash."""

    size: Count
    sha256: Sha256

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """Return the stamp of a file."""
        with path.open("rb") as stream:
            return cls.of_stream(stream)

    @classmethod
    def of_stream(cls, stream: BinaryIO) -> Stamp:
        """Return the stamp of what can be read of a stream from where it stands."""
        digest, size = hashlib.sha256(), 0
        while block := stream.read(_BLOCK):
            digest.update(block)
            size += len(block)
        return cls(size=size, sha256=digest.hexdigest())

    @classmethod
    def of_bytes(cls, data: bytes) -> Stamp:
        """Return the stamp of a file with these bytes."""
        return cls(size=len(data), sha256=hashlib.sha256(data).hexdigest())


class Part(Schema):
    """One line of the journal: a part that is on the disk. ``scores`` is None where the engine scored nothing new."""

    part: Count
    rows: Count
    counts: dict[str, Count]
    file: Stamp
    scores: Stamp | None

    @property
    def file_name(self) -> str:
        """The name of its rows' file."""
        return f"part-{self.part:05d}.jsonl"

    @property
    def scores_name(self) -> str:
        """The name of its scores' file."""
        return f"scores-{self.part:05d}.npz"

    def fault(self, folder: Path) -> str | None:
        """Return what is wrong with the files of this part, or None.

        Raises:
            OSError: a file is there and cannot be read.
        """
        files = [(self.file_name, self.file)] + ([(self.scores_name, self.scores)] if self.scores else [])
        for name, stamp in files:
            if not (folder / name).is_file():
                return f"'{name}' is missing"
            if Stamp.of(folder / name) != stamp:
                return f"'{name}' is not as it was written"
        return None


class Unfinished(Schema):
    """``manifest.json`` in the folder of parts: whose parts these are."""

    format: Literal[1] = FORMAT
    identity: dict[str, JsonValue]


class Finished(Schema):
    """The manifest beside a finished output.

    Attributes:
        identity: what the output follows from.
        rows: how many it has.
        counts: how many of each outcome.
        output: the size and hash of the output file.
        versions: of Python and the packages that wrote it.
        finished: when, as ISO 8601 in UTC.
    """

    format: Literal[1] = FORMAT
    identity: dict[str, JsonValue]
    rows: Count
    counts: dict[str, Count]
    output: Stamp
    versions: dict[str, str]
    finished: str

    @classmethod
    def now(cls, identity: Mapping[str, JsonValue], rows: int, counts: Mapping[str, int], output: Path) -> Finished:
        """Return the manifest of an output that has just become whole in a file."""
        return cls(
            identity=dict(identity),
            rows=rows,
            counts=dict(counts),
            output=Stamp.of(output),
            versions={"python": platform.python_version(), **{name: version(name) for name in _VERSIONS}},
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def to_line(part: Part) -> bytes:
    """Return the line of a journal that lists a part."""
    return part.model_dump_json().encode() + b"\n"


def from_lines(journal: bytes) -> Sequence[Part]:
    """Return the parts that a journal lists, as far as it is whole: a line that was torn off ends it."""
    parts: list[Part] = []
    for line in journal.splitlines(keepends=True):
        try:
            part = Part.model_validate_json(line)
        except ValidationError:
            break
        if not line.endswith(b"\n") or part.part != len(parts):
            break
        parts.append(part)
    return parts
