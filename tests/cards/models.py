"""Models as a card sees them, made of hand-written values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stancekit.cards.gather import Model
from stancekit.evaluation.model import Report
from tests.evaluation.test_report import report

REVISION = "e8c3b32edf5434bc2275fc9bab85f82640a19130"
MPNET = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"


def on(part: str, **changes: Any) -> Report:
    """Return a report on a part in which everything is there."""
    return replace(report(), part=part, **changes)


def model(name: str = "base", **changes: Any) -> Model:
    """Return a model that was evaluated on test alone and of which the cost is not known."""
    manifest = {
        "model": {
            "kind": "cross_encoder",
            "name": "mpnet",
            "encoder": {
                "name": "all-mpnet-base-v2",
                "hub": "st/all-mpnet-base-v2",
                "revision": "e8c3b32edf54" + "0" * 28,
            },
            "input": {"statement": "{holder}: {statement}", "target": "{target}", "max_length": 256},
            "layers": None,
            "freeze_word_embeddings": True,
            "freeze_layers": 0,
            "lora": {"rank": 32, "alpha": 64.0},
        },
        "base": {"name": "all-mpnet-base-v2", "sha256": MPNET},
        "calibration": {"temperature": 1.436, "threshold": 0.8, "level": 0.9, "rows": 1862},
        "data": {"train": "aaaa", "test": "0123abcd", "seeds": "bbbb"},
        "versions": {"stancekit": "0.1.0", "torch": "2.13.0+cpu", "transformers": "5.23.0"},
    }
    recipe = {"seed": 13, "data.name": "stancebank", "training.epochs": 4, "training.metric": "macro_f1"}
    one = Model(name, manifest, recipe, 5_250_000, None, {"test": on("test")}, None)
    return replace(one, **changes)
