"""What a model said of labelled rows: what every check, table and comparison starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stancekit.data.dataset import fingerprint
from stancekit.errors import UserError
from stancekit.files import read_rows, row_writer
from stancekit.labels import OUTCOMES
from stancekit.models.base import label_indices
from stancekit.pairs.model import Pair, pair_from_row

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CLUSTER = "cluster"
_COLUMNS = tuple(f"p_{outcome}" for outcome in OUTCOMES)


@dataclass(frozen=True)
class Predictions:
    """Labelled pairs with the probabilities that a model gave them: shape (pairs, 4), in the order of ``OUTCOMES``.

    ``clusters`` names for every pair the story, topic or target that it shares with others: what is resampled.
    """

    pairs: Sequence[Pair]
    probabilities: NDArray[np.float64]
    clusters: Sequence[str]

    @cached_property
    def gold(self) -> NDArray[np.int64]:
        """The index in ``OUTCOMES`` of every pair's label."""
        return label_indices(self.pairs)

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The index in ``OUTCOMES`` of every pair's likeliest outcome."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """The clusters as numbers from 0."""
        return np.unique(np.asarray(self.clusters, dtype=str), return_inverse=True)[1].astype(np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """The fingerprint of the rows: the same for two models that were scored on the same data."""
        return fingerprint(self.pairs)

    def take(self, rows: NDArray[np.int64]) -> Predictions:
        """Return some of the rows."""
        return Predictions([self.pairs[i] for i in rows], self.probabilities[rows], [self.clusters[i] for i in rows])

    def write(self, path: Path) -> None:
        """Write the rows as JSONL: those of the input, then ``cluster`` and a probability for every outcome."""
        with row_writer(path) as write:
            for pair, probabilities, cluster in zip(self.pairs, self.probabilities, self.clusters, strict=True):
                given = dict(zip(_COLUMNS, map(float, probabilities), strict=True))
                write(pair.row() | {_CLUSTER: cluster} | given)

    @classmethod
    def read(cls, path: Path) -> Predictions:
        """Return what ``write`` wrote.

        Raises:
            UserError: the file is missing or was not written by ``write``.
        """
        pairs, probabilities, clusters = [], [], []
        for row in read_rows(path):
            try:
                values = dict(row.values)
                probabilities.append([float(values.pop(name)) for name in _COLUMNS])
                clusters.append(str(values.pop(_CLUSTER)))
                pairs.append(pair_from_row(values))
            except (KeyError, TypeError, ValueError) as error:
                raise UserError(f"{path}, row {row.number}: no stored prediction: {row.error or error}") from error
        return cls(pairs, np.array(probabilities).reshape(len(pairs), len(OUTCOMES)), clusters)


def cluster_column(pairs: Sequence[Pair], wanted: Sequence[str]) -> str:
    """Return the first of the wanted columns in which the pairs have two values at least, or ``statement``.

    With a single cluster every resample would be the rows themselves, and an interval would say nothing.
    """
    values = {name: {str(pair.column(name)) for pair in pairs if pair.column(name) is not None} for name in wanted}
    return next((name for name in wanted if len(values[name]) > 1), "statement")


def clusters_of(pairs: Sequence[Pair], column: str) -> list[str]:
    """Return the cluster of every pair: its value in ``column``, or its statement where it has none there."""
    values = [pair.column(column) for pair in pairs]
    return [str(pair.statement if value is None else value) for pair, value in zip(pairs, values, strict=True)]
