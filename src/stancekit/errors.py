"""How things end that do not end well: the user's mistakes, and being told to stop."""

from __future__ import annotations

import difflib
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType


class UserError(Exception):
    """A mistake in the input or the configuration.

    The command line prints the message alone, without a traceback, and exits with code 2. The message says what is
    wrong, where, what was expected and, where there is one, the nearest valid name.
    """


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return ``"; did you mean 'X'?"`` for the valid name closest to ``name``, or an empty string if none is close."""
    match = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.5)
    return f"; did you mean '{match[0]}'?" if match else ""


class Interrupted(BaseException):
    """The process was asked to stop, by Ctrl-C or by a signal; like KeyboardInterrupt, no ``except Exception`` sees it.

    Attributes:
        code: the exit code, 128 plus the signal's number.
    """

    def __init__(self, message: str, code: int) -> None:
        """Keep the message and the exit code."""
        super().__init__(message)
        self.code = code


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Let SIGTERM raise ``Interrupted`` within the block, so that files and runs are closed; main thread only."""

    def stop(*_: object) -> None:
        raise Interrupted("terminated", 128 + signal.SIGTERM)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def interrupts_kept() -> Iterator[None]:
    """Let a Ctrl-C come out of the block as KeyboardInterrupt, whatever was made of it on the way; main thread only.

    A library that is interrupted while it is being imported may raise an error of its own instead.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    came = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if came:
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
