from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stancekit.cards import details
from stancekit.cards.gather import Model
from stancekit.cards.tables import NOT_MEASURED, Table
from tests.cards.models import MPNET, model, on
from tests.cards.test_training import TRAINING

POOL = {"data.mix.pool.weight": 5.0, "data.mix.pool.cap": None, "data.mix.pool.corpus.name": "pool"}


def cells(table: Table) -> dict[str, str]:
    """Return the cells of a table for one model by the names of their lines."""
    return {name: value for name, value in table.rows}


def manifest(one: Model, **changes: Any) -> Model:
    return replace(one, manifest={**one.manifest, **changes})


def test_when_a_delta_ships_then_its_size_is_its_own_and_its_encoder_is_named_with_licence_and_hash() -> None:
    found = cells(details.sizes([model(training=TRAINING)]))
    assert found["parameters"] == "109,000,000"
    assert found["files"] == "5.2 MB: what differs from the encoder, which is needed beside it"
    assert found["encoder"] == "st/all-mpnet-base-v2, commit `e8c3b32edf54`"
    assert (found["sha256 of its weights"], found["its licence"]) == (f"`{MPNET}`", "Apache-2.0")
    assert (found["layers of it"], found["stancekit, torch, transformers"]) == ("all", "0.1.0, 2.13.0+cpu, 5.23.0")


def test_when_the_encoder_is_not_one_that_was_looked_up_then_its_licence_is_not_guessed() -> None:
    one = manifest(model(), base={"name": "mine", "sha256": "0" * 64})
    found = cells(details.sizes([one]))
    assert found["its licence"] == "unknown: look it up before you use the model"
    assert found["parameters"] == "not recorded"


def test_when_a_model_keeps_some_layers_and_whole_weights_then_that_is_said() -> None:
    values = {**model().manifest["model"], "layers": [0, 2, 4], "lora": None, "freeze_layers": 1}
    one = manifest(model(), model={**values, "encoder": {"name": "mine", "sha256": MPNET}}, base=None)
    found = cells(details.sizes([one]))
    assert (found["layers of it"], found["files"], found["encoder"]) == ("3: 0, 2, 4", "5.2 MB: all weights", "mine")
    assert found["sha256 of its weights"] == f"`{MPNET}`"
    trained = cells(details.recipes([one]))["what is trained"]
    assert trained == "the layers themselves; frozen: word embeddings and the lowest 1 of the layers"


def test_when_the_encoders_that_ship_are_looked_up_then_their_licences_are_known() -> None:
    from stancekit.config.compose import load_config
    from stancekit.config.schema import CrossEncoderConfig, TrainConfig

    for name in ("minilm", "mpnet", "mpnet_half"):
        config = load_config("train", [f"model={name}"])
        assert isinstance(config, TrainConfig) and isinstance(config.model, CrossEncoderConfig)
        one = manifest(model(), model=config.model.model_dump(mode="json"), base=None)
        assert cells(details.sizes([one]))["its licence"] == "Apache-2.0"


def test_when_a_recipe_is_shown_then_it_is_that_of_manifest_and_configuration() -> None:
    found = cells(details.recipes([model(training=TRAINING)]))
    assert found["what is trained"] == "adapters (LoRA) of rank 32, alpha 64; frozen: word embeddings"
    assert found["it reads"] == "`{holder}: {statement}` and `{target}`, 256 tokens at most"
    assert (found["training rows"], found["epochs at most"], found["seed"]) == ("10,301: stancebank", "4", "13")
    assert found["epoch chosen by"] == "macro-F1 on dev"
    assert found["learning rate"] == "–", "what the configuration does not say is not made up"


@pytest.mark.parametrize(
    ("recipe", "soft_rows", "said"),
    [
        ({}, None, "none"),
        (POOL, 0, "none"),
        (POOL, None, "not recorded whether rows have soft labels"),
        ({"stages.pool": ["data=pool"]}, None, "not recorded whether rows have soft labels"),
        (
            {**POOL, "training.distillation.weight": 0.5, "training.distillation.temperature": 2.0},
            50_000,
            "soft labels of 50,000 rows, which count 0.5, at temperature 2.0",
        ),
    ],
)
def test_when_rows_have_the_soft_labels_of_a_teacher_then_it_is_said_and_else_not(
    recipe: dict[str, Any], soft_rows: int | None, said: str
) -> None:
    one = model(training=replace(TRAINING, soft_rows=soft_rows))
    assert cells(details.recipes([replace(one, recipe={**one.recipe, **recipe})]))["teacher"] == said


def test_when_rows_were_mixed_in_or_stages_came_before_then_they_are_named() -> None:
    one = model()
    recipe = {**one.recipe, **POOL, "stages.nli.data.name": "lingnli", "stages.nli.seed": 1, "stages.pool": ["seed=2"]}
    found = cells(details.recipes([replace(one, recipe=recipe)]))
    assert found["training rows"] == "not recorded: stancebank, pool (5 for each of these)"
    assert found["earlier trainings"] == "nli, pool"


def test_when_a_part_was_measured_on_other_rows_than_it_had_in_training_then_both_fingerprints_are_shown() -> None:
    results = {"test": on("test"), "seeds": on("seeds"), "dev": on("dev")}
    found = cells(details.fingerprints([model(results=results)]))
    assert found == {
        "train": "`aaaa`",
        "test": "`0123abcd`, 350 rows",
        "seeds": "`bbbb`; measured on `0123abcd`, 350 rows",
        "dev": "`0123abcd`, 350 rows",
    }


def test_when_the_cost_is_known_then_it_is_in_cpu_hours() -> None:
    found = cells(details.costs([model(training=TRAINING)]))
    assert found == {
        "CPU hours (hours × threads)": "4.0 (2 threads)",
        "hours": "2.00",
        "of them in earlier trainings": "nli 0.50, pool 0.25",
        "hours of the repeats with other seeds": NOT_MEASURED,
        "accelerator": "none",
        "machine": "x86_64, 2 cores, torch 2.13.0+cpu",
        "commit": "`0123456789ab`",
    }


def test_when_a_run_was_interrupted_or_its_machine_is_unknown_then_no_cost_is_made_up() -> None:
    interrupted = replace(TRAINING, interrupted=True, changed_since=True)
    found = cells(details.costs([model(training=interrupted)]))
    assert found["CPU hours (hours × threads)"] == "more than 4.0 (2 threads)"
    assert found["commit"] == "`0123456789ab`, changed since"
    found = cells(details.costs([model(training=replace(TRAINING, machine=None, threads=None, stages=()))]))
    assert found["CPU hours (hours × threads)"] == NOT_MEASURED
    assert (found["accelerator"], found["machine"]) == ("not recorded", "not recorded")
    assert found["of them in earlier trainings"] == "–"
    assert set(cells(details.costs([model()])).values()) == {NOT_MEASURED}
