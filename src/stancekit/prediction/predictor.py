"""The Python interface: a model that labels lists, tables and streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, overload

from stancekit.errors import UserError
from stancekit.files import Row
from stancekit.labels import Outcome
from stancekit.pairs.model import Pair
from stancekit.prediction.memo import Memo
from stancekit.prediction.overlap import ahead
from stancekit.prediction.rows import PREDICTED_COLUMNS, PROBABILITIES, labelled, prepare, score, windows
from stancekit.prediction.scoring import Scorer

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

PairLike = Pair | Mapping[str, Any]
"""A pair, or a mapping with ``statement``, ``target`` and, if known, ``holder``."""

_WINDOW = 4096


@dataclass(frozen=True, slots=True)
class Labelled:
    """What came out for one pair.

    ``stance`` is the likeliest outcome and ``confidence`` its probability. Where ``status`` is ``error``, the pair was
    bad: ``error`` says why, and stance and probabilities are None. ``truncated``: the statement was cut to fit.
    """

    stance: Outcome | None
    p_supports: float | None
    p_rules_out: float | None
    p_leaves_open: float | None
    p_no_stance: float | None
    confidence: float | None
    status: Literal["ok", "error"]
    error: str | None
    truncated: bool


class Predictor:
    """A model that is ready to label; threads may share it.

    Attributes:
        description: which engine runs it, and how.
    """

    def __init__(self, scorer: Scorer, window_rows: int = _WINDOW) -> None:
        """Take a scorer; ``window_rows`` are sorted by length and scored at a time."""
        self._scorer = scorer
        self._window_rows = window_rows
        self.description = scorer.description

    @overload
    def predict(self, pairs: pd.DataFrame) -> pd.DataFrame: ...
    @overload
    def predict(self, pairs: pl.DataFrame) -> pl.DataFrame: ...
    @overload
    def predict(self, pairs: Sequence[PairLike]) -> list[Labelled]: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, pairs: Iterable[PairLike]) -> Iterator[Labelled]: ...

    def predict(self, pairs: Any) -> Any:
        """Label pairs: one result for each, in order; bad ones get ``status`` ``error`` and a reason.

        Args:
            pairs: a list of pairs or mappings; any other iterable of them, which is read as the results are asked for;
                or a table of pandas, polars or Arrow with the columns ``statement``, ``target`` and, if known,
                ``holder``. Identical pairs are scored once.

        Returns:
            A list of ``Labelled`` for a list, an iterator of them for another iterable; for a table the same kind of
            table with its columns and the predicted ones after them (``PREDICTED_COLUMNS``).

        Raises:
            UserError: a table lacks a column, or what is given is none of these.
        """
        for kind in type(pairs).__mro__:
            if label := _TABLES.get(f"{kind.__module__.partition('.')[0]}.{kind.__name__}"):
                return label(self, pairs)
        if isinstance(pairs, str | bytes | Mapping | Pair) or not isinstance(pairs, Iterable):
            raise UserError(
                f"predict: found {_an(pairs)}; expected a list or another iterable of pairs "
                "({'statement': …, 'target': …, 'holder': …}), or a table of pandas, polars or Arrow"
            )
        if isinstance(pairs, Sequence):
            return [Labelled(**result) for result in self.results(map(_values, pairs))]
        return self._stream(pairs)

    def results(self, rows: Iterable[Mapping[str, Any] | None]) -> list[dict[str, Any]]:
        """Return the predicted columns of every row, as the columns of a file have them; None is no row."""
        memo = Memo()
        found: list[dict[str, Any]] = []
        for window in ahead(windows(_numbered(rows), self._window_rows, self._scorer, memo)):
            score(window, self._scorer)
            found += labelled(window)
        return found

    def _stream(self, pairs: Iterable[PairLike]) -> Iterator[Labelled]:
        memo = Memo()
        stream = iter(pairs)
        while chunk := list(islice(stream, self._window_rows)):
            window = prepare(list(_numbered(map(_values, chunk))), self._scorer, memo)
            score(window, self._scorer)
            for result in labelled(window):
                yield Labelled(**result)

    def _columns(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Return the predicted columns for those of a table."""
        names = [name for name in ("statement", "target", "holder") if name in columns]
        cells = zip(*(columns[name] for name in names), strict=True)
        results = self.results(dict(zip(names, row, strict=True)) for row in cells)
        return {name: [result[name] for result in results] for name in PREDICTED_COLUMNS}


def _numbered(rows: Iterable[Mapping[str, Any] | None]) -> Iterator[Row]:
    for number, values in enumerate(rows, 1):
        yield Row(number, dict(values)) if values is not None else Row(number, error="expected a pair or a mapping")


def _values(pair: Any) -> Mapping[str, Any] | None:
    if isinstance(pair, Pair):
        return {"statement": pair.statement, "target": pair.target, "holder": pair.holder}
    return pair if isinstance(pair, Mapping) else None


def _an(value: object) -> str:
    return f"'{type(value).__name__}'"


def _checked(names: Iterable[object]) -> None:
    there = [str(name) for name in names]
    if missing := [name for name in ("statement", "target") if name not in there]:
        raise UserError(
            f"predict: the table has no column '{missing[0]}'\n  found: {', '.join(there) or 'none'}\n"
            "  expected: statement, target and, if known, holder"
        )
    if twice := [name for name in ("statement", "target", "holder") if there.count(name) > 1]:
        raise UserError(f"predict: the table has {there.count(twice[0])} columns '{twice[0]}'; expected one")


def _pandas(predictor: Predictor, table: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    _checked(table.columns)
    given = table[[name for name in ("statement", "target", "holder") if name in table.columns]]
    # What pandas has for a missing cell (NaN, NA, NaT) is none.
    plain = given.astype(object).where(given.notna(), None)
    found = predictor._columns({str(name): plain[name].tolist() for name in plain.columns})
    columns = {name: pd.Series(found[name], index=table.index, dtype=_PANDAS_TYPES[name]) for name in found}
    return pd.concat([table.drop(columns=list(columns), errors="ignore"), pd.DataFrame(columns)], axis=1)


_PANDAS_TYPES: dict[str, Any] = {
    **dict.fromkeys(("stance", "status", "error"), object),
    **dict.fromkeys((*PROBABILITIES, "confidence"), "float64"),
    "truncated": bool,
}


def _arrow(predictor: Predictor, table: pa.Table | pa.RecordBatch) -> pa.Table | pa.RecordBatch:
    import pyarrow as pa

    names = table.column_names
    _checked(names)
    wanted = [name for name in ("statement", "target", "holder") if name in names]
    found = predictor._columns({name: table.column(name).to_pylist() for name in wanted})
    kept = table.select([place for place, name in enumerate(names) if name not in PREDICTED_COLUMNS])
    types = {
        **dict.fromkeys(PREDICTED_COLUMNS, pa.string()),
        **dict.fromkeys((*PROBABILITIES, "confidence"), pa.float64()),
        "truncated": pa.bool_(),
    }
    for name in PREDICTED_COLUMNS:
        kept = kept.append_column(name, pa.array(found[name], types[name]))
    return kept


def _polars(predictor: Predictor, table: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    _checked(table.columns)
    wanted = [name for name in ("statement", "target", "holder") if name in table.columns]
    found = predictor._columns({name: table[name].to_list() for name in wanted})
    types: dict[str, Any] = {
        **dict.fromkeys(PREDICTED_COLUMNS, pl.String),
        **dict.fromkeys((*PROBABILITIES, "confidence"), pl.Float64),
        "truncated": pl.Boolean,
    }
    kept = table.select([name for name in table.columns if name not in PREDICTED_COLUMNS])
    return kept.with_columns([pl.Series(name, found[name], dtype=types[name]) for name in PREDICTED_COLUMNS])


_TABLES: dict[str, Callable[[Predictor, Any], Any]] = {
    "pandas.DataFrame": _pandas,
    "polars.DataFrame": _polars,
    "pyarrow.Table": _arrow,
    "pyarrow.RecordBatch": _arrow,
}
