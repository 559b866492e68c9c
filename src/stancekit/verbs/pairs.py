"""``stancekit pairs``: articles in, statement–target pairs out."""

from __future__ import annotations

import dataclasses
import sys
from contextlib import ExitStack

from stancekit.config.schema import PairsConfig
from stancekit.files import row_writer
from stancekit.pairs.build import Tally, pairs_from_articles
from stancekit.pairs.targets import load_targets
from stancekit.paths import find_file


def run(config: PairsConfig) -> None:
    """Write the pairs of the articles, and if asked for the lines that were left out.

    Raises:
        UserError: the input, the target list or the output is bad; no output is left behind.
    """
    targets = load_targets(config.targets).targets
    path = find_file(config.input, "input")
    tally = Tally()
    with ExitStack() as files:
        # Both are opened first: a bad name for the second must not be told after all the work.
        write = files.enter_context(row_writer(config.output))
        write_dropped = files.enter_context(row_writer(config.dropped)) if config.dropped else None
        for pair in pairs_from_articles(path, targets, config.articles, config.relevance, tally):
            write(pair.row())
        if write_dropped:
            for one in tally.dropped:
                write_dropped(dataclasses.asdict(one))
    # On standard error: standard output may carry the pairs.
    print(f"{tally.summary()} -> {config.output}", file=sys.stderr)
