"""The one exception for mistakes that a user can mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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
