"""``stancekit pairs``: articles in, statement–target pairs out."""

from __future__ import annotations

import dataclasses
import sys

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
    with row_writer(config.output) as write:
        for pair in pairs_from_articles(path, targets, config.articles, config.relevance, tally):
            row = pair.row()
            del row["label"]
            write(row)
    if config.dropped:
        with row_writer(config.dropped) as write:
            for one in tally.dropped:
                write(dataclasses.asdict(one))
    # On standard error: standard output may carry the pairs.
    print(f"{tally.summary()} -> {config.output}", file=sys.stderr)
