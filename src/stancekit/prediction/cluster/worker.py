"""A worker of a Ray cluster: the model opened once, windows scored one after the other."""

from __future__ import annotations

import socket
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stancekit import __version__
from stancekit.config.schema import EngineConfig
from stancekit.errors import UserError
from stancekit.pairs.model import Pair
from stancekit.prediction.choosing import Chosen, open_scorer
from stancekit.prediction.cluster.desk import DeskHandle, handed_in, pairs_of
from stancekit.prediction.exported import ExportedModel, is_exported
from stancekit.prediction.scoring import Scorer, Scores

if TYPE_CHECKING:
    import pyarrow as pa
    from ray import ObjectRef

MOST_ATTEMPTS = 5
"""How often a window is begun whose worker dies over it: more, and the window is what kills them."""

Identity = Mapping[str, str | int]


class Worker:
    """Scores windows one at a time; made and called by Ray Data."""

    def __init__(
        self,
        folder: Path,
        engine: EngineConfig,
        same_as: Identity | None,
        files: ObjectRef[dict[str, bytes]] | None,
        desk: DeskHandle,
    ) -> None:
        """Keep what is needed to open the model, which the first window does.

        Args:
            folder: where the model lies on the driver's node, and perhaps here.
            engine: what it is opened with.
            same_as: the identity of the driver's, which this one's must be equal to.
            files: the model's, for a node that has no such folder; None where all have it.
            desk: takes the scores.
        """
        self._folder = folder
        self._engine = engine
        self._same_as = same_as
        self._files = files
        self._desk = desk
        self._scorer: Scorer | None = None

    def __call__(self, window: pa.Table) -> pa.Table:
        """Hand in the scores of a window, or why there are none, and return its number; without pairs, it was done."""
        import ray

        if pairs_of(window):
            ray.get(self._desk.hand_in.remote(window["window"][0].as_py(), self.scored(window)))
        return window.select(["window"])

    def scored(self, window: pa.Table) -> pa.Table:
        """Return what is to be handed in for a window; nothing is raised, as Ray would tell it in pages."""
        import ray

        number: int = window["window"][0].as_py()
        attempt: int = ray.get(self._desk.begin.remote(number))
        try:
            if attempt > MOST_ATTEMPTS:
                raise UserError(
                    f"window {number + 1:,} was begun {attempt - 1} times and never done: its workers died; it may "
                    "take more memory than there is: try fewer engine.workers, or smaller engine.window_rows"
                )
            return handed_in(number, attempt, self._score(pairs_of(window)))
        except UserError as error:
            said = f"a worker on {socket.gethostname()}: {error}"
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(frame.filename).name}, line {frame.lineno}"
            first = str(error).strip().partition("\n")[0]
            said = f"a worker on {socket.gethostname()} failed: {type(error).__name__}: {first} ({where})"
        return handed_in(number, attempt, None, said)

    def _score(self, pairs: Sequence[Pair]) -> Scores:
        if self._scorer is None:
            chosen = self._opened()
            if self._same_as is not None:
                refuse_other(self._same_as, identity(chosen))
            self._scorer = chosen.scorer
        return self._scorer.score(self._scorer.prepare(pairs))

    def _opened(self) -> Chosen:
        if self._files is None or self._folder.is_dir():
            return open_scorer(self._folder, self._engine)
        import ray

        # What is opened is in memory, or stays readable until it is closed: nothing is left behind on the node.
        with tempfile.TemporaryDirectory(prefix="stancekit-model-") as name:
            for file, data in ray.get(self._files).items():
                path = Path(name, file)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            return open_scorer(Path(name), self._engine)


def model_files(folder: Path, used: Chosen | None) -> dict[str, bytes]:
    """Return the files of a model by their names; of an exported one, no graphs but the one that is used."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if used is not None and is_exported(folder):
        manifest = ExportedModel.read(folder).manifest
        files = [variant.file for variant in manifest.variants if variant.file is not None]
        others = {Path(file).stem for file in files if manifest.sha256[file] != used.engine["graph"]}
        paths = [path for path in paths if path.stem not in others]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def as_opened(engine: EngineConfig, chosen: Chosen) -> EngineConfig:
    """Return the configuration that asks for what was chosen, where ``auto`` might come to something else."""
    return engine.model_copy(update={key: chosen.engine[key] for key in ("name", "precision") if key in chosen.engine})


def identity(chosen: Chosen) -> dict[str, str | int]:
    """Return what must be the same on the driver and on every worker, so that the same digits come out."""
    return {"stancekit": __version__, "model": chosen.model["sha256"], **chosen.engine}


def refuse_other(driver: Identity, worker: Identity) -> None:
    """Refuse a worker that would compute otherwise than the driver.

    Raises:
        UserError: says in what they differ.
    """
    names = [name for name in dict.fromkeys([*driver, *worker]) if driver.get(name) != worker.get(name)]
    if names:
        lines = [f"  {name}: {worker.get(name, 'none')}, on the driver {driver.get(name, 'none')}" for name in names]
        listed = "\n".join(lines)
        raise UserError(
            f"would compute otherwise than the driver, and other digits could come out:\n{listed}\n"
            "  expected: the same versions everywhere, and either GPUs on no machine or engine=onnx or openvino"
        )
