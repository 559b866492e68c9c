from __future__ import annotations

import shutil
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml
from mlflow.models import Model

import stancekit
from stancekit.errors import UserError
from stancekit.models.saved import load_model
from stancekit.pairs.model import Pair
from stancekit.prediction.rows import PREDICTED_COLUMNS
from stancekit.serving.saving import save_model
from stancekit.tracking.logging import log_model
from stancekit.tracking.models import run_of
from stancekit.tracking.registry import find_model
from stancekit.tracking.runs import tracked_run
from stancekit.tracking.store import open_store
from tests.models.test_shipped import TRACKING
from tests.serving.conftest import ROWS, Logged


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_when_a_model_is_logged_then_nothing_in_it_is_pickled_and_it_is_loaded_from_code(logged: Logged) -> None:
    kept = files(logged.folder)
    assert {"MLmodel", "model_code.py", "input_example.json", "serving_input_example.json"} <= set(kept)
    harmless = {"", ".json", ".yaml", ".txt", ".py", ".safetensors", ".npz"}
    assert {Path(name).suffix for name in kept} <= harmless and b"python_model" not in kept["MLmodel"]
    assert b"StanceService" in kept["model_code.py"]
    assert f"stancekit=={stancekit.__version__}" in kept["requirements.txt"].decode().splitlines()


def test_when_a_model_is_logged_then_its_signature_says_what_goes_in_and_comes_out(logged: Logged) -> None:
    signature = Model.load(str(logged.folder)).signature
    assert [(column.name, column.type.name, column.required) for column in signature.inputs] == [
        ("statement", "string", True),
        ("target", "string", True),
        ("holder", "string", False),
    ]
    assert tuple(signature.outputs.input_names()) == PREDICTED_COLUMNS
    types = {column.name: column.type.name for column in signature.outputs}
    assert (types["stance"], types["p_supports"], types["truncated"]) == ("string", "double", "boolean")
    assert signature.outputs.required_input_names() == ["status", "truncated"]


def test_when_a_model_is_logged_then_its_folder_is_unchanged_its_example_works_and_no_path_is_told(
    logged: Logged, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "zaphod" / "my_model"
    shutil.copytree(logged.saved, folder)
    capfd.readouterr()
    with tracked_run(TRACKING, "logged", {}) as run:
        log_model(folder, [Pair(**ROWS[0])])
    # MLflow asks the model about the example as its server would, and only warns where that fails.
    assert "WARNING" not in capfd.readouterr().err
    found = find_model(run.info.run_id, TRACKING)
    assert found.name == "my_model" and files(found) == files(folder)
    assert run_of(found) == run.info.run_id
    told = b"".join(content for name, content in files(found.parents[1]).items() if not name.startswith("artifacts/"))
    assert b"my_model" in told
    for secret in ("zaphod", str(Path(stancekit.__file__).parent)):
        assert secret.encode() not in told


def test_when_a_model_was_logged_before_it_was_code_then_it_is_found_and_its_hashes_are_checked(
    logged: Logged, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    saved = old / "data" / "stance_model"
    shutil.copytree(logged.saved, saved)
    (old / "MLmodel").write_text(yaml.safe_dump({"run_id": "0123", "flavors": {"python_function": {"data": "data"}}}))
    client = open_store(TRACKING)
    client.create_registered_model("old")
    client.create_model_version("old", source=old.as_uri())
    for name in (str(old), str(saved), "models:/old/1"):
        found = find_model(name, TRACKING)
        assert files(found) == files(logged.saved)
        assert load_model(found).manifest["labels"]
    assert run_of(saved) == "0123"
    (saved / "config.yaml").write_text("changed: true\n")
    with pytest.raises(UserError, match=r"the hash of '.*config.yaml' is wrong"):
        load_model(find_model(str(old), TRACKING))


def test_when_a_logged_model_was_changed_then_it_is_not_loaded(logged: Logged, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(logged.folder, tmp_path / "copy"))
    (copy / logged.saved.relative_to(logged.folder) / "config.yaml").write_text("changed: true\n")
    with pytest.raises(UserError, match=r"the hash of '.*config.yaml' is wrong"):
        mlflow.pyfunc.load_model(str(copy))


def test_when_a_model_is_saved_without_a_run_then_it_answers_as_the_logged_one(logged: Logged, tmp_path: Path) -> None:
    frame = pd.DataFrame(ROWS)
    save_model(str(tmp_path / "new"), logged.saved, frame[:1])
    answers = [mlflow.pyfunc.load_model(str(path)).predict(frame) for path in (logged.folder, tmp_path / "new")]
    pd.testing.assert_frame_equal(*answers)
