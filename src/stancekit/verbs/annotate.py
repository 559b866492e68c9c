"""``stancekit annotate``: pairs to people, and their labels back."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

from stancekit.annotation.collect import Collected, collect
from stancekit.annotation.label_studio import interface, read_export, tasks
from stancekit.annotation.model import Given, identified
from stancekit.annotation.sheets import read_sheet, sheet
from stancekit.config.schema import AnnotateConfig
from stancekit.errors import UserError, nearest
from stancekit.files import read_rows, row_writer, whole_file
from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair, pair_from_row
from stancekit.paths import find_file

_SHOWN = 10
_SUFFIXES = {"labelstudio": ".json", "csv": ".csv"}


def run(config: AnnotateConfig) -> None:
    """Write tasks, or a sheet, for the pairs of a file; or put the labels of their annotators to the pairs.

    Raises:
        UserError: a file cannot be read or written, or does not belong to these pairs; nothing is written then.
    """
    if config.export:
        _export(config, identified(_pairs(config.export, "export")))
    else:
        pairs = identified(_pairs(str(config.pairs), "pairs"))
        found = collect(pairs, [given for name in config.collect for given in _read(name, pairs)])
        with row_writer(config.output) as write:
            for row in found.rows():
                write(row)
        _tell(found, config.output)


def _pairs(name: str, what: str) -> list[Pair]:
    """Return the pairs of a file, whose labels may be missing."""
    path = find_file(name, what)
    pairs = []
    seen: dict[str, int] = {}
    for row in read_rows(path):
        if row.error:
            raise UserError(f"{path}, row {row.number}: {row.error}")
        try:
            pair = pair_from_row(row.values)
        except ValueError as error:
            raise UserError(f"{path}, row {row.number}: {error}") from error
        if pair.label is not None and pair.label not in OUTCOMES:
            close = nearest(pair.label, OUTCOMES)
            raise UserError(
                f"{path}, row {row.number}: unknown label {pair.label!r}{close} (valid: {', '.join(OUTCOMES)}, or none)"
            )
        if pair.id is not None and (first := seen.setdefault(pair.id, row.number)) != row.number:
            raise UserError(f"{path}, row {row.number}: the id {pair.id!r} stands in row {first} too")
        pairs.append(pair)
    if not pairs:
        raise UserError(f"{path}: no rows; expected at least one pair")
    return pairs


def _export(config: AnnotateConfig, pairs: dict[str, Pair]) -> None:
    path = Path(config.output)
    wanted = _SUFFIXES[config.to]
    if path.suffix.lower() != wanted:
        raise UserError(f"output: '{path}' should end with {wanted} for to={config.to}")
    order = [name for name, pair in pairs.items() if config.only == "all" or pair.label is None]
    if not order:
        raise UserError(f"only={config.only}: all {len(pairs)} pairs have a label; only=all exports them all the same")
    # Shuffled, so that the rows of one statement do not stand together and the label of one does not suggest the next.
    random.Random(config.seed).shuffle(order)
    if config.to == "csv":
        with row_writer(path) as write:
            for row in sheet(pairs, order):
                write(row)
        print(f"{len(order)} pairs -> {path}; fill in the column 'label', then collect=[{path}] pairs={config.export}")
        return
    with whole_file(path) as stream, whole_file(path.with_suffix(".xml")) as beside:
        stream.write(tasks(pairs, order))
        beside.write(interface())
    print(
        f"{len(order)} tasks -> {path}, labelling interface -> {path.with_suffix('.xml')}\n"
        "in Label Studio: new project, paste the interface under Labeling Setup > Custom template, import the tasks;\n"
        "then export as JSON or JSON-MIN and run: "
        f"stancekit annotate collect=[EXPORT.json] pairs={config.export} output=…"
    )


def _read(name: str, pairs: dict[str, Pair]) -> Iterator[Given]:
    path = find_file(name, "collect")
    if path.suffix.lower() == ".json":
        return read_export(path, pairs)
    if path.suffix.lower() in (".csv", ".tsv"):
        return read_sheet(path, pairs)
    close = nearest(path.suffix.lower(), (".json", ".csv", ".tsv"))
    raise UserError(f"collect: '{path}' is neither an export of Label Studio (.json) nor a sheet (.csv, .tsv){close}")


def _tell(found: Collected, output: str) -> None:
    labelled = sum(bool(labels) for labels in found.labels.values())
    _say(f"{labelled} of {len(found.pairs)} pairs labelled by {', '.join(found.annotators) or 'nobody'} -> {output}")
    for (one, other), (whole, by_label) in found.agreements().items():
        _say(f"\n{one} and {other}: {whole}")
        for label, each in by_label.items():
            _say(f"  {label:<12} {each}")
    open_ = found.disagreements()
    _say(f"\n{len(open_)} disagreements" + (", left without a label:" if open_ else ""))
    for name in open_[:_SHOWN]:
        pair, labels = found.pairs[name], found.labels[name]
        said = ", ".join(f"{annotator} {label}" for annotator, label in labels.items())
        _say(f"  {name}: {said} | {pair.holder or 'nobody named'} on '{pair.target}': {pair.statement[:100]}")
    if len(open_) > _SHOWN:
        _say(f"  … and {len(open_) - _SHOWN} more in {output} (label empty)")


def _say(line: str) -> None:
    # Not on standard output, where the rows themselves may go.
    print(line, file=sys.stderr)
