from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from stancekit.config.schema import HubEncoder
from stancekit.errors import UserError
from stancekit.labels import OUTCOMES
from stancekit.models.adapting import choose_trained
from stancekit.models.cross_encoder import CrossEncoder
from stancekit.models.inputs import render
from stancekit.models.pooling import MeanPooled
from stancekit.pairs.model import Pair
from tests.models.helpers import INPUT, config, in_folder

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(params=["own", "mean"])
def model(tiny_encoder: Path, request: pytest.FixtureRequest) -> CrossEncoder:
    torch.manual_seed(1)
    return CrossEncoder.from_encoder(config(in_folder(tiny_encoder), request.param))


def test_when_a_pair_is_rendered_then_the_holder_leads_and_braces_in_the_text_stay() -> None:
    assert render(Pair("we {go}", "a {x}", holder="Ann"), INPUT) == ("Ann: we {go}", "a {x}")
    assert render(Pair("we go", "a"), INPUT)[0] == "unknown: we go"


def test_when_pairs_of_many_lengths_are_scored_then_the_order_and_the_batch_size_do_not_matter(
    model: CrossEncoder,
) -> None:
    pairs = [Pair("wants the port " * (1 + i * 7 % 5), f"opening {'the mine ' * (i % 3)}", "Ann") for i in range(23)]
    together = model.predict(pairs, batch_size=8).probabilities
    single = np.vstack([model.predict([pair], batch_size=1).probabilities for pair in pairs])
    np.testing.assert_allclose(together, single, atol=1e-6)
    assert together.shape == (23, len(OUTCOMES)) and np.allclose(together.sum(axis=1), 1)
    assert len(np.unique(together.round(9), axis=0)) > 10


def test_when_there_are_no_pairs_then_the_prediction_is_empty(model: CrossEncoder) -> None:
    prediction = model.predict([], batch_size=8)
    assert prediction.probabilities.shape == (0, 4) and prediction.outcomes() == []


def test_when_a_statement_is_too_long_then_it_is_cut_and_said_and_the_target_is_whole(model: CrossEncoder) -> None:
    short = Pair("wants the port", "closing the port", "Ann")
    long = Pair("wants the port " * 500, "closing the port", "Ann")
    inputs, truncated = model.encode([short, long])
    assert truncated.tolist() == [False, True]
    target = model.tokenizer("closing the port", add_special_tokens=False)["input_ids"]
    ids = inputs[1]["input_ids"]
    assert len(ids) == INPUT.max_length and ids[-len(target) - 1 : -1] == target


def test_when_a_target_leaves_no_room_then_it_is_refused_by_name(model: CrossEncoder) -> None:
    with pytest.raises(UserError, match=r"the target 'port port.*has 40 tokens, but the input has room for 29"):
        model.encode([Pair("a", "t"), Pair("a", "port " * 40)])


def test_when_word_embeddings_are_frozen_then_only_they_are(model: CrossEncoder, tiny_encoder: Path) -> None:
    assert all(weight.requires_grad for weight in model.network.parameters())
    choose_trained(model.network, config(in_folder(tiny_encoder)))
    frozen = [name for name, weight in model.network.named_parameters() if not weight.requires_grad]
    encoder = "encoder" if isinstance(model.network, MeanPooled) else "bert"
    assert frozen == [f"{encoder}.embeddings.word_embeddings.weight"]


def test_when_an_encoder_is_on_the_hub_then_its_pinned_revision_is_loaded_from_the_cache(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    snapshot = tmp_path / "models--somebody--tiny" / "snapshots" / REVISION
    shutil.copytree(tiny_encoder, snapshot)
    encoder = HubEncoder(source="hub", name="somebody/tiny", revision=REVISION)
    model = CrossEncoder.from_encoder(config(encoder))
    local = CrossEncoder.from_encoder(config(in_folder(tiny_encoder)))
    key = "bert.embeddings.word_embeddings.weight"
    assert torch.equal(model.network.state_dict()[key], local.network.state_dict()[key])
    other = HubEncoder(source="hub", name="somebody/tiny", revision=REVISION[::-1])
    with pytest.raises(
        UserError, match=f"somebody/tiny: cannot be loaded from 'somebody/tiny' at revision {REVISION[::-1]}"
    ):
        CrossEncoder.from_encoder(config(other))


@pytest.mark.parametrize("pooling", ["own", "mean"])
def test_when_the_encoder_has_another_head_then_ours_replaces_it_and_the_rest_is_kept(
    tiny_encoder: Path, tmp_path: Path, pooling: Literal["own", "mean"]
) -> None:
    model = CrossEncoder.from_encoder(config(in_folder(tiny_encoder)))
    model.network.save_pretrained(tmp_path)
    model.tokenizer.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    settings["id2label"] = {"0": "entailment", "1": "neutral", "2": "contradiction"}
    settings["label2id"] = {"entailment": 0, "neutral": 1, "contradiction": 2}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    weights = model.network.state_dict()
    save_file(
        {k: (v[:3] if k.startswith("classifier") else v).contiguous() for k, v in weights.items()},
        tmp_path / "model.safetensors",
        metadata={"format": "pt"},
    )
    loaded = CrossEncoder.from_encoder(config(in_folder(tmp_path), pooling)).network
    head = loaded.head if pooling == "mean" else loaded.classifier
    assert head.weight.shape[0] == 4
    encoder = loaded.encoder if pooling == "mean" else loaded.bert
    kept = {name: value for name, value in encoder.state_dict().items() if "pooler" not in name}
    assert len(kept) == 21 and all(torch.equal(value, weights[f"bert.{name}"]) for name, value in kept.items())
    if pooling == "own":
        assert loaded.config.id2label == dict(enumerate(OUTCOMES))


def test_when_the_weights_are_of_another_architecture_then_they_are_refused_and_not_drawn_at_random(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    CrossEncoder.from_encoder(config(in_folder(tiny_encoder), "mean")).write(tmp_path)
    with pytest.raises(UserError, match=r"encoder tiny: no weight in '.*' is one of a bert model"):
        CrossEncoder.from_encoder(config(in_folder(tmp_path)))


@pytest.fixture
def mean_pooled(tiny_encoder: Path) -> CrossEncoder:
    torch.manual_seed(1)
    return CrossEncoder.from_encoder(config(in_folder(tiny_encoder), "mean"))


SHORT = Pair("wants the port", "closing the port", "Ann")
LONG = Pair("wants the port and the mine " * 4, "closing the port", "Ann")


def logits(model: CrossEncoder, pairs: list[Pair]) -> torch.Tensor:
    inputs, _ = model.encode(pairs)
    batch = model.tokenizer.pad(inputs, return_tensors="pt")
    assert len(pairs) == 1 or not batch["attention_mask"][0].all(), "the first row is to be padded"
    model.network.eval()
    with torch.inference_mode():
        found: torch.Tensor = model.network(**batch).logits
    return found


def test_when_a_row_is_padded_then_the_mean_over_its_tokens_stays(mean_pooled: CrossEncoder) -> None:
    alone, together = logits(mean_pooled, [SHORT])[0], logits(mean_pooled, [SHORT, LONG])[0]
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_when_tokens_are_averaged_then_the_head_sees_their_mean_and_every_token_counts(
    mean_pooled: CrossEncoder,
) -> None:
    inputs, _ = mean_pooled.encode([SHORT])
    batch = mean_pooled.tokenizer.pad(inputs, return_tensors="pt")
    network = mean_pooled.network.eval()
    with torch.inference_mode():
        states = network.encoder(**batch).last_hidden_state
        expected = network.head(states[0].mean(dim=0))
        torch.testing.assert_close(network(**batch).logits[0], expected, rtol=0, atol=1e-6)
        first_token = network.head(states[0, 0])
    assert not torch.allclose(expected, first_token, atol=1e-3)


@pytest.mark.parametrize("pooling", ["own", "mean"])
def test_when_a_network_is_written_and_read_then_it_gives_the_same_bits(
    tiny_encoder: Path, tmp_path: Path, pooling: Literal["own", "mean"]
) -> None:
    settings = config(in_folder(tiny_encoder), pooling)
    torch.manual_seed(1)
    original = CrossEncoder.from_encoder(settings)
    original.write(tmp_path)
    torch.manual_seed(2)
    loaded = CrossEncoder.read(tmp_path, settings)
    before, after = original.network.state_dict(), loaded.network.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    np.testing.assert_array_equal(
        loaded.predict([SHORT, LONG], 2).probabilities, original.predict([SHORT, LONG], 2).probabilities
    )


def test_when_tokens_are_averaged_then_the_pooler_of_the_first_token_is_gone(
    tiny_encoder: Path, mean_pooled: CrossEncoder, tmp_path: Path
) -> None:
    assert any("pooler" in name for name in load_file(tiny_encoder / "model.safetensors"))
    assert not [name for name, _ in mean_pooled.network.named_parameters() if "pooler" in name]
    mean_pooled.write(tmp_path)
    assert not [name for name in load_file(tmp_path / "model.safetensors") if "pooler" in name]
    assert mean_pooled.network.head.weight.shape == (len(OUTCOMES), 32)


def test_when_columns_are_hidden_then_what_is_rendered_holds_nothing_of_them() -> None:
    pair = Pair("we go", "a port", holder="Ann")

    def hidden(*columns: Literal["statement", "target", "holder"]) -> tuple[str, str]:
        return render(pair, INPUT.model_copy(update={"hide": columns}))

    assert hidden("target") == ("Ann: we go", "")
    assert hidden("statement", "holder") == ("unknown: ", "a port")
    assert hidden("target", "holder") == ("unknown: we go", "")
