"""``python -m stancekit`` and the ``stancekit`` command."""

import sys

from stancekit.cli import main


def run() -> None:
    """Run the command line and exit with its code."""
    sys.exit(main())


if __name__ == "__main__":
    run()
