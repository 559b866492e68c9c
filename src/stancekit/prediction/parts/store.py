"""An output in the making, part by part: killed at any instant, the same command goes on from there.

The parts lie in ``OUT.parts`` beside ``OUT``. The whole output is put together in there, takes its name in one step,
and gets its manifest, ``OUT.manifest.json``; then the parts go.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pydantic import JsonValue, ValidationError

from stancekit.errors import UserError
from stancekit.files import assemble
from stancekit.prediction.parts.durable import Busy, FolderLock, sync_folder, write_whole
from stancekit.prediction.parts.existing import finished_output, has_parts_of, refuse_strangers
from stancekit.prediction.parts.folder import PartsFolder
from stancekit.prediction.parts.place import RECORD, Place, place_of
from stancekit.prediction.parts.records import Finished

if TYPE_CHECKING:
    import numpy as np


class PartStore:
    """One output, which nobody else writes to meanwhile; use it as a context manager, and write from one thread.

    Attributes:
        output: the output, as it was named.
        finished: what the output holds once it is whole; not None where it was so from the start.
        counts: how many rows of each outcome are done.
    """

    def __init__(self, place: Place, identity: dict[str, JsonValue], overwrite: bool) -> None:
        """Make a store that looks at nothing yet: ``PartStore.open`` is what you want."""
        self.output = place.output
        self.finished: Finished | None = None
        self.counts: Counter[str] = Counter()
        self._place = place
        self._identity = identity
        self._overwrite = overwrite
        self._folder = PartsFolder(place.parts)
        self._lock: FolderLock | None = None

    @classmethod
    def open(cls, output: str, identity: Mapping[str, JsonValue], overwrite: bool = False) -> Self:
        """Return the store of an output: begun anew, with some parts done, or ``finished``; standard error says which.

        Args:
            output: a path, or a URL that fsspec knows.
            identity: all that the output follows from, as ``identity_of`` gives it.
            overwrite: whether an output, or parts, that follow from something else are replaced. The old output stays
                until the new one is whole. What follows from the same is not made twice, whatever this says.

        Raises:
            UserError: something else is there and is not to be replaced, somebody else is writing this output, or its
                place cannot be read or written. Nothing was touched.
        """
        store = cls(place_of(output), json.loads(json.dumps(identity)), overwrite)
        try:
            with store._explained():
                store._open()
        except BaseException:
            store.close()
            raise
        return store

    def _open(self) -> None:
        folder = self._folder
        refuse_strangers(folder)
        # Before a folder is made: what is refused, or done already, leaves no trace.
        if not folder.path.is_dir() and self._is_finished():
            return
        self._lock = self._locked()
        self._complete_put()
        if self._is_finished():
            self._tidy()
        elif has_parts_of(folder, self._identity, self._overwrite):
            if fault := folder.take_up():
                _say(f"'{folder.path}': {fault}; all from part {self.parts_done + 1} on is made anew")
            for part in folder.parts:
                self.counts.update(part.counts)
            if self.parts_done:
                _say(f"'{self.output}': going on after part {self.parts_done:,}, {self.rows_done:,} rows")
        else:
            folder.begin(self._identity)

    def _locked(self) -> FolderLock:
        try:
            lock = FolderLock(self._folder.path)
        except Busy as holder:
            process = f" (process {holder})" if str(holder) else ""
            raise UserError(
                f"output: another prediction is writing '{self.output}'{process}; let it end, or name another output"
            ) from holder
        if not lock.keeps_out:
            _say(f"note: the file system of '{self._folder.path}' has no locks; start no second prediction into it")
        return lock

    def _is_finished(self) -> bool:
        self.finished = finished_output(self._place, self._identity, self._overwrite)
        if self.finished is None:
            return False
        self.counts = Counter(self.finished.counts)
        _say(f"'{self.output}' is there already, of the same model, settings and input: nothing to do")
        return True

    def _complete_put(self) -> None:
        """Go on where a process was killed between the output and its manifest."""
        staged = self._folder.staged(self._place.name + RECORD)
        try:
            record = Finished.model_validate_json(staged.read_bytes())
        except (FileNotFoundError, ValidationError):
            return
        if record.identity == self._identity:
            if self._place.stamp() == record.output:
                self._place.put_record(staged)
            elif not self._place.atomic:
                # What is there may be the first half of ours.
                self._overwrite = True

    @property
    def parts_done(self) -> int:
        """How many parts are there to go on from; none for an output that is finished."""
        return len(self._folder.parts)

    @property
    def rows_done(self) -> int:
        """How many rows are done, and so how many of the input to skip."""
        return self.finished.rows if self.finished else sum(part.rows for part in self._folder.parts)

    def write(
        self, rows: bytes, count: int, counts: Mapping[str, int], scores: Mapping[str, np.ndarray] | None = None
    ) -> None:
        """Write the next part; when this returns, no kill and no power cut can lose it.

        Args:
            rows: its rows, as ``encode_rows`` gives them.
            count: how many these are.
            counts: how many of each outcome.
            scores: what the engine newly scored for it, by whatever names; ``scores`` gives it back.

        Raises:
            UserError: the disk is full, or the folder cannot be written to; the parts before this one are kept.
        """
        assert self._lock is not None and self.finished is None, "the store is closed or finished"
        with self._explained():
            self._folder.add(rows, count, counts, scores)
        self.counts.update(counts)

    def scores(self, newest_first: bool = True) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """Yield the number, from 0, and the scores of every part that has some.

        Raises:
            UserError: they cannot be read.
        """
        for part in list(reversed(self._folder.parts) if newest_first else self._folder.parts):
            if part.scores is not None:
                with self._explained():
                    found = self._folder.scores(part)
                yield part.part, found

    def finish(self, types: Mapping[str, Any] | None = None) -> Finished:
        """Put the parts together in the final place, with the manifest beside it, and remove them.

        Args:
            types: for Parquet, the types of columns where they are known.

        Raises:
            UserError: there is no room for it, or something else has appeared in its place; all parts are kept.
        """
        if self.finished is not None:
            return self.finished
        assert self._lock is not None, "the store is closed"
        with self._explained():
            whole, finished = self._put_together(types)
            self._place.put(whole)
        self.finished = finished
        self._tidy()
        return finished

    def _put_together(self, types: Mapping[str, Any] | None) -> tuple[Path, Finished]:
        """Return the whole output as a file among the parts, with its manifest beside it, and what that says."""
        whole = self._folder.staged(self._place.name)
        self._folder.unstage()
        try:
            whole.parent.mkdir()
            assemble(self._folder.files(), whole, types)
            finished = Finished.now(self._identity, self.rows_done, self.counts, whole)
            write_whole(whole.with_name(whole.name + RECORD), finished.model_dump_json(indent=2).encode() + b"\n")
            sync_folder(whole.parent)
            if self._place.exists() and not self._overwrite:
                raise UserError(f"output: '{self.output}' has appeared meanwhile; overwrite=true replaces it")
        except (OSError, UserError):
            # On a full disk, its room may be what is needed to go on.
            self._folder.unstage()
            raise
        return whole, finished

    def _tidy(self) -> None:
        """Remove the parts of an output that is whole; if they do not go, that costs no more than their room."""
        if self._folder.whose() in (None, self._identity):
            try:
                self._folder.remove()
            except OSError as error:
                _say(f"note: '{self._folder.path}' is no longer needed and could not be removed: {error.strerror}")
        self._folder.parts.clear()
        self.close()

    def close(self) -> None:
        """Let others write this output; its parts stay, and a folder without any goes."""
        if self._lock is not None:
            if self.finished is None and not self.parts_done:
                self._remove_empty()
            self._lock.release()
            self._lock = None

    def _remove_empty(self) -> None:
        # Not one of another identity, which was refused, or one that cannot be understood.
        if self._folder.whose() == self._identity or not self._folder.manifest.exists():
            with suppress(OSError):
                self._folder.remove()

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store; a mistake that ends the block, in the input or elsewhere, is told with what is kept.

        Raises:
            UserError: the one that ended the block, with these words.
        """
        kept = self._kept("with the input as it was, the same command goes on from there")
        told = self._kept() in str(error)
        self.close()
        if isinstance(error, UserError) and not told:
            raise UserError(f"{error}{kept}") from error

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say of whatever goes wrong what it was, and what is kept."""
        try:
            yield
        except (OSError, UserError) as error:
            # Where a file stands by itself, it is told that nothing of it was kept; here, something is.
            cause = error if isinstance(error, OSError) else error.__cause__
            if isinstance(cause, OSError):
                at = f" ('{cause.filename}')" if cause.filename else ""
                said = f"output: '{self.output}' cannot be written: {cause.strerror or cause}{at}"
            else:
                said = str(error)
            raise UserError(said + self._kept()) from error

    def _kept(self, then: str = "the same command goes on from there") -> str:
        if self.finished is not None or not self.parts_done:
            return ""
        if self._folder.is_lost():
            return f"\n  the {self.rows_done:,} rows written so far were in '{self._folder.path}', which was removed"
        return f"\n  the {self.rows_done:,} rows written so far are kept in '{self._folder.path}'; {then}"


def _say(line: str) -> None:
    print(line, file=sys.stderr)
