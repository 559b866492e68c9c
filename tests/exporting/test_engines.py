from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from stancekit.errors import UserError
from stancekit.exporting import engines, measuring
from stancekit.exporting.engines import export_engines
from stancekit.exporting.graphs import BUILDERS, Graphs
from stancekit.exporting.table import print_variants
from stancekit.models.calibration import Calibration
from stancekit.models.saved import SavedModel, load_model
from stancekit.pairs.model import Pair
from stancekit.prediction.exported import ENGINES_FILE, EnginesManifest, ExportedModel
from stancekit.prediction.scoring import TokenScorer
from tests.prediction.conftest import PAIRS

Key = tuple[Any, Any]


@pytest.fixture(scope="module")
def saved(saved_model: Path) -> SavedModel:
    return load_model(saved_model, calibrated=False)


@pytest.fixture
def builders(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[Key, Callable[[Graphs], Path]]], None]:
    """Let only these variants be built, by these functions."""

    def use(found: dict[Key, Callable[[Graphs], Path]]) -> None:
        monkeypatch.setattr(engines, "BUILDERS", found)

    return use


ONNX = {("onnx", "fp32"): Graphs.onnx_fp32}


def sabotaged(graphs: Graphs) -> Path:
    """Write the plain graph with the rows of its head turned round, so that it says other outcomes."""
    graph = onnx.load(graphs.plain)
    (head,) = [value for value in graph.graph.initializer if value.dims == [4]]
    bias = numpy_helper.to_array(head) + np.array([50, 0, 0, 0], dtype=np.float32)
    head.CopyFrom(numpy_helper.from_array(bias, head.name))
    path = graphs.folder / "openvino_int8_static.xml"
    onnx.save(graph, graphs.folder / "other.onnx")
    import openvino

    openvino.save_model(openvino.Core().read_model(graphs.folder / "other.onnx"), path, compress_to_fp16=False)
    return path


def test_when_a_model_is_exported_then_every_variant_was_measured_and_the_folder_holds_what_was_kept(
    saved: SavedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = export_engines(saved, PAIRS, tmp_path / "new")
    assert [(one.engine, one.precision) for one in manifest.variants] == list(BUILDERS)
    assert ExportedModel.read(tmp_path / "new").manifest == manifest
    assert manifest.model == "tiny" and manifest.input == saved.config.input  # type: ignore[union-attr]
    assert saved.calibration is not None and Calibration.from_dict(manifest.calibration or {}) == saved.calibration
    expected = {ENGINES_FILE, *manifest.sha256}
    assert {path.name for path in (tmp_path / "new").iterdir()} == expected
    kept = {one.file for one in manifest.variants if one.file}
    assert kept <= expected and "tokenizer.json" in expected and len(expected) < 2 + 2 * len(kept) + 1
    by_name = {one.name: one for one in manifest.variants}
    for name in ("onnx fp32", "openvino fp32"):
        one = by_name[name]
        assert (one.agreement, one.f1_difference, one.refused) == (1.0, 0.0, None) and one.megabytes > 0
    for one in manifest.variants:
        assert (one.file is None) == (one.agreement < 0.985 or one.f1_difference < -0.005)
    # Of 60 rows a third are for finding scales.
    assert manifest.measured.rows == 40 and manifest.measured.threads >= 1 and manifest.measured.processor
    assert set(manifest.versions) == {"stancekit", "torch", "onnxruntime", "openvino", "nncf"}

    capsys.readouterr()
    print_variants(manifest)
    said = capsys.readouterr().out
    for one in manifest.variants:
        assert re.search(rf"{one.engine}\W+{one.precision}\W", said)
        assert (f"{one.name} is refused: it {one.refused}" in said) == bool(one.refused)


def test_when_a_variant_says_other_outcomes_then_it_is_refused_with_the_reason_and_removed(
    saved: SavedModel, tmp_path: Path, builders: Any
) -> None:
    builders({**ONNX, ("openvino", "int8_static"): sabotaged})
    manifest = export_engines(saved, PAIRS, tmp_path / "new")
    good, bad = manifest.variants
    assert good.refused is None and good.file == "fp32.onnx"
    assert bad.file is None and bad.agreement < 0.985
    assert str(bad.refused).startswith("gives the same label to ") and "of the rows; at least 98.5%" in str(bad.refused)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [ENGINES_FILE, "fp32.onnx", "tokenizer.json"]
    assert set(manifest.sha256) == {"fp32.onnx", "tokenizer.json"}
    assert [one.name for one in ExportedModel.read(tmp_path / "new").usable()] == ["onnx fp32"]


def test_when_the_plain_graph_itself_is_refused_then_it_goes_and_its_offspring_stays(
    saved: SavedModel, tmp_path: Path, builders: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = measuring.compare
    asked: list[int] = []

    def first_is_bad(*arrays: Any) -> Any:
        asked.append(1)
        found = compare(*arrays)
        return type(found)(0.5, found.f1_difference) if len(asked) == 1 else found

    monkeypatch.setattr(engines, "compare", first_is_bad)
    builders({**ONNX, ("openvino", "fp32"): Graphs.openvino_fp32})
    manifest = export_engines(saved, PAIRS, tmp_path / "new")
    assert [one.file for one in manifest.variants] == [None, "openvino_fp32.xml"]
    assert set(manifest.sha256) == {"openvino_fp32.xml", "openvino_fp32.bin", "tokenizer.json"}
    assert not (tmp_path / "new" / "fp32.onnx").exists()


def test_when_a_variant_cannot_be_built_or_run_then_it_is_refused_with_the_reason_and_the_others_are_kept(
    saved: SavedModel, tmp_path: Path, builders: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def unknown(graphs: Graphs) -> Path:
        raise AttributeError("[quantiser] has no\n  shape")

    def empty(graphs: Graphs) -> Path:
        (graphs.folder / "empty.xml").write_text("<nothing/>")
        return graphs.folder / "empty.xml"

    builders({("onnx", "int8_static"): unknown, **ONNX, ("openvino", "fp32"): empty})
    manifest = export_engines(saved, PAIRS, tmp_path / "new")
    first, good, last = manifest.variants
    assert first.refused == "cannot be built: AttributeError: [quantiser] has no shape"
    assert str(last.refused).startswith("cannot be built: RuntimeError: ")
    assert good.refused is None and [one.file for one in (first, last)] == [None, None]
    assert {one.rows_per_second for one in (first, last)} == {0} and good.rows_per_second > 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [ENGINES_FILE, "fp32.onnx", "tokenizer.json"]
    assert ExportedModel.read(tmp_path / "new").manifest == manifest
    capsys.readouterr()
    print_variants(manifest)
    said = capsys.readouterr().out
    assert "onnx int8_static is refused: it cannot be built: AttributeError: [quantiser] has no shape\n" in said


def test_when_no_variant_can_be_built_then_that_is_said_and_a_full_disk_is_no_reason_to_refuse_one(
    saved: SavedModel, tmp_path: Path, builders: Any
) -> None:
    def fails(error: Exception) -> Callable[[Graphs], Path]:
        def build(graphs: Graphs) -> Path:
            raise error

        return build

    builders({("onnx", "fp32"): fails(RuntimeError("no such operator"))})
    expected = "no engine runs this model; the first cannot be built: RuntimeError: no such operator"
    with pytest.raises(UserError, match=expected):
        export_engines(saved, PAIRS, tmp_path / "new")
    builders({**ONNX, ("onnx", "int8_static"): fails(OSError(28, "No space left on device"))})
    with pytest.raises(OSError, match="No space left"):
        export_engines(saved, PAIRS, tmp_path / "other")


def test_when_scales_are_found_then_on_rows_that_no_variant_is_measured_on(
    saved: SavedModel, tmp_path: Path, builders: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrated: list[tuple[int, ...]] = []
    measured: list[tuple[int, ...]] = []

    def note(graphs: Graphs) -> Path:
        calibrated.extend(
            tuple(batch.input_ids[0][batch.attention_mask[0] == 1].tolist()) for batch in graphs.calibration
        )
        assert all(batch.input_ids.shape[0] == 1 for batch in graphs.calibration)
        return graphs.onnx_fp32()

    score = TokenScorer.score

    def noting(self: Any, prepared: Any) -> Any:
        measured.extend(
            (2, *first.tolist(), 3, *second.tolist(), 3)
            for first, second in zip(prepared.firsts, prepared.seconds, strict=True)
        )
        return score(self, prepared)

    monkeypatch.setattr(TokenScorer, "score", noting)
    builders({("onnx", "fp32"): note})
    manifest = export_engines(saved, PAIRS, tmp_path / "new")
    assert len(calibrated) == len(set(calibrated)) == 20 and len(set(measured)) == manifest.measured.rows == 40
    assert not set(calibrated) & set(measured)
    seen = set(calibrated)
    calibrated.clear()
    export_engines(saved, PAIRS, tmp_path / "again")
    assert set(calibrated) == seen
    calibrated.clear()
    export_engines(saved, PAIRS, tmp_path / "other", seed=1)
    assert set(calibrated) != seen


def test_when_a_row_is_refused_by_the_model_then_it_is_left_out(
    saved: SavedModel, tmp_path: Path, builders: Any
) -> None:
    builders(ONNX)
    bad = Pair("we", "port " * 200, label="supports")
    manifest = export_engines(saved, [bad, *PAIRS[:30], bad], tmp_path / "new")
    assert manifest.measured.rows == 20
    assert export_engines(saved, PAIRS[:30], tmp_path / "few", most=7).measured.rows == 7


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_when_there_are_too_few_rows_then_that_is_said(saved: SavedModel, tmp_path: Path, rows: int) -> None:
    with pytest.raises(UserError, match=f"data: {rows} rows are too few to find scales on and to measure with"):
        export_engines(saved, PAIRS[:rows], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_when_packages_are_missing_then_they_are_named_with_what_installs_them(
    saved: SavedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(engines, "find_spec", lambda name: None if name in ("nncf", "onnx") else find(name))
    expected = re.escape("format=engines needs onnx, nncf; install with: pip install 'stancekit[export]'")
    with pytest.raises(UserError, match=f"^{expected}$"):
        export_engines(saved, PAIRS, tmp_path / "new")


def test_when_the_tokenizer_is_none_that_engines_read_then_the_model_is_refused(
    saved_model: Path, tmp_path: Path
) -> None:
    left = load_model(saved_model, calibrated=False)
    left.model.tokenizer.padding_side = "left"  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="the model's tokenizer is none of the tokenizers library that pads on the"):
        export_engines(left, PAIRS, tmp_path / "new")


def test_when_no_row_takes_a_stance_then_the_export_is_measured_by_agreement(
    saved: SavedModel, tmp_path: Path, builders: Any
) -> None:
    builders(ONNX)
    pairs = [Pair(pair.statement, pair.target, pair.holder, "no_stance") for pair in PAIRS[:12]]
    (found,) = export_engines(saved, pairs, tmp_path / "new").variants
    assert (found.agreement, found.f1_difference) == (1.0, 0.0)


def test_when_the_manifest_is_written_then_it_is_json_that_people_can_read(
    saved: SavedModel, tmp_path: Path, builders: Any
) -> None:
    builders(ONNX)
    manifest = export_engines(saved, PAIRS[:12], tmp_path / "new")
    text = (tmp_path / "new" / ENGINES_FILE).read_text(encoding="utf-8")
    assert text.startswith("{\n  ") and text.endswith("}\n")
    assert EnginesManifest.model_validate(json.loads(text)) == manifest
    assert str(tmp_path) not in text
