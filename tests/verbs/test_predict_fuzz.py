"""Whatever the input holds, `stancekit predict` ends well or says in one message what is wrong, and loses no row."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stancekit.cli import main
from stancekit.config.compose import load_config
from stancekit.config.schema import PredictConfig
from stancekit.files import encode_rows, read_rows
from stancekit.labels import OUTCOMES
from stancekit.prediction.loading import open_model
from stancekit.prediction.rows import PREDICTED_COLUMNS, PROBABILITIES
from tests.files.test_fuzz_reading import NASTY, ROWS, Mutation, content_of, mutated, mutations
from tests.verbs.tiny_export import export_tiny

WINDOW = 16


Labeller = Callable[[Path, Path], tuple[int, list[str]]]


@pytest.fixture(scope="module")
def label(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labeller]:
    """The command line on one input and one output; the model is opened, and the configuration composed, only once."""
    model = export_tiny(tiny_encoder, tmp_path_factory.mktemp("fuzz") / "model")
    words = [f"model={model}", "engine.threads=1", f"engine.window_rows={WINDOW}", "input=in", "output=out"]
    composed = cast(PredictConfig, load_config("predict", words))
    chosen = open_model(composed.model, composed.engine, composed.tracking)

    def configured(verb: str, words: Sequence[str], own: Path | None) -> PredictConfig:
        return composed.model_copy(update=dict(word.split("=", 1) for word in words))

    def run(path: Path, output: Path) -> tuple[int, list[str]]:
        said = io.StringIO()
        with redirect_stderr(said):
            code = main(["predict", f"input={path}", f"output={output}"])
        return code, said.getvalue().splitlines()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stancekit.config.compose.load_config", configured)
        patch.setattr("stancekit.verbs.predict.open_model", lambda *_: chosen)
        # Nobody pulls the plug here, and the disk is slow.
        patch.setattr("os.fsync", lambda _: None)
        yield run


def fuzzed(examples: int, **strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test on so many examples, the same ones every time."""
    chosen = settings(max_examples=examples, derandomize=True, database=None, deadline=None, print_blob=True)
    return lambda test: chosen(given(**strategies)(test))


def labelled(label: Labeller, content: bytes, suffix: str, output: str) -> list[dict[str, Any]] | None:
    """Label a file of these bytes, check all that holds of every output, and return its rows; None where refused."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, out = folder / f"in.{suffix}", folder / f"out.{output}"
        path.write_bytes(content)
        code, said = label(path, out)
        there = {each.name for each in folder.iterdir()} - {path.name}
        messages = [line for line in said if line.startswith("stancekit: ")]
        assert "Traceback" not in "\n".join(said)
        if code == 2:
            assert len(messages) == 1, said
            kept = folder / f"{out.name}.parts"
            assert there <= {kept.name}, f"left behind: {there}"
            assert not there or (kept / "journal.jsonl").read_bytes(), "a folder of no parts"
            return None
        assert code == 0 and not messages, said
        assert there == {out.name, f"{out.name}.manifest.json"}
        expected = list(read_rows(path))
        rows = rows_of(out, output)
        assert len(rows) == len(expected) == json.loads((folder / f"{out.name}.manifest.json").read_bytes())["rows"]
    for row, read in zip(rows, expected, strict=True):
        check(row)
        passed = {name: value for name, value in read.values.items() if name not in PREDICTED_COLUMNS}
        if output.startswith("jsonl"):
            assert row["error"] == (read.error or row["error"])
            assert dict(list(row.items())[: -len(PREDICTED_COLUMNS)]) == json.loads(encode_rows([passed]))
        elif output.startswith("csv"):
            for name, value in passed.items():
                assert row[name] == value or not isinstance(value, str)
    return rows


def check(row: dict[str, Any]) -> None:
    """Check the predicted columns of one row."""
    assert list(row)[-len(PREDICTED_COLUMNS) :] == list(PREDICTED_COLUMNS)
    probabilities = [row[name] for name in PROBABILITIES]
    if row["status"] == "error":
        assert row["error"] and row["stance"] is None and row["confidence"] is None and row["truncated"] is False
        assert probabilities == [None] * len(OUTCOMES)
        return
    assert row["status"] == "ok" and row["error"] is None and row["truncated"] in (True, False)
    assert sum(probabilities) == pytest.approx(1, abs=3e-6) and row["confidence"] == max(probabilities)
    assert row["stance"] == OUTCOMES[int(np.argmax(probabilities))]


def rows_of(path: Path, output: str) -> list[dict[str, Any]]:
    """Return the rows of an output, read by others than us, its predicted columns in their types."""
    if output == "parquet":
        return cast(list[dict[str, Any]], pq.read_table(path).to_pylist())
    content = path.read_bytes()
    if output.endswith(".gz"):
        content = gzip.decompress(content)
    if output.endswith(".zst"):
        with pa.CompressedInputStream(pa.BufferReader(content), "zstd") as stream:
            content = stream.read()
    text = content.decode("utf-8")
    if output.startswith("jsonl"):
        return [json.loads(line, parse_constant=refuse) for line in text.removesuffix("\n").split("\n")]
    if output.startswith("csv"):
        csv.field_size_limit(2**26)
        header, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    else:
        header, *lines = (line.split("\t") for line in text.removesuffix("\n").split("\n"))
    return [from_cells(dict(zip(header, cells, strict=True))) for cells in lines]


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def from_cells(cells: dict[str, str]) -> dict[str, Any]:
    numbers = {name: float(cells[name]) if cells[name] else None for name in (*PROBABILITIES, "confidence")}
    texts = {name: cells[name] or None for name in ("stance", "status", "error")}
    return {**cells, **numbers, **texts, "truncated": {"True": True, "False": False}[cells["truncated"]]}


def ids_in(content: bytes) -> list[str | None]:
    """Return the id of every line of JSONL that is not blank, or None where it cannot be known, without our reader."""
    found: list[str | None] = []
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if not line.strip():
            continue
        try:
            values = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError):
            values = None
        given_id = values.get("id") if isinstance(values, dict) else None
        found.append(given_id if isinstance(given_id, str) and given_id.isascii() else None)
    return found


jsonl_or_others = st.sampled_from(["jsonl", "jsonl", "jsonl", "csv", "tsv", "parquet", "jsonl.gz", "csv.zst"])


@fuzzed(400, changes=mutations, output=jsonl_or_others)
def test_when_a_jsonl_file_is_broken_then_every_line_has_its_row_at_its_place(
    label: Labeller, changes: list[Mutation], output: str
) -> None:
    content, _ = mutated(content_of("jsonl"), changes)
    rows = labelled(label, content, "jsonl", output)
    ids = ids_in(content)
    assert (rows is None) == (not ids)
    if rows is not None:
        assert len(rows) == len(ids)
        assert all(expected is None or row.get("id") == expected for row, expected in zip(rows, ids, strict=True))


PREDICTED = st.sampled_from(PREDICTED_COLUMNS)
names = st.one_of(
    st.sampled_from(
        ["statement", "target", "holder", "id", "label", "text", "statement ", "Statement", "", " ", "a\tb"]
    ),
    PREDICTED,
    st.text(max_size=5),
)
texts = st.one_of(
    st.sampled_from(
        [
            *(
                "the minister wants closing the port",
                "",
                " \t\n\u00a0",
                "\ufeff",
                "x" * 20_000,
                "port " * 3000,
                "a\r\nb",
            ),
            *(
                '"',
                '""',
                "a\x00b",
                "\x1b[31m",
                "\u202e\u2028\x85",
                "[SEP] [MASK]",
                "{statement} {0} {",
                "=1+1",
                "a\tb,c",
            ),
            *("\ud83d", "\udcff", "\U0010ffff", "e" + "\u0301" * 300, "nan", "None"),
        ]
    ),
    st.text(max_size=20),
)
values = st.recursive(
    st.one_of(
        texts,
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from([10**400, -(2**63), 2**63, 2**53 + 1, 0.5, 1e308, float("nan"), float("inf"), -0.0]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=5,
)
wild_rows = st.lists(
    st.fixed_dictionaries(
        {}, optional={"statement": st.one_of(texts, values), "target": st.one_of(texts, values), "holder": values}
    ).flatmap(lambda row: st.dictionaries(names, values, max_size=4).map(lambda more: {**more, **row})),
    min_size=1,
    max_size=2 * WINDOW,
)


@fuzzed(
    350, rows=wild_rows, ascii_only=st.booleans(), output=jsonl_or_others, end=st.sampled_from(["\n", "\r\n", "\n\n"])
)
def test_when_jsonl_rows_hold_anything_at_all_then_each_is_labelled_or_says_why_not(
    label: Labeller, rows: list[dict[str, Any]], ascii_only: bool, output: str, end: str
) -> None:
    numbered = [{**row, "id": f"row-{number}"} for number, row in enumerate(rows)]
    text = "".join(json.dumps(row, ensure_ascii=ascii_only) + end for row in numbered)
    content = text.encode("utf-8", "surrogatepass")
    found = labelled(label, content, "jsonl", output)
    if found is None:
        # The first row alone can be refused: for a file of articles.
        assert "text" in rows[0] and not {"statement", "target"} <= set(rows[0])
        return
    for row, expected in zip(found, numbered, strict=True):
        assert row.get("id") == expected["id"] or row["status"] == "error"
        bad = not all(
            isinstance(expected.get(name), str) and str(expected[name]).strip() for name in ("statement", "target")
        )
        assert row["status"] == "error" if bad else True


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
@fuzzed(130, changes=mutations, output=jsonl_or_others)
def test_when_a_table_of_text_is_broken_then_every_row_of_it_has_its_row(
    label: Labeller, suffix: str, changes: list[Mutation], output: str
) -> None:
    content, _ = mutated(content_of(suffix), changes)
    labelled(label, content, suffix, output)


cells = st.one_of(texts, st.sampled_from([nasty.decode("latin-1") for nasty in NASTY]))
tables = st.lists(st.lists(cells, max_size=6), min_size=1, max_size=WINDOW)


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
@fuzzed(
    60,
    table=tables,
    output=jsonl_or_others,
    header=st.lists(names, max_size=3),
    encoding=st.sampled_from(["utf-8", "latin-1", "utf-8-sig"]),
)
def test_when_a_table_of_text_is_ragged_or_oddly_quoted_then_every_row_of_it_has_its_row(
    label: Labeller, suffix: str, table: list[list[str]], output: str, header: list[str], encoding: str
) -> None:
    sign = "," if suffix == "csv" else "\t"
    text = "\n".join(sign.join(line) for line in [["statement", "target", *header], *table])
    errors = "replace" if encoding == "latin-1" else "surrogatepass"
    labelled(label, text.encode(encoding, errors), suffix, output)


@fuzzed(130, changes=mutations, output=jsonl_or_others)
def test_when_a_parquet_file_is_broken_then_it_is_refused_or_every_row_has_its_row(
    label: Labeller, changes: list[Mutation], output: str
) -> None:
    content, _ = mutated(content_of("parquet"), changes)
    if (rows := labelled(label, content, "parquet", output)) is not None:
        assert len(rows) == pq.ParquetFile(io.BytesIO(content)).metadata.num_rows


@fuzzed(60, place=st.integers(0, 2**16), bit=st.integers(0, 7), output=jsonl_or_others)
def test_when_a_bit_of_a_parquet_files_footer_is_wrong_then_it_is_refused_or_every_row_has_its_row(
    label: Labeller, place: int, bit: int, output: str
) -> None:
    content = bytearray(content_of("parquet"))
    footer = int.from_bytes(content[-8:-4], "little") + 8
    content[-1 - place % footer] ^= 1 << bit
    labelled(label, bytes(content), "parquet", output)


def column(count: int) -> st.SearchStrategy[pa.Array]:
    """Draw a column of any type."""
    text = ["closing the port", "", None, "x" * 300]
    broken = pa.array([b"\xff\xfe", b"fine", None, b"\xed\xa0\x80"], pa.binary()).view(pa.string())
    kinds = [
        pa.array(text),
        pa.array(text, pa.large_string()),
        pa.array(text, pa.string_view()),
        pa.array(text).dictionary_encode(),
        broken,
        pa.array([b"\xff", b"port", None, b""]),
        pa.array([1, -(2**63), None, 2**63 - 1]),
        pa.array([2**64 - 1, 0, None, 1], pa.uint64()),
        pa.array([0.5, float("nan"), None, float("inf")]),
        pa.array([True, None, False, True]),
        pa.array([None] * 4),
        pa.array([["a"], [], None, ["b", None]]),
        pa.array([{"a": 1}, {"a": None}, None, {"a": 2}]),
        pa.array([-(2**62), 2**62, None, 0], pa.timestamp("us")),
        pa.array([1, 2, None, 3], pa.timestamp("us", tz="Mars/Olympus")),
        pa.array([1, 2, None, 3], pa.duration("ns")),
        pa.array([10**6, -(10**6), None, 0], pa.date32()),
    ]
    return st.sampled_from(kinds).map(lambda kind: pa.concat_arrays([kind] * 8)[:count])


@fuzzed(120, data=st.data(), count=st.integers(1, 2 * WINDOW), output=jsonl_or_others)
def test_when_parquet_columns_are_of_any_type_then_each_row_is_labelled_or_says_why_not(
    label: Labeller, data: st.DataObject, count: int, output: str
) -> None:
    good = pa.array([f"the minister wants it {number % 3}" for number in range(count)])
    columns = {
        "id": pa.array([f"row-{number}" for number in range(count)]),
        "statement": data.draw(st.one_of(st.just(good), column(count))),
        "target": data.draw(st.one_of(st.just(good), column(count))),
        **data.draw(
            st.dictionaries(st.one_of(PREDICTED, st.sampled_from(["holder", "label", "page", ""])), column(count))
        ),
    }
    pq.write_table(pa.table(columns), stream := io.BytesIO(), row_group_size=10)
    rows = labelled(label, stream.getvalue(), "parquet", output)
    assert rows is not None and [row["id"] for row in rows] == [f"row-{number}" for number in range(count)]


@pytest.mark.parametrize("suffix", ["jsonl.gz", "jsonl.zst", "csv.gz", "csv.zst"])
@fuzzed(40, changes=mutations, before=st.booleans(), output=jsonl_or_others)
def test_when_a_compressed_file_is_broken_then_it_is_refused_or_every_row_has_its_row(
    label: Labeller, suffix: str, changes: list[Mutation], before: bool, output: str
) -> None:
    form, _, packed = suffix.partition(".")
    broken, _ = mutated(content_of(form if before else suffix), changes)
    if not before:
        labelled(label, broken, suffix, output)
        return
    content = gzip.compress(broken) if packed == "gz" else pa.compress(broken, "zstd", asbytes=True)
    rows = labelled(label, content, suffix, output)
    if form == "jsonl":
        assert (None if rows is None else len(rows)) == (len(ids_in(broken)) or None)


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "tsv", "parquet"])
def test_when_nothing_is_broken_then_every_row_is_labelled_and_keeps_its_id(label: Labeller, suffix: str) -> None:
    rows = labelled(label, content_of(suffix), suffix, suffix)
    assert rows is not None and [row["id"] for row in rows] == [row["id"] for row in ROWS]
    assert [row["status"] for row in rows] == ["ok"] * len(ROWS)
    assert len({row["p_supports"] for row in rows}) > 10
