"""Whether one model is better than another on the same rows: paired differences with their intervals."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stancekit.errors import UserError
from stancekit.evaluation.bootstrap import drawn_scores, interval, resample
from stancekit.evaluation.metrics import counts, macro_f1_of_present, score
from stancekit.evaluation.model import Score
from stancekit.evaluation.predictions import Predictions
from stancekit.evaluation.slices import cell_values
from stancekit.labels import OUTCOMES, STANCES
from stancekit.metric_names import HEADLINE

if TYPE_CHECKING:
    from numpy.typing import NDArray

SLICED_BY = ("phenomena", "topic")

_FEW = 30
"""Fewer clusters need a word: in simulations with 10 to 20, 8 to 10 % of equal models seemed to differ, not 5 %."""
_DIGITS = 12
"""Means over runs differ by rounding errors alone where the scores are equal; these must not look like a difference."""


@dataclass(frozen=True)
class Entrant:
    """What is compared: a run or a model, with one set of predictions, or repeats, with one for every seed."""

    name: str
    runs: Sequence[Predictions]


@dataclass(frozen=True)
class Difference:
    """A metric of both, its difference (other less first) and whether that is shown: its interval excludes 0.

    ``p`` is two-sided: twice the share of draws on the rarer side of 0, at least 1 / (draws + 1).
    """

    metric: str
    first: Score
    other: Score
    difference: Score
    p: float
    shown: bool


@dataclass(frozen=True)
class McNemar:
    """Rows that one alone gets right, of four outcomes, and the exact two-sided p of so uneven a division."""

    first_only: int
    other_only: int
    p: float


@dataclass(frozen=True)
class Disagreement:
    """A row that the two give different outcomes; repeats speak with the mean of their probabilities."""

    id: str | None
    holder: str | None
    statement: str
    target: str
    gold: str
    first: str
    first_confidence: float
    other: str
    other_confidence: float


@dataclass(frozen=True)
class SliceDifference:
    """Rows that share a value: the macro-F1 of both over the stances that occur among them, and its difference."""

    name: str
    value: str
    rows: int
    first: float
    other: float
    difference: Score
    shown: bool


@dataclass(frozen=True)
class Comparison:
    """All that two entrants differ in on one set of rows; the verdict is about the headline metric alone."""

    first: str
    other: str
    part: str
    fingerprint: str
    rows: int
    clusters: int
    runs: tuple[int, int]
    metrics: tuple[Difference, ...]
    mcnemar: McNemar
    disagreements: tuple[Disagreement, ...]
    """Those where exactly one is right first, then by the mean confidence of the two, falling."""
    slices: tuple[SliceDifference, ...]
    """The largest difference, either way, first."""
    verdict: str
    notes: tuple[str, ...]
    """What a reader must know before believing an interval."""


def compare(
    first: Entrant,
    other: Entrant,
    part: str,
    columns: Sequence[str] = SLICED_BY,
    least: int = 20,
    draws: int = 1000,
    seed: int = 0,
    further: Sequence[str] = (),
) -> Comparison:
    """Return in what two entrants differ on the same rows.

    Every draw of the bootstrap takes the same clusters for both (paired, as in Efron and Tibshirani, 1993; clusters
    whole, because rows of one story are not independent). The score of repeats is the mean over their runs, and each
    draw resamples the runs too, for each entrant by itself, so that the spread of seeds widens the interval. Clusters
    are those of the first entrant; where all rows share one, statements are resampled instead.

    Args:
        part: the name of the set of rows, such as ``test``.
        columns: columns to slice by; a row whose cell is a list is in the slice of each of its values.
        least: how many rows whose gold is a stance a slice needs.
        draws: resamples of the bootstrap.
        further: metrics beyond those of every evaluation, of ``stancekit.metric_names.FURTHER_METRICS``.

    Raises:
        UserError: an entrant has no runs, the runs were not scored on the same rows, or there are fewer than two rows.
    """
    reference = _same_rows(first, other, part)
    generator = np.random.default_rng([seed, len(first.runs), len(other.runs)])
    one, two = (_side(entrant, reference, draws, generator) for entrant in (first, other))
    gold, groups = reference.gold, _groups(reference)
    metrics = []
    seen = [_scores(side, gold, groups, further, draws, seed) for side in (one, two)]
    for name in seen[0]:
        each, difference, p = _contrast(seen[0][name], seen[1][name])
        metrics.append(Difference(name, *each, difference, p, _shown(difference)))
    headline = next(found for found in metrics if found.metric == HEADLINE)
    return Comparison(
        first=first.name,
        other=other.name,
        part=part,
        fingerprint=reference.fingerprint,
        rows=len(gold),
        clusters=len(set(reference.clusters)),
        runs=(len(first.runs), len(other.runs)),
        metrics=tuple(metrics),
        mcnemar=_mcnemar(*(side.mean.argmax(axis=1) == gold for side in (one, two))),
        disagreements=_disagreements(reference, one.mean, two.mean),
        slices=_slices(reference, one, two, columns, least, draws, seed),
        verdict=_verdict(first.name, other.name, headline),
        notes=_notes(reference),
    )


def points(value: float, sign: bool = False) -> str:
    """Return a difference of scores in points, which are hundredths, to one place; with ``sign``, + as well as −."""
    shown = f"{abs(value) * 100:.1f}"
    if float(shown) == 0:
        return shown
    return ("−" if value < 0 else "+" if sign else "") + shown


@dataclass(frozen=True)
class _Side:
    """An entrant on the rows of the reference: probabilities (runs, rows, 4), and the runs' shares (runs, draws)."""

    runs: NDArray[np.float64]
    shares: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        return self.runs.mean(axis=0)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _Values:
    """A score: of every run, and of every draw."""

    runs: NDArray[np.float64]
    drawn: NDArray[np.float64]

    @classmethod
    def of(cls, runs: Sequence[float], drawn: Sequence[NDArray[np.float64]], side: _Side) -> _Values:
        return cls(np.array(runs), (np.stack(drawn) * side.shares).sum(axis=0))

    @property
    def mean(self) -> float:
        return float(self.runs.mean())


def _same_rows(first: Entrant, other: Entrant, part: str) -> Predictions:
    """Return the first run, whose rows, in their order, and whose clusters are used for all."""
    for entrant in (first, other):
        if not entrant.runs:
            raise UserError(f"part '{part}': {entrant.name} has no predictions; expected those of at least one run")
    named = [(entrant.name, run) for entrant in (first, other) for run in entrant.runs]
    name, reference = named[0]
    for another, run in named[1:]:
        if run.fingerprint != reference.fingerprint:
            raise UserError(
                f"part '{part}': the two were not scored on the same rows: {name} has fingerprint "
                f"{reference.fingerprint} ({len(reference.pairs)} rows), {another} has {run.fingerprint} "
                f"({len(run.pairs)} rows); compare runs of the same data, or give saved models, which are scored anew"
            )
    if len(reference.pairs) < 2:
        raise UserError(f"part '{part}': rows to compare on: {len(reference.pairs)}; expected at least 2")
    return reference


def _side(entrant: Entrant, reference: Predictions, draws: int, generator: np.random.Generator) -> _Side:
    number = len(entrant.runs)
    taken = generator.multinomial(number, np.full(number, 1 / number), size=draws)
    order = np.argsort(_order(reference))
    # Sorted by content first and id last, rows meet even where one of the files has other ids or none.
    return _Side(np.stack([run.probabilities[_order(run)][order] for run in entrant.runs]), taken.T / number)


def _order(run: Predictions) -> NDArray[np.int64]:
    def key(number: int) -> tuple[str, ...]:
        pair = run.pairs[number]
        return pair.statement, pair.target, str(pair.label), pair.holder or "", pair.id or ""

    return np.array(sorted(range(len(run.pairs)), key=key), dtype=np.int64)


def _groups(rows: Predictions) -> NDArray[np.int64]:
    """Return what is resampled, as numbers from 0: clusters or, where all rows share one, statements or single rows."""
    for groups in (rows.groups, Predictions(rows.pairs, rows.probabilities, [p.statement for p in rows.pairs]).groups):
        if groups.max() > 0:
            return groups
    return np.arange(len(rows.pairs))


def _scores(
    side: _Side, gold: NDArray[np.int64], groups: NDArray[np.int64], further: Sequence[str], draws: int, seed: int
) -> dict[str, _Values]:
    exact = [score(gold, run, further) for run in side.runs]
    drawn = [drawn_scores(gold, run, groups, further, draws, seed) for run in side.runs]
    return {name: _Values.of([run[name] for run in exact], [run[name] for run in drawn], side) for name in exact[0]}


def _contrast(first: _Values, other: _Values) -> tuple[tuple[Score, Score], Score, float]:
    """Return the scores, their difference and its two-sided p."""
    drawn = np.round(other.drawn - first.drawn, _DIGITS)
    difference = Score(round(other.mean - first.mean, _DIGITS), *interval(drawn))
    rarer = min((drawn <= 0).mean(), (drawn >= 0).mean())
    p = min(1.0, max(2 * float(rarer), 1 / (len(drawn) + 1)))
    return (Score(first.mean, *interval(first.drawn)), Score(other.mean, *interval(other.drawn))), difference, p


def _shown(difference: Score) -> bool:
    # Few clusters can put the interval on the other side of 0 than the value, which shows nothing either way.
    return min(difference.value, difference.low) > 0 or max(difference.value, difference.high) < 0


def _mcnemar(first: NDArray[np.bool_], other: NDArray[np.bool_]) -> McNemar:
    """Return McNemar's test (1947), exact: of two equal models each is as likely to be the one that is right."""
    first_only, other_only = int((first & ~other).sum()), int((other & ~first).sum())
    either = first_only + other_only
    as_uneven = 2 * sum(math.comb(either, rarer) for rarer in range(min(first_only, other_only) + 1))
    return McNemar(first_only, other_only, min(1.0, as_uneven / 2**either))


def _disagreements(
    rows: Predictions, first: NDArray[np.float64], other: NDArray[np.float64]
) -> tuple[Disagreement, ...]:
    says = np.stack([first.argmax(axis=1), other.argmax(axis=1)])
    confidence = np.stack([first.max(axis=1), other.max(axis=1)])
    one_right = (says == rows.gold).sum(axis=0) == 1
    differ = np.flatnonzero(says[0] != says[1]).tolist()
    return tuple(
        Disagreement(
            id=rows.pairs[i].id,
            holder=rows.pairs[i].holder,
            statement=rows.pairs[i].statement,
            target=rows.pairs[i].target,
            gold=OUTCOMES[rows.gold[i]],
            first=OUTCOMES[says[0, i]],
            first_confidence=float(confidence[0, i]),
            other=OUTCOMES[says[1, i]],
            other_confidence=float(confidence[1, i]),
        )
        for i in sorted(differ, key=lambda i: (not one_right[i], -confidence[:, i].mean(), i))
    )


def _slices(
    rows: Predictions, one: _Side, two: _Side, columns: Sequence[str], least: int, draws: int, seed: int
) -> tuple[SliceDifference, ...]:
    members: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, pair in enumerate(rows.pairs):
        for name in columns:
            for value in cell_values(pair, name):
                members[name, value].append(number)
    found = []
    for (name, value), numbers in members.items():
        scored = np.array([number for number in numbers if rows.gold[number] < len(STANCES)], dtype=np.int64)
        if len(scored) < max(least, 2):
            continue
        part = rows.take(scored)
        groups = _groups(part)
        taken = resample(int(groups.max()) + 1, draws, seed)
        values = [_slice_scores(side, scored, part.gold, groups, taken) for side in (one, two)]
        difference = _contrast(*values)[1]
        found.append(
            SliceDifference(name, value, len(numbers), values[0].mean, values[1].mean, difference, _shown(difference))
        )
    return tuple(sorted(found, key=lambda s: (-abs(s.difference.value), s.name, s.value)))


def _slice_scores(
    side: _Side, scored: NDArray[np.int64], gold: NDArray[np.int64], groups: NDArray[np.int64], taken: NDArray[np.int64]
) -> _Values:
    each = [counts(gold, run[scored], groups).stances for run in side.runs]
    exact = [float(macro_f1_of_present(matrices.sum(axis=0))) for matrices in each]
    drawn = [macro_f1_of_present(np.tensordot(taken, matrices, axes=1)) for matrices in each]
    return _Values.of(exact, drawn, side)


def _verdict(first: str, other: str, headline: Difference) -> str:
    one, two, gap = _bare(headline.first.value), _bare(headline.other.value), headline.difference
    if not headline.shown:
        interval_of = f"95 % interval {points(gap.low)} to {points(gap.high)}"
        return f"no difference shown: macro-F1 {one} and {two}, difference {points(gap.value)} points ({interval_of})"
    better, worse, scores, ends = other, first, (two, one), (gap.low, gap.high)
    if gap.high < 0:
        better, worse, scores, ends = first, other, (one, two), (-gap.high, -gap.low)
    return (
        f"{better} is better than {worse} by {points(abs(gap.value))} points "
        f"(95 % interval {points(ends[0])} to {points(ends[1])}): macro-F1 {scores[0]} against {scores[1]}"
    )


def _bare(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _notes(rows: Predictions) -> tuple[str, ...]:
    notes, number = [], len(set(rows.clusters))
    if (rows.gold >= len(STANCES)).all():
        notes.append("no row has a stance as gold: three-way scores, macro-F1 among them, are 0 for any model")
    if number == 1:
        notes.append(
            f"all rows share the cluster '{rows.clusters[0]}': statements were resampled instead, so the intervals say "
            "nothing of other clusters"
        )
    elif number < _FEW:
        notes.append(
            f"{number} clusters are few: intervals are too narrow, and up to a tenth of equal models seem to differ"
        )
    return tuple(notes)
