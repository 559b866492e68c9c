"""Labelled rows of any origin, read as pairs: our own files, public corpora in their own columns and label names."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stancekit.config.base import fields_of
from stancekit.config.data import CorpusConfig, HubSource
from stancekit.errors import UserError, nearest
from stancekit.files import INPUT_SUFFIXES, Row, read_rows
from stancekit.labels import OUTCOMES, outcome_of
from stancekit.pairs.model import PAIR_COLUMNS, Pair, pair_from_row
from stancekit.paths import find_file

FOLDER = "folder"
"""A column that every row has while it is read: the name of the folder that its file lies in."""
NO_SPLIT = "all"
"""The key of files whose rows belong to no split yet."""


@dataclass
class Corpus:
    """Pairs in the order of their files; ``extra["split"]`` says to which split a pair belongs, where that is known."""

    path: Path
    pairs: list[Pair] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """How many rows carry no outcome, by reason."""


def read_corpus(config: CorpusConfig, what: str = "data") -> Corpus:
    """Return the labelled pairs that ``config`` describes.

    Args:
        what: the key of the configuration, for messages.

    Raises:
        UserError: there is no such file, the hub cannot be reached, a row cannot be read, lacks a column, has an
            unknown label or the id of another; names the file and the row.
    """
    files = _files(config, what)
    path = files[0][1] if len(files) == 1 else files[0][1].parent
    corpus = Corpus(path)
    seen: dict[str, str] = {}
    for split, file in files:
        # Files of others come as they are.
        for row in read_rows(file, number_twins=config.about is not None):
            where = f"{file}, row {row.number}"
            if row.error:
                raise UserError(f"{where}: {row.error}")
            for values in _meant(config, row, where, file):
                pair = _pair(config, values, where, split, corpus.left_out)
                if pair is None:
                    continue
                if pair.id is not None and (first := seen.setdefault(pair.id, where)) != where:
                    raise UserError(f"{where}: the id {pair.id!r} stands in {first} too; expected an id of its own")
                corpus.pairs.append(pair)
    if not corpus.pairs:
        dropped = ", ".join(f"{count} {reason}" for reason, count in corpus.left_out.items())
        raise UserError(f"{path}: no labelled rows{f' ({dropped})' if dropped else ''}; expected at least one")
    return corpus


def _files(config: CorpusConfig, what: str) -> list[tuple[str | None, Path]]:
    """Return every file with the split that it holds, None where its rows say so or nobody does."""
    if config.path is None:
        return _hub_files(config, what)
    path = find_file(config.path, f"{what}.path")
    if path.is_file():
        return [(None, path)]
    layouts = [files for files in (config.files, config.hub.files if config.hub else {}) if files]
    if not layouts:
        raise UserError(f"{what}.path: '{path}' is a folder; expected a file ({', '.join(INPUT_SUFFIXES)})")
    for layout in layouts:
        # Test parts are often not handed out: what is there is read; a missing train or dev is told where it is needed.
        found = [(split, path / name) for split, names in layout.items() for name in names if (path / name).is_file()]
        begun = {split for split, _ in found}
        if missing := [n for split in begun for n in layout[split] if not (path / n).is_file()]:
            raise UserError(f"{what}.path: '{path}' holds a part of {config.name} only; missing: {', '.join(missing)}")
        if found:
            return [(None if split == NO_SPLIT else split, file) for split, file in found]
    wanted = ", ".join(name for names in layouts[0].values() for name in names)
    held = ", ".join(sorted(other.name for other in path.iterdir())) or "nothing"
    raise UserError(f"{what}.path: '{path}' holds none of the files of {config.name}: {wanted}\n  found: {held}")


def _hub_files(config: CorpusConfig, what: str) -> list[tuple[str | None, Path]]:
    if config.hub is None:
        source = f"\n  get it from {config.about.source}" if config.about else ""
        raise UserError(f"{what}.path: {config.name} is not on the hub; {_what_path_expects(config, what)}{source}")
    files = config.hub.files or config.files
    if config.hub.revision is None:
        raise UserError(
            f"{what}.hub.revision: pin {config.hub.id} to a commit of 40 hexadecimal digits, so that it stays the same;"
            f" or {_what_path_expects(config, what)}"
        )
    hub = config.hub
    return [
        (None if split == NO_SPLIT else split, _hub_file(hub, name, what))
        for split, names in files.items()
        for name in names
    ]


def _hub_file(hub: HubSource, name: str, what: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(hub.id, name, repo_type="dataset", revision=hub.revision))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise UserError(
            f"{what}: '{name}' of {hub.id} at {hub.revision} cannot be had from the hub ({type(error).__name__})\n"
            f"  offline: run `hf download {hub.id} --repo-type dataset --revision {hub.revision} --local-dir FOLDER` "
            f"where there is a network,\n  then give {what}.path=FOLDER"
        ) from error


def _what_path_expects(config: CorpusConfig, what: str) -> str:
    wanted = config.files or (config.hub.files if config.hub else {})
    named = ", ".join(name for names in wanted.values() for name in names)
    return f"give {what}.path=FOLDER that holds {named}" if named else f"give {what}.path=FILE"


def _meant(config: CorpusConfig, row: Row, where: str, file: Path) -> Iterator[dict[str, Any]]:
    """Yield a row, or each object of its list, with the columns that the configuration sets."""
    inner: list[dict[str, Any]] = [{}]
    if config.each:
        found = row.values.get(config.each)
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise UserError(f"{where}: expected a list of objects in the column '{config.each}'")
        inner = found
    for item in inner:
        given = {config.rename.get(name, name): value for name, value in row.values.items()}
        values = {FOLDER: file.parent.name, **given, **item, **config.constants}
        for column, recoded in config.recode.items():
            values.update(recoded.get(str(_cell(config, values, column, where)), {}))
        yield values


def _pair(
    config: CorpusConfig, values: dict[str, Any], where: str, split: str | None, left_out: Counter[str]
) -> Pair | None:
    """Return the pair in a row, or None, counted, where the row carries no outcome or is of no split."""
    columns = config.columns
    for column, recoded in config.recode.items():
        if any(set(columns_set) - set(values) for columns_set in recoded.values()):
            left_out[f"with another {column}"] += 1
            return None
    label = _label(config, values, where)
    if label is None:
        left_out["without an outcome"] += 1
        return None
    holder = columns.holder if columns.holder in values else None
    ours = {
        "statement": _text(config, columns.statement, values, where),
        "target": _text(config, columns.target, values, where),
        "holder": values[holder] if holder else None,
        "id": values.get(columns.id) if columns.id else None,
        "label": label,
    }
    taken = {*columns.model_dump().values(), *PAIR_COLUMNS, FOLDER, config.each}
    further = {name: value for name, value in values.items() if name not in taken}
    if config.split_column:
        split = config.split_column.values.get(str(_cell(config, values, config.split_column.column, where)))
        if split is None:
            left_out["of no split"] += 1
            return None
    if split is not None:
        further["split"] = split
    try:
        return pair_from_row(ours | further)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error


def _label(config: CorpusConfig, values: Mapping[str, Any], where: str) -> str | None:
    if config.votes:
        shares = {column: _number(_cell(config, values, column, where), column, where) for column in config.votes}
        known = {column: share for column, share in shares.items() if share is not None}
        return outcome_of(config.votes[max(known, key=lambda column: known[column])]) if known else None
    found = _cell(config, values, config.columns.label, where)
    if config.scale:
        grade = _number(found, config.columns.label, where)
        if grade is None:
            return None
        high, low = config.scale.supports, config.scale.rules_out
        return "supports" if grade >= high else "rules_out" if grade <= low else "leaves_open"
    valid = config.labels or OUTCOMES
    if str(found) not in valid:
        raise UserError(f"{where}: unknown label {found!r}{nearest(str(found), valid)} (valid: {', '.join(valid)})")
    return outcome_of(config.labels[str(found)]) if config.labels else str(found)


def _number(value: Any, column: str, where: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.inf
    if math.isinf(number):
        raise UserError(f"{where}: expected a number in the column '{column}', found {value!r}")
    return None if math.isnan(number) else number


def _text(config: CorpusConfig, template: str, values: Mapping[str, Any], where: str) -> Any:
    """Return the value of the column that is named, or the template filled with those that it names."""
    if "{" not in template:
        return _cell(config, values, template, where)
    for column in fields_of(template):
        _cell(config, values, column, where)
    return template.format_map(values)


def _cell(config: CorpusConfig, values: Mapping[str, Any], column: str, where: str) -> Any:
    if column in values:
        return values[column]
    found = [name for name in values if name != FOLDER]
    needed = [config.columns.statement, config.columns.target, *(config.votes or [config.columns.label])]
    raise UserError(
        f"{where}: no column {column!r}{nearest(column, found)}\n  found: {', '.join(found)}\n"
        f"  expected: {', '.join(needed)} and, if known, holder, id, split"
    )


def read_labelled(path: Path) -> list[Pair]:
    """Return the labelled pairs of a file in our own columns.

    Raises:
        UserError: as ``read_corpus``.
    """
    return read_corpus(CorpusConfig(name=path.name, path=str(path))).pairs
