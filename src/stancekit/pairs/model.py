"""The pair: a statement with its holder and one target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PAIR_COLUMNS = ("id", "statement", "holder", "target", "label")
"""The columns that have a meaning here; all others pass through."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A statement, who holds it (None: unknown) and one target; ``label`` is an outcome's name where it is known."""

    statement: str
    target: str
    holder: str | None = None
    label: str | None = None
    id: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def column(self, name: str) -> Any:
        """Return the value of any column, or None where the pair lacks it or its cell is empty."""
        value = getattr(self, name) if name in PAIR_COLUMNS else self.extra.get(name)
        return None if value == "" else value

    def row(self) -> dict[str, Any]:
        """Return the pair as a row in the contract's columns, the label only where there is one, the others last."""
        row = {name: getattr(self, name) for name in PAIR_COLUMNS} | dict(self.extra)
        return row if self.label is not None else {name: value for name, value in row.items() if name != "label"}


def pair_from_row(values: Mapping[str, Any]) -> Pair:
    """Return the pair in a row.

    Raises:
        ValueError: says which column is missing, empty or of the wrong type.
    """
    for name in ("statement", "target"):
        value = values.get(name)
        if value is None:
            raise ValueError(f"'{name}' is missing")
        if not isinstance(value, str):
            raise ValueError(f"'{name}' must be text, found {type(value).__name__}")
        if not value.strip():
            raise ValueError(f"'{name}' is empty")
        _checked_characters(name, value)
    holder = values.get("holder")
    if holder is not None and not isinstance(holder, str):
        raise ValueError(f"'holder' must be text or nothing, found {type(holder).__name__}")
    _checked_characters("holder", holder or "")
    label, identity = values.get("label"), values.get("id")
    return Pair(
        statement=values["statement"],
        target=values["target"],
        holder=holder.strip() or None if holder else None,
        label=None if label in (None, "") else str(label),
        id=None if identity in (None, "") else str(identity),
        extra={name: value for name, value in values.items() if name not in PAIR_COLUMNS},
    )


def _checked_characters(name: str, text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        # No tokenizer reads it, and no file holds it.
        raise ValueError(f"'{name}' has half a surrogate pair, which is not a whole character") from error
