"""A model on labelled pairs: its scores, and every check that would show them to be hollow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stancekit.config.data import DataConfig
from stancekit.config.schema import EvaluationConfig
from stancekit.data.trace import Trace
from stancekit.errors import UserError
from stancekit.evaluation.behaviour import load_suite, run_suite
from stancekit.evaluation.bootstrap import scored
from stancekit.evaluation.calibration import report as calibration_report
from stancekit.evaluation.errors import mistakes
from stancekit.evaluation.hidden import hide
from stancekit.evaluation.metrics import counts
from stancekit.evaluation.model import Behaviour, Report, Subset
from stancekit.evaluation.predicting import predict_unique
from stancekit.evaluation.predictions import Predictions, cluster_column, clusters_of
from stancekit.evaluation.slices import slices, worst
from stancekit.evaluation.suspicion import suspicions
from stancekit.labels import STANCES
from stancekit.models.base import StanceModel
from stancekit.models.calibration import Calibration
from stancekit.pairs.model import Pair
from stancekit.paths import find_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Evaluated:
    """A report, and the predictions that it is about."""

    report: Report
    predictions: Predictions


class Evaluator:
    """Evaluates one model on any number of labelled sets; what does not depend on the set is computed once."""

    def __init__(
        self,
        model: StanceModel,
        name: str,
        settings: EvaluationConfig,
        data: DataConfig,
        calibration: Calibration | None = None,
        trace: Trace | None = None,
    ) -> None:
        """Take a model and what is known of it.

        Args:
            name: what reports call the model.
            data: says what rows are clustered by and which further metrics are asked for.
            calibration: what the model's probabilities are already scaled with.
            trace: what the model was trained on.
        """
        self._model = model
        self._name = name
        self._settings = settings
        self._data = data
        self._calibration = calibration
        self._trace = trace
        self._behaviour: tuple[Behaviour, ...] | None = None

    @property
    def behaviour(self) -> tuple[Behaviour, ...]:
        """How the model does on the behaviour tests, which are run on first use."""
        if self._behaviour is None:
            folder = self._settings.behaviour
            suites = load_suite(find_file(folder, "evaluation.behaviour")) if folder else []
            self._behaviour = run_suite(self._model, suites, self._settings.batch_size)
        return self._behaviour

    def predict(self, pairs: Sequence[Pair]) -> Predictions:
        """Return the model's predictions of labelled pairs."""
        column = cluster_column(pairs, self._data.cluster)
        probabilities = predict_unique(self._model, pairs, self._settings.batch_size)
        return Predictions(pairs, probabilities, clusters_of(pairs, column))

    def evaluate(
        self,
        pairs: Sequence[Pair],
        part: str,
        source: Path,
        thorough: bool = True,
        predictions: Predictions | None = None,
    ) -> Evaluated:
        """Return the scores of the model on labelled pairs, with what speaks against believing them.

        Args:
            part: what the set is called: dev, test, …
            source: the file that the pairs came from.
            thorough: also hide columns, run the behaviour tests and look for what confident mistakes hang on. These
                need several times as many predictions as the scores do.
            predictions: what the model says of the pairs, where that is known already.

        Raises:
            UserError: no row is labelled with one of the stances, and ``labels`` is ``all``.
        """
        require_stances(pairs, part, self._settings)
        settings, predictions = self._settings, predictions or self.predict(pairs)
        notes = []
        scores = scored(predictions, self._data.metrics, settings.draws)
        subsets, said = self._subsets(predictions)
        notes += said
        hidden = hide(self._model, predictions, settings.batch_size, settings.draws) if thorough else {}
        if not thorough:
            notes.append("hidden columns, behaviour and mistakes are looked at on the test sets")
        if self._calibration is None:
            notes.append("no temperature was fitted to this model: its probabilities are as they come")
        copies = self._trace.copies(pairs) if self._trace else None
        report = Report(
            model=self._name,
            part=part,
            data=str(source),
            fingerprint=predictions.fingerprint,
            rows=len(pairs),
            clusters=len(set(predictions.clusters)),
            cluster_by=cluster_column(pairs, self._data.cluster),
            scores=scores,
            confusion=_confusion(predictions),
            subsets=subsets,
            hidden=hidden,
            behaviour=self.behaviour if thorough else (),
            calibration=calibration_report(predictions.gold, predictions.probabilities, self._calibration),
            slices=worst(slices(predictions, settings.slices, settings.least_rows), settings.worst),
            mistakes=mistakes(self._model, predictions, settings.mistakes, settings.batch_size) if thorough else (),
            warnings=tuple(suspicions(predictions, scores, hidden, copies, settings.needs_target)),
            notes=tuple(notes),
        )
        return Evaluated(report, predictions)

    def _subsets(self, predictions: Predictions) -> tuple[dict[str, Subset], list[str]]:
        """Return the scores of rows whose target was trained on and of those whose was not, and what is to be noted."""
        if self._trace is None:
            return {}, [
                "the model does not say what it was trained on: neither new targets nor leaked statements can be told"
            ]
        seen, least = self._trace.targets_seen(predictions.pairs), self._settings.least_rows
        found, notes = {}, []
        for name, chosen, what in (("seen_targets", seen, "seen"), ("unseen_targets", ~seen, "not seen")):
            rows: NDArray[np.int64] = chosen.nonzero()[0]
            if len(rows) >= least:
                some = predictions.take(rows)
                found[name] = Subset(len(rows), scored(some, self._data.metrics, self._settings.draws))
            else:
                notes.append(
                    f"rows whose target was {what} in training: {len(rows)}, too few for scores of their own "
                    f"(evaluation.least_rows={least})"
                )
        return found, notes


def require_stances(pairs: Sequence[Pair], part: str, settings: EvaluationConfig) -> None:
    """Check that a set can be scored.

    Raises:
        UserError: no row is labelled with one of the stances, and ``labels`` is ``all``.
    """
    held = {pair.label for pair in pairs}
    if settings.labels == "all" and (missing := [stance for stance in STANCES if stance not in held]):
        raise UserError(
            f"{part}: none of its {len(pairs)} rows is labelled {' or '.join(missing)}, so a macro-F1 over the three "
            "stances would be too low for any model\n  evaluation.labels=present scores it all the same, with an F1 "
            "of 0 for what is missing"
        )


def _confusion(predictions: Predictions) -> tuple[tuple[int, ...], ...]:
    matrix = counts(predictions.gold, predictions.probabilities).outcomes
    return tuple(tuple(int(count) for count in row) for row in matrix)
