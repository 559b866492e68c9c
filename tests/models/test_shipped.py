from __future__ import annotations

from pathlib import Path

import pytest

from stancekit.config.schema import MajorityConfig, TrackingConfig
from stancekit.errors import UserError
from stancekit.models.baselines import Baseline
from stancekit.models.saved import save_model
from stancekit.models.shipped import names_shipped, shipped_folder, shipped_models
from stancekit.pairs.model import Pair
from stancekit.tracking.models import open_model
from stancekit.tracking.registry import find_model, is_name
from tests.models.test_zero_shot import nli_folder

TRACKING = TrackingConfig(
    uri=None, experiment="stancekit", registered_model="stancekit", models=True, promote="when_better"
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What ships: the models ``base`` and ``small``, a further one, and two folders that are no models."""
    for name in ("base", "small", "tiny"):
        save_majority(tmp_path / "shipped" / "models" / name, f"shipped {name}")
    (tmp_path / "shipped" / "models" / "results").mkdir()
    (tmp_path / "shipped" / "models" / "README.md").touch()
    monkeypatch.setattr("stancekit.models.shipped.shipped_root", lambda: tmp_path / "shipped")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "shipped"


def save_majority(folder: Path, name: str) -> None:
    config = MajorityConfig(kind="majority", name=name)
    save_model(Baseline.fit(config, [Pair("a", "b", label="supports")], True, 1), folder, config, {}, {})


def test_when_models_ship_then_their_folders_are_their_names_and_default_is_base(root: Path) -> None:
    assert shipped_models() == {name: root / "models" / name for name in ("base", "small", "tiny")}
    for name, folder in (("default", "base"), ("base", "base"), ("small", "small"), ("tiny", "tiny")):
        assert find_model(name, TRACKING) == shipped_folder(name) == root / "models" / folder
        assert open_model(name, TRACKING).config.name == f"shipped {folder}"


def test_when_a_folder_is_called_as_a_shipped_model_then_the_shipped_one_wins_and_the_path_names_the_folder(
    root: Path, tiny_encoder: Path
) -> None:
    save_majority(Path("small"), "mine")
    assert open_model("small", TRACKING).config.name == "shipped small"
    for path in ("./small", str(Path("small").resolve())):
        assert open_model(path, TRACKING).config.name == "mine"
    # Nor is a folder as transformers writes it taken for a zero-shot model.
    nli_folder(Path("base"), tiny_encoder, ("entailment", "neutral", "contradiction"))
    assert open_model("base", TRACKING).config.name == "shipped base"
    assert open_model("./base", TRACKING).config.kind == "zero_shot"


@pytest.mark.parametrize("name", ["champion", "latest"])
def test_when_a_folder_is_called_as_the_registry_calls_a_model_then_the_registry_is_asked(
    root: Path, name: str
) -> None:
    save_majority(Path(name), "mine")
    missing = "registered as 'stancekit' is the champion" if name == "champion" else "is registered as 'stancekit'"
    with pytest.raises(UserError, match=rf"model={name}: no model {missing} yet, .*; train one with: stancekit train"):
        open_model(name, TRACKING)


@pytest.mark.parametrize("name", ["default", "base", "half"])
def test_when_a_model_does_not_ship_yet_then_that_is_said_even_where_a_folder_has_its_name(
    root: Path, name: str
) -> None:
    (root / "models" / "base" / "stancekit.json").unlink()
    save_majority(Path(name), "mine")
    folder = "half" if name == "half" else "base"
    with pytest.raises(UserError) as found:
        find_model(name, TRACKING)
    assert str(found.value) == (
        f"model={name}: this copy of stancekit does not ship it: no saved model in '{root / 'models' / folder}'\n"
        "  shipped: small, tiny; train one with: stancekit train, and use it as model=latest or model=champion"
    )


def test_when_nothing_ships_then_the_names_are_kept_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stancekit.models.shipped.shipped_root", lambda: tmp_path / "nothing")
    assert shipped_models() == {} and names_shipped("half") and not names_shipped("tiny")
    assert is_name("default") and is_name("champion") and not is_name("./half")
    with pytest.raises(UserError, match="shipped: none; train one"):
        shipped_folder("half")


def test_when_a_name_is_misspelt_then_the_valid_ones_are_listed_and_the_nearest_is_named(root: Path) -> None:
    with pytest.raises(UserError) as found:
        find_model("smal", TRACKING)
    assert str(found.value) == (
        "model: 'smal': no such folder; did you mean 'small'?\n  expected: default, base, half, small, tiny, champion, "
        "latest, the folder of a saved model, runs:/RUN_ID/model, models:/NAME@ALIAS or a run id"
    )
