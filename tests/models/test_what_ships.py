"""The models that ship, as they lie in the repository: small, on the encoders that the configs name, and right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from stancekit.config.compose import config_dir
from stancekit.config.schema import CrossEncoderConfig, FetchedEncoder
from stancekit.data.corpus import read_labelled
from stancekit.encoders.fetched import find_fetched
from stancekit.evaluation.metrics import score
from stancekit.models.base import label_indices
from stancekit.models.delta import FILE
from stancekit.models.saved import MANIFEST, SavedModel, load_model
from stancekit.models.shipped import DEFAULT, shipped_folder, shipped_models
from stancekit.pairs.model import Pair
from stancekit.paths import shipped_root

MEGABYTE = 1_000_000
SHIPPED = list(shipped_models())
TOLL = "a toll on the bridge"
SENTENCES = [
    (Pair("Mayor Ada Brandt rejected calls for a toll on Tuesday.", TOLL, "Ada Brandt"), "rules_out"),
    (Pair("Mayor Ada Brandt said she would introduce the toll in May.", TOLL, "Ada Brandt"), "supports"),
    (
        Pair("The council said it would consider a toll if the state withdrew its money.", TOLL, "the council"),
        "leaves_open",
    ),
]


def shipped(name: str) -> SavedModel:
    encoder = json.loads((shipped_folder(name) / MANIFEST).read_text(encoding="utf-8"))["model"]["encoder"]
    if encoder["source"] == "fetched" and not find_fetched(FetchedEncoder.model_validate(encoder)):
        pytest.skip(f"{encoder['name']} is not in the cache; fetch it with: stancekit fetch {name}")
    return load_model(shipped_folder(name))


def test_when_models_ship_then_the_default_is_base_and_small_is_beside_it() -> None:
    assert {"base", "small"} <= set(SHIPPED)
    assert shipped_folder(DEFAULT) == shipped_folder("base")


@pytest.mark.parametrize("name", SHIPPED)
def test_when_a_model_ships_then_it_is_a_delta_of_at_most_12_megabytes_on_an_encoder_of_the_configs(name: str) -> None:
    folder = shipped_folder(name)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    assert (folder / FILE).is_file() and not list(folder.glob("model.safetensors"))
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 12 * MEGABYTE
    known = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (config_dir() / "encoder").glob("*.yaml")]
    config = CrossEncoderConfig.model_validate(manifest["model"])
    assert config.encoder.model_dump(mode="json") in known
    assert manifest["base"]["sha256"] in {encoder["sha256"] for encoder in known}
    assert manifest["calibration"]["temperature"] > 0


@pytest.mark.parametrize("name", SHIPPED)
def test_when_a_shipped_model_labels_plain_sentences_then_it_is_right(name: str) -> None:
    prediction = shipped(name).model.predict([pair for pair, _ in SENTENCES], 8)
    assert prediction.outcomes() == [expected for _, expected in SENTENCES]


@pytest.mark.parametrize("name", SHIPPED)
def test_when_a_shipped_model_is_scored_on_the_seeds_then_it_has_what_its_results_say(name: str) -> None:
    told = json.loads((shipped_root() / "models/results" / name / "seeds.json").read_text(encoding="utf-8"))
    pairs = read_labelled(Path(shipped_root() / "data/seeds/pairs.jsonl"))
    found = score(label_indices(pairs), shipped(name).model.predict(pairs, 32).probabilities)
    # In fp32 here, in bf16 where it was measured: a row or two may fall on the other side.
    assert found["macro_f1"] == pytest.approx(told["scores"]["macro_f1"]["value"], abs=0.03)
