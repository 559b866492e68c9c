from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import skops.io
import torch

from stancekit.config.schema import (
    FolderEncoder,
    FrozenEmbeddingsConfig,
    MajorityConfig,
    TfidfConfig,
)
from stancekit.data.trace import Trace
from stancekit.errors import UserError
from stancekit.labels import OUTCOMES
from stancekit.models.baselines import Baseline, BaselineConfig
from stancekit.models.calibration import Calibration
from stancekit.models.cross_encoder import CrossEncoder
from stancekit.models.saved import load_model, save_model
from stancekit.pairs.model import Pair, pair_from_row
from tests.conftest import labelled_rows
from tests.models.helpers import config, in_folder

PAIRS = [pair_from_row(row) for row in labelled_rows(60)]


CALIBRATION = Calibration(temperature=2.5, threshold=0.7, level=0.9, rows=30)
WHOLE = CALIBRATION.as_dict()


def save(tiny_encoder: Path, folder: Path, pooling: Literal["own", "mean"] = "own", **more: Any) -> CrossEncoder:
    """Save a cross-encoder whose head is always drawn with the same seed, and return it."""
    torch.manual_seed(1)
    settings = config(in_folder(tiny_encoder), pooling).model_copy(update={"freeze_word_embeddings": False})
    model = CrossEncoder.from_encoder(settings)
    save_model(model, folder, settings, {"seed": 1}, {"train": "abc"}, **more)
    return model


@pytest.fixture
def saved(tiny_encoder: Path, tmp_path: Path) -> Path:
    save(tiny_encoder, tmp_path / "saved")
    return tmp_path / "saved"


def edit_manifest(folder: Path, **values: object) -> None:
    path = folder / "stancekit.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("pooling", ["own", "mean"])
def test_when_a_model_is_saved_and_loaded_then_its_predictions_are_the_same_bits(
    tiny_encoder: Path, tmp_path: Path, pooling: Literal["own", "mean"]
) -> None:
    original = save(tiny_encoder, tmp_path / "saved", pooling)
    loaded = load_model(tmp_path / "saved")
    np.testing.assert_array_equal(
        loaded.model.predict(PAIRS, 8).probabilities, original.predict(PAIRS, 8).probabilities
    )
    assert loaded.calibration is None and loaded.trace is None


def test_when_a_model_is_saved_with_a_calibration_then_what_is_loaded_gives_the_scaled_probabilities(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    original = save(tiny_encoder, tmp_path / "saved", calibration=CALIBRATION)
    loaded = load_model(tmp_path / "saved")
    assert loaded.calibration == CALIBRATION
    plain, found = (model.predict(PAIRS, 8).probabilities for model in (original, loaded.model))
    powers = plain ** (1 / 2.5)
    np.testing.assert_allclose(found, powers / powers.sum(axis=1, keepdims=True), rtol=1e-12)
    assert (found.max(axis=1) < plain.max(axis=1)).all() and (found.argmax(axis=1) == plain.argmax(axis=1)).all()


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (WHOLE | {"temperature": 0}, "'temperature' must be a finite number above 0, found 0.0"),
        (WHOLE | {"temperature": "2"}, "'temperature' must be a number, found '2'"),
        (WHOLE | {"temperature": float("nan")}, "'temperature' must be a finite number above 0, found nan"),
        (WHOLE | {"threshold": 1.5}, "'threshold' must be from 0 to 1, found 1.5"),
        (WHOLE | {"rows": 2.5}, "'rows' must be a whole number, found 2.5"),
        (WHOLE | {"temprature": 1}, r"unknown 'temprature' \(valid: temperature, threshold, level, rows\)"),
        ({"level": 0.9}, "'temperature' is missing"),
        ({}, "'temperature' is missing"),
        ([2.5], "unknown 2.5"),
    ],
)
def test_when_the_calibration_in_the_manifest_is_broken_then_the_model_is_refused(
    tiny_encoder: Path, tmp_path: Path, broken: object, expected: str
) -> None:
    save(tiny_encoder, tmp_path / "saved", calibration=CALIBRATION)
    edit_manifest(tmp_path / "saved", calibration=broken)
    with pytest.raises(UserError, match=rf"model: '.*stancekit.json': calibration: {expected}"):
        load_model(tmp_path / "saved")


def test_when_a_model_is_saved_with_its_trace_then_what_is_loaded_knows_what_was_trained_on(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    texts = ["the council will close the old port next year", "nobody wants a new mine in the valley at all"]
    seen = [Pair(text, target) for text, target in zip(texts, ["closing the port", "opening the mine"], strict=True)]
    trace = Trace.of(seen)
    save(tiny_encoder, tmp_path / "saved", trace=trace)
    loaded = load_model(tmp_path / "saved").trace
    assert loaded is not None and loaded.limit == trace.limit
    np.testing.assert_array_equal(loaded.targets, trace.targets)
    np.testing.assert_array_equal(loaded.grams, trace.grams)
    others = [
        Pair("The council will close the old port next year, he said.", "Closing the port!"),
        Pair("The union will strike at the old port for a whole year", "selling the port"),
    ]
    assert loaded.targets_seen(others).tolist() == [True, False] and loaded.copies(others).tolist() == [True, False]
    assert "trace.npz" in json.loads((tmp_path / "saved" / "stancekit.json").read_text())["sha256"]
    assert not any(word in (tmp_path / "saved" / "trace.npz").read_bytes() for word in (b"council", b"port"))


def test_when_a_model_is_saved_then_the_folder_says_all_that_is_needed(saved: Path) -> None:
    names = {path.name for path in saved.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "config.yaml", "stancekit.json"} <= names
    assert not any(name.endswith((".bin", ".pt", ".pkl", ".py")) for name in names)
    manifest = load_model(saved).manifest
    assert manifest["labels"] == list(OUTCOMES) and manifest["data"] == {"train": "abc"}
    assert manifest["model"]["input"]["statement"] == "{holder}: {statement}"
    assert manifest["versions"]["torch"] == torch.__version__


@pytest.mark.parametrize(
    "kind",
    ["majority", "tfidf", "frozen_embeddings"],
)
def test_when_a_baseline_is_saved_and_loaded_then_its_predictions_are_the_same_bits(
    kind: str, tiny_encoder: Path, tmp_path: Path
) -> None:
    encoder = FolderEncoder(source="folder", path=str(tiny_encoder), name="tiny")
    configs: dict[str, BaselineConfig] = {
        "majority": MajorityConfig(kind="majority", name="majority"),
        "tfidf": TfidfConfig(kind="tfidf", name="tfidf", ngrams=(1, 2), min_count=1, c=1.0),
        "frozen_embeddings": FrozenEmbeddingsConfig(kind="frozen_embeddings", name="f", encoder=encoder, c=1.0),
    }
    config = configs[kind]
    model = Baseline.fit(config, PAIRS, balanced=True, seed=1)
    save_model(model, tmp_path / "saved", config, {}, {})
    before, after = (m.predict(PAIRS, 8).probabilities for m in (model, load_model(tmp_path / "saved").model))
    np.testing.assert_array_equal(before, after)
    assert before.shape == (60, 4) and np.allclose(before.sum(axis=1), 1)


def test_when_tfidf_is_trained_on_words_that_decide_then_it_learns_them_and_majority_does_not() -> None:
    gold = [OUTCOMES.index(str(pair.label)) for pair in PAIRS]
    tfidf = Baseline.fit(TfidfConfig(kind="tfidf", name="t", ngrams=(1, 1), min_count=1, c=10.0), PAIRS, True, 1)
    majority = Baseline.fit(MajorityConfig(kind="majority", name="m"), PAIRS, True, 1)
    assert (tfidf.predict(PAIRS, 8).probabilities.argmax(1) == gold).mean() > 0.95
    assert (majority.predict(PAIRS, 8).probabilities.argmax(1) == gold).mean() == 0.25


def test_when_training_lacked_an_outcome_then_its_probability_is_zero() -> None:
    three = [pair for pair in PAIRS if pair.label != "rules_out"]
    model = Baseline.fit(TfidfConfig(kind="tfidf", name="t", ngrams=(1, 1), min_count=1, c=1.0), three, False, 1)
    probabilities = model.predict(PAIRS, 8).probabilities
    assert (probabilities[:, OUTCOMES.index("rules_out")] == 0).all() and np.allclose(probabilities.sum(axis=1), 1)


def test_when_a_file_was_changed_then_the_wrong_hash_is_told(saved: Path) -> None:
    weights = saved / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    with pytest.raises(UserError, match=r"the hash of '.*model.safetensors' is wrong; the file was changed"):
        load_model(saved)


def test_when_a_file_is_missing_then_it_is_named(saved: Path) -> None:
    (saved / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"'.*tokenizer.json' is missing; the folder is not whole"):
        load_model(saved)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"labels": []}, r"has no label names \('labels'\); expected supports, rules_out, leaves_open, no_stance"),
        ({"labels": ["rules_out", "supports", "leaves_open", "no_stance"]}, r"the labels in .* are \['rules_out'"),
        ({"format": 1}, "has format 1; this version reads 2 and 3"),
        ({"format": 99}, "has format 99; this version reads 2 and 3"),
        ({"model": {"kind": "majority"}}, "majority.name: Field required"),
    ],
)
def test_when_the_manifest_is_wrong_then_the_model_is_refused(
    saved: Path, values: dict[str, object], expected: str
) -> None:
    edit_manifest(saved, **values)
    with pytest.raises(UserError, match=expected):
        load_model(saved)


def test_when_the_manifest_lacks_a_hash_then_the_file_without_one_is_named(saved: Path) -> None:
    edit_manifest(saved, sha256={})
    with pytest.raises(UserError, match=r"has no hash of 'config.json'; expected one for every file"):
        load_model(saved)


def test_when_a_folder_has_no_manifest_then_the_error_says_what_writes_one(tiny_encoder: Path) -> None:
    with pytest.raises(
        UserError, match=r"no stancekit.json, so its label names are unknown; expected a folder written by"
    ):
        load_model(tiny_encoder)


class Foreign:
    """A type that a model file has no business to hold."""


def test_when_a_baseline_file_holds_a_foreign_type_then_it_is_not_loaded(tmp_path: Path) -> None:
    skops.io.dump(Foreign(), tmp_path / "estimator.skops")
    with pytest.raises(UserError, match=r"holds types that are not trusted and is not loaded: .*Foreign"):
        Baseline.read(tmp_path, MajorityConfig(kind="majority", name="m"))
