"""Where what ships lies, and where runs are kept."""

from __future__ import annotations

import os
import re
from pathlib import Path

import platformdirs

from stancekit.errors import UserError, nearest

_PACKAGE = Path(__file__).resolve().parent


def checkout_root() -> Path | None:
    """Return the root of the source checkout that this package is imported from, or None when it is installed."""
    root = _PACKAGE.parents[1]
    return root if (root / "pyproject.toml").is_file() and (root / "configs").is_dir() else None


def shipped_root() -> Path:
    """Return the folder of ``configs/``, ``data/``, ``experiments/``, ``models/`` and ``seeds/``: checkout or wheel."""
    return checkout_root() or _PACKAGE / "shipped"


def home() -> Path:
    """Return the absolute folder of the MLflow store and of unfinished runs; it never depends on the working folder.

    ``STANCEKIT_HOME`` if set, else ``runs/`` of the checkout, else the user's data folder.
    """
    if given := os.environ.get("STANCEKIT_HOME"):
        return Path(given).expanduser().resolve()
    if root := checkout_root():
        return root / "runs"
    return Path(platformdirs.user_data_dir("stancekit", appauthor=False))


def cache() -> Path:
    """Return the absolute folder of what was fetched and can be fetched again.

    ``STANCEKIT_CACHE`` if set, else the user's cache folder.
    """
    if given := os.environ.get("STANCEKIT_CACHE"):
        return Path(given).expanduser().resolve()
    return Path(platformdirs.user_cache_dir("stancekit", appauthor=False))


def find_file(name: str, what: str) -> Path:
    """Return the path of an existing file or folder; relative names count from the working folder, then what ships.

    Raises:
        UserError: nothing is there; names the nearest existing sibling.
    """
    # Unlike Path.expanduser, this leaves the home of a user whom nobody knows as it is.
    given = Path(os.path.expanduser(name))
    candidates = [given] if given.is_absolute() else [given, shipped_root() / given]
    for path in candidates:
        if path.exists():
            return path
    known = [sibling for path in candidates for sibling in siblings(path)]
    raise UserError(f"{what}: no file or folder '{name}'{nearest(given.name, known)}")


def shown_path(path: Path) -> str:
    """Return a path for others to read: relative to what ships, else to the working folder, else its name alone.

    Where somebody keeps a file is nobody's business who looks at a run.
    """
    absolute = path.resolve()
    for root in (shipped_root().resolve(), Path.cwd().resolve()):
        if absolute.is_relative_to(root):
            return str(absolute.relative_to(root))
    return path.name


def without_home(text: str) -> str:
    """Return a text for others to read, in which the path of the user's home folder is ``~``.

    That is what every path may begin with where one is given, so that a command still does what it says.
    """
    own = os.path.expanduser("~")
    # In a container the home folder may be the root of all, or unknown.
    return text if own in ("~", "/") else re.sub(rf"{re.escape(own)}(?![\w.-])", "~", text)


def siblings(path: Path) -> list[str]:
    """Return the names in the folder that ``path`` would lie in; none where there is no such folder."""
    return [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
