"""The models that ship: each a folder under ``models/``, by the name of the folder."""

from __future__ import annotations

from pathlib import Path

from stancekit.errors import UserError
from stancekit.models.saved import MANIFEST
from stancekit.paths import shipped_root

DEFAULT = "default"
SIZES = ("base", "half", "small")
"""What ships, the first being the default."""


def shipped_models() -> dict[str, Path]:
    """Return the folder of every model that is there, by name, in alphabetical order."""
    return {path.parent.name: path.parent for path in sorted((shipped_root() / "models").glob(f"*/{MANIFEST}"))}


def names_shipped(model: str) -> bool:
    """Return whether ``model=`` is the name of a shipped model, or that of one which ought to be there."""
    return model in (DEFAULT, *SIZES) or model in shipped_models()


def shipped_folder(model: str) -> Path:
    """Return the folder of a shipped model; ``default`` is the first of ``SIZES``.

    Raises:
        UserError: it is not there.
    """
    name = SIZES[0] if model == DEFAULT else model
    there = shipped_models()
    if name not in there:
        raise UserError(
            f"model={model}: this copy of stancekit does not ship it: no saved model in "
            f"'{shipped_root() / 'models' / name}'\n  shipped: {', '.join(there) or 'none'}; train one with: "
            "stancekit train, and use it as model=latest or model=champion"
        )
    return there[name]
