"""Files far away, through fsspec: ``s3://``, ``gs://``, ``https://``, ``memory://`` and whatever else is installed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from stancekit.errors import UserError, nearest

_PROTOCOL = re.compile(r"([a-z][a-z0-9+.-]*)(::|://)", re.IGNORECASE)
_HTTP = re.compile(r"https?://", re.IGNORECASE)
_STAMPS = ("ETag", "etag", "md5Hash", "content_md5", "Content-MD5", "generation", "Last-Modified", "mtime", "created")
"""What the file systems call a mark that changes with a file's contents, the surest first."""


def is_url(name: str) -> bool:
    """Return whether a name is a URL, be it of a file on this machine."""
    return _PROTOCOL.match(name) is not None


def local_path(name: str) -> Path | None:
    """Return the path of a file on this machine, named by path or ``file://`` URL; None for one far away."""
    if not is_url(name):
        return Path(os.path.expanduser(name))
    if name.lower().startswith(("file://", "local://")):
        return Path(_file_system(name, "file")[1])
    return None


def has_wildcard(name: str) -> bool:
    """Return whether a name holds a sign of a glob; a question mark in an address of the web is none."""
    return re.search(r"[*\[]" if _HTTP.match(name) else r"[*?\[]", name) is not None


def find_remote(url: str, what: str) -> list[str]:
    """Return the URLs of the files that a URL or a glob of one names, sorted.

    Raises:
        UserError: the protocol is unknown or its package missing, the place cannot be reached, or nothing is there.
    """
    files, path = _file_system(url, what)
    with told(url, what, "cannot be read"):
        files.invalidate_cache()
        try:
            # Not exists(), which takes a place that cannot be reached for one where nothing is.
            kind = files.info(path)["type"]
        except FileNotFoundError:
            kind = None
        if kind is None and has_wildcard(url):
            found = sorted(files.glob(path, detail=True).items())
            if not (matched := [str(files.unstrip_protocol(name)) for name, info in found if info["type"] == "file"]):
                raise UserError(f"{what}: no file matches '{url}'")
            return matched
        if kind is None:
            raise UserError(f"{what}: no file '{url}'{nearest(path.rpartition('/')[2], _others(files, path))}")
        if kind == "directory":
            raise UserError(f"{what}: '{url}' is a folder; expected a file or a glob, as '{url.rstrip('/')}/*.jsonl'")
    return [url]


def open_remote(url: str, what: str) -> BinaryIO:
    """Return the bytes of a remote file as a stream that raises what the file system does.

    Raises:
        UserError: it cannot be opened.
    """
    files, path = _file_system(url, what)
    with told(url, what, "cannot be read"):
        stream: BinaryIO = files.open(path, "rb")
    return stream


def remote_stamp(url: str, what: str) -> dict[str, str | int]:
    """Return the size of a remote file, where it is known, and a mark that changes with its contents.

    Raises:
        UserError: it cannot be asked for.
    """
    files, path = _file_system(url, what)
    with told(url, what, "cannot be read"):
        files.invalidate_cache()
        info = files.info(path)
        mark = next((str(info[name]) for name in _STAMPS if info.get(name)), None) or str(files.ukey(path))
    size = info.get("size")
    return {"mark": mark} | ({} if size is None else {"size": int(size)})


def check_writable(url: str, what: str) -> None:
    """Find out early whether the protocol of a URL is there at all.

    Raises:
        UserError: it is unknown, or its package is not installed.
    """
    _file_system(url, what)


def upload(local: Path, url: str, what: str) -> None:
    """Put a file at a URL, where it appears when it is whole.

    Raises:
        UserError: it cannot be put there.
    """
    files, path = _file_system(url, what)
    with told(url, what, "cannot be written"):
        files.put_file(str(local), path)


def _file_system(url: str, what: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs
    from fsspec.registry import available_protocols

    try:
        files, path = url_to_fs(url)
    except ImportError as error:
        raise UserError(f"{what}: '{url}' needs a package that is not installed: {error}") from error
    except ValueError as error:
        known = _PROTOCOL.match(url)
        protocol = known[1] if known else url
        if protocol in available_protocols():
            raise UserError(f"{what}: '{url}' is no address: {error}") from error
        close = nearest(protocol, available_protocols())
        raise UserError(f"{what}: '{url}': no such protocol as '{protocol}'{close}") from error
    return files, str(path)


def _others(files: Any, path: str) -> list[str]:
    try:
        return [name.rstrip("/").rpartition("/")[2] for name in files.ls(path.rpartition("/")[0], detail=False)]
    except OSError:
        return []


@contextmanager
def told(url: str, what: str, trouble: str) -> Iterator[None]:
    """Turn whatever is raised within the block into a UserError that names the URL."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        # Every protocol's package raises errors of its own, which have no more than this in common.
        raise UserError(f"{what}: '{url}' {trouble}: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """Return in one line what an error says."""
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines() or [type(error).__name__]
    return f"not found: {lines[0]}" if isinstance(error, FileNotFoundError) else lines[0]
