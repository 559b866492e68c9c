"""Small trees of runs: words for a training of seconds, and stores that need not be made anew for every test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.entities import Run
from omegaconf import OmegaConf

from stancekit.cli import main
from stancekit.config.schema import TrackingConfig
from stancekit.repeats.experiment import END, START
from stancekit.tracking.results import JOB, children
from stancekit.tracking.store import open_store
from tests.conftest import labelled_rows, write_jsonl

TRACKING = TrackingConfig(
    uri=None, experiment="stancekit", registered_model="stancekit", models=False, promote="when_better"
)
QUICK = [
    "training.epochs=1",
    "evaluation.behaviour=null",
    "evaluation.draws=100",
    "evaluation.mistakes=0",
    "tracking.models=false",
]


@pytest.fixture(scope="module", autouse=True)
def _undrawn() -> Iterator[None]:
    """Leave the pictures empty: they take most of the time of a small run, and are looked at elsewhere."""

    def savefig(figure: Figure, file: object, **_: object) -> None:
        if isinstance(file, str | Path):
            Path(file).touch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        yield


class Homes:
    """Makes homes with a store of their own, which is empty."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("STANCEKIT_HOME", str(folder / "template"))
            open_store(TRACKING)

    def new(self) -> Path:
        self._count += 1
        home = self._folder / f"home{self._count}"
        shutil.copytree(self._folder / "template", home)
        return home


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    return Homes(tmp_path_factory.mktemp("homes"))


@pytest.fixture
def home(homes: Homes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of this test, with a store."""
    found = homes.new()
    monkeypatch.setenv("STANCEKIT_HOME", str(found))
    return found


@pytest.fixture(scope="session")
def rows_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 labelled rows, split by topic, ten of them."""
    return write_jsonl(tmp_path_factory.mktemp("rows") / "rows.jsonl", labelled_rows(120))


@pytest.fixture(scope="session")
def data_words(rows_file: Path) -> list[str]:
    return ["data=file", f"data.path={rows_file}", "data.disjoint=[topic]", "data.split.by=topic", *QUICK]


@pytest.fixture(scope="session")
def tiny_words(data_words: list[str], tiny_encoder: Path) -> list[str]:
    """The words that train the tiny transformer in seconds."""
    return [
        *data_words,
        "model=folder",
        f"model.encoder.path={tiny_encoder}",
        "model.input.max_length=64",
        "training.learning_rate=0.01",
        "training.precision=fp32",
    ]


def experiment_yaml(tiny_words: list[str], *changes: str) -> str:
    """Return an experiment on two seeds of the tiny transformer."""
    words = [word for word in tiny_words if not word.startswith(("data=", "model="))]
    values = OmegaConf.from_dotlist([*words, "seeds=2", "tracking.experiment=spread", *changes])
    return (
        "# @package _global_\n# How far do seeds\n# spread?\n#   stancekit train experiment=spread\n"
        "# What follows the command is no question.\n"
        f"defaults: [override /data: file, override /model: folder]\n{OmegaConf.to_yaml(values)}"
    )


def use_experiments(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Put a folder in the place of the experiments that ship."""
    for module in ("stancekit.config.compose", "stancekit.repeats.experiment"):
        patch.setattr(f"{module}.experiments_dir", lambda: folder)


@pytest.fixture(scope="session")
def spread(homes: Homes, tiny_words: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A home in which an experiment was run, and the checkout with its YAML: the folder and what it is beside."""
    checkout = tmp_path_factory.mktemp("checkout")
    (checkout / "experiments").mkdir()
    (checkout / "experiments" / "spread.yaml").write_text(experiment_yaml(tiny_words), encoding="utf-8")
    (checkout / "experiments" / "other.yaml").write_text(
        "# @package _global_\n# What else?\n#   stancekit train experiment=other\nseeds: 3\n", encoding="utf-8"
    )
    (checkout / "README.md").write_text(f"# Mine\n\n{START}\nold\n{END}\n\nThe end.\n", encoding="utf-8")
    home = homes.new()
    with pytest.MonkeyPatch.context() as patch:
        use_experiments(patch, checkout / "experiments")
        patch.setenv("STANCEKIT_HOME", str(home))
        assert main(["train", "experiment=spread"]) == 0
    return home, checkout


class Tree:
    """The runs of a home below its only root."""

    def __init__(self, home: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("STANCEKIT_HOME", str(home))
            self.client: MlflowClient = open_store(TRACKING)
        experiments = [one.experiment_id for one in self.client.search_experiments()]
        self.all: list[Run] = list(self.client.search_runs(experiments, max_results=1000))
        (self.root,) = (run for run in self.all if "mlflow.parentRunId" not in run.data.tags)

    @property
    def statuses(self) -> list[str]:
        return sorted(run.info.status for run in self.all)

    def below(self, run: Run | None = None) -> list[Run]:
        return children(self.client, run or self.root)

    def keys(self, run: Run | None = None) -> list[str]:
        return [child.data.tags[JOB] for child in self.below(run)]

    def artifact(self, run: Run, path: str) -> str:
        mlflow.set_tracking_uri(self.client.tracking_uri)
        return Path(self.client.download_artifacts(run.info.run_id, path)).read_text(encoding="utf-8")

    def artifacts(self, run: Run, folder: str) -> set[str]:
        return {Path(item.path).name for item in self.client.list_artifacts(run.info.run_id, folder)}
