from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stancekit.errors import UserError
from stancekit.files import sha256_of
from stancekit.models.calibration import Calibration
from stancekit.prediction.exported import (
    ENGINES_FILE,
    ExportedModel,
    Variant,
    export_folder,
    is_exported,
    source_of,
    write_manifest,
)
from tests.prediction.conftest import Exported


@pytest.fixture
def copied(exported: Exported, tmp_path: Path) -> Path:
    """A copy of the export, to be changed."""
    shutil.copytree(exported.folder, tmp_path / "engines")
    return tmp_path / "engines"


def change(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest of an export."""
    values = json.loads((folder / ENGINES_FILE).read_text(encoding="utf-8"))
    edit(values)
    (folder / ENGINES_FILE).write_text(json.dumps(values), encoding="utf-8")


def variant(engine: str, precision: str, speedup: float, refused: str | None = None) -> dict[str, Any]:
    return {
        **{"engine": engine, "precision": precision, "file": None if refused else f"{engine}.x", "megabytes": 1},
        **{"rows_per_second": 10, "speedup": speedup, "agreement": 1, "f1_difference": 0, "refused": refused},
    }


def test_when_an_export_is_read_back_then_it_says_what_was_written(exported: Exported) -> None:
    found = ExportedModel.read(exported.folder)
    assert found.manifest == exported.manifest and is_exported(exported.folder) and not is_exported(exported.saved)
    assert found.calibration == Calibration(temperature=1.5, threshold=0.5, level=0.9, rows=10)
    assert found.manifest.source == source_of(exported.saved) == sha256_of(exported.saved / "stancekit.json")
    assert found.checked("fp32.onnx") == exported.folder / "fp32.onnx"


def test_when_variants_are_listed_then_those_that_were_not_refused_come_fastest_first(copied: Path) -> None:
    def edit(values: dict[str, Any]) -> None:
        values["variants"] = [
            variant("onnx", "fp32", 2.0),
            variant("openvino", "int8_static", 9.0, "loses too much"),
            variant("openvino", "bf16", 3.5),
        ]

    change(copied, edit)
    assert [one.name for one in ExportedModel.read(copied).usable()] == ["openvino bf16", "onnx fp32"]


@pytest.mark.parametrize("file", ["tokenizer.json", "fp32.onnx", "openvino_fp32.xml", "openvino_fp32.bin"])
@pytest.mark.parametrize("gone", [False, True])
def test_when_a_file_was_changed_or_is_missing_then_the_message_names_it(copied: Path, file: str, gone: bool) -> None:
    path = copied / file
    if gone:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b" ")
    expected = "is missing; the folder is not whole: export the model again" if gone else "was changed after it was"
    with pytest.raises(UserError, match=f"'{path}' .*{expected}"):
        # A graph is looked at when it is to be run; with its weights, which lie beside it.
        ExportedModel.read(copied).checked(file.replace(".bin", ".xml"))


def test_when_a_file_is_not_in_the_manifest_then_it_is_not_used(copied: Path) -> None:
    (copied / "other.onnx").write_bytes(b"x")
    with pytest.raises(UserError, match=r"other\.onnx' is missing"):
        ExportedModel.read(copied).checked("other.onnx")


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        ({"labels": ["for", "against"]}, r"the labels in '.*engines\.json' are \['for', 'against'\]; expected "),
        ({"format": 2}, r"engines\.json': format: Input should be 1; export the model again"),
        ({"calibration": {"temperature": 0, "threshold": 0.5, "level": 0.9, "rows": 1}}, "calibration: .*temperature"),
        ({"calibration": {"temperature": 1}}, "calibration: .*'threshold' is missing"),
        ({"variants": [variant("onnx", "fp32", 1) | {"file": None}]}, "variants.0: .*either a file or why"),
        ({"variants": [variant("onnx", "fp32", 1, "bad") | {"file": "x"}]}, "variants.0: .*either a file or why"),
        ({"variants": [variant("tensorrt", "fp32", 1)]}, r"variants\.0\.engine"),
        ({"source": "1234"}, "source"),
        ({"more": 1}, "more"),
    ],
)
def test_when_the_manifest_is_not_ours_then_the_message_says_what_is_wrong_with_it(
    copied: Path, edit: dict[str, Any], expected: str
) -> None:
    change(copied, lambda values: values.update(edit))
    with pytest.raises(UserError, match=expected):
        ExportedModel.read(copied)


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"\xff\xfe"])
def test_when_the_manifest_is_no_json_object_then_that_is_said(copied: Path, text: bytes) -> None:
    (copied / ENGINES_FILE).write_bytes(text)
    with pytest.raises(UserError, match=r"engines\.json': .*; export the model again"):
        ExportedModel.read(copied)


def test_when_two_models_differ_in_anything_then_their_exports_lie_in_two_folders(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANCEKIT_CACHE", str(tmp_path / "cache"))
    other = tmp_path / "other"
    shutil.copytree(exported.saved, other)
    assert source_of(other) == source_of(exported.saved)
    (other / "stancekit.json").write_text((other / "stancekit.json").read_text() + "\n")
    one, two = export_folder(source_of(exported.saved)), export_folder(source_of(other))
    assert one != two and one.parent == two.parent == tmp_path / "cache" / "engines"
    assert one.name == exported.manifest.source[:32]


def test_when_a_manifest_is_written_then_it_has_the_hash_of_every_other_file(
    exported: Exported, tmp_path: Path
) -> None:
    (tmp_path / "tokenizer.json").write_bytes(b"abc")
    values = exported.manifest.model_dump(mode="json", exclude={"format", "labels", "sha256"})
    manifest = write_manifest(tmp_path, values)
    assert manifest.sha256 == {"tokenizer.json": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}
    assert ExportedModel.read(tmp_path).manifest == manifest


def test_when_a_variant_is_named_then_as_people_call_it() -> None:
    assert Variant.model_validate(variant("openvino", "int8_dynamic", 2)).name == "openvino int8_dynamic"
