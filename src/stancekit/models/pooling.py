"""A classifier on the mean of an encoder's last layer, where the architecture's own head looks at one token.

Sentence encoders are trained by their mean (Reimers & Gurevych, 2019), and what they know is spread over the tokens.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel
from transformers.modeling_outputs import SequenceClassifierOutput

from stancekit.encoders.locate import WEIGHTS
from stancekit.labels import OUTCOMES


class MeanPooled(torch.nn.Module):
    """An encoder, the mean of its last layer over the tokens of a row, and a linear head with one logit per outcome."""

    def __init__(self, encoder: Any, dropout: float) -> None:
        """Put a head, drawn from torch's generator, on an encoder."""
        super().__init__()
        if getattr(encoder, "pooler", None) is not None:
            # Made from the first token, and not used here: it would be trained and saved for nothing.
            encoder.pooler = None
        self.config = encoder.config
        self.encoder = encoder
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(int(encoder.config.hidden_size), len(OUTCOMES))

    @classmethod
    def from_pretrained(cls, folder: Path, dropout: float) -> Self:
        """Return what ``save_pretrained`` left in a folder; nothing in the folder is executed."""
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        encoder = AutoModel.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]
        network = cls(encoder.float(), dropout)
        network.load_state_dict(load_file(folder / WEIGHTS))
        return network

    def save_pretrained(self, folder: Path) -> None:
        """Write configuration and safetensors."""
        self.config.save_pretrained(folder)
        save_file({name: tensor.contiguous() for name, tensor in self.state_dict().items()}, folder / WEIGHTS)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.head.weight.device

    @property
    def base_model(self) -> Any:
        """The encoder, by the name that transformers' own classifiers have for it."""
        return self.encoder

    def get_input_embeddings(self) -> torch.nn.Module:
        """Return the table of word embeddings."""
        found: torch.nn.Module = self.encoder.get_input_embeddings()
        return found

    def forward(self, labels: torch.Tensor | None = None, **inputs: torch.Tensor) -> SequenceClassifierOutput:
        """Return the logits, shape (rows, 4); ``labels`` are for whoever computes the loss."""
        states = self.encoder(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1).to(states.dtype)
        mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        return SequenceClassifierOutput(logits=self.head(self.dropout(mean)))
