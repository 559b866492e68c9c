from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stancekit.config.schema import EngineConfig, MajorityConfig
from stancekit.errors import UserError
from stancekit.files import sha256_of
from stancekit.models.baselines import Baseline
from stancekit.models.calibration import scale
from stancekit.models.saved import save_model
from stancekit.pairs.model import Pair
from stancekit.prediction import choosing
from stancekit.prediction.choosing import Chosen, available_threads, open_scorer
from stancekit.prediction.exported import ENGINES_FILE, export_folder
from tests.prediction.conftest import PAIRS, Exported

SPEEDS = {"onnx fp32": 2.0, "openvino fp32": 3.0, "openvino bf16": 5.0, "onnx int8_static": 4.0}
"""What the variants of these tests are said to reach; the others are refused."""


def asked(name: str = "auto", precision: str = "auto", threads: int | None = 1, **settings: Any) -> EngineConfig:
    """Return the configuration that asks for an engine."""
    rest = {"batch_tokens": None, "window_rows": 64, "cluster": None, "address": None, "workers": None}
    return EngineConfig.model_validate({"name": name, "precision": precision, "threads": threads, **rest, **settings})


def edited(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    values = json.loads((folder / ENGINES_FILE).read_text(encoding="utf-8"))
    edit(values)
    (folder / ENGINES_FILE).write_text(json.dumps(values), encoding="utf-8")


@pytest.fixture
def known(cached: Exported, monkeypatch: pytest.MonkeyPatch) -> Exported:
    """An export in the cache whose variants are as fast as ``SPEEDS`` says, on a processor that computes in bf16."""

    def edit(values: dict[str, Any]) -> None:
        for variant in values["variants"]:
            name = f"{variant['engine']} {variant['precision']}"
            kept = name in SPEEDS
            variant["speedup"] = SPEEDS.get(name, 9.0)
            # One graph stands for all: what is chosen is looked at here, not what comes out.
            of_engine = {"onnx": "fp32.onnx", "openvino": "openvino_fp32.xml"}[variant["engine"]]
            variant |= {"file": of_engine, "refused": None} if kept else {"file": None, "refused": "it is a bad one"}

    edited(cached.folder, edit)
    monkeypatch.setattr(choosing, "_processor_flags", lambda: {"amx_bf16"})
    monkeypatch.setattr(choosing, "_gpu", lambda: False)
    return cached


def is_installed(monkeypatch: pytest.MonkeyPatch, *engines: str) -> None:
    monkeypatch.setattr(choosing, "_installed", lambda engine: engine in engines)


def picked(chosen: Chosen) -> tuple[object, object]:
    return chosen.engine["name"], chosen.engine["precision"]


def refusal(folder: Path, engine: EngineConfig, name: str = "mine") -> str:
    with pytest.raises(UserError) as caught:
        open_scorer(folder, engine, name)
    return str(caught.value)


@pytest.mark.parametrize(
    ("engine", "precision", "expected"),
    [
        ("auto", "auto", ("openvino", "bf16")),
        ("auto", "fp32", ("openvino", "fp32")),
        ("auto", "int8_static", ("onnx", "int8_static")),
        ("onnx", "auto", ("onnx", "int8_static")),
        ("onnx", "fp32", ("onnx", "fp32")),
        ("openvino", "auto", ("openvino", "bf16")),
        ("torch", "auto", ("torch", None)),
    ],
)
def test_when_a_model_is_exported_then_the_fastest_variant_that_is_asked_for_is_taken(
    known: Exported, engine: str, precision: str, expected: tuple[str, str | None]
) -> None:
    chosen = open_scorer(known.saved, asked(engine, precision))
    name, found = picked(chosen)
    assert (name, found if expected[1] else None) == expected
    words = f"{SPEEDS.get(f'{name} {found}')} times torch fp32 when exported" if engine == "auto" else "as asked"
    assert chosen.why == words and chosen.folder == (known.saved if engine == "torch" else known.folder)
    assert chosen.model == {"name": "tiny", "sha256": sha256_of(known.saved / "stancekit.json")}
    assert str(found).replace("int8_static", "int8") in chosen.scorer.description


def test_when_an_engine_is_chosen_then_all_that_decides_the_digits_is_in_its_identity(known: Exported) -> None:
    found = open_scorer(known.saved, asked("onnx", "fp32", threads=2, batch_tokens=77)).engine
    assert found["graph"] == sha256_of(known.folder / "fp32.onnx")
    assert (found["threads"], found["batch_tokens"], found["precision"]) == (2, 77, "fp32") and found["version"]
    found = open_scorer(known.saved, asked("torch", "fp32", threads=None)).engine
    assert (found["threads"], found["batch_tokens"], found["devices"]) == (
        available_threads(),
        choosing.BATCH_TOKENS["torch"],
        "cpu",
    )
    assert [open_scorer(known.saved, asked("torch", one)).engine["precision"] for one in ("fp32", "bf16")] == [
        *("fp32", "bf16")
    ]


@pytest.mark.parametrize("engine", ["auto", "onnx", "openvino", "torch"])
def test_when_an_engine_scores_pairs_then_these_are_the_model_s_probabilities_with_its_temperature(
    known: Exported, engine: str
) -> None:
    scorer = open_scorer(known.saved, asked(engine, "fp32")).scorer
    found = scorer.score(scorer.prepare(PAIRS)).probabilities
    np.testing.assert_allclose(found, scale(known.probabilities, 1.5), atol=1e-4)


def test_when_the_folder_is_an_export_itself_then_it_is_used_without_a_cache(
    known: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANCEKIT_CACHE", str(tmp_path / "nothing"))
    chosen = open_scorer(known.folder, asked())
    assert picked(chosen) == ("openvino", "bf16") and chosen.folder == known.folder
    assert chosen.model == {"name": "tiny", "sha256": known.manifest.source}
    said = refusal(known.folder, asked("torch"))
    assert said.startswith(f"engine=torch: '{known.folder}' is an exported model, ")
    is_installed(monkeypatch)
    said = refusal(known.folder, asked())
    assert "not installed: onnxruntime and openvino; install with: pip install 'stancekit[fast]'" in said


def test_when_a_model_is_not_exported_then_auto_takes_torch_and_all_say_how_it_is_exported(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANCEKIT_CACHE", str(tmp_path / "empty"))
    command = "stancekit export format=engines model=mine"
    chosen = open_scorer(exported.saved, asked(precision="fp32"), "mine")
    assert picked(chosen) == ("torch", "fp32") and command in chosen.why
    for engine, precision in (("onnx", "auto"), ("openvino", "bf16"), ("auto", "int8_dynamic")):
        said = refusal(exported.saved, asked(engine, precision))
        assert said.startswith(f"engine={engine}, engine.precision={precision}: not exported") and command in said
    is_installed(monkeypatch, "openvino")
    said = refusal(exported.saved, asked("onnx"))
    assert said == ("engine=onnx: onnxruntime is not installed; install it with: pip install 'stancekit[fast]'")


def test_when_an_engine_is_not_installed_then_the_next_is_taken_or_the_message_says_how_to_install_it(
    known: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_installed(monkeypatch, "onnx")
    assert picked(open_scorer(known.saved, asked())) == ("onnx", "int8_static")
    assert "not installed: openvino; install with: pip install" in refusal(known.saved, asked("openvino"))
    is_installed(monkeypatch)
    chosen = open_scorer(known.saved, asked(precision="fp32"))
    assert picked(chosen) == ("torch", "fp32") and "not installed: onnxruntime and openvino" in chosen.why
    assert "not installed: onnxruntime" in refusal(known.saved, asked("auto", "int8_static"))


def test_when_a_variant_was_refused_then_the_message_says_why_and_which_can_be_used(known: Exported) -> None:
    said = refusal(known.saved, asked("openvino", "int8_dynamic"))
    assert "openvino int8_dynamic was refused when the model was exported: it is a bad one" in said
    assert said.endswith("usable: openvino bf16, onnx int8_static, openvino fp32, onnx fp32")
    said = refusal(known.saved, asked("auto", "int8_dynamic"))
    assert "int8_dynamic was refused" in said


def test_when_there_is_no_such_variant_then_the_message_names_the_nearest(known: Exported) -> None:
    said = refusal(known.saved, asked("onnx", "bf16"))
    assert f"the export in '{known.folder}' has no such variant; did you mean 'openvino bf16'?" in said


def test_when_the_processor_does_not_compute_in_bf16_then_that_is_passed_over_and_said(
    known: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "_processor_flags", lambda: {"avx2", "avx512f"})
    assert picked(open_scorer(known.saved, asked())) == ("onnx", "int8_static")
    assert picked(open_scorer(known.saved, asked("openvino"))) == ("openvino", "fp32")
    said = refusal(known.saved, asked("openvino", "bf16"))
    assert "openvino bf16: this processor does not compute in bf16\n  usable: onnx int8_static, openvino fp32, " in said


def test_when_torch_is_asked_for_8_bits_then_the_message_says_what_it_has(known: Exported) -> None:
    said = refusal(known.saved, asked("torch", "int8_static"))
    assert said == "engine.precision=int8_static: torch computes in fp32 or bf16; expected auto or one of these"


def test_when_torch_sees_a_gpu_then_auto_takes_it_unless_only_a_graph_has_the_precision(
    known: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "_gpu", lambda: True)
    chosen = open_scorer(known.saved, asked())
    assert chosen.engine["name"] == "torch" and chosen.why == "torch sees a GPU"
    assert picked(open_scorer(known.saved, asked(precision="int8_static"))) == ("onnx", "int8_static")
    assert picked(open_scorer(known.folder, asked())) == ("openvino", "bf16")


def test_when_the_export_in_the_cache_is_broken_then_that_is_said_and_torch_runs_all_the_same(known: Exported) -> None:
    (known.folder / "tokenizer.json").write_bytes(b"{}")
    assert f"the hash of '{known.folder}/tokenizer.json' is wrong" in refusal(known.saved, asked())
    assert open_scorer(known.saved, asked("torch")).engine["name"] == "torch"


def test_when_the_export_in_the_cache_is_of_another_model_then_it_is_not_used(known: Exported) -> None:
    edited(known.folder, lambda values: values.update(source="0" * 64))
    chosen = open_scorer(known.saved, asked())
    assert chosen.engine["name"] == "torch"
    assert chosen.why == f"the export in '{known.folder}' is of another model; remove that folder"
    assert "is of another model" in refusal(known.saved, asked("onnx"))


def test_when_the_model_is_changed_then_its_old_export_is_not_found(known: Exported, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(known.saved, other)
    manifest = json.loads((other / "stancekit.json").read_text())
    manifest["calibration"]["temperature"] = 2.0
    (other / "stancekit.json").write_text(json.dumps(manifest))
    assert open_scorer(other, asked()).engine["name"] == "torch"
    assert export_folder(known.manifest.source) == known.folder


def test_when_a_model_reads_pairs_itself_then_it_runs_and_no_export_is_recommended(tmp_path: Path) -> None:
    config = MajorityConfig(kind="majority", name="m")
    pairs = [Pair("a", "b", label="supports"), Pair("c", "d", label="supports"), Pair("e", "f", label="rules_out")]
    save_model(Baseline.fit(config, pairs, False, 1), tmp_path / "baseline", config, {}, {})
    chosen = open_scorer(tmp_path / "baseline", asked())
    found = chosen.scorer.score(chosen.scorer.prepare(pairs[:2]))
    assert found.probabilities.argmax(axis=1).tolist() == [0, 0] and not found.errors
    assert (chosen.scorer.description, chosen.why) == ("the model itself, majority", "no other runs it")
    assert open_scorer(tmp_path / "baseline", asked("torch")).why == "as asked"


def test_when_a_folder_holds_no_model_then_every_engine_says_so(tmp_path: Path) -> None:
    for engine in ("auto", "torch", "onnx"):
        assert f"'{tmp_path}' is no saved model: no stancekit.json" in refusal(tmp_path, asked(engine))
