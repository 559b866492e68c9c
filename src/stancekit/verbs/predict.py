"""``stancekit predict``: rows, or articles, labelled in bulk."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stancekit.articles import article_files
from stancekit.config.schema import PredictConfig
from stancekit.errors import UserError, nearest
from stancekit.files import (
    INPUT_SUFFIXES,
    STANDARD_STREAM,
    Row,
    Source,
    encode_rows,
    find_sources,
    parquet_types,
    read_rows,
    row_format,
    row_writer,
)
from stancekit.files.counting import count_rows
from stancekit.files.remote import is_url
from stancekit.files.writing import output_format
from stancekit.pairs.build import Tally, pairs_from_articles
from stancekit.pairs.targets import load_targets
from stancekit.paths import find_file
from stancekit.prediction.choosing import Chosen
from stancekit.prediction.embedding import GRAPHS, ExportedEmbedder, exported_embedder
from stancekit.prediction.loading import open_model
from stancekit.prediction.memo import Block, Memo
from stancekit.prediction.overlap import ahead, behind
from stancekit.prediction.parts.identity import identity_of
from stancekit.prediction.parts.place import place_of
from stancekit.prediction.parts.store import PartStore
from stancekit.prediction.progress import Progress
from stancekit.prediction.rows import PREDICTED_COLUMNS, Window, count, labelled_rows, score, windows

_NEEDED = ("statement", "target")


@dataclass
class _Input:
    """What is read: the files, and the targets where they are articles."""

    name: str
    sources: Sequence[Source]
    articles: Path | None = None

    def fingerprints(self, config: PredictConfig) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = [source.fingerprint() for source in self.sources]
        if config.targets is not None:
            found.append({"name": "targets", "sha256": load_targets(config.targets).fingerprint()})
        return found

    def watch(self) -> Callable[[Sequence[Row]], None]:
        """Return a function that raises a UserError for rows of a file that is not what it was when this was called.

        Such rows must not get into a part: it would stay, and go on with what the identity speaks of.
        """
        watched = [(source.name, source.watch()) for source in self.sources]

        def refuse_changed(rows: Sequence[Row]) -> None:
            # A row says of which file it is where there are several.
            names = {row.source for row in rows}
            for name, refuse_change in watched:
                if None in names or name in names:
                    refuse_change()

        return refuse_changed


def run(config: PredictConfig) -> None:
    """Write one labelled row for every row of the input, or for every pair of its articles.

    An output file is made in parts; killed at any moment, the same command goes on after the last whole one.

    Raises:
        UserError: the model, the input or the output is bad, or an output is there that was made otherwise.
    """
    given = _input(config)
    tally = Tally()
    if given.articles is None and config.input != STANDARD_STREAM:
        _look_at(given)
    if config.output != STANDARD_STREAM:
        output_format(config.output)
    chosen = open_model(config.model, config.engine, config.tracking)
    print(f"engine: {chosen.scorer.description} ({chosen.why})", file=sys.stderr)
    if STANDARD_STREAM in (config.input, config.output):
        counts = _stream(config, given, chosen, tally)
    else:
        counts = _in_parts(config, given, chosen, tally)
    if config.targets is not None and tally.articles:
        print(tally.summary(), file=sys.stderr)
    listed = ", ".join(f"{name} {number:,}" for name, number in counts.most_common())
    print(f"{counts.total():,} rows ({listed or 'none'}) -> {config.output}", file=sys.stderr)


def _input(config: PredictConfig) -> _Input:
    if config.input == STANDARD_STREAM:
        if config.targets is not None:
            raise UserError(
                "input=-: rows are read from standard input, not articles; leave out targets or name a file"
            )
        return _Input(config.input, find_sources(STANDARD_STREAM))
    if config.targets is not None:
        path = find_file(config.input, "input")
        return _Input(config.input, [Source(file.name, file) for file in article_files(path)], path)
    if not is_url(config.input) and not any(sign in config.input for sign in "*?["):
        path = find_file(config.input, "input")
        if path.is_dir() or not row_like(path.name):
            raise UserError(
                f"input: '{config.input}' is read as articles, and these need a target list: targets=ukraine_2025 or "
                f"targets=my_targets.yaml\n  rows are read from {', '.join(INPUT_SUFFIXES)} or - (standard input)"
            )
    return _Input(config.input, _without_output(find_sources(config.input), config))


def _without_output(sources: Sequence[Source], config: PredictConfig) -> Sequence[Source]:
    """Leave out what the command itself writes, which a glob over the output's folder finds the second time."""
    if len(sources) == 1 or config.output == STANDARD_STREAM:
        return sources
    place = place_of(config.output)
    return [source for source in sources if not place.holds(source.name)]


def row_like(name: str) -> bool:
    """Return whether a file's name says that it holds rows."""
    try:
        row_format(name, "input", INPUT_SUFFIXES)
    except UserError:
        return False
    return True


def _look_at(given: _Input) -> None:
    """Look at the first row: what is wrong with all of them is one mistake, not one in every row."""
    first = next(read_rows(given.sources), None)
    if first is None:
        raise UserError(f"input: '{given.name}' has no rows; expected at least one")
    _refuse_other_columns(given, first)
    if replaced := [name for name in first.values if name in PREDICTED_COLUMNS]:
        print(f"note: columns of the input that are replaced: {', '.join(replaced)}", file=sys.stderr)


def _refuse_other_columns(given: _Input, first: Row) -> None:
    """Refuse a file whose columns are not those of pairs."""
    missing = [column for column in _NEEDED if column not in first.values]
    # Every row of a JSONL file has its own keys: only one that holds articles is told apart at once.
    one_header = given.sources[0].format.suffix != ".jsonl"
    if missing and not first.error and (one_header or "text" in first.values):
        raise UserError(
            f"input: '{given.name}' has no column {' and no column '.join(map(repr, missing))}"
            f"{nearest(missing[0], first.values)}\n  found: {', '.join(map(str, first.values)) or 'none'}\n"
            "  expected: statement, target and, if known, holder, id; for articles give targets=…"
        )


def _gate(config: PredictConfig, given: _Input, chosen: Chosen) -> ExportedEmbedder | None:
    """Return what embeds the statements of articles, on the model's engine; None for torch, or where none is needed."""
    engine = next((name for name in GRAPHS if name == chosen.engine["name"]), None)
    if given.articles is None or engine is None:
        return None
    found = exported_embedder(config.relevance.encoder, engine, int(chosen.engine["threads"]))
    if found is None:
        print(
            f"note: torch embeds the statements, {config.relevance.encoder.name} is not exported; once, for faster "
            f"predictions: stancekit export format=engines model={config.model}",
            file=sys.stderr,
        )
    return found


def _rows(
    config: PredictConfig, given: _Input, tally: Tally, gate: ExportedEmbedder | None, skip: int = 0
) -> Iterator[Row]:
    """Return the rows of the input: as they are, or made from articles."""
    if given.articles is None or config.targets is None:
        return read_rows(given.sources, skip=skip)
    targets = load_targets(config.targets).targets
    pairs = pairs_from_articles(given.articles, targets, config.articles, config.relevance, tally, gate)
    rows = (Row(number, pair.row()) for number, pair in enumerate(pairs, 1))
    return itertools.islice(rows, skip, None)


def _scored(config: PredictConfig, chosen: Chosen, rows: Iterator[Row], memo: Memo) -> Iterator[Window]:
    """Yield the rows as scored windows, in order."""
    if config.engine.cluster is not None:
        from stancekit.prediction.cluster import scored_on_ray

        yield from scored_on_ray(rows, memo, chosen.folder, config.engine)
        return
    for window in ahead(windows(rows, config.engine.window_rows, chosen.scorer, memo)):
        score(window, chosen.scorer)
        yield window


def _stream(config: PredictConfig, given: _Input, chosen: Chosen, tally: Tally) -> Counter[str]:
    """Label what passes once, or goes on to the next program: nothing of it can be taken up again."""
    if config.output != STANDARD_STREAM and not config.overwrite and place_of(config.output).exists():
        raise UserError(f"output: '{config.output}' is there already; overwrite=true replaces it")
    counts: Counter[str] = Counter()
    rows = _rows(config, given, tally, _gate(config, given, chosen))
    with row_writer(config.output, _types(given)) as write:
        for window in _scored(config, chosen, rows, Memo()):
            found = labelled_rows(window)
            for row in found:
                write(row)
            counts += count(found)
    return counts


def _types(given: _Input) -> Mapping[str, Any]:
    """Return the types of the input's columns where it has some; none of those that are replaced by ours."""
    if given.articles is not None:
        return {}
    found = parquet_types(given.sources)
    return {name: type_ for name, type_ in found.items() if name not in PREDICTED_COLUMNS}


def _in_parts(config: PredictConfig, given: _Input, chosen: Chosen, tally: Tally) -> Counter[str]:
    # Of the engine's settings counts what they came to, and the windows, within which pairs are sorted and scored.
    settings = config.model_dump(mode="json", exclude={"engine"})
    engine = {**chosen.engine, "window_rows": config.engine.window_rows}
    gate = _gate(config, given, chosen)
    if given.articles is not None:
        # In the last digits they differ, and so may what is about a target.
        engine["embedder"] = gate.description if gate else "torch"
    refuse_changed = given.watch()
    identity = identity_of(chosen.model, engine, settings, given.fingerprints(config))
    with PartStore.open(config.output, identity, config.overwrite) as store:
        if store.finished is not None:
            return store.counts
        memo = Memo()
        memo.restore(Block.from_arrays(arrays) for _, arrays in store.scores(newest_first=True))

        def write(window: Window) -> None:
            found = labelled_rows(window)
            refuse_changed(window.rows)
            store.write(encode_rows(found), len(found), count(found), window.new.arrays())
            progress.update(len(found))

        rows = _rows(config, given, tally, gate, store.rows_done)
        total = None if given.articles else count_rows(given.sources)
        with Progress(total, "labelled", store.rows_done) as progress, behind(write) as hand:
            for window in _scored(config, chosen, rows, memo):
                hand(window)
        store.finish(_types(given))
        return store.counts
