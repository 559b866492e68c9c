"""Which part of an encoder is used, and which part of that is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stancekit.config.schema import CrossEncoderConfig, LoraConfig
from stancekit.errors import UserError

if TYPE_CHECKING:
    import torch

_LAYERS = ("encoder.layer", "layers")
"""Where encoders keep their layers: BERT, RoBERTa, MPNet and DeBERTa in the first place, ModernBERT in the second."""


def keep_layers(encoder: Any, config: CrossEncoderConfig) -> None:
    """Take the layers that ``config.layers`` does not name out of an encoder, and say so in its own configuration.

    Raises:
        UserError: the encoder has no such layer, or they are not in rising order.
    """
    if config.layers is None:
        return
    import torch

    name, layers = _layers(encoder, config.encoder.name)
    kept = list(config.layers)
    if kept != sorted(set(kept)) or kept[-1] >= len(layers):
        raise UserError(
            f"model.layers={kept}: expected rising numbers from 0 to {len(layers) - 1}, which are the layers of "
            f"{config.encoder.name}"
        )
    parent = encoder.get_submodule(name.rpartition(".")[0])
    setattr(parent, name.rpartition(".")[2], torch.nn.ModuleList(layers[i] for i in kept))
    encoder.config.num_hidden_layers = len(kept)
    if types := getattr(encoder.config, "layer_types", None):
        encoder.config.layer_types = [types[i] for i in kept]


def choose_trained(network: Any, config: CrossEncoderConfig) -> None:
    """Freeze what ``config`` does not train, and put adapters on the rest where it asks for them.

    The head is always trained, and so is a pooler, which many encoders were saved without. What is frozen takes no
    gradient, no time and no room in the optimizer.

    Raises:
        UserError: there are fewer layers than are to be frozen.
    """
    encoder = network.base_model
    if config.freeze_word_embeddings:
        network.get_input_embeddings().weight.requires_grad_(False)
    if not config.freeze_layers and config.lora is None:
        return
    name, layers = _layers(encoder, config.encoder.name)
    if config.freeze_layers >= len(layers):
        raise UserError(
            f"model.freeze_layers={config.freeze_layers}: {config.encoder.name} has {len(layers)} layers, of which at "
            f"least one must be trained; expected at most {len(layers) - 1}"
        )
    if config.lora is not None:
        _add_adapters(encoder, name, layers, config.freeze_layers, config.lora)
        return
    # What the layers share, as MPNet's and DeBERTa's relative positions, is frozen too: it reaches down to the lowest.
    shared = [
        weight
        for part in (encoder.embeddings, encoder.get_submodule(name.rpartition(".")[0]))
        for weight in part.parameters()
    ]
    trained = {id(weight) for layer in layers[config.freeze_layers :] for weight in layer.parameters()}
    for weight in shared:
        if id(weight) not in trained:
            weight.requires_grad_(False)


def merge_adapters(network: Any) -> None:
    """Add every adapter into the layer that it stands on: the network computes the same, and is a plain one again."""
    from peft.tuners.lora import LoraLayer

    encoder = network.base_model
    adapted = [(name, module) for name, module in encoder.named_modules() if isinstance(module, LoraLayer)]
    for name, module in adapted:
        module.merge()
        parent = encoder.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], module.get_base_layer())


def _add_adapters(encoder: Any, name: str, layers: torch.nn.ModuleList, frozen: int, lora: LoraConfig) -> None:
    import torch
    from peft import LoraConfig as PeftConfig
    from peft import inject_adapter_in_model

    adapted = [
        f"{name}.{number}.{inner}"
        for number, layer in enumerate(layers)
        if number >= frozen
        for inner, module in layer.named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
    inject_adapter_in_model(PeftConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=adapted), encoder)
    if (pooler := getattr(encoder, "pooler", None)) is not None:
        pooler.requires_grad_(True)


def _layers(encoder: Any, called: str) -> tuple[str, torch.nn.ModuleList]:
    for name in _LAYERS:
        try:
            return name, encoder.get_submodule(name)
        except AttributeError:
            continue
    raise UserError(
        f"encoder {called}: its layers are not where they are looked for ({', '.join(_LAYERS)}), so that model.layers, "
        "model.freeze_layers and model.lora cannot be used with it"
    )
