"""Cross-validation over whole groups: no story, topic or statement stands on both sides of a fold."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from stancekit.data.dataset import Dataset, limited
from stancekit.data.mix import SOURCE, without_copies
from stancekit.errors import UserError
from stancekit.pairs.model import Pair

if TYPE_CHECKING:
    from collections.abc import Sequence

TEST = "test"


def fold_of(
    dataset: Dataset, fold: int, folds: int, by: str, limit: int | None = None, seed: int | None = None
) -> Dataset:
    """Return the dataset with its own rows split anew: fold ``fold`` is test, the one after it dev, the others train.

    All rows of the corpus take part, whatever split they had; further test sets stay as they are. Groups of equal
    ``by`` stay together (scikit-learn's GroupKFold), so the folds of one corpus are the same on every machine. Rows
    mixed into train follow its own; of either, those are removed whose statement, or a near-copy, is evaluated on.

    Args:
        fold: from 0 to ``folds`` - 1.
        limit: keep only so many of the fold's own training rows; ``seed`` draws which, None keeps the first.

    Raises:
        UserError: there are fewer groups than folds, or none are left to train on.
    """
    from sklearn.model_selection import GroupKFold

    own = [pair for pairs in dataset.parts.rows.values() for pair in pairs]
    mixed = dataset.train[len(dataset.train) - sum(count.taken for count in dataset.mixed.values()) :]
    foreign = {id(pair) for pair in mixed}
    own = [pair for pair in own if id(pair) not in foreign]
    groups = [str(pair.statement if (group := pair.column(by)) is None else group) for pair in own]
    if len(set(groups)) < max(3, folds):
        raise UserError(
            f"folds={folds}: the rows fall into {len(set(groups))} groups of equal '{by}'; expected at least as many "
            "as folds, and three (data.split.by names the column)"
        )
    splitter = GroupKFold(folds)
    held = [test for _, test in splitter.split(np.zeros(len(own)), groups=groups)]
    test, dev = _rows(own, held[fold]), _rows(own, held[(fold + 1) % folds])
    rest = [i for i, other in enumerate(held) if i not in (fold, (fold + 1) % folds)]
    rows = _rows(own, sorted(chain.from_iterable(held[i].tolist() for i in rest)))
    if not rows:
        raise UserError(
            f"folds={folds}: one fold is test and one is dev, which leaves none to train on; give 3 or more"
        )
    tests = {TEST: test, **dataset.parts.tests}
    held_out = {"dev": dev, **tests}
    kept, others = without_copies(rows, held_out), without_copies(mixed, held_out)
    train = limited(kept, limit, seed) + others
    taken = Counter(pair.column(SOURCE) for pair in others)
    counts = {
        name: replace(count, taken=taken[name], removed=count.removed + count.taken - taken[name])
        for name, count in dataset.mixed.items()
    }
    parts = {"train": kept + others, "dev": dev, TEST: test}
    sources = dict.fromkeys(parts, dataset.parts.path) | {name: dataset.sources[name] for name in dataset.parts.tests}
    return replace(
        dataset,
        parts=replace(dataset.parts, rows=parts, sources=sources),
        train=train,
        dev=dev,
        tests=tests,
        removed=dataset.removed + len(rows) - len(kept),
        mixed=counts,
    )


def refuse_torn(folds: Sequence[Dataset], columns: Sequence[str]) -> None:
    """Check that no value of the columns stands in two folds, where it would be trained and tested on.

    Raises:
        UserError: one does; names it.
    """
    for column in columns:
        held: dict[str, int] = {}
        for number, fold in enumerate(folds):
            for value in sorted({str(v) for pair in fold.tests[TEST] if (v := pair.column(column)) is not None}):
                if held.setdefault(value, number) != number:
                    raise UserError(
                        f"folds={len(folds)}: {column} {value!r} is in fold {held[value]} and in fold {number}, so a "
                        f"score would be too high\n  expected: data.split.by={column}, which keeps it together, or "
                        f"data.disjoint without {column}"
                    )


def _rows(pairs: Sequence[Pair], indices: Sequence[int]) -> list[Pair]:
    return [pairs[i] for i in indices]
