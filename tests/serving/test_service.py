from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from stancekit.errors import UserError
from stancekit.labels import OUTCOMES
from stancekit.prediction.rows import PREDICTED_COLUMNS
from tests.serving.conftest import ROWS, Logged, P

Ask = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def ask(logged: Logged) -> Ask:
    """Have MLflow load the model and ask it."""
    model = mlflow.pyfunc.load_model(str(logged.folder))

    def predict(frame: pd.DataFrame) -> pd.DataFrame:
        found = model.predict(frame)
        assert isinstance(found, pd.DataFrame)
        return found

    return predict


def test_when_mlflow_loads_the_model_then_it_gives_the_saved_models_own_probabilities(ask: Ask, logged: Logged) -> None:
    found = ask(pd.DataFrame(ROWS))
    assert tuple(found.columns) == PREDICTED_COLUMNS
    np.testing.assert_allclose(found[list(P)].to_numpy(), logged.probabilities, atol=1e-6)
    assert found["stance"].tolist() == [OUTCOMES[i] for i in logged.probabilities.argmax(axis=1)]
    np.testing.assert_allclose(found["confidence"], logged.probabilities.max(axis=1), atol=1e-6)
    assert set(found["status"]) == {"ok"} and found["error"].isna().all() and not found["truncated"].any()


def test_when_another_engine_is_asked_for_then_the_model_runs_behind_it(logged: Logged) -> None:
    model = mlflow.pyfunc.load_model(str(logged.folder), model_config={"precision": "bf16", "threads": 1})
    found = model.predict(pd.DataFrame(ROWS))
    assert isinstance(found, pd.DataFrame)
    change = np.abs(found[list(P)].to_numpy() - logged.probabilities).max()
    assert 1e-6 < change < 0.01
    with pytest.raises(UserError, match=r"engine.*onxn"):
        mlflow.pyfunc.load_model(str(logged.folder), model_config={"engine": "onxn"})


def test_when_the_frame_has_columns_and_an_index_of_its_own_then_the_rows_can_be_joined(
    ask: Ask, logged: Logged
) -> None:
    shuffled = pd.DataFrame(ROWS).assign(stance="old", id=7).iloc[::-1].drop(columns="holder")
    found = ask(shuffled)
    assert found.index.tolist() == shuffled.index.tolist()
    joined = shuffled.drop(columns="stance").join(found).sort_index()
    with_holder = ask(pd.DataFrame(ROWS).assign(holder=None))
    np.testing.assert_array_equal(joined["p_supports"], with_holder["p_supports"])
    assert np.abs(joined["p_supports"] - logged.probabilities[:, 0]).max() > 1e-4


def test_when_rows_are_bad_then_each_says_why_and_the_others_are_as_without_them(ask: Ask, logged: Logged) -> None:
    good = ROWS[0]
    bad: dict[str, dict[str, Any]] = {
        "'statement' is empty": {"statement": " \n"},
        "'statement' is missing": {"statement": None},
        "'target' is missing": {"target": float("nan")},
        "'target' is empty": {"target": ""},
        "'statement' must be text, found int": {"statement": 3},
        "'statement' must be text, found list": {"statement": ["a"]},
        "'holder' must be text or nothing, found int": {"holder": 3},
    }
    rows = [row for change in bad.values() for row in (good | change, good)]
    found = ask(pd.DataFrame(rows, dtype=object))
    wrong, right = found[::2], found[1::2]
    assert wrong["error"].tolist() == list(bad)
    assert set(wrong["status"]) == {"error"} and not wrong["truncated"].any()
    assert wrong[["stance", *P, "confidence"]].isna().to_numpy().all()
    assert set(right["status"]) == {"ok"} and right["error"].isna().all()
    same = np.tile(logged.probabilities[0], (len(bad), 1))
    np.testing.assert_allclose(right[list(P)].to_numpy(dtype=float), same, atol=1e-6)
    assert right["p_supports"].mean() == pytest.approx(found["p_supports"].mean())


def test_when_a_statement_is_too_long_then_the_row_says_that_it_was_cut(ask: Ask) -> None:
    found = ask(pd.DataFrame([ROWS[0], ROWS[0] | {"statement": "the mine " * 200}]))
    assert found["truncated"].tolist() == [False, True] and set(found["status"]) == {"ok"}


def test_when_there_are_no_rows_then_there_are_none_with_the_same_columns_and_types(ask: Ask) -> None:
    frame = pd.DataFrame(ROWS)
    none, some = ask(frame[:0]), ask(frame)
    assert len(none) == 0
    pd.testing.assert_series_equal(none.dtypes, some.dtypes)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (pd.DataFrame(ROWS).drop(columns="statement"), r"missing inputs \['statement'\]"),
        (pd.DataFrame(ROWS).rename(columns={"target": "traget"}), r"missing inputs \['target'\].*\['traget'\]"),
        (pd.DataFrame(ROWS).assign(statement=3), "Incompatible input types for column statement"),
    ],
)
def test_when_a_column_is_missing_or_all_numbers_then_the_signature_refuses_it_by_name(
    ask: Ask, frame: pd.DataFrame, expected: str
) -> None:
    with pytest.raises(MlflowException, match=expected):
        ask(frame)
