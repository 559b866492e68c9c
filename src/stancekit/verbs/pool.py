"""``stancekit pool``: many unlabelled pairs of labelled ones, for a teacher model to label."""

from __future__ import annotations

import sys

from stancekit.config.schema import PoolConfig
from stancekit.data.dataset import load_dataset
from stancekit.data.pool import kind_counts, make_pool
from stancekit.files import row_writer


def run(config: PoolConfig) -> None:
    """Write the pairs that the corpus's own training rows give.

    Raises:
        UserError: the data or the output is bad; no output is left behind.
    """
    # A bad name for the output must not be told after all the work.
    with row_writer(config.output) as write:
        pool = make_pool(load_dataset(config.data.model_copy(update={"mix": {}})), config.pool)
        for pair in pool:
            write(pair.row())
    counts = ", ".join(f"{kind} {count}" for kind, count in kind_counts(pool).items())
    # On standard error: standard output may carry the pairs.
    print(f"{len(pool)} pairs ({counts}) -> {config.output}", file=sys.stderr)
