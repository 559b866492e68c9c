"""Rows to and from the frames that MLflow hands over, so that what is missing is missing in Python, JSON and Spark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from stancekit.prediction.rows import PREDICTED_COLUMNS, PROBABILITIES

FLAG = "truncated"
TEXTS = ("stance", "status", "error")
NUMBERS = (*PROBABILITIES, "confidence")


class _Text(pd.arrays.StringArray):
    """Text in which a missing value stays missing when it is cast to numpy's text.

    MLflow casts so on the way to Spark, and pandas would write the missing value out, as a stance called ``<NA>``.
    """

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """Return the values as another type, for numpy's text as objects."""
        to_text = isinstance(dtype, np.dtype) and dtype.kind == "U"
        return super().astype(object if to_text else dtype, copy=copy)


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as values by column, None for what is missing."""
    columns = {str(name): frame[name].astype(object).where(frame[name].notna(), None) for name in frame.columns}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def frame_of(labelled: Iterable[Mapping[str, Any]], index: pd.Index[Any]) -> pd.DataFrame:
    """Return the predicted columns of labelled rows.

    Numbers are of numpy's type, or of pandas' own where one is missing: NaN would not be valid JSON.
    """
    found = pd.DataFrame(list(labelled), columns=list(PREDICTED_COLUMNS), index=index, dtype=object)
    for name in TEXTS:
        found[name] = pd.Series(_Text(found[name].to_numpy(copy=True)), index=index)
    for name in NUMBERS:
        found[name] = found[name].astype("Float64" if found[name].hasnans else "float64")
    return found.astype({FLAG: bool})
