"""Predictions for checks that score many edits of the same rows, many of which come out alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stancekit.labels import OUTCOMES
from stancekit.models.base import StanceModel
from stancekit.pairs.model import Pair

if TYPE_CHECKING:
    from numpy.typing import NDArray


def predict_unique(model: StanceModel, pairs: Sequence[Pair], batch_size: int) -> NDArray[np.float64]:
    """Return the outcome probabilities of every pair, shape (pairs, 4), in order; the model sees no pair twice.

    Pairs are the same when statement, holder and target are: a model is given nothing else to go by.
    """
    keys = [(pair.statement, pair.holder, pair.target) for pair in pairs]
    distinct = dict(zip(keys, pairs, strict=True))
    if not distinct:
        return np.zeros((0, len(OUTCOMES)))
    places = {key: place for place, key in enumerate(distinct)}
    probabilities = model.predict(list(distinct.values()), batch_size).probabilities
    return probabilities[[places[key] for key in keys]]
