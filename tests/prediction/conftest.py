"""Tiny real models for the engines: one that is saved and exported, and networks of several architectures."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stancekit.config.schema import CrossEncoderConfig, FolderEncoder, InputConfig
from stancekit.exporting.engines import export_engines
from stancekit.models.calibration import Calibration
from stancekit.models.cross_encoder import CrossEncoder
from stancekit.models.saved import load_model, save_model
from stancekit.pairs.model import Pair, pair_from_row
from stancekit.prediction.batches import token_batches
from stancekit.prediction.exported import EnginesManifest, export_folder
from stancekit.prediction.tokens import PairTokenizer
from tests.conftest import labelled_rows

Ids = tuple[list[int], list[int] | None]

PAIRS = [pair_from_row(row) for row in labelled_rows(60, seed=5)]
"""Rows of the tiny models' words, of many lengths."""


def tiny_config(path: Path, max_length: int = 64, pooling: Literal["own", "mean"] = "own") -> CrossEncoderConfig:
    """Return the configuration of a cross-encoder on the encoder in a folder."""
    return CrossEncoderConfig(
        kind="cross_encoder",
        name="tiny",
        encoder=FolderEncoder(source="folder", path=str(path), name="tiny"),
        input=InputConfig(
            statement="{holder}: {statement}", target="{target}", unknown_holder="unknown", max_length=max_length
        ),
        pooling=pooling,
        freeze_word_embeddings=True,
        dropout=0.1,
    )


def reader(tokenizer: Any, max_length: int) -> CrossEncoder:
    """Return a cross-encoder that can only encode: what ids it gives is what every engine must be given."""
    return CrossEncoder(SimpleNamespace(config=None), tokenizer, tiny_config(Path("none"), max_length))


def inputs_of(tokenizer: PairTokenizer, pairs: list[Pair]) -> dict[int, Ids]:
    """Return the ids and types that a network gets for every pair that is not refused, one row a batch."""
    found = {}
    for batch in token_batches(tokenizer.tokenize(pairs), tokenizer.layout, 1, tokenizer.longest):
        ((row,), (mask,)) = batch.rows, batch.attention_mask
        length = int(mask.sum())
        assert mask[:length].all()
        types = None if batch.token_type_ids is None else batch.token_type_ids[0, :length].tolist()
        found[int(row)] = (batch.input_ids[0, :length].tolist(), types)
    return found


@dataclass(frozen=True)
class Exported:
    """A saved model with a temperature of 1.5, its export, and its probabilities for ``PAIRS`` without temperature."""

    saved: Path
    folder: Path
    manifest: EnginesManifest
    probabilities: NDArray[np.float64]


@pytest.fixture(scope="session")
def saved_model(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny cross-encoder, saved with a calibration."""
    torch.manual_seed(1)
    config = tiny_config(tiny_encoder)
    model = CrossEncoder.from_encoder(config)
    # A head whose outcomes lie far enough apart that no two engines disagree.
    model.network.classifier.weight.data *= 4
    folder = tmp_path_factory.mktemp("tiny") / "saved"
    save_model(model, folder, config, {}, {}, Calibration(temperature=1.5, threshold=0.5, level=0.9, rows=10))
    return folder


@pytest.fixture(scope="session")
def exported(saved_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The export of that model, which tests must not change."""
    folder = tmp_path_factory.mktemp("exported") / "engines"
    saved = load_model(saved_model, calibrated=False)
    manifest = export_engines(saved, PAIRS, folder)
    return Exported(saved_model, folder, manifest, saved.model.predict(PAIRS, 8).probabilities)


@pytest.fixture
def cached(exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exported:
    """The same, with a copy of the export where ``stancekit predict`` looks for it."""
    monkeypatch.setenv("STANCEKIT_CACHE", str(tmp_path / "cache"))
    folder = export_folder(exported.manifest.source)
    shutil.copytree(exported.folder, folder)
    return Exported(exported.saved, folder, exported.manifest, exported.probabilities)
