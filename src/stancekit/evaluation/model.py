"""What an evaluation found: plain values, so that terminal, JSON, page and MLflow all show the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """A score with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Show the score with its interval, to three places."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Subset:
    """Some of the rows, such as those whose target was seen in training, with their scores."""

    rows: int
    scores: Mapping[str, Score]


@dataclass(frozen=True)
class Hidden:
    """The same model on the same rows with one column hidden: its three-way macro-F1, and how much that cost."""

    macro_f1: float
    cost: Score


@dataclass(frozen=True)
class Failure:
    """A behaviour test that failed: the pair before and after the edit, each with its gold and predicted outcome."""

    kind: str
    holder: str | None
    statement: str
    target: str
    gold: str
    predicted: str
    edited_holder: str | None
    edited_statement: str
    edited_target: str
    edited_gold: str
    edited_predicted: str


@dataclass(frozen=True)
class Behaviour:
    """How a model did on minimal edits of one kind.

    ``expects`` is ``change`` (passed: right before and after the edit) or ``same`` (passed: the prediction stays).
    ``right`` is the share of tests that were right before and after, whatever is expected.
    """

    kind: str
    what: str
    expects: str
    tests: int
    passed: float
    right: float
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class Bin:
    """Rows of like confidence: their number, mean confidence and share of right ones."""

    rows: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Conformal:
    """Prediction sets that should hold the gold outcome at ``level``: how often they do, and how large they are."""

    level: float
    coverage: float
    coverage_by_outcome: Mapping[str, float | None]
    mean_size: float
    empty: float


@dataclass(frozen=True)
class CalibrationReport:
    """Whether probabilities mean what they say, over four outcomes.

    ``temperature`` is None where none was fitted, ``conformal`` likewise. ``risk_coverage`` has pairs of (share of the
    rows that are answered, most confident first; share of errors among them); ``aurc`` is the mean of those risks.
    """

    temperature: float | None
    ece: float
    brier: float
    bins: tuple[Bin, ...]
    risk_coverage: tuple[tuple[float, float], ...]
    aurc: float
    conformal: Conformal | None


@dataclass(frozen=True)
class Slice:
    """Rows that share a value, such as a phenomenon, a topic or a range of lengths."""

    name: str
    value: str
    rows: int
    macro_f1: float
    accuracy_outcomes: float


@dataclass(frozen=True)
class Mistake:
    """A confident error, with the words whose removal lowers the probability of the wrong outcome most."""

    id: str | None
    holder: str | None
    statement: str
    target: str
    gold: str
    predicted: str
    confidence: float
    words: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Warned:
    """Something that a reader must know before believing a score: which check, and what in words."""

    check: str
    message: str


@dataclass(frozen=True)
class Report:
    """All that was found about one model on one set of rows."""

    model: str
    part: str
    data: str
    fingerprint: str
    rows: int
    clusters: int
    cluster_by: str
    scores: Mapping[str, Score]
    confusion: tuple[tuple[int, ...], ...]
    """Gold down, predicted across, in the order of ``OUTCOMES``."""
    subsets: Mapping[str, Subset]
    hidden: Mapping[str, Hidden]
    behaviour: tuple[Behaviour, ...]
    calibration: CalibrationReport
    slices: tuple[Slice, ...]
    """The worst first."""
    mistakes: tuple[Mistake, ...]
    """The most confident first."""
    warnings: tuple[Warned, ...]
    notes: tuple[str, ...]
    """What was not checked, and why."""

    def value(self, metric: str) -> float:
        """Return a score without its interval."""
        return self.scores[metric].value
