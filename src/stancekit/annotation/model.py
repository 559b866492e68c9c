"""One label that one annotator gave."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stancekit.errors import UserError, nearest
from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair

PAIR_ID = "pair_id"
"""The column of a task or sheet that says which pair it is; Label Studio's own ``id`` counts its tasks."""


@dataclass(frozen=True, slots=True)
class Given:
    """The label that an annotator gave to a pair; ``where`` says where it was read."""

    pair_id: str
    annotator: str
    label: str
    where: str


def identified(pairs: Iterable[Pair]) -> dict[str, Pair]:
    """Return the pairs by id; those without one are called ``row1``, ``row2``, … by their place.

    Raises:
        UserError: another pair has that name for its id.
    """
    named: dict[str, Pair] = {}
    for number, pair in enumerate(pairs, 1):
        name = pair.id or f"row{number}"
        if name in named:
            raise UserError(f"row {number}: the name {name!r}, for a pair without an id, is another's id; give it one")
        named[name] = pair
    return named


def checked(given: Given, pairs: dict[str, Pair], statement: object) -> Given:
    """Return the label if it is one, and given to a pair of ours.

    Raises:
        UserError: it is not; says what was expected.
    """
    if given.label not in OUTCOMES:
        close = nearest(given.label, OUTCOMES)
        raise UserError(f"{given.where}: unknown label {given.label!r}{close} (valid: {', '.join(OUTCOMES)})")
    if given.pair_id not in pairs:
        close = nearest(given.pair_id, pairs)
        raise UserError(f"{given.where}: no pair has the id {given.pair_id!r}{close}; was another file exported?")
    if statement is not None and str(statement) != pairs[given.pair_id].statement:
        raise UserError(
            f"{given.where}: the pair {given.pair_id!r} has another statement here: {str(statement)[:80]!r}\n"
            f"  expected: {pairs[given.pair_id].statement[:80]!r}"
        )
    return given
