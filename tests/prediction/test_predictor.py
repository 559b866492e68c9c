from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import stancekit
from stancekit.errors import UserError
from stancekit.files import read_rows
from stancekit.labels import OUTCOMES
from stancekit.models.calibration import scale
from stancekit.pairs.model import Pair
from stancekit.prediction.predictor import Labelled, Predictor
from stancekit.prediction.rows import PREDICTED_COLUMNS, PROBABILITIES
from tests.conftest import CliRunner, labelled_rows, write_jsonl
from tests.prediction.conftest import PAIRS, Exported

ROWS = [{name: row[name] for name in ("statement", "target", "holder")} for row in labelled_rows(60, seed=5)]
EMPTY = ""
BAD: list[Any] = [
    {"target": "closing the port"},
    {"statement": "", "target": "closing the port"},
    {"statement": 5, "target": "closing the port"},
    {"statement": "half \ud83d of it", "target": "closing the port"},
    {"statement": "we want it", "target": "port " * 200},
    {"statement": "we want it", "target": "closing the port", "holder": ["Ann"]},
    "a text",
    None,
    7,
    Pair("we want it", 5),  # type: ignore[arg-type]
]
REASONS = [
    *("'statement' is missing", "'statement' is empty", "'statement' must be text, found int", "half a surrogate pair"),
    *("has 200 tokens", "'holder' must be text or nothing, found list"),
    *["expected a pair or a mapping"] * 3,
    "'target' must be text, found int",
]


@pytest.fixture(scope="module")
def predictor(exported: Exported) -> Predictor:
    return stancekit.load(str(exported.folder), engine="onnx", precision="fp32", threads=1, window_rows=16)


@pytest.fixture(scope="module")
def expected(exported: Exported, predictor: Predictor) -> list[Labelled]:
    """What comes out for ``ROWS``, checked against the model."""
    found: list[Labelled] = predictor.predict(ROWS)
    probabilities = np.array([[getattr(one, name) for name in PROBABILITIES] for one in found])
    np.testing.assert_allclose(probabilities, scale(exported.probabilities, 1.5), atol=1e-4)
    assert [one.stance for one in found] == [OUTCOMES[i] for i in probabilities.argmax(axis=1)]
    assert len({one.stance for one in found}) > 1
    assert {(one.status, one.error) for one in found} == {("ok", None)}
    assert {one.truncated for one in found} == {True, False}
    return found


def test_when_a_predictor_is_loaded_then_it_says_what_runs_it(predictor: Predictor) -> None:
    assert predictor.description == "onnx fp32, 1 threads"
    assert tuple(Labelled.__dataclass_fields__) == PREDICTED_COLUMNS


@pytest.mark.parametrize(
    "pairs",
    [
        tuple(ROWS),
        PAIRS,
        tuple(PAIRS),
        [MappingProxyType(row) for row in ROWS],
        [OrderedDict(row) if i % 2 else pair for i, (row, pair) in enumerate(zip(ROWS, PAIRS, strict=True))],
        [row | {"id": i, "label": "supports", "stance": "mine", 3: 4} for i, row in enumerate(ROWS)],
    ],
    ids=["tuple", "pairs", "tuple of pairs", "proxies", "mixed", "more columns"],
)
def test_when_pairs_come_in_any_sequence_then_the_results_are_a_list_and_the_same(
    predictor: Predictor, expected: list[Labelled], pairs: Any
) -> None:
    found = predictor.predict(pairs)
    assert isinstance(found, list) and found == expected


def test_when_a_pair_is_labelled_twice_then_both_have_the_same_and_the_holder_counts(predictor: Predictor) -> None:
    row = {"statement": "the minister wants closing the port", "target": "closing the port"}
    one, same, empty, other = predictor.predict([row, dict(row), row | {"holder": " "}, row | {"holder": "Ann"}])
    assert one == same == empty and one != other


def test_when_a_statement_is_cut_then_that_is_said(predictor: Predictor) -> None:
    (found,) = predictor.predict([{"statement": "the port " * 500, "target": "closing the port"}])
    assert found.truncated is True and found.status == "ok"


def test_when_rows_are_bad_then_each_says_why_and_the_others_are_as_without_them(
    predictor: Predictor, expected: list[Labelled]
) -> None:
    mixed = [*ROWS[:2], *BAD, *ROWS[2:]]
    found = predictor.predict(mixed)
    assert len(found) == len(mixed)
    for one, reason in zip(found[2:12], REASONS, strict=True):
        assert one.status == "error" and reason in str(one.error)
        assert asdict(one) == {**dict.fromkeys(PREDICTED_COLUMNS), "status": "error", "error": one.error} | {
            "truncated": False
        }
    good = found[:2] + found[12:]
    assert [one.stance for one in good] == [one.stance for one in expected]
    for name in PROBABILITIES:
        np.testing.assert_allclose(
            [getattr(one, name) for one in good], [getattr(one, name) for one in expected], atol=2e-6
        )
    assert list(predictor.predict(iter(mixed))) == found


def test_when_rows_come_from_an_iterator_then_so_do_the_results_and_no_more_than_a_window_is_read_ahead(
    predictor: Predictor, expected: list[Labelled]
) -> None:
    read = 0

    def rows() -> Iterator[Mapping[str, Any]]:
        nonlocal read
        for row in ROWS:
            read += 1
            yield row

    found = predictor.predict(rows())
    assert isinstance(found, Iterator) and read == 0
    for number, one in enumerate(found):
        assert one == expected[number]
        assert read <= (number // 16 + 1) * 16
    assert read == number + 1 == 60


def test_when_an_iterator_never_ends_then_as_many_results_as_are_asked_for_come(predictor: Predictor) -> None:
    def endless() -> Iterator[Mapping[str, Any]]:
        while True:
            yield ROWS[0]

    found = predictor.predict(endless())
    assert len({next(found) for _ in range(50)}) == 1


def test_when_an_iterator_fails_then_its_own_error_comes_after_what_was_whole(predictor: Predictor) -> None:
    def failing() -> Iterator[Mapping[str, Any]]:
        yield from ROWS[:20]
        raise KeyError("the source")

    found = predictor.predict(failing())
    assert len([next(found) for _ in range(16)]) == 16
    with pytest.raises(KeyError, match="the source"):
        next(found)


@pytest.mark.parametrize(
    "given",
    ["a text", b"bytes", ROWS[0], PAIRS[0], None, 5, pl.DataFrame(ROWS).lazy()],
    ids=lambda one: type(one).__name__,
)
def test_when_what_is_given_is_not_many_pairs_then_the_message_says_what_is_expected(
    predictor: Predictor, given: Any
) -> None:
    with pytest.raises(UserError, match=rf"predict: found '{type(given).__name__}'; expected a list or another iterab"):
        predictor.predict(given)


def assert_table(found: Sequence[Mapping[Any, Any]], expected: list[Labelled]) -> None:
    assert [{name: row[name] for name in PREDICTED_COLUMNS} for row in found] == [asdict(one) for one in expected]


@pytest.mark.parametrize(
    "index", [None, [5] * 60, [f"r{i}" for i in range(60)], pd.MultiIndex.from_product([range(6), range(10)])]
)
def test_when_a_pandas_table_is_given_then_it_comes_back_with_its_index_and_our_columns_last(
    predictor: Predictor, expected: list[Labelled], index: Any
) -> None:
    table = pd.DataFrame(ROWS, index=index)
    table.insert(0, "page", range(60))
    table.insert(1, "stance", "old")
    table["error"] = "old"
    before = table.copy(deep=True)
    found = predictor.predict(table)
    pd.testing.assert_frame_equal(table, before)
    assert list(found.columns) == ["page", "statement", "target", "holder", *PREDICTED_COLUMNS]
    assert found.index.equals(table.index) and found["page"].tolist() == list(range(60))
    assert_table(found.to_dict("records"), expected)
    assert [str(found[name].dtype) for name in PREDICTED_COLUMNS] == [
        *("object", "float64", "float64", "float64", "float64", "float64", "object", "object", "bool")
    ]


@pytest.mark.parametrize("missing", [float("nan"), None, pd.NA, pd.NaT, EMPTY])
def test_when_cells_of_pandas_are_missing_then_they_are_as_none(predictor: Predictor, missing: Any) -> None:
    unknown, _ = predictor.predict([ROWS[0] | {"holder": None}, ROWS[2]])
    rows = [ROWS[0] | {"holder": missing}, ROWS[1] | {"statement": missing}, ROWS[2]]
    found = predictor.predict(pd.DataFrame(rows))
    assert found["status"].tolist() == ["ok", "error", "ok"]
    assert found["error"][1] == ("'statement' is empty" if missing is EMPTY else "'statement' is missing")
    assert np.isnan(found["p_supports"][1]) and found["stance"][1] is None
    assert found["p_supports"][0] == pytest.approx(unknown.p_supports, abs=2e-6)


def test_when_columns_of_pandas_are_categories_or_of_other_text_types_then_they_are_read_as_text(
    predictor: Predictor, expected: list[Labelled]
) -> None:
    for dtype in ("category", "string", "string[pyarrow]", object):
        assert_table(predictor.predict(pd.DataFrame(ROWS).astype(dtype)).to_dict("records"), expected)


@pytest.mark.parametrize("kind", ["text", "category"])
def test_when_a_polars_table_is_given_then_it_comes_back_with_our_columns_last(
    predictor: Predictor, expected: list[Labelled], kind: str
) -> None:
    table = pl.DataFrame([{"stance": 1, "page": i, **row} for i, row in enumerate(ROWS)])
    if kind == "category":
        table = table.with_columns(pl.col("target", "holder").cast(pl.Categorical))
    found = predictor.predict(table)
    assert found.columns == ["page", "statement", "target", "holder", *PREDICTED_COLUMNS]
    assert_table(found.to_dicts(), expected)
    types = [found.schema[name] for name in PREDICTED_COLUMNS]
    assert types == [pl.String, *[pl.Float64] * 5, pl.String, pl.String, pl.Boolean]


@pytest.mark.parametrize("kind", ["table", "chunks", "dictionary", "batch"])
def test_when_an_arrow_table_is_given_then_it_comes_back_in_its_kind_with_our_columns_last(
    predictor: Predictor, expected: list[Labelled], kind: str
) -> None:
    table = pa.Table.from_pylist([{"stance": 1, "page": i, **row} for i, row in enumerate(ROWS)])
    table = table.replace_schema_metadata({"made": "here"})
    if kind == "chunks":
        table = pa.concat_tables([table.slice(0, 7), table.slice(7, 0), table.slice(7)])
    if kind == "dictionary":
        table = table.set_column(3, "target", table.column("target").dictionary_encode())
    given = table.to_batches()[0] if kind == "batch" else table
    found = predictor.predict(given)
    assert type(found) is type(given)
    assert found.column_names == ["page", "statement", "target", "holder", *PREDICTED_COLUMNS]
    assert found.schema.field("target").type == given.schema.field("target").type
    assert found.schema.metadata == {b"made": b"here"}
    assert_table(found.to_pylist(), expected)
    types = [found.schema.field(name).type for name in PREDICTED_COLUMNS]
    assert types == [pa.string(), *[pa.float64()] * 5, pa.string(), pa.string(), pa.bool_()]


NOTHING: dict[str, list[str]] = {"statement": [], "target": []}


def test_when_nothing_is_given_then_nothing_of_that_kind_comes_back(predictor: Predictor) -> None:
    assert predictor.predict([]) == predictor.predict(()) == []
    assert list(predictor.predict(iter([]))) == []
    tables: list[Any] = [pd.DataFrame(NOTHING), pl.DataFrame(NOTHING), pa.table(NOTHING)]
    for table in tables:
        found = predictor.predict(table)
        assert type(found) is type(table) and len(found) == 0
        names = found.column_names if isinstance(table, pa.Table) else list(found.columns)
        assert names == ["statement", "target", *PREDICTED_COLUMNS]
    assert predictor.predict(pl.DataFrame(NOTHING)).schema["p_supports"] == pl.Float64


def test_when_all_rows_of_a_table_are_bad_then_the_columns_keep_their_types(predictor: Predictor) -> None:
    rows = [{"statement": "", "target": "x"}] * 2
    assert predictor.predict(pl.DataFrame(rows)).schema["p_supports"] == pl.Float64
    assert predictor.predict(pa.Table.from_pylist(rows)).schema.field("stance").type == pa.string()
    assert predictor.predict(pd.DataFrame(rows))["confidence"].isna().all()


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_when_a_table_lacks_a_column_then_the_message_names_it_and_those_that_are_there(
    predictor: Predictor, make: Any
) -> None:
    with pytest.raises(UserError, match="the table has no column 'target'\n  found: statement, page"):
        predictor.predict(make({"statement": ["a"], "page": [1]}))


def test_when_a_table_has_a_column_twice_then_the_message_says_so(predictor: Predictor) -> None:
    columns = ["statement", "target", "target"]
    tables: list[Any] = [
        pd.DataFrame([["a", "b", "c"]], columns=columns),
        pa.table([["a"], ["b"], ["c"]], names=columns),
    ]
    for table in tables:
        with pytest.raises(UserError, match="the table has 2 columns 'target'; expected one"):
            predictor.predict(table)
    other = pa.table([["we"], ["port"], [1], [2]], names=["statement", "target", "page", "page"])
    assert predictor.predict(other).column_names[:4] == ["statement", "target", "page", "page"]


@pytest.mark.parametrize("engine", ["onnx", "openvino", "torch"])
def test_when_four_threads_share_a_predictor_then_each_gets_what_it_would_get_alone(
    exported: Exported, expected: list[Labelled], engine: str
) -> None:
    folder = exported.saved if engine == "torch" else exported.folder
    shared = stancekit.load(str(folder), engine=engine, precision="fp32", threads=1, window_rows=16)
    found: dict[int, Any] = {}
    begin = threading.Barrier(4)

    def work(number: int) -> None:
        begin.wait()
        rows = ROWS[number:] + ROWS[:number]
        found[number] = [list(shared.predict(rows if number % 2 else iter(rows))) for _ in range(3)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        turned = expected[number:] + expected[:number]
        for results in found[number]:
            assert [one.stance for one in results] == [one.stance for one in turned]
            for name in PROBABILITIES:
                np.testing.assert_allclose(
                    [getattr(one, name) for one in results], [getattr(one, name) for one in turned], atol=1e-4
                )


def test_when_the_command_line_labels_the_same_rows_then_the_results_are_the_same(
    cli: CliRunner, exported: Exported, tmp_path: Path
) -> None:
    rows = [*ROWS, *ROWS[:9], {"statement": "", "target": "x"}, {"statement": "we " * 300, "target": "the port"}]
    path = write_jsonl(tmp_path / "in.jsonl", rows)
    engine = ["engine=openvino", "engine.threads=1", "engine.window_rows=32"]
    cli("predict", f"model={exported.folder}", f"input={path}", f"output={tmp_path / 'out.jsonl'}", *engine)
    predictor = stancekit.load(str(exported.folder), engine="openvino", threads=1, window_rows=32)
    assert_table([row.values for row in read_rows(tmp_path / "out.jsonl")], predictor.predict(rows))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"engine": "onx"}, "engine=onx: no such choice; did you mean 'onnx'?"),
        ({"precison": "fp32"}, "engine.precison: unknown key; did you mean 'engine.precision'?"),
        ({"threads": 0}, "engine.threads"),
        ({"precision": "int4"}, "engine.precision"),
        ({"model": "smal"}, "model: 'smal': no such folder; did you mean 'small'?"),
    ],
)
def test_when_what_is_to_be_loaded_is_misspelt_then_the_message_says_what_is_meant(
    exported: Exported, words: dict[str, Any], expected: str
) -> None:
    with pytest.raises(UserError) as caught:
        stancekit.load(**({"model": str(exported.folder)} | words))
    assert expected in str(caught.value)


WITHOUT_TORCH = """
import sys
from stancekit.cli import main
folder, rows, output = sys.argv[1:]
words = ["predict", f"model={folder}", f"input={rows}", f"output={output}", "engine.threads=1"]
assert main(words) == 0
import stancekit
(found,) = stancekit.load(folder, threads=1).predict([{"statement": "we want it", "target": "closing the port"}])
assert found.status == "ok", found
heavy = ("torch", "transformers", "scipy", "sklearn", "mlflow", "pandas", "polars", "datasets", "matplotlib", "nncf")
print([name for name in heavy if name in sys.modules])
"""


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_when_an_exported_model_predicts_then_neither_torch_nor_anything_else_heavy_is_imported(
    exported: Exported, tmp_path: Path, engine: str
) -> None:
    rows = write_jsonl(tmp_path / "in.jsonl", ROWS)
    script = WITHOUT_TORCH.replace('"engine.threads=1"', f'"engine.threads=1", "engine={engine}"')
    done = subprocess.run(
        [sys.executable, "-c", script, str(exported.folder), str(rows), str(tmp_path / "out.jsonl")],
        env={**os.environ, "STANCEKIT_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n" and f"engine: {engine} " in done.stderr
    out = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["status"] for row in out] == ["ok"] * 60
