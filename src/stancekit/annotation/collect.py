"""Labels by several annotators, put together: what they agree on stands, the rest is for adjudication."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from stancekit.annotation.agreement import Agreement, agreement, agreement_by_label
from stancekit.annotation.model import Given
from stancekit.errors import UserError
from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair

FILE = "file"
"""The name under which a label that the pairs came with counts as an annotator's."""

EARLIER = "label_1"
"""A column that pairs have which were collected before: what comes now settles their disagreements."""


@dataclass(frozen=True)
class Collected:
    """The labels of every pair by annotator, in the order of the pairs."""

    pairs: Mapping[str, Pair]
    labels: Mapping[str, Mapping[str, str]]
    annotators: tuple[str, ...]

    def disagreements(self) -> list[str]:
        """Return the ids of the pairs that have different labels."""
        return [name for name, labels in self.labels.items() if len(set(labels.values())) > 1]

    def rows(self) -> Iterable[dict[str, Any]]:
        """Yield every pair with its labels by annotator, and ``label`` where they agree, else None.

        The first annotator's label is in ``label_1``, the name in ``annotator_1``, and so on. Pairs that were collected
        before keep those columns, and ``label`` where they have it; what comes now is the label of the others.
        """
        again = any(EARLIER in pair.extra for pair in self.pairs.values())
        for name, pair in self.pairs.items():
            labels = self.labels[name]
            kinds = set(labels.values())
            row = {**pair.row(), "id": name, "label": kinds.pop() if len(kinds) == 1 else None}
            if again:
                row["label"] = pair.label or row["label"]
                row["adjudicator"] = ", ".join(one for one in labels if one != FILE) or pair.extra.get("adjudicator")
            else:
                for number, annotator in enumerate(self.annotators, 1):
                    row[f"label_{number}"] = labels.get(annotator)
                    row[f"annotator_{number}"] = annotator
            yield row

    def agreements(self) -> dict[tuple[str, str], tuple[Agreement, dict[str, Agreement]]]:
        """Return for every two annotators who share pairs how far they agree, in all and by label."""
        found = {}
        for one, other in combinations(self.annotators, 2):
            both = [(held[one], held[other]) for held in self.labels.values() if one in held and other in held]
            if both:
                first, second = [a for a, _ in both], [b for _, b in both]
                found[one, other] = (agreement(first, second), agreement_by_label(first, second))
        return found


def collect(pairs: Mapping[str, Pair], given: Iterable[Given]) -> Collected:
    """Return the labels by pair and annotator; a label that a pair came with is the first.

    Raises:
        UserError: two files give a label of the same annotator to the same pair.
    """
    labels: dict[str, dict[str, str]] = {
        name: {FILE: pair.label} if pair.label in OUTCOMES else {} for name, pair in pairs.items()
    }
    annotators = [FILE] if any(labels.values()) else []
    seen: dict[tuple[str, str], str] = {}
    for one in given:
        file = one.where.rpartition(",")[0]
        if one.annotator == FILE or seen.setdefault((one.pair_id, one.annotator), file) != file:
            other = "the pairs' own label" if one.annotator == FILE else seen[one.pair_id, one.annotator]
            raise UserError(
                f"{one.where}: '{one.annotator}' labels the pair {one.pair_id!r} in {other} too; "
                "tell the annotators apart by a column 'annotator' or by the files' names"
            )
        labels[one.pair_id][one.annotator] = one.label
        if one.annotator not in annotators:
            annotators.append(one.annotator)
    return Collected(pairs, labels, tuple(annotators))
