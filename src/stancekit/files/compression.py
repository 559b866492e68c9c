"""Streams of bytes through gzip and Zstandard."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, cast

from stancekit.errors import UserError
from stancekit.files.formats import GZIP, ZSTD

_CHUNK = 64 * 1024
_SIP = 4 * 1024


def decompressed(open_source: Callable[[], BinaryIO], compression: str | None, name: str) -> BinaryIO:
    """Return the decompressed bytes of a source, which the caller closes.

    All that comes before a damage is handed out before it is told.

    Args:
        open_source: opens the bytes as they are stored; called again after a damage, to read up to it.
        compression: ``gz``, ``zst`` or None.
        name: what messages call the source.

    Raises:
        UserError: while reading, the stream is damaged or ends too early.
    """
    if compression is None:
        return open_source()
    raw = _Gunzipped(open_source(), name) if compression == GZIP else _Unzstd(open_source, name)
    return io.BufferedReader(raw, _CHUNK)


@contextmanager
def compressed(stream: IO[bytes], compression: str | None) -> Iterator[IO[bytes]]:
    """Give a stream that writes to ``stream`` compressed; the same bytes in are the same bytes out, at any time."""
    if compression == GZIP:
        with gzip.GzipFile(filename="", mode="wb", fileobj=stream, compresslevel=6, mtime=0) as packed:
            yield cast(IO[bytes], packed)
    elif compression == ZSTD:
        import pyarrow as pa

        with pa.CompressedOutputStream(_LeftOpen(stream), "zstd") as packed:
            yield packed
    else:
        yield stream


class _Gunzipped(io.RawIOBase):
    def __init__(self, stored: BinaryIO, name: str) -> None:
        self._stored = stored
        self._name = name
        self._stream = gzip.GzipFile(fileobj=stored, mode="rb")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            # read1 hands out what there is; the next call then meets the damage.
            data = self._stream.read1(len(buffer))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise _damaged(self._name, "gzip", error) from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stored.close()
        super().close()


class _Unzstd(io.RawIOBase):
    """Arrow loses what a failing read had found before: then the source is read once more, up to the last byte."""

    def __init__(self, open_source: Callable[[], BinaryIO], name: str) -> None:
        self._open_source = open_source
        self._name = name
        self._done = 0
        self._damage: OSError | None = None
        self._start()

    def _start(self) -> None:
        import pyarrow as pa

        self._stored = self._open_source()
        self._stream = pa.CompressedInputStream(_Sips(self._stored), "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._damage is not None:
            raise _damaged(self._name, "Zstandard", self._damage) from self._damage
        try:
            data = self._stream.read(len(buffer))
        except OSError as error:
            self._damage = error
            data = self._rest(len(buffer))
            if not data:
                return self.readinto(buffer)
        self._done += len(data)
        buffer[: len(data)] = data
        return len(data)

    def _rest(self, most: int) -> bytes:
        """Return the bytes between the last ones that were handed out and the damage."""
        self._stored.close()
        self._start()
        found = bytearray()
        try:
            left = self._done
            while left and (passed := self._stream.read(min(left, _CHUNK))):
                left -= len(passed)
            while len(found) < most and (byte := self._stream.read(1)):
                found += byte
        except OSError as error:
            self._damage = error
        return bytes(found)

    def close(self) -> None:
        self._stored.close()
        super().close()


class _Sips(io.RawIOBase):
    """A stream in small pieces: Arrow loses a piece that it cannot decompress to its end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(_SIP if size < 0 else min(size, _SIP))


class _LeftOpen(io.RawIOBase):
    """A stream that Arrow may close without closing the one below."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._stream.write(data)


def _damaged(name: str, method: str, error: Exception) -> UserError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return UserError(
        f"input: '{name}' is damaged or no {method} stream: {reason}\n"
        "  the rows before the damage were read; expected the whole file"
    )
