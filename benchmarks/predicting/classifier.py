"""A model as transformers and sentence-transformers load it: a folder with a sequence classifier like any other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PretrainedConfig, PreTrainedModel

from stancekit.labels import OUTCOMES
from stancekit.models.cross_encoder import CrossEncoder
from stancekit.models.pooling import MeanPooled

if TYPE_CHECKING:
    from transformers.modeling_outputs import SequenceClassifierOutput


class MeanPooledConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """What ``MeanPooledForSequenceClassification`` is built from: the configuration of its encoder."""

    model_type = "stancekit_mean_pooled"
    encoder: dict[str, Any] | None = None


class MeanPooledForSequenceClassification(PreTrainedModel):
    """``MeanPooled`` as transformers and sentence-transformers load a sequence classifier."""

    config_class = MeanPooledConfig
    _supports_sdpa = True

    def __init__(self, config: MeanPooledConfig) -> None:
        super().__init__(config)
        settings = dict(config.encoder or {})
        encoder = AutoModel.from_config(AutoConfig.for_model(**settings))  # type: ignore[no-untyped-call]
        self.network = MeanPooled(encoder, dropout=0.0)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
        return_dict: bool = True,
    ) -> SequenceClassifierOutput:
        """Return the logits; ``return_dict`` is what sentence-transformers asks for, and always so here."""
        given = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            given["token_type_ids"] = token_type_ids
        found: SequenceClassifierOutput = self.network(**given)
        return found


AutoConfig.register(MeanPooledConfig.model_type, MeanPooledConfig)
AutoModelForSequenceClassification.register(MeanPooledConfig, MeanPooledForSequenceClassification)


def write_classifier(model: CrossEncoder, folder: Path) -> None:
    """Write a model and its tokenizer as transformers' auto classes read them."""
    network = model.network
    if isinstance(network, MeanPooled):
        config = MeanPooledConfig(
            encoder=network.config.to_dict(),
            id2label=dict(enumerate(OUTCOMES)),
            label2id={label: i for i, label in enumerate(OUTCOMES)},
        )
        classifier = MeanPooledForSequenceClassification(config)
        classifier.network.load_state_dict(network.state_dict())
        network = classifier
    network.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
