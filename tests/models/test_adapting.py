from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from peft.tuners.lora import LoraLayer
from transformers import (
    BertConfig,
    BertModel,
    DebertaV2Config,
    DebertaV2Model,
    ModernBertConfig,
    ModernBertModel,
    MPNetConfig,
    MPNetModel,
)

from stancekit.config.schema import CrossEncoderConfig, LoraConfig
from stancekit.errors import UserError
from stancekit.models.adapting import choose_trained, keep_layers, merge_adapters
from stancekit.models.cross_encoder import CrossEncoder
from stancekit.models.pooling import MeanPooled
from stancekit.pairs.model import pair_from_row
from tests.conftest import CliRunner, labelled_rows
from tests.models.helpers import config, in_folder

PAIRS = [pair_from_row(row) for row in labelled_rows(12)]
LINEAR = (
    *("attention.self.query", "attention.self.key", "attention.self.value"),
    *("attention.output.dense", "intermediate.dense", "output.dense"),
)
SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}


@pytest.fixture(scope="session")
def deep_encoder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny encoder with four layers, all different."""
    path = tmp_path_factory.mktemp("deep_encoder")
    shutil.copytree(tiny_encoder, path, dirs_exist_ok=True)
    settings = BertConfig.from_pretrained(tiny_encoder)
    settings.num_hidden_layers = 4
    torch.manual_seed(0)
    BertModel(settings).save_pretrained(path)
    return path


def deep(path: Path, pooling: Literal["own", "mean"] = "mean", **changes: Any) -> CrossEncoderConfig:
    return config(in_folder(path), pooling).model_copy(update=changes)


def build(settings: CrossEncoderConfig, seed: int = 1) -> CrossEncoder:
    torch.manual_seed(seed)
    return CrossEncoder.from_encoder(settings)


def probabilities(model: CrossEncoder) -> np.ndarray[Any, Any]:
    return model.predict(PAIRS, 4).probabilities


def trained_names(network: Any) -> set[str]:
    return {name for name, weight in network.named_parameters() if weight.requires_grad}


def layers_of(model: CrossEncoder) -> list[dict[str, torch.Tensor]]:
    return [layer.state_dict() for layer in model.network.base_model.encoder.layer]


@pytest.mark.parametrize("pooling", ["own", "mean"])
def test_when_layers_are_kept_then_they_are_those_of_the_encoder_by_number(
    deep_encoder: Path, pooling: Literal["own", "mean"]
) -> None:
    whole = layers_of(build(deep(deep_encoder, pooling)))
    model = build(deep(deep_encoder, pooling, layers=(0, 2)))
    kept = layers_of(model)
    assert len(whole) == 4 and len(kept) == 2 and model.network.config.num_hidden_layers == 2
    for found, number in zip(kept, (0, 2), strict=True):
        assert all(torch.equal(value, whole[number][name]) for name, value in found.items())
        assert not torch.equal(found["output.dense.weight"], whole[1]["output.dense.weight"])


@pytest.mark.parametrize("pooling", ["own", "mean"])
def test_when_a_model_with_few_layers_is_written_and_read_then_it_gives_the_same_probabilities(
    deep_encoder: Path, tmp_path: Path, pooling: Literal["own", "mean"]
) -> None:
    settings = deep(deep_encoder, pooling, layers=(0, 2))
    model = build(settings)
    model.write(tmp_path / "saved")
    loaded = CrossEncoder.read(tmp_path / "saved", settings)
    assert len(layers_of(loaded)) == 2
    np.testing.assert_array_equal(probabilities(loaded), probabilities(model))
    whole = build(settings.model_copy(update={"layers": None}))
    assert np.abs(probabilities(whole) - probabilities(model)).max() > 1e-3, "the two layers would not be told apart"


@pytest.mark.parametrize("layers", [(0, 4), (2, 0), (1, 1), (4,)], ids=str)
def test_when_layers_are_not_those_of_the_encoder_then_its_numbers_are_named(
    deep_encoder: Path, layers: tuple[int, ...]
) -> None:
    with pytest.raises(UserError) as raised:
        build(deep(deep_encoder, layers=layers))
    assert str(raised.value) == (
        f"model.layers={list(layers)}: expected rising numbers from 0 to 3, which are the layers of tiny"
    )


def test_when_kept_layers_are_of_several_types_then_each_keeps_its_own() -> None:
    encoder = ModernBertModel(modern(num_hidden_layers=4))
    types = encoder.config.layer_types or []
    assert len(set(types)) == 2
    keep_layers(encoder, deep(Path("x"), layers=(0, 3)))
    assert encoder.config.layer_types == [types[0], types[3]] and len(encoder.layers) == 2


def modern(**changes: Any) -> ModernBertConfig:
    special = {f"{name}_token_id": number for number, name in enumerate(("pad", "bos", "eos", "cls", "sep"))}
    return ModernBertConfig(**SIZES | special | changes)


def test_when_an_encoders_layers_are_not_found_then_it_is_said_which_keys_need_them() -> None:
    class Odd(torch.nn.Module):
        pass

    settings = deep(Path("x"), layers=(0,))
    with pytest.raises(
        UserError, match=r"encoder tiny: its layers are not where they are looked for \(encoder.layer, "
    ):
        keep_layers(Odd(), settings)


@pytest.mark.parametrize("pooling", ["own", "mean"])
def test_when_the_lowest_layers_are_frozen_then_the_others_and_the_head_are_trained(
    deep_encoder: Path, pooling: Literal["own", "mean"]
) -> None:
    settings = deep(deep_encoder, pooling, freeze_layers=3)
    network = build(settings).network
    everything = {name for name, _ in network.named_parameters()}
    choose_trained(network, settings)
    base = "encoder" if pooling == "mean" else "bert"
    frozen = {f"{base}.embeddings", *(f"{base}.encoder.layer.{number}" for number in range(3))}
    assert trained_names(network) == {
        name for name in everything if not name.startswith(tuple(f"{f}." for f in frozen))
    }
    assert {f"{base}.encoder.layer.3.output.dense.weight"} < trained_names(network)
    assert any(name.startswith(("head.", "classifier.")) for name in trained_names(network))


@pytest.mark.parametrize("frozen", [4, 9])
def test_when_no_layer_is_left_to_be_trained_then_the_highest_number_is_said(deep_encoder: Path, frozen: int) -> None:
    settings = deep(deep_encoder, freeze_layers=frozen)
    with pytest.raises(UserError) as raised:
        choose_trained(build(settings).network, settings)
    assert str(raised.value) == (
        f"model.freeze_layers={frozen}: tiny has 4 layers, of which at least one must be trained; expected at most 3"
    )


@pytest.mark.parametrize(
    ("encoder", "shared"),
    [
        (lambda: MPNetModel(MPNetConfig(**SIZES)), "encoder.encoder.relative_attention_bias.weight"),
        (
            lambda: DebertaV2Model(DebertaV2Config(**SIZES, relative_attention=True, pos_att_type=["p2c"])),
            "encoder.encoder.rel_embeddings.weight",
        ),
    ],
    ids=["mpnet", "deberta"],
)
def test_when_layers_share_relative_positions_then_these_are_frozen_with_the_lowest(encoder: Any, shared: str) -> None:
    network = MeanPooled(encoder(), 0.1)
    assert shared in trained_names(network)
    choose_trained(network, deep(Path("x"), freeze_layers=1))
    left = trained_names(network)
    assert shared not in left and not any("embeddings" in name for name in left)
    assert {name.split(".")[3] for name in left if ".layer." in name} == {"1", "2"}


def adapted(model: CrossEncoder, settings: CrossEncoderConfig) -> CrossEncoder:
    """Put adapters on a model and give them weights, such that they change what it says."""
    choose_trained(model.network, settings)
    generator = torch.Generator().manual_seed(5)
    for name, weight in model.network.named_parameters():
        if "lora_B" in name:
            weight.data = torch.randn(weight.shape, generator=generator) * 0.3
    return model


def lora(path: Path, pooling: Literal["own", "mean"] = "mean", **changes: Any) -> CrossEncoderConfig:
    return deep(path, pooling, lora=LoraConfig(rank=2, alpha=6), **changes)


@pytest.mark.parametrize("pooling", ["own", "mean"])
def test_when_adapters_are_trained_then_they_stand_on_every_linear_layer_and_all_else_but_the_head_is_frozen(
    deep_encoder: Path, pooling: Literal["own", "mean"]
) -> None:
    settings = lora(deep_encoder, pooling, freeze_layers=1)
    network = build(settings).network
    choose_trained(network, settings)
    base = "encoder" if pooling == "mean" else "bert"
    expected = {
        f"{base}.encoder.layer.{number}.{inner}.lora_{side}.default.weight"
        for number in (1, 2, 3)
        for inner in LINEAR
        for side in "AB"
    }
    expected |= {f"{'head' if pooling == 'mean' else 'classifier'}.{part}" for part in ("weight", "bias")}
    # Drawn at random where an encoder was saved without one.
    expected |= {f"bert.pooler.dense.{part}" for part in ("weight", "bias")} if pooling == "own" else set()
    assert trained_names(network) == expected
    (scaling,) = {m.scaling["default"] for m in network.modules() if isinstance(m, LoraLayer)}
    assert scaling == 3.0, "alpha / rank"


def test_when_adapters_are_new_then_the_network_computes_what_it_did(deep_encoder: Path) -> None:
    settings = lora(deep_encoder)
    model = build(settings)
    before = probabilities(model)
    choose_trained(model.network, settings)
    np.testing.assert_array_equal(probabilities(model), before)


@pytest.mark.parametrize("pooling", ["own", "mean"])
def test_when_adapters_are_merged_then_a_plain_network_is_left_that_says_the_same(
    deep_encoder: Path, tmp_path: Path, pooling: Literal["own", "mean"]
) -> None:
    settings = lora(deep_encoder, pooling)
    plain = build(settings)
    model = adapted(build(settings), settings)
    before = probabilities(model)
    assert np.abs(before - probabilities(plain)).max() > 1e-2, "the adapters change nothing"
    merge_adapters(model.network)
    assert not [name for name, part in model.network.named_modules() if type(part).__module__.startswith("peft")]
    assert model.network.state_dict().keys() == plain.network.state_dict().keys()
    np.testing.assert_allclose(probabilities(model), before, rtol=0, atol=1e-5)
    model.write(tmp_path / "saved")
    np.testing.assert_array_equal(probabilities(CrossEncoder.read(tmp_path / "saved", settings)), probabilities(model))


def test_when_an_adapter_is_merged_then_the_weight_grows_by_its_scaled_product_alone(deep_encoder: Path) -> None:
    settings = lora(deep_encoder, freeze_layers=1)
    before = build(settings).network.state_dict()
    model = adapted(build(settings), settings)
    key = "encoder.encoder.layer.2.intermediate.dense"
    parts = dict(model.network.named_parameters())
    product = 3.0 * parts[f"{key}.lora_B.default.weight"] @ parts[f"{key}.lora_A.default.weight"]
    merge_adapters(model.network)
    after = model.network.state_dict()
    torch.testing.assert_close(after[f"{key}.weight"] - before[f"{key}.weight"], product.detach(), rtol=0, atol=1e-5)
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {f"encoder.encoder.layer.{n}.{inner}.weight" for n in (1, 2, 3) for inner in LINEAR}


def test_when_there_are_no_adapters_then_merging_changes_nothing(deep_encoder: Path) -> None:
    model = build(deep(deep_encoder))
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    merge_adapters(model.network)
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())


def test_when_an_adapter_has_no_rank_then_it_is_refused(cli: CliRunner, tiny_overrides: list[str]) -> None:
    said = cli("train", *tiny_overrides, "model.lora.rank=0", "model.lora.alpha=8", code=2)
    assert "model.lora.rank: Input should be greater than 0, found 0" in said
    assert "model.lora.alpha: a value is needed" in cli("train", *tiny_overrides, "model.lora.rank=4", code=2)


def test_when_the_encoder_lacks_a_layer_then_training_says_so(
    cli: CliRunner, tiny_overrides: list[str], tmp_path: Path
) -> None:
    said = cli("train", *tiny_overrides, "model.freeze_layers=1", code=2)
    assert (
        "model.freeze_layers=1: folder has 1 layers, of which at least one must be trained; expected at most 0" in said
    )
    said = cli("train", *tiny_overrides, "model.layers=[0,1]", code=2)
    assert "model.layers=[0, 1]: expected rising numbers from 0 to 0" in said
    assert not list((tmp_path / "home" / "unfinished").iterdir()), "there is nothing to go on with"
