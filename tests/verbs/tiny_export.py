"""An exported model that needs no torch to predict and is read in an instant: a tiny network with an undecided head."""

from __future__ import annotations

from pathlib import Path

from stancekit.config.schema import CrossEncoderConfig, FolderEncoder, InputConfig
from stancekit.files import sha256_of
from stancekit.prediction.exported import TOKENIZER_FILE, write_manifest

LONGEST = 64
"""How many tokens it reads of a pair."""


def export_tiny(encoder: Path, folder: Path, seed: int = 0) -> Path:
    """Write such a model into a new folder and return it: the encoder under a head drawn with ``seed``, for ONNX."""
    import torch

    from stancekit.exporting.graphs import Graphs, write_plain
    from stancekit.models.cross_encoder import CrossEncoder
    from stancekit.prediction.engines.torch import pair_tokenizer

    torch.manual_seed(seed)
    model = CrossEncoder.from_encoder(
        CrossEncoderConfig(
            kind="cross_encoder",
            name="tiny",
            encoder=FolderEncoder(source="folder", path=str(encoder), name="tiny", sha256=None),
            input=InputConfig(
                statement="{holder}: {statement}", target="{target}", unknown_holder="unknown", max_length=LONGEST
            ),
            pooling="mean",
            freeze_word_embeddings=True,
            dropout=0.1,
        )
    )
    # A head as it is drawn gives every pair nearly the same digits, and hides rows that have changed places.
    for weights in model.network.parameters():
        if weights.shape[0] == 4:
            torch.nn.init.normal_(weights, std=1.0)
    tokenizer = pair_tokenizer(model)
    assert tokenizer is not None
    folder.mkdir()
    tokenizer.write(folder / TOKENIZER_FILE)
    graphs = Graphs(folder, [])
    write_plain(model, tokenizer.layout, graphs)
    plain = {"engine": "onnx", "precision": "fp32", "file": graphs.plain.name, "megabytes": 0.1}
    measured = {"rows_per_second": 1.0, "speedup": 1.0, "agreement": 1.0, "f1_difference": 0.0}
    write_manifest(
        folder,
        {
            "model": "tiny",
            "source": sha256_of(graphs.plain),
            "input": model.template,
            "layout": tokenizer.layout.as_dict(),
            "calibration": None,
            "measured": {"rows": 1, "processor": "any", "threads": 1, "torch_rows_per_second": 1.0},
            "variants": [{**plain, **measured}],
            "versions": {},
        },
    )
    return folder


def gate_on(encoder: Path) -> list[str]:
    """Return the words that give the relevance gate the encoder in a folder."""
    return [
        *("relevance.encoder.source=folder", f"+relevance.encoder.path={encoder}", "relevance.encoder.name=gate"),
        *("~relevance.encoder.package", "~relevance.encoder.folder", "relevance.encoder.sha256=null"),
    ]
