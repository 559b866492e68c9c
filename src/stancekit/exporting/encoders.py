"""The encoder of the relevance gate to a folder of graphs, each compared with torch."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from stancekit.config.schema import EncoderConfig
from stancekit.encoders.embedding import SentenceEmbedder
from stancekit.errors import UserError
from stancekit.exporting.graphs import Graphs, quiet_quantisers, write_onnx
from stancekit.prediction.choosing import available_threads
from stancekit.prediction.embedding import (
    GRAPHS,
    EncoderManifest,
    ExportedEmbedder,
    source_of_encoder,
    write_encoder_manifest,
)
from stancekit.prediction.exported import TOKENIZER_FILE
from stancekit.prediction.tokens import TextTokenizer, TokenLayout

_MOST_DIFFERENCE = 1e-4
"""By how much a cosine may be off: far less than what people give a threshold to."""


def export_encoder(encoder: EncoderConfig, folder: Path, texts: Sequence[str]) -> EncoderManifest:
    """Write an encoder's graphs into a new folder, with the tokenizer.

    Args:
        texts: what cosines are compared on, all with all.

    Raises:
        UserError: the encoder cannot be found, has no tokenizer of the ``tokenizers`` library, or a graph computes
            something else.
    """
    embedder = SentenceEmbedder(encoder)
    given = embedder.tokenizer
    backend = getattr(given, "backend_tokenizer", None)
    if backend is None or given.pad_token_id is None:
        raise UserError(f"encoder {encoder.name}: its tokenizer is none of the tokenizers library")
    copied = Tokenizer.from_str(backend.to_str())
    # Some are saved with the padding of their last batch.
    copied.no_padding()
    copied.no_truncation()
    layout = TokenLayout.of_texts(copied, int(given.pad_token_id), "token_type_ids" in given("a"))
    tokenizer = TextTokenizer(copied, layout, embedder.longest)
    folder.mkdir(parents=True)
    tokenizer.write(folder / TOKENIZER_FILE)
    graphs = Graphs(folder, [])
    with quiet_quantisers():
        write_onnx(embedder.network, embedder.vectors, layout, graphs.plain)
        graphs.openvino_fp32()
    values = {
        "encoder": encoder.name,
        "source": source_of_encoder(encoder),
        "layout": layout.as_dict(),
        "longest": embedder.longest,
        "hidden": int(embedder.network.config.hidden_size),
        "texts": len(texts),
        "versions": {name: version(name) for name in ("stancekit", "torch", "onnxruntime", "openvino")},
    }
    write_encoder_manifest(folder, {**values, "difference": 0})
    reference = embedder.embed(texts)
    differences = {}
    for engine in GRAPHS:
        found = ExportedEmbedder(folder, engine, available_threads()).embed(texts)
        differences[engine] = float(np.abs(found @ found.T - reference @ reference.T).max())
        if differences[engine] > _MOST_DIFFERENCE:
            raise UserError(
                f"encoder {encoder.name}: in {engine} a cosine differs by {differences[engine]:.2g} from torch's; "
                f"at most {_MOST_DIFFERENCE:g}"
            )
    return write_encoder_manifest(folder, {**values, "difference": max(differences.values())})
