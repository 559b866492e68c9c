"""The encoder of the relevance gate to a folder of graphs, each compared with torch."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from stancekit.config.schema import EncoderConfig
from stancekit.encoders.embedding import SentenceEmbedder
from stancekit.errors import UserError
from stancekit.exporting.engines import refuse_missing_packages
from stancekit.exporting.graphs import Graphs, quiet_quantisers, write_onnx
from stancekit.prediction.choosing import available_threads
from stancekit.prediction.embedding import (
    GRAPHS,
    EncoderManifest,
    ExportedEmbedder,
    source_of_encoder,
    write_encoder_manifest,
)
from stancekit.prediction.engines.torch import takes_types, tokenizer_copy
from stancekit.prediction.exported import TOKENIZER_FILE
from stancekit.prediction.tokens import TextTokenizer, TokenLayout

_MOST_DIFFERENCE = 1e-4
"""By how much a cosine may be off: far less than what people give a threshold to."""


def export_encoder(encoder: EncoderConfig, folder: Path, texts: Sequence[str]) -> EncoderManifest:
    """Write an encoder's graphs into a new folder, with the tokenizer.

    Args:
        texts: what cosines are compared on, all with all.

    Raises:
        UserError: a package is missing, the encoder cannot be found or has no tokenizer of the ``tokenizers`` library,
            or a graph computes something else.
    """
    refuse_missing_packages()
    embedder = SentenceEmbedder(encoder)
    copied = tokenizer_copy(embedder.tokenizer)
    if copied is None:
        raise UserError(
            f"encoder {encoder.name}: its tokenizer is none of the tokenizers library that pads on the right"
        )
    typed = takes_types(embedder.tokenizer, embedder.network)
    layout = TokenLayout.of_texts(copied, int(embedder.tokenizer.pad_token_id), typed)
    tokenizer = TextTokenizer(copied, layout, embedder.longest)
    folder.mkdir(parents=True)
    tokenizer.write(folder / TOKENIZER_FILE)
    graphs = Graphs(folder, [])
    with quiet_quantisers():
        write_onnx(embedder.network, embedder.vectors, layout, graphs.plain)
        graphs.openvino_fp32()
    hidden = int(embedder.network.config.hidden_size)
    reference = embedder.embed(texts)
    differences = []
    for engine, graph in GRAPHS.items():
        found = ExportedEmbedder(tokenizer, folder / graph, hidden, engine, available_threads()).embed(texts)
        differences.append(float(np.abs(found @ found.T - reference @ reference.T).max()))
        if differences[-1] > _MOST_DIFFERENCE:
            raise UserError(
                f"encoder {encoder.name}: in {engine} a cosine differs by {differences[-1]:.2g} from torch's; "
                f"at most {_MOST_DIFFERENCE:g}"
            )
    return write_encoder_manifest(
        folder,
        {
            "encoder": encoder.name,
            "source": source_of_encoder(encoder),
            "layout": layout.as_dict(),
            "longest": embedder.longest,
            "hidden": hidden,
            "texts": len(texts),
            "difference": max(differences),
            "versions": {name: version(name) for name in ("stancekit", "torch", "onnxruntime", "openvino")},
        },
    )
