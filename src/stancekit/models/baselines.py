"""Baselines from scikit-learn behind the interface of every model, written without pickle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from stancekit.config.schema import FrozenEmbeddingsConfig, MajorityConfig, TfidfConfig
from stancekit.encoders.embedding import SentenceEmbedder, pair_features
from stancekit.errors import UserError
from stancekit.labels import OUTCOMES
from stancekit.models.base import Prediction, label_indices
from stancekit.pairs.model import Pair

BaselineConfig = MajorityConfig | TfidfConfig | FrozenEmbeddingsConfig

_FILE = "estimator.skops"
_ITERATIONS = 2000


class Baseline:
    """A scikit-learn estimator over features of statement and target."""

    def __init__(self, config: BaselineConfig, estimator: Any) -> None:
        """Keep the estimator and the configuration that says what its features are."""
        self._config = config
        self._estimator = estimator
        self._embedder: SentenceEmbedder | None = None

    @classmethod
    def fit(cls, config: BaselineConfig, pairs: Sequence[Pair], balanced: bool, seed: int) -> Self:
        """Return the baseline trained on labelled pairs; ``balanced`` weighs rare labels up.

        Raises:
            UserError: the rows do not suffice, as when no word occurs often enough.
        """
        model = cls(config, _estimator(config, "balanced" if balanced else None, seed))
        features = model._features(pairs)
        try:
            model._estimator.fit(features, label_indices(pairs))
        except ValueError as error:
            raise UserError(f"model {config.name}: cannot be trained on these {len(pairs)} rows: {error}") from error
        return model

    @classmethod
    def read(cls, folder: Path, config: BaselineConfig) -> Self:
        """Return the baseline that ``write`` left in a folder; only scikit-learn's and numpy's own types are loaded.

        Raises:
            UserError: the file holds any other type.
        """
        path = folder / _FILE
        if unknown := skops.io.get_untrusted_types(file=path):
            raise UserError(f"model: '{path}' holds types that are not trusted and is not loaded: {', '.join(unknown)}")
        return cls(config, skops.io.load(path, trusted=[]))

    def write(self, folder: Path) -> None:
        """Write the fitted estimator."""
        skops.io.dump(self._estimator, folder / _FILE)

    def predict(self, pairs: Sequence[Pair], batch_size: int) -> Prediction:
        """Return the outcome probabilities of every pair; an outcome that training lacked has probability zero."""
        rows = np.zeros((len(pairs), len(OUTCOMES)))
        if pairs:
            rows[:, self._estimator.classes_] = self._estimator.predict_proba(self._features(pairs))
        return Prediction(rows, np.zeros(len(pairs), dtype=bool))

    def _features(self, pairs: Sequence[Pair]) -> Any:
        if isinstance(self._config, FrozenEmbeddingsConfig):
            if self._embedder is None:
                self._embedder = SentenceEmbedder(self._config.encoder)
            statements = self._embedder.embed([pair.statement for pair in pairs])
            targets = self._embedder.embed([pair.target for pair in pairs])
            return pair_features(statements, targets)
        return np.array([[pair.statement, pair.target] for pair in pairs], dtype=object)


def _estimator(config: BaselineConfig, class_weight: str | None, seed: int) -> Any:
    if isinstance(config, MajorityConfig):
        return DummyClassifier(strategy="prior")
    regression = LogisticRegression(C=config.c, class_weight=class_weight, max_iter=_ITERATIONS, random_state=seed)
    if isinstance(config, FrozenEmbeddingsConfig):
        return make_pipeline(regression)
    columns = [
        (name, TfidfVectorizer(ngram_range=config.ngrams, min_df=config.min_count, sublinear_tf=True), column)
        for column, name in enumerate(("statement", "target"))
    ]
    return Pipeline([("tfidf", ColumnTransformer(columns)), ("regression", regression)])
