"""A checkout with one shipped model, evaluated by the real evaluator, so that its files are what users have."""

from __future__ import annotations

import io
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from stancekit.cards.from_run import training_of
from stancekit.cards.training import write_training
from stancekit.cli import main
from stancekit.config.schema import TrackingConfig
from stancekit.tracking.registry import find_model
from tests.conftest import labelled_rows, write_jsonl

TRACKING = TrackingConfig(
    uri=None, experiment="stancekit", registered_model="stancekit", models=True, promote="when_better"
)
NAME = "tiny"


def ship(run: tuple[str, Path], models: Path, name: str = NAME) -> Path:
    """Copy the model of a run into the folder of what ships, and return its folder."""
    run_id, home = run
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STANCEKIT_HOME", str(home))
        shutil.copytree(find_model(run_id, TRACKING), models / name)
    return models / name


def use_checkout(patch: pytest.MonkeyPatch, root: Path) -> None:
    """Put the models and experiments of a folder in the place of those that ship."""
    patch.setattr("stancekit.models.shipped.shipped_root", lambda: root)
    patch.setattr("stancekit.repeats.experiment.experiments_dir", lambda: root / "experiments")


@pytest.fixture(scope="session")
def evaluated(trained: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose model was evaluated on dev, test and seeds, and not on test_seen."""
    root = tmp_path_factory.mktemp("evaluated")
    run_id, home = trained
    model = ship(trained, root / "models")
    seeds = write_jsonl(root / "seeds.jsonl", [row | {"split": None} for row in labelled_rows(40, seed=7)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STANCEKIT_HOME", str(home))
        write_training(training_of(run_id, TRACKING), model)
        for part in ("dev", "test", "seeds"):
            output = root / f"models/results/{NAME}/{part}.json"
            words = [f"model={model}", "data=file", f"data.path={home.parent / 'labelled.jsonl'}", f"split={part}"]
            words += [f"data.tests={{seeds:'{seeds}'}}", "evaluation.draws=100", "evaluation.mistakes=12"]
            words += ["evaluation.least_rows=4", "evaluation.slices=[topic,target]", f"output={output}"]
            said = io.StringIO()
            with redirect_stdout(said):
                assert main(["evaluate", *words]) == 0, said.getvalue()
    return root


@pytest.fixture
def checkout(evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same checkout as a copy of this test's own, in the place of what ships."""
    root = tmp_path / "checkout"
    shutil.copytree(evaluated, root)
    use_checkout(monkeypatch, root)
    return root
