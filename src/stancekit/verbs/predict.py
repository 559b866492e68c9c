"""``stancekit predict``: rows, or articles, labelled in bulk."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stancekit.config.schema import PredictConfig
from stancekit.errors import UserError, nearest
from stancekit.files import INPUT_SUFFIXES, STANDARD_STREAM, Row, parquet_types, read_rows, row_writer
from stancekit.pairs.build import Tally, pairs_from_articles
from stancekit.pairs.targets import load_targets
from stancekit.paths import find_file
from stancekit.prediction.rows import PREDICTED_COLUMNS, label_rows
from stancekit.tracking.registry import find_model

_NEEDED = ("statement", "target")


def run(config: PredictConfig) -> None:
    """Write one labelled row for every row of the input, or for every pair of its articles.

    Raises:
        UserError: the model, the input or the output is bad; no output is left behind.
    """
    tally = Tally()
    rows = _input_rows(config, tally)
    folder = find_model(config.model, config.tracking)

    from stancekit.prediction.engine import ENGINES

    engine = ENGINES[config.prediction.engine](folder, config.prediction.batch_size)
    counts: Counter[str] = Counter()
    with row_writer(config.output, parquet_types(config.input)) as write:
        for row in label_rows(rows, engine, config.prediction.chunk_rows):
            counts[row["stance"] or "error"] += 1
            write(row)
    if config.targets is not None:
        print(tally.summary(), file=sys.stderr)
    listed = ", ".join(f"{name} {count}" for name, count in counts.most_common())
    print(f"{counts.total()} rows ({listed or 'none'}) -> {config.output}", file=sys.stderr)


def _input_rows(config: PredictConfig, tally: Tally) -> Iterator[Row]:
    """Return the rows of the input: as they are, or made from articles where ``targets`` is given."""
    if config.input == STANDARD_STREAM:
        if config.targets is not None:
            raise UserError(
                "input=-: rows are read from standard input, not articles; leave out targets or name a file"
            )
        return read_rows(STANDARD_STREAM)
    path = find_file(config.input, "input")
    if config.targets is not None:
        targets = load_targets(config.targets).targets
        pairs = pairs_from_articles(path, targets, config.articles, config.relevance, tally)
        return (Row(number, pair.row()) for number, pair in enumerate(pairs, 1))
    if path.suffix.lower() not in INPUT_SUFFIXES:
        raise UserError(
            f"input: '{config.input}' is read as articles, and these need a target list: targets=ukraine_2025 or "
            f"targets=my_targets.yaml\n  rows are read from {', '.join(INPUT_SUFFIXES)} or - (standard input)"
        )
    rows = read_rows(path)
    first = next(rows, None)
    if first is None:
        raise UserError(f"input: '{config.input}' has no rows; expected at least one")
    _refuse_other_columns(config.input, first)
    if replaced := [name for name in first.values if name in PREDICTED_COLUMNS]:
        print(f"note: columns of the input that are replaced: {', '.join(replaced)}", file=sys.stderr)
    return itertools.chain([first], rows)


def _refuse_other_columns(name: str, first: Row) -> None:
    """Refuse a file whose columns are not those of pairs: that is one mistake, not one in every row."""
    missing = [column for column in _NEEDED if column not in first.values]
    # Every row of a JSONL file has its own keys: only one that holds articles is told apart at once.
    one_header = Path(name).suffix.lower() != ".jsonl"
    if missing and not first.error and (one_header or "text" in first.values):
        raise UserError(
            f"input: '{name}' has no column {' and no column '.join(map(repr, missing))}"
            f"{nearest(missing[0], first.values)}\n  found: {', '.join(map(str, first.values)) or 'none'}\n"
            "  expected: statement, target and, if known, holder, id; for articles give targets=…"
        )
