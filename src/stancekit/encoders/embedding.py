"""Sentence embeddings: the mean of an encoder's last layer over a text's tokens, of length one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from stancekit.config.schema import EncoderConfig
from stancekit.encoders.loading import load_encoder

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

_BATCH = 64
_MAX_LENGTH = 256


class Embedder(Protocol):
    """Turns texts into vectors whose products say how close they are in meaning."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one row per text, of unit length: shape (texts, hidden size)."""
        ...


class SentenceEmbedder:
    """Embeds texts with an encoder, as sentence-transformers' mean pooling does (Reimers & Gurevych, 2019).

    Attributes:
        network: the encoder, a transformers model.
        tokenizer: its tokenizer.
        longest: how many tokens of a text are read at most, special ones included.
    """

    def __init__(self, config: EncoderConfig) -> None:
        """Load the encoder that ``config`` names."""
        import torch
        from transformers import AutoModel

        model, self.tokenizer = load_encoder(AutoModel, config)
        self.network = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        # Two less than there are positions: RoBERTa's begin at 2.
        self.longest = min(_MAX_LENGTH, int(model.config.max_position_embeddings) - 2)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one row per text, of unit length: shape (texts, hidden size). Equal texts are embedded once."""
        distinct = list(dict.fromkeys(texts))
        place = {text: i for i, text in enumerate(distinct)}
        return self._embed(distinct)[[place[text] for text in texts]]

    def vectors(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the vectors of tokenised texts, padded on the right: shape (texts, hidden size)."""
        import torch

        states = self.network(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1).to(states.dtype)
        mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(mean, dim=1)

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import torch

        rows = np.zeros((len(texts), int(self.network.config.hidden_size)), dtype=np.float32)
        by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        with torch.inference_mode():
            for first in range(0, len(by_length), _BATCH):
                chosen = by_length[first : first + _BATCH]
                batch = self.tokenizer(
                    [texts[i] for i in chosen],
                    padding=True,
                    truncation=True,
                    max_length=self.longest,
                    return_tensors="pt",
                )
                rows[chosen] = self.vectors(batch.to(self.network.device)).float().cpu().numpy()
        return rows


def pair_features(statements: NDArray[np.float32], targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return one row of features per pair of embeddings, as InferSent has them (Conneau et al., 2017).

    Shape (pairs, 4 × hidden size): both embeddings, their absolute difference and their product.
    """
    return np.hstack([statements, targets, np.abs(statements - targets), statements * targets])
