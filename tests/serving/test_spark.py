from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from typing import Any

import mlflow
import pandas as pd
import pytest

from stancekit.prediction.rows import PREDICTED_COLUMNS
from tests.serving.conftest import ROWS, Logged

pytest.importorskip("pyspark")
if shutil.which("java") is None:
    pytest.skip("Spark needs java", allow_module_level=True)

from pyspark.sql import SparkSession
from pyspark.sql.functions import struct

BAD = [
    ROWS[0] | {"statement": None},
    ROWS[1] | {"statement": " "},
    ROWS[2] | {"target": None},
    ROWS[3] | {"holder": None},
]
"""The last one is good: nobody needs to know the holder."""


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
        session = builder.config("spark.sql.shuffle.partitions", "1").getOrCreate()
        yield session
        session.stop()


@pytest.mark.parametrize("bad_only", [False, True])
def test_when_spark_asks_then_it_gets_what_mlflow_gets_in_python_bad_rows_included(
    spark: SparkSession, logged: Logged, bad_only: bool
) -> None:
    asked: list[dict[str, Any]] = BAD[:2] if bad_only else [*ROWS[:4], *BAD, *ROWS[4:]]
    rows = spark.createDataFrame(
        [(at, row["statement"], row["target"], row["holder"], "extra") for at, row in enumerate(asked)],
        "at int, statement string, target string, holder string, further string",
    )
    found = mlflow.pyfunc.spark_udf(spark, str(logged.folder), env_manager="local")
    answered = rows.withColumn("found", found(struct("statement", "target", "holder", "further")))
    got = [row.asDict() for row in answered.select("at", "found.*").orderBy("at").collect()]
    table = mlflow.pyfunc.load_model(str(logged.folder)).predict(pd.DataFrame(asked))
    assert got == [{"at": at, **row} for at, row in enumerate(table.to_dict("records"))]
    assert tuple(got[0])[1:] == PREDICTED_COLUMNS
    assert [row["status"] for row in got].count("error") == (2 if bad_only else 3)
    assert {row["error"] for row in got if row["status"] == "ok"} <= {None}
