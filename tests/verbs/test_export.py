from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file

from stancekit.config.schema import MajorityConfig
from stancekit.models.baselines import Baseline
from stancekit.models.saved import load_model, save_model
from stancekit.pairs.model import Pair, pair_from_row
from stancekit.tracking.logging import log_model
from stancekit.tracking.registry import find_model
from stancekit.tracking.runs import tracked_run
from tests.conftest import CliRunner, labelled_rows
from tests.models.test_shipped import TRACKING

ROWS = labelled_rows(40, seed=7)
PAIRS = [pair_from_row(row) for row in ROWS]


@pytest.fixture
def model(trained: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the model of the session's trained run."""
    run_id, home = trained
    with monkeypatch.context() as patch:
        patch.setenv("STANCEKIT_HOME", str(home))
        found = find_model(run_id, TRACKING)
    yield found


def scores(folder: Path) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = load_model(folder).model.predict(PAIRS, 8).probabilities
    return found


def manifest_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "stancekit.json").read_text())
    return found


def number(pattern: str, said: str) -> float:
    found = re.search(pattern + r" ([-\d.e,]+)", said)
    assert found is not None, said
    return float(found[1].replace(",", "").rstrip("."))


def test_when_a_model_is_exported_as_a_delta_and_that_one_whole_then_it_stays_nearly_the_same(
    cli: CliRunner, model: Path, tmp_path: Path
) -> None:
    said = cli("export", f"model={model}", f"output={tmp_path}/delta", "format=delta")
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "delta").iterdir()}
    assert set(sizes) == {"config.yaml", "delta.safetensors", "stancekit.json", "trace.npz"}
    assert said.startswith(f"{tmp_path}/delta: {sum(sizes.values()):,} bytes\n")
    assert f"  delta on folder: {sizes['delta.safetensors']:,} bytes, relative error " in said
    assert 0 < number("relative error", said) < 0.01
    assert 0 < number("over 32 example pairs:", said) < 0.02 and "that is much" not in said

    said = cli("export", f"model={tmp_path}/delta", f"output={tmp_path}/whole")
    assert number("over 32 example pairs:", said) == 0 and "delta" not in said.replace(str(tmp_path), "")
    assert {"model.safetensors", "tokenizer.json", "config.json"} <= {p.name for p in (tmp_path / "whole").iterdir()}
    assert 0 < np.abs(scores(tmp_path / "delta") - scores(model)).max() < 0.02
    np.testing.assert_array_equal(scores(tmp_path / "whole"), scores(tmp_path / "delta"))
    before, after = manifest_of(model), manifest_of(tmp_path / "whole")
    for key in ("labels", "model", "calibration", "data", "base"):
        assert after[key] == before[key] and (key == "base" or after[key])
    assert manifest_of(tmp_path / "delta")["base"]["name"] == "folder"
    for file in ("config.yaml", "trace.npz"):
        assert after["sha256"][file] == before["sha256"][file]
    assert not list(tmp_path.glob(".*"))


def test_when_a_whole_model_is_exported_whole_then_its_weights_are_the_same_bits(
    cli: CliRunner, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    cli("export", f"model={model}", f"output={tmp_path}/empty", "format=whole")
    before, after = (load_file(folder / "model.safetensors") for folder in (model, tmp_path / "empty"))
    assert before.keys() == after.keys() and all((before[name] == after[name]).all() for name in before)


def test_when_the_rank_is_too_small_then_the_user_sees_it(cli: CliRunner, model: Path, tmp_path: Path) -> None:
    errors = []
    for rank in (1, 8):
        said = cli("export", f"model={model}", f"output={tmp_path}/{rank}", "format=delta", f"rank={rank}")
        errors.append(number("relative error", said))
        assert ("that is much: a greater rank" in said) == (errors[-1] > 0.1)
    assert errors[0] > 0.1 and errors[1] < errors[0]


def test_when_a_delta_is_logged_then_mlflow_loads_it(model: Path, cli: CliRunner, tmp_path: Path) -> None:
    cli("export", f"model={model}", f"output={tmp_path}/delta", "format=delta")
    with tracked_run(TRACKING, "delta", {}):
        info = log_model(tmp_path / "delta", PAIRS[:2])
    table = mlflow.pyfunc.load_model(info.model_uri).predict(pd.DataFrame(ROWS)[["statement", "target", "holder"]])
    np.testing.assert_allclose(table["p_supports"], scores(tmp_path / "delta")[:, 0], atol=1e-6)


def test_when_the_output_is_bad_then_nothing_is_touched(cli: CliRunner, model: Path, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    for output, expected in (
        (full, f"output: '{full}' is not empty; expected a new or an empty folder"),
        (full / "mine.txt", f"output: '{full}/mine.txt' is a file; expected a new or an empty folder"),
        (full / "mine.txt" / "below", f"output: '{full}/mine.txt/below' cannot be written: "),
        (model, f"output: '{model}' lies in the folder of the model itself"),
        (model / "delta", f"output: '{model}/delta' lies in the folder of the model itself"),
    ):
        assert expected in cli("export", f"model={model}", f"output={output}", code=2)
    assert [path.name for path in full.iterdir()] == ["mine.txt"] and (full / "mine.txt").read_text() == "mine"
    load_model(model)


def test_when_there_is_no_encoder_to_differ_from_or_no_use_for_a_rank_then_that_is_said(
    cli: CliRunner, model: Path, tmp_path: Path
) -> None:
    config = MajorityConfig(kind="majority", name="m")
    baseline = Baseline.fit(config, [Pair("a", "b", label="supports")], True, 1)
    save_model(baseline, tmp_path / "baseline", config, {}, {})
    for form in ("whole", "delta"):
        said = cli("export", f"model={tmp_path}/baseline", f"output={tmp_path}/new", f"format={form}", code=2)
        assert "it is a model of the kind 'majority'; expected a cross-encoder" in said
    said = cli("export", f"model={model}", f"output={tmp_path}/new", "rank=8", code=2)
    assert "rank: whole weights have none; leave it out, or give format=delta" in said
    assert not (tmp_path / "new").exists()


def test_when_the_export_fails_half_way_then_nothing_is_left_behind(
    cli: CliRunner, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stancekit.data.trace.Trace.write", full)
    said = cli("export", f"model={model}", f"output={tmp_path}/out/new", "format=delta", code=2)
    assert f"output: '{tmp_path}/out/new' cannot be written: No space left on device; nothing was kept" in said
    assert list((tmp_path / "out").iterdir()) == []
