"""Labels that are doubtful: passes that disagree, and what predictions from the other rows contradict."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from stancekit.annotation.agreement import Agreement, agreement, agreement_by_label
from stancekit.audit.copies import GROUP
from stancekit.audit.model import Finding, LabelledRow, finding, shown
from stancekit.errors import UserError, nearest
from stancekit.labels import OUTCOMES, STANCES

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIRST, SECOND, WHY = "label_1", "label_2", "adjudication"
"""The columns of two passes of labelling, and of the word on how their disagreement was settled."""

PHENOMENA = "phenomena"

_TURNED = {("supports", "rules_out"), ("rules_out", "supports"), ("leaves_open", "leaves_open")}
# A classifier that is wrong more often than this contradicts more right labels than wrong ones.
_TRUSTED = 0.6
_LISTED = 100
_LEAST_TWINS = 3
_TWIN_SHARE = 0.75


def passes(rows: Sequence[LabelledRow], least: float) -> tuple[list[Finding], dict[str, Any]]:
    """Compare the two passes of labelling, where rows have both.

    Returns:
        The findings (labels that neither pass gave, disagreements that nobody settled, kappas below ``least``), and the
        agreement in all, by label and by phenomenon.

    Raises:
        UserError: a label of a pass is none.
    """
    twice = [row for row in rows if row.pair.column(FIRST) and row.pair.column(SECOND)]
    for row in twice:
        for column in (FIRST, SECOND):
            if (given := row.pair.column(column)) not in OUTCOMES:
                close = nearest(str(given), OUTCOMES)
                valid = ", ".join(OUTCOMES)
                raise UserError(f"{row.name}: unknown label {given!r} in the column '{column}'{close} (valid: {valid})")
    if not twice:
        return [Finding("two passes", "skipped", f"no row has {FIRST} and {SECOND}")], {}
    stray = [
        shown(row, **_both(row))
        for row in twice
        if row.pair.label not in (row.pair.column(FIRST), row.pair.column(SECOND))
    ]
    open_ = [
        shown(row, **_both(row))
        for row in twice
        if row.pair.column(FIRST) != row.pair.column(SECOND) and not row.pair.column(WHY)
    ]
    everything = _agreement(twice)
    by_label = agreement_by_label(*_columns(twice))
    with_phenomenon: dict[str, list[LabelledRow]] = defaultdict(list)
    for row in twice:
        for name in _listed(row.pair.column(PHENOMENA)):
            with_phenomenon[name].append(row)
    by_phenomenon = {name: _agreement(held) for name, held in sorted(with_phenomenon.items())}
    low = [
        {"over": name, "kappa": round(found.kappa, 3), "raw": round(found.raw, 3), "rows": found.rows}
        for name, found in {"all": everything, **by_label, **by_phenomenon}.items()
        if not math.isnan(found.kappa) and found.kappa < least
    ]
    table = {
        "all": _numbers(everything),
        "by_label": {name: _numbers(found) for name, found in by_label.items()},
        "by_phenomenon": {name: _numbers(found) for name, found in by_phenomenon.items()},
    }
    findings = [
        finding("labels of neither pass", "error", stray, "{count} rows have a label that neither pass gave", "none"),
        finding("open disagreements", "error", open_, "{count} disagreements carry no word on why", "none"),
        finding("agreement", "warning", low, f"{{count}} times κ is below {least}", f"two passes: {everything}"),
    ]
    return findings, table


def _listed(value: Any) -> list[str]:
    """Return the names in a cell: a list, or, as CSV and Parquet keep it, a list as JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.startswith("[") else [value]
        except json.JSONDecodeError:
            value = [value]
    return [str(name) for name in value] if isinstance(value, list) else []


def _both(row: LabelledRow) -> dict[str, Any]:
    return {FIRST: row.pair.column(FIRST), SECOND: row.pair.column(SECOND)}


def _columns(rows: Sequence[LabelledRow]) -> tuple[list[str], list[str]]:
    return [row.pair.column(FIRST) for row in rows], [row.pair.column(SECOND) for row in rows]


def _agreement(rows: Sequence[LabelledRow]) -> Agreement:
    return agreement(*_columns(rows))


def _numbers(found: Agreement) -> dict[str, Any]:
    return {
        "rows": found.rows,
        "raw": round(found.raw, 3),
        "kappa": None if math.isnan(found.kappa) else round(found.kappa, 3),
    }


def twin_targets(rows: Sequence[LabelledRow]) -> Finding:
    """Find rows that break with what their targets are to each other: one the other turned round.

    Two targets are twins if, wherever a holder takes a stance on both in one statement, he nearly always supports the
    one that he does not rule out, or leaves both open. A flipped label is an exception to that.
    """
    together: dict[tuple[str, str | None], list[LabelledRow]] = defaultdict(list)
    for row in rows:
        if row.pair.label in STANCES:
            together[row.pair.statement, row.pair.holder].append(row)
    meetings: dict[tuple[str, str], list[tuple[LabelledRow, LabelledRow]]] = defaultdict(list)
    for held in together.values():
        for one, other in combinations(sorted(held, key=lambda row: row.pair.target), 2):
            if one.pair.target != other.pair.target:
                meetings[one.pair.target, other.pair.target].append((one, other))
    found: list[dict[str, Any]] = []
    for met in meetings.values():
        kept = [(one.pair.label, other.pair.label) in _TURNED for one, other in met]
        opposed = sum(
            one.pair.label != other.pair.label for (one, other), turned in zip(met, kept, strict=True) if turned
        )
        if opposed >= _LEAST_TWINS and sum(kept) >= _TWIN_SHARE * len(met):
            found.extend(
                shown(one, other_target=other.pair.target, other_label=other.pair.label)
                for (one, other), turned in zip(met, kept, strict=True)
                if not turned
            )
    bad = "{count} rows break with the twin of their target: supported and ruled out, or open, otherwise go together"
    return finding("twin targets", "warning", found, bad, "rows under a target and its reverse fit together")


def suspicious(rows: Sequence[LabelledRow], features: NDArray[np.float32], folds: int, seed: int) -> Finding:
    """Find labels that out-of-fold predictions contradict, by confident learning (Northcutt, Jiang & Chuang, 2021).

    A logistic regression on ``features`` is trained on the other folds; statements of one group share a fold. It knows
    little of entailment: where it is wrong too often (as on stancebank) nobody is accused, and what it flags elsewhere
    is to be looked at, no more.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    labels = np.array([OUTCOMES.index(str(row.pair.label)) for row in rows])
    kinds, codes = np.unique(labels, return_inverse=True)
    groups = np.array([str(row.pair.column(GROUP) or row.pair.statement) for row in rows])
    if len(kinds) < 2 or np.bincount(codes).min() < folds or len(set(groups)) < folds:
        return Finding("suspicious labels", "skipped", f"fewer than {folds} rows of a label, or groups, to fold")
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    # Strong regularisation and a loose tolerance: the same predictions for the purpose, in a tenth of the time.
    model = LogisticRegression(C=0.1, tol=1e-3, max_iter=300, class_weight="balanced")
    probabilities = cross_val_predict(model, features, codes, groups=groups, cv=splitter, method="predict_proba")
    right = float((probabilities.argmax(axis=1) == codes).mean())
    quality = get_label_quality_scores(codes, probabilities)
    flagged = find_label_issues(codes, probabilities, filter_by="confident_learning", n_jobs=1)
    order = sorted(map(int, np.flatnonzero(flagged)), key=lambda i: quality[i])
    found = [
        shown(rows[i], predicted=OUTCOMES[kinds[probabilities[i].argmax()]], quality=round(float(quality[i]), 3))
        for i in order
    ]
    check = "suspicious labels"
    if right < _TRUSTED:
        said = f"predictions from the other rows are right for {right:.0%} only: too few to accuse a label"
        return Finding(check, "skipped", f"{said} (the {_LISTED} least plausible are listed)", tuple(found[:_LISTED]))
    bad = f"{{count}} labels are contradicted by predictions from the other rows, which are right for {right:.0%}"
    return finding(check, "warning", found, bad, "no label is contradicted by predictions from the other rows")
