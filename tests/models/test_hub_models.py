"""The encoders that ship as configuration: pinned, and of architectures that are loaded, trained and saved alike."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    DebertaV2Config,
    DebertaV2Model,
    DebertaV2Tokenizer,
    ModernBertConfig,
    ModernBertModel,
    MPNetConfig,
    MPNetModel,
    MPNetTokenizer,
    PreTrainedTokenizerFast,
)

from stancekit.config.compose import config_dir, load_config
from stancekit.config.schema import (
    CrossEncoderConfig,
    FolderEncoder,
    HubEncoder,
    InputConfig,
    TrainConfig,
    ZeroShotConfig,
)
from stancekit.models.cross_encoder import CrossEncoder
from stancekit.pairs.model import Pair

FILES = {path.stem: path for path in config_dir().glob("model/*.yaml") if "source: hub" in path.read_text("utf-8")}
OFFERED = {
    *("deberta_v3_xsmall", "deberta_v3_small", "deberta_v3_base"),
    *("nli_deberta_v3_xsmall", "nli_deberta_v3_small", "nli_deberta_v3_base", "nli_zero_shot"),
    *("modernbert_base", "minilm_l12", "roberta_base"),
}

WORDS = ["ann", "wants", "closing", "the", "port", "and", "mine", "a", "b", "c"]
INPUT = InputConfig(statement="{holder} : {statement}", target="{target}", unknown_holder="unknown", max_length=32)
PAIRS = [
    Pair("wants the port", "closing the port", "ann"),
    Pair("wants the port and the mine " * 3, "closing the mine", "ann"),
]


def hub_encoder(name: str) -> HubEncoder:
    config = load_config("train", [f"model={name}"])
    assert isinstance(config, TrainConfig) and isinstance(config.model, CrossEncoderConfig | ZeroShotConfig)
    assert config.model.name == name and isinstance(config.model.encoder, HubEncoder)
    return config.model.encoder


def test_when_the_hub_encoders_are_counted_then_none_is_overlooked() -> None:
    assert FILES.keys() == OFFERED


@pytest.mark.parametrize("name", sorted(OFFERED))
def test_when_an_encoder_is_on_the_hub_then_its_config_composes_and_pins_a_commit(name: str) -> None:
    encoder = hub_encoder(name)
    assert re.fullmatch(r"[\w-]+/[\w.-]+", encoder.name)
    assert re.fullmatch(r"[0-9a-f]{40}", encoder.revision)


def test_when_two_configs_name_one_encoder_then_they_pin_the_same_commit() -> None:
    pinned = {(encoder.name, encoder.revision) for encoder in map(hub_encoder, OFFERED)}
    assert len(pinned) == len({name for name, _ in pinned}) == len({revision for _, revision in pinned}) == 9


@pytest.mark.parametrize("name", sorted(OFFERED - {"nli_zero_shot"}))
def test_when_an_encoder_is_offered_then_its_size_and_licence_are_said(name: str) -> None:
    first = FILES[name].read_text("utf-8").splitlines()[0]
    assert re.search(r"\(\d+M parameters( and \d+M word vectors)?, (MIT|Apache-2\.0)\)", first)


@dataclass(frozen=True)
class Architecture:
    """How a model reads a pair (A and B stand for its segments), and what its table of word vectors is called."""

    pair: str
    segment_ids: bool
    word_vectors: str = "embeddings.word_embeddings.weight"


ARCHITECTURES = {
    "bert": Architecture("[CLS] A [SEP] B [SEP]", segment_ids=True),
    "mpnet": Architecture("<s> A </s> </s> B </s>", segment_ids=False),
    "deberta-v2": Architecture("[CLS] A [SEP] B [SEP]", segment_ids=True),
    "modernbert": Architecture(
        "[CLS] A [SEP] B [SEP]", segment_ids=False, word_vectors="embeddings.tok_embeddings.weight"
    ),
}


SHAPE: dict[str, Any] = {
    **{"vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "max_position_embeddings": 64},
    **{"num_hidden_layers": 2, "num_attention_heads": 2, "initializer_range": 0.2},
}
# As DeBERTa-v3 has them, where DeBERTa-v2 differs.
V3: dict[str, Any] = {
    **{"relative_attention": True, "position_buckets": 16, "pos_att_type": ["p2c", "c2p"], "share_att_key": True},
    **{"norm_rel_ebd": "layer_norm", "position_biased_input": False, "type_vocab_size": 0},
}
# Attention of both kinds, global and local, with a window that is shorter than the pairs.
MODERN: dict[str, Any] = {
    **{"global_attn_every_n_layers": 2, "local_attention": 8},
    **{"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3},
}


def tiny(architecture: str) -> tuple[Any, Any]:
    """Return an encoder of 32 dimensions and two layers, drawn at random, and a tokenizer of the architecture's own."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: i for i, word in enumerate([*specials, ":", *WORDS])}
    if architecture == "bert":
        return BertModel(BertConfig(**SHAPE)), BertTokenizer(vocab=vocabulary)
    if architecture == "mpnet":
        own = {word: i for i, word in enumerate(["<s>", "<pad>", "</s>", "[UNK]", "<mask>", ":", *WORDS])}
        return MPNetModel(MPNetConfig(**SHAPE)), MPNetTokenizer(vocab=own)
    if architecture == "deberta-v2":
        pieces = [(word, 0.0) for word in specials] + [(f"▁{word}", -1.0) for word in (":", *WORDS)]
        return DebertaV2Model(DebertaV2Config(**SHAPE, **V3)), DebertaV2Tokenizer(vocab=pieces)
    # Of no class of its own on the hub either.
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=BertTokenizer(vocab=vocabulary).backend_tokenizer,
        **{f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")},
        model_input_names=["input_ids", "attention_mask"],
    )
    return ModernBertModel(ModernBertConfig(**SHAPE, **MODERN)), tokenizer


@pytest.fixture(scope="module", params=sorted(ARCHITECTURES))
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The name of an architecture and a folder with a tiny encoder of it."""
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    for part in tiny(request.param):
        part.save_pretrained(folder)
    return request.param, folder


def cross_encoder_config(folder: Path, pooling: Literal["own", "mean"]) -> CrossEncoderConfig:
    return CrossEncoderConfig(
        kind="cross_encoder",
        name="t",
        encoder=FolderEncoder(source="folder", name="tiny", path=str(folder)),
        input=INPUT,
        pooling=pooling,
        freeze_word_embeddings=True,
        dropout=0.1,
    )


def from_encoder(folder: Path, pooling: Literal["own", "mean"] = "mean") -> CrossEncoder:
    torch.manual_seed(1)
    return CrossEncoder.from_encoder(cross_encoder_config(folder, pooling))


def test_when_an_encoder_is_in_a_folder_then_its_own_weights_are_loaded(encoder: tuple[str, Path]) -> None:
    architecture, folder = encoder
    torch.manual_seed(0)
    expected = tiny(architecture)[0].state_dict()
    found = from_encoder(folder).network.encoder.state_dict()
    assert found and expected.keys() - found.keys() <= {"pooler.dense.weight", "pooler.dense.bias"}
    assert all(torch.equal(value, expected[name]) for name, value in found.items())


def test_when_a_pair_is_encoded_then_its_segments_are_told_apart_as_the_architecture_does_it(
    encoder: tuple[str, Path],
) -> None:
    architecture, folder = encoder
    model = from_encoder(folder)
    (short, long), truncated = model.encode(PAIRS)
    expected = ARCHITECTURES[architecture]
    segments = {"A": "ann : wants the port", "B": "closing the port"}
    words = " ".join(segments.get(part, part) for part in expected.pair.split()).split()
    assert [token.lstrip("▁") for token in model.tokenizer.convert_ids_to_tokens(short["input_ids"])] == words
    assert ("token_type_ids" in short) == expected.segment_ids
    assert truncated.tolist() == [False, False] and len(long["input_ids"]) == len(words) + 15


@pytest.mark.parametrize("pooling", ["own", "mean"])
def test_when_rows_are_padded_then_they_are_scored_as_alone(
    encoder: tuple[str, Path], pooling: Literal["own", "mean"]
) -> None:
    model = from_encoder(encoder[1], pooling)
    together = model.predict(PAIRS, batch_size=2).probabilities
    alone = np.vstack([model.predict([pair], batch_size=1).probabilities for pair in PAIRS])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)
    assert together.shape == (2, 4) and np.abs(together[0] - together[1]).max() > 1e-3


@pytest.mark.parametrize("pooling", ["own", "mean"])
def test_when_a_model_is_written_and_read_then_it_gives_the_same_probabilities(
    encoder: tuple[str, Path], tmp_path: Path, pooling: Literal["own", "mean"]
) -> None:
    model = from_encoder(encoder[1], pooling)
    model.write(tmp_path)
    torch.manual_seed(2)
    loaded = CrossEncoder.read(tmp_path, cross_encoder_config(encoder[1], pooling))
    expected = model.predict(PAIRS, batch_size=2).probabilities
    np.testing.assert_array_equal(loaded.predict(PAIRS, batch_size=2).probabilities, expected)


def test_when_word_vectors_are_asked_for_then_they_are_found_under_the_name_that_they_have(
    encoder: tuple[str, Path],
) -> None:
    architecture, folder = encoder
    network = from_encoder(folder).network
    table = network.get_input_embeddings().weight
    assert [name for name, weight in network.encoder.named_parameters() if weight is table] == [
        ARCHITECTURES[architecture].word_vectors
    ]
    assert table.shape == (64, 32)
