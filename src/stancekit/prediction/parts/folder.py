"""The folder of an unfinished output: its parts, the journal that lists them, and whose they are.

``manifest.json`` says what the output follows from. Part *n* is ``part-0000n.jsonl`` and, where the engine scored
something new for it, ``scores-0000n.npz``. A part counts once a whole line of ``journal.jsonl`` lists it, which is
written after its files are on the disk; the files of any other part are nobody's, and are written over.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue, ValidationError

from stancekit.prediction.parts.durable import LOCK, NEW, sync_folder, write_whole
from stancekit.prediction.parts.records import Part, Stamp, Unfinished, from_lines, to_line

if TYPE_CHECKING:
    import numpy as np

_WHOLE = "whole"
_OWN = re.compile(
    rf"((manifest\.json|journal\.jsonl|part-\d+\.jsonl|scores-\d+\.npz)({re.escape(NEW)})?|{LOCK}|{_WHOLE})"
)


class PartsFolder:
    """Everything in one such folder; all but looking needs its lock. Every method may raise OSError.

    Attributes:
        path: the folder, which need not be there.
        manifest: the file that says whose parts these are.
        parts: those that count, in order, of a folder that was begun or taken up.
    """

    def __init__(self, path: Path) -> None:
        """Look at nothing yet."""
        self.path = path
        self.manifest = path / "manifest.json"
        self.parts: list[Part] = []
        self._journal = path / "journal.jsonl"
        self._journal_size = 0

    def whose(self) -> dict[str, JsonValue] | None:
        """Return the identity whose parts these are; None where the manifest is missing or cannot be understood."""
        try:
            return Unfinished.model_validate_json(self.manifest.read_bytes()).identity
        except (FileNotFoundError, ValidationError):
            return None

    def strangers(self) -> list[str]:
        """Return the names in the folder that are not ours."""
        return sorted(name for name in os.listdir(self.path) if not _OWN.fullmatch(name))

    def begin(self, identity: Mapping[str, JsonValue]) -> None:
        """Remove what is there, and make the folder that of an identity."""
        self.clear()
        write_whole(self._journal, b"")
        # Last: a folder with a manifest has a journal.
        write_whole(self.manifest, Unfinished(identity=dict(identity)).model_dump_json(indent=2).encode())
        sync_folder(self.path)
        sync_folder(self.path.parent)

    def take_up(self) -> str | None:
        """Take over the parts that are as they were written, up to the first that is not; say what is wrong with it."""
        if not self._journal.is_file():
            write_whole(self._journal, b"")
            sync_folder(self.path)
        fault = None
        journal = self._journal.read_bytes()
        for part in from_lines(journal):
            if fault := part.fault(self.path):
                break
            self.parts.append(part)
        # What comes after these lines goes when the next one is written.
        self._journal_size = sum(map(len, journal.splitlines(keepends=True)[: len(self.parts)]))
        return fault

    def add(self, rows: bytes, count: int, counts: Mapping[str, int], scores: Mapping[str, np.ndarray] | None) -> Part:
        """Write the next part and return its line; when this returns, no kill and no power cut can lose it."""
        packed = _packed(scores) if scores else None
        part = Part(
            part=len(self.parts),
            rows=count,
            counts=dict(counts),
            file=Stamp.of_bytes(rows),
            scores=None if packed is None else Stamp.of_bytes(packed),
        )
        write_whole(self.path / part.file_name, rows)
        if packed is not None:
            write_whole(self.path / part.scores_name, packed)
        sync_folder(self.path)
        self._append(to_line(part))
        self.parts.append(part)
        return part

    def _append(self, line: bytes) -> None:
        with self._journal.open("r+b") as journal:
            # What a kill or a full disk left of a line, and the lines of parts that no longer count.
            journal.truncate(self._journal_size)
            journal.seek(self._journal_size)
            journal.write(line)
            journal.flush()
            os.fsync(journal.fileno())
        self._journal_size += len(line)

    def files(self) -> Sequence[Path]:
        """Return the files of rows of all parts, in order."""
        return [self.path / part.file_name for part in self.parts]

    def scores(self, part: Part) -> dict[str, np.ndarray]:
        """Return the scores of a part that has some."""
        import numpy as np

        with np.load(self.path / part.scores_name, allow_pickle=False) as arrays:
            return dict(arrays)

    def staged(self, name: str) -> Path:
        """Return where a whole output of that name lies before it takes its place: in a folder of its own."""
        return self.path / _WHOLE / name

    def unstage(self) -> None:
        """Remove what was put together; its room may be what is needed to go on."""
        shutil.rmtree(self.path / _WHOLE, ignore_errors=True)

    def is_lost(self) -> bool:
        """Return whether somebody has removed the folder, or the journal in it."""
        return not self._journal.is_file()

    def clear(self) -> None:
        """Remove what is ours but for the lock; the manifest, by which the folder is known, goes last."""
        own = [name for name in os.listdir(self.path) if _OWN.fullmatch(name) and name != LOCK]
        for name in sorted(own, key=lambda name: (name == self.manifest.name, name)):
            if name == _WHOLE:
                shutil.rmtree(self.path / name)
            else:
                (self.path / name).unlink()

    def remove(self) -> None:
        """Remove the folder, if nothing but ours is in it."""
        self.clear()
        with contextlib.suppress(FileNotFoundError):
            (self.path / LOCK).unlink()
        self.path.rmdir()


def _packed(scores: Mapping[str, np.ndarray]) -> bytes:
    import numpy as np

    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **scores)
    return packed.getvalue()
