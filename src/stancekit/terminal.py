"""What is said on the terminal while work goes on."""

from __future__ import annotations

import os
import sys


def say(line: str) -> None:
    """Print a line; a reader that has gone (``| head``) stops nothing."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
