"""The most confident errors of a model, and the words that led it there, by occlusion.

A word weighs what the probability of the predicted outcome loses when it is left out (Zeiler & Fergus, 2014, for parts
of images; Li, Monroe & Jurafsky, 2016, for words).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np

from stancekit.evaluation.model import Mistake
from stancekit.evaluation.predicting import predict_unique
from stancekit.evaluation.predictions import Predictions
from stancekit.labels import OUTCOMES
from stancekit.models.base import StanceModel
from stancekit.pairs.model import Pair

WORDS = 5
"""The most words that a mistake is given."""

TARGET_PREFIX = "target: "
"""What the words of the target begin with, to tell them from those of the statement."""

_OCCLUDED = 60
"""How many words of a statement are left out in turn: the rest of a long one would double the time for little."""

_LEAST_WEIGHT = 0.001
"""What is less is no weight: the same row in another batch can differ in its last digits."""


def mistakes(model: StanceModel, predictions: Predictions, number: int, batch_size: int) -> tuple[Mistake, ...]:
    """Return the ``number`` most confident wrong rows, over four outcomes, the most confident first.

    Confidence is the probability of the predicted outcome. ``words`` are up to five words of statement and target (the
    latter after ``TARGET_PREFIX``) whose absence lowers that probability most, with how much, falling. Only the first
    60 words of a statement are tried. All edits are scored in one call.
    """
    wrong = np.flatnonzero(predictions.predicted != predictions.gold)
    confidence = predictions.probabilities.max(axis=1)
    rows = wrong[np.argsort(-confidence[wrong], kind="stable")][:number]
    edits = [list(_occlusions(predictions.pairs[row])) for row in rows]
    # The pair itself goes along: the stored probabilities may be calibrated, those of the edits are not.
    asked = [
        pair
        for row, edited in zip(rows, edits, strict=True)
        for pair in (predictions.pairs[row], *(pair for _, pair in edited))
    ]
    probabilities = predict_unique(model, asked, batch_size)
    found, first = [], 0
    for row, edited in zip(rows, edits, strict=True):
        pair, predicted = predictions.pairs[row], int(predictions.predicted[row])
        whole, *without = (float(value) for value in probabilities[first : first + 1 + len(edited), predicted])
        first += 1 + len(edited)
        weights = [(word, whole - value) for (word, _), value in zip(edited, without, strict=True)]
        heaviest = sorted((entry for entry in weights if entry[1] >= _LEAST_WEIGHT), key=lambda entry: -entry[1])
        found.append(
            Mistake(
                id=pair.id,
                holder=pair.holder,
                statement=pair.statement,
                target=pair.target,
                gold=str(pair.label),
                predicted=OUTCOMES[predicted],
                confidence=float(confidence[row]),
                words=tuple(heaviest[:WORDS]),
            )
        )
    return tuple(found)


def _occlusions(pair: Pair) -> Iterator[tuple[str, Pair]]:
    """Yield every word of statement and target with the pair that lacks it."""
    for word, text in islice(_without_each(pair.statement), _OCCLUDED):
        yield word, replace(pair, statement=text)
    for word, text in _without_each(pair.target):
        yield TARGET_PREFIX + word, replace(pair, target=text)


def _without_each(text: str) -> Iterator[tuple[str, str]]:
    """Yield every word as it stands, and the text without it."""
    for word in re.finditer(r"\S+", text):
        yield word[0], (text[: word.start()] + text[word.end() :].lstrip()).rstrip()
