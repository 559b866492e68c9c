"""Sentence embeddings by an exported encoder: articles are labelled without torch too.

An exported encoder is a folder of the cache: its graph in ONNX and in OpenVINO's form, both in fp32, so that the same
statements are about the same targets whichever engine says so; its tokenizer; and ``encoder.json``, which has the hash
of every other file. Nothing in the folder is executed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

import numpy as np
from pydantic import Field, ValidationError

from stancekit.config.base import Schema, Sha256
from stancekit.config.schema import EncoderConfig, HubEncoder
from stancekit.encoders.locate import WEIGHTS, locate
from stancekit.errors import UserError
from stancekit.files import sha256_of
from stancekit.paths import cache
from stancekit.prediction.batches import token_batches
from stancekit.prediction.choosing import BATCH_TOKENS, graph_engine
from stancekit.prediction.exported import TOKENIZER_FILE, GraphEngine, Layout, checked_file
from stancekit.prediction.tokens import TextTokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENCODER_FILE = "encoder.json"
GRAPHS: Final[Mapping[GraphEngine, str]] = {"onnx": "fp32.onnx", "openvino": "openvino_fp32.xml"}
"""The graph that each engine reads."""


class EncoderManifest(Schema):
    """What ``encoder.json`` holds; ``difference`` is by how much a cosine was off torch's at most, over ``texts``."""

    format: Literal[1]
    encoder: str
    source: Sha256
    layout: Layout
    longest: Annotated[int, Field(gt=0)]
    hidden: Annotated[int, Field(gt=0)]
    texts: int
    difference: Annotated[float, Field(ge=0)]
    versions: dict[str, str]
    sha256: dict[str, Sha256]


class ExportedEmbedder:
    """Embeds texts as ``SentenceEmbedder`` does, to the sixth digit.

    Attributes:
        description: what runs it, for people.
    """

    def __init__(self, tokenizer: TextTokenizer, graph: Path, hidden: int, engine: GraphEngine, threads: int) -> None:
        """Open the graph in a file, which gives vectors of ``hidden`` numbers."""
        self._tokenizer = tokenizer
        self._engine = graph_engine(engine, graph, "fp32", threads)
        self._batch_tokens = BATCH_TOKENS[engine]
        self._hidden = hidden
        self.description = self._engine.description

    @classmethod
    def read(cls, folder: Path, engine: GraphEngine, threads: int) -> Self:
        """Return the embedder of the exported encoder in a folder.

        Raises:
            UserError: a file is missing or was changed.
        """
        from tokenizers import Tokenizer

        path = folder / ENCODER_FILE
        try:
            manifest = EncoderManifest.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise UserError(f"relevance.encoder: '{path}' is no manifest of an encoder; remove '{folder}'") from error
        tokenizer = Tokenizer.from_file(str(checked_file(folder, TOKENIZER_FILE, manifest.sha256)))
        texts = TextTokenizer(tokenizer, manifest.layout.layout(), manifest.longest)
        return cls(texts, checked_file(folder, GRAPHS[engine], manifest.sha256), manifest.hidden, engine, threads)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one row per text, of unit length: shape (texts, hidden size). Equal texts are embedded once."""
        place = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        tokens = self._tokenizer.tokenize(list(place))
        rows = np.zeros((len(place), self._hidden), dtype=np.float32)
        batches = token_batches(tokens, self._tokenizer.layout, self._batch_tokens, self._tokenizer.longest)
        with closing(self._engine.logits(batches)) as scored:
            for places, found in scored:
                rows[places] = found
        return rows[[place[text] for text in texts]]


def exported_embedder(encoder: EncoderConfig, engine: GraphEngine, threads: int) -> ExportedEmbedder | None:
    """Return the embedder of an encoder that was exported to the cache, or None where it was not."""
    folder = embedder_folder(encoder)
    if folder is None or not (folder / ENCODER_FILE).is_file():
        return None
    return ExportedEmbedder.read(folder, engine, threads)


def embedder_folder(encoder: EncoderConfig) -> Path | None:
    """Return the cache's folder for the export of an encoder; None for one on a hub, which has no files here to go by.

    Raises:
        UserError: the encoder cannot be found.
    """
    source = source_of_encoder(encoder)
    return None if source is None else cache() / "embedders" / source[:32]


def source_of_encoder(encoder: EncoderConfig) -> str | None:
    """Return what tells an encoder from every other: a hash over those of its files; None for one on a hub."""
    if isinstance(encoder, HubEncoder):
        return None
    folder = Path(locate(encoder).location)
    paths = [folder / name for name in ("config.json", "tokenizer.json", WEIGHTS)]
    return hashlib.sha256("".join(sha256_of(path) for path in paths if path.is_file()).encode()).hexdigest()


def write_encoder_manifest(folder: Path, values: Mapping[str, object]) -> EncoderManifest:
    """Write ``encoder.json`` into a folder whose other files are all there, with their hashes; returns what it says."""
    hashes = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
    manifest = EncoderManifest.model_validate({"format": 1, **values, "sha256": hashes})
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False)
    (folder / ENCODER_FILE).write_text(text + "\n", encoding="utf-8")
    return manifest
