"""``python -m stancekit`` and the ``stancekit`` command."""

import os
import sys

from stancekit.cli import main


def run() -> None:
    """Run the command line and exit with its code."""
    if sys.stderr is None:
        # Closed by the caller (`2>&-`): what is said goes nowhere.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    sys.exit(main())


if __name__ == "__main__":
    run()
