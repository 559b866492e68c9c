from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stancekit.config.schema import FolderEncoder, HubEncoder
from stancekit.encoders.embedding import SentenceEmbedder
from stancekit.errors import UserError
from stancekit.exporting.encoders import export_encoder
from stancekit.prediction.embedding import (
    ENCODER_FILE,
    GRAPHS,
    EncoderManifest,
    ExportedEmbedder,
    embedder_folder,
    exported_embedder,
)
from stancekit.prediction.exported import GraphEngine
from tests.conftest import write_jsonl
from tests.prediction.test_engines import FAMILIES, write_encoder
from tests.verbs.tiny_export import export_tiny, gate_on

TEXTS = ["the port", "the minister wants the port closed at once", "", "the port", "port " * 400, "1, 2: what?!"]


@pytest.fixture
def encoder(tiny_encoder: Path) -> FolderEncoder:
    return FolderEncoder(source="folder", path=str(tiny_encoder), name="tiny", sha256=None)


@pytest.fixture
def exported(encoder: FolderEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The encoder's export in a cache of its own."""
    monkeypatch.setenv("STANCEKIT_CACHE", str(tmp_path / "cache"))
    folder = embedder_folder(encoder)
    assert folder is not None
    export_encoder(encoder, folder, TEXTS)
    return folder


@pytest.mark.parametrize("engine", GRAPHS)
def test_when_an_encoder_is_exported_then_every_engine_gives_the_vectors_of_torch(
    encoder: FolderEncoder, exported: Path, engine: GraphEngine
) -> None:
    embedder = exported_embedder(encoder, engine, threads=2)
    assert embedder is not None
    found = embedder.embed(TEXTS)
    np.testing.assert_allclose(found, SentenceEmbedder(encoder).embed(TEXTS), atol=1e-5)
    np.testing.assert_array_equal(found[0], found[3])
    np.testing.assert_allclose(embedder.embed(TEXTS[::-1])[::-1], found, atol=1e-6)
    assert embedder.embed([]).shape == (0, 32)


def test_when_an_encoder_is_exported_then_its_manifest_says_how_far_cosines_are_off(exported: Path) -> None:
    manifest = EncoderManifest.model_validate_json((exported / ENCODER_FILE).read_bytes())
    assert 0 < manifest.difference < 1e-5 and manifest.texts == len(TEXTS) and manifest.encoder == "tiny"
    assert set(manifest.sha256) == {path.name for path in exported.iterdir()} - {ENCODER_FILE}


@pytest.mark.parametrize("family", FAMILIES)
def test_when_an_encoder_of_any_architecture_is_exported_then_cosines_are_those_of_torch(
    family: str, tmp_path: Path
) -> None:
    write_encoder(family, tmp_path / "encoder")
    encoder = FolderEncoder(source="folder", path=str(tmp_path / "encoder"), name=family)
    assert export_encoder(encoder, tmp_path / "new", TEXTS).difference < 1e-5


def test_when_an_encoder_was_not_exported_or_has_changed_or_is_on_a_hub_then_there_is_no_embedder(
    encoder: FolderEncoder, exported: Path, tmp_path: Path
) -> None:
    shutil.copytree(encoder.path, tmp_path / "other")
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    (tmp_path / "other" / "config.json").write_text(json.dumps(config | {"hidden_act": "relu"}))
    other = encoder.model_copy(update={"path": str(tmp_path / "other")})
    hub = HubEncoder(source="hub", name="someone/encoder", revision="0" * 40)
    assert exported_embedder(encoder, "onnx", 1) is not None
    assert exported_embedder(other, "onnx", 1) is None and exported_embedder(hub, "onnx", 1) is None


def test_when_a_file_of_an_exported_encoder_was_changed_then_that_is_said(exported: Path) -> None:
    (exported / "fp32.onnx").write_bytes(b"another")
    with pytest.raises(UserError, match=r"the hash of '.*fp32\.onnx' is wrong"):
        ExportedEmbedder.read(exported, "onnx", 1)
    (exported / "openvino_fp32.bin").unlink()
    with pytest.raises(UserError, match=r"'.*openvino_fp32\.bin' is missing"):
        ExportedEmbedder.read(exported, "openvino", 1)
    (exported / ENCODER_FILE).write_text("{}")
    with pytest.raises(UserError, match=r"'.*encoder\.json' is no manifest of an encoder; remove"):
        ExportedEmbedder.read(exported, "onnx", 1)


def test_when_a_graph_computes_something_else_then_the_encoder_is_not_exported(
    encoder: FolderEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed = ExportedEmbedder.embed
    monkeypatch.setattr(ExportedEmbedder, "embed", lambda self, texts: embed(self, texts) * 1.01)
    with pytest.raises(UserError, match=r"encoder tiny: in onnx a cosine differs by 0\.02 from torch's"):
        export_encoder(encoder, tmp_path / "new", TEXTS)


LABEL_ARTICLES = """
import sys
from stancekit.cli import main
code = main(sys.argv[1:])
print("exit", code, [name for name in ("torch", "transformers", "mlflow") if name in sys.modules])
"""


def test_when_articles_are_labelled_with_exported_graphs_alone_then_torch_is_not_imported(
    encoder: FolderEncoder, exported: Path, tmp_path: Path
) -> None:
    model = export_tiny(Path(encoder.path), tmp_path / "model")
    text = "Mayor Ada Brandt ruled out closing the port. The harbour master did not reject the idea."
    articles = write_jsonl(tmp_path / "articles.jsonl", [{"id": str(number), "text": text} for number in range(3)])
    (tmp_path / "targets.yaml").write_text("targets: [{name: port, phrase: closing the port, question: 'Close it?'}]")
    words = ["predict", f"model={model}", f"input={articles}", f"targets={tmp_path}/targets.yaml", "engine.threads=1"]
    own = gate_on(Path(encoder.path))

    def label(name: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", LABEL_ARTICLES, *words, *own, f"output={tmp_path}/{name}.jsonl"]
        return subprocess.run(command, capture_output=True, text=True, check=True)

    assert label("graphs").stdout == "exit 0 []\n"
    shutil.rmtree(exported)
    by_torch = label("torch")
    assert "'torch'" in by_torch.stdout
    assert "note: torch embeds the statements, gate is not exported; once, for faster predictions" in by_torch.stderr
    found, expected = ((tmp_path / f"{name}.jsonl").read_bytes() for name in ("graphs", "torch"))
    assert found.count(b"\n") == 6 and found == expected
