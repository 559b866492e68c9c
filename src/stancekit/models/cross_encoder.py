"""The cross-encoder: a transformer that reads holder, statement and target at once and scores the four outcomes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from stancekit.config.schema import CrossEncoderConfig
from stancekit.encoders.loading import load_encoder, quiet_transformers
from stancekit.labels import OUTCOMES
from stancekit.models.adapting import keep_layers
from stancekit.models.base import Prediction
from stancekit.models.delta import FILE as DELTA
from stancekit.models.delta import DeltaConfig, DeltaSize, read_delta, write_delta
from stancekit.models.inputs import encode, refused_target, render
from stancekit.models.pooling import MeanPooled
from stancekit.pairs.model import Pair

_DROPOUTS = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "embedding_dropout",
    "mlp_dropout",
    "attention_dropout",
)
"""What encoders call the dropout of their layers: BERT's descendants the first two, ModernBERT the others."""


class CrossEncoder:
    """A sequence classifier with its tokenizer and the template that pairs are written out with.

    Attributes:
        bf16: whether predictions are computed under bf16 autocast: faster, but the last digits of a row's probabilities
            then depend on the rows beside it in the batch.
    """

    def __init__(self, network: Any, tokenizer: Any, config: CrossEncoderConfig) -> None:
        """Put the three together; ``network`` is a transformers model with one logit per outcome."""
        self.network = network
        self.tokenizer = tokenizer
        self.template = config.input
        self.bf16 = False

    @classmethod
    def from_encoder(cls, config: CrossEncoderConfig) -> Self:
        """Return an untrained cross-encoder on the configured encoder; its head is drawn from torch's generator.

        Raises:
            UserError: the encoder cannot be found, its hash is wrong, or it lacks a layer that is to be kept.
        """
        dropout = dict.fromkeys(_DROPOUTS, config.dropout)
        if config.pooling == "mean":
            encoder, tokenizer = load_encoder(AutoModel, config.encoder, **dropout)
            keep_layers(encoder, config)
            network = MeanPooled(encoder, config.dropout)
        else:
            network, tokenizer = load_encoder(
                AutoModelForSequenceClassification,
                config.encoder,
                num_labels=len(OUTCOMES),
                id2label=dict(enumerate(OUTCOMES)),
                label2id={label: i for i, label in enumerate(OUTCOMES)},
                **dropout,
            )
            keep_layers(network.base_model, config)
        return cls(network, tokenizer, config)

    @classmethod
    def read(cls, folder: Path, config: CrossEncoderConfig) -> Self:
        """Return the cross-encoder that ``write`` left in a folder; nothing in the folder is executed."""
        quiet_transformers()
        network: Any
        if config.pooling == "mean":
            network = MeanPooled.from_pretrained(folder, config.dropout)
        else:
            network = AutoModelForSequenceClassification.from_pretrained(
                folder, use_safetensors=True, trust_remote_code=False, local_files_only=True
            )
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        return cls(network, tokenizer, config)._ready()

    @classmethod
    def read_delta(cls, folder: Path, config: CrossEncoderConfig) -> Self:
        """Return the cross-encoder that ``write_delta`` left in a folder, built anew on its encoder.

        Raises:
            UserError: the encoder cannot be used, or the delta is broken or one for another encoder.
        """
        model = cls.from_encoder(config)
        model.network.load_state_dict(read_delta(folder / DELTA, model.network.state_dict(), model._drawn()))
        return model._ready()

    def _ready(self) -> Self:
        self.network.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        return self

    def _drawn(self) -> set[str]:
        """Return the names of the weights that are drawn at random where the encoder's file does not have them."""
        base = next(name for name, part in self.network.named_modules() if part is self.network.base_model)
        # A pooler belongs to the encoder's architecture, but not every encoder was saved with one.
        given = re.compile(rf"{re.escape(base)}\.(?!pooler\.)")
        return {name for name in self.network.state_dict() if not given.match(name)}

    def write(self, folder: Path) -> None:
        """Write safetensors, configuration and tokenizer."""
        self.network.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def write_delta(self, folder: Path, config: CrossEncoderConfig, delta: DeltaConfig) -> DeltaSize:
        """Write what differs from the network that ``from_encoder`` gives; the tokenizer stays the encoder's.

        Raises:
            UserError: the encoder cannot be found, or the model is not one of that encoder.
        """
        untuned = type(self).from_encoder(config)
        return write_delta(
            untuned.network.state_dict(), self.network.state_dict(), folder / DELTA, delta, untuned._drawn()
        )

    def encode(self, pairs: Sequence[Pair]) -> tuple[list[dict[str, list[int]]], np.ndarray[Any, Any]]:
        """Return the model's inputs for every pair, unpadded, and whether its statement was cut.

        Only the statement is cut. A target that leaves no room for the statement is refused.

        Raises:
            UserError: a target alone is longer than the input.
        """

        def refusal(at: int, tokens: int, room: int) -> str:
            return refused_target(pairs[at].target, tokens, room)

        segments = [render(pair, self.template) for pair in pairs]
        return encode(self.tokenizer, segments, self.template.max_length, refusal)

    def predict(self, pairs: Sequence[Pair], batch_size: int) -> Prediction:
        """Return the outcome probabilities of every pair; batches are grouped by length, the order is restored."""
        inputs, truncated = self.encode(pairs)
        rows = np.zeros((len(pairs), len(OUTCOMES)))
        by_length = sorted(range(len(pairs)), key=lambda i: len(inputs[i]["input_ids"]))
        self.network.eval()
        device = self.network.device
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            for first in range(0, len(by_length), batch_size):
                chosen = by_length[first : first + batch_size]
                batch = self.tokenizer.pad([inputs[i] for i in chosen], return_tensors="pt")
                logits = self.network(**batch.to(device)).logits
                # In double precision, so that confident rows keep probabilities that add up to one.
                rows[chosen] = torch.softmax(logits.double(), dim=-1).cpu().numpy()
        return Prediction(rows, truncated)
