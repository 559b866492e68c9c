"""Cross-encoders on a tiny encoder, as tests configure them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from stancekit.config.schema import CrossEncoderConfig, EncoderConfig, FolderEncoder, InputConfig

INPUT = InputConfig(statement="{holder}: {statement}", target="{target}", unknown_holder="unknown", max_length=32)


def config(encoder: EncoderConfig, pooling: Literal["own", "mean"] = "own", **more: Any) -> CrossEncoderConfig:
    """Return the configuration of a cross-encoder on an encoder."""
    return CrossEncoderConfig(
        kind="cross_encoder",
        name="t",
        encoder=encoder,
        input=INPUT,
        pooling=pooling,
        freeze_word_embeddings=True,
        dropout=0.1,
        **more,
    )


def in_folder(path: Path, sha256: str | None = None) -> FolderEncoder:
    """Return the configuration of an encoder in a folder."""
    return FolderEncoder(source="folder", path=str(path), name="tiny", sha256=sha256)
