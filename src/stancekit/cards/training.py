"""What a shipped model was made with and what that cost: a small file beside its results."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from stancekit.errors import UserError
from stancekit.files import whole_file

RESULTS = "results"
"""The folder beside the shipped models that has one of results for each: a model's own holds nothing but the model."""

TRAINING = "training.json"

_PROCESSOR_ONLY = "+cpu"
"""How the version of a torch ends that was built for processors alone."""


@dataclass(frozen=True)
class Stage:
    """An earlier training that the model went through, by name, and how many seconds of the whole it took."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Training:
    """How a model was made.

    Attributes:
        command: what repeats it; None where no command does without a configuration of one's own.
        seconds: of fitting, calibrating, evaluating and saving, without what came before an interruption.
        interrupted: whether the run was interrupted, so that it cost more than ``seconds``.
        machine: processor, cores and torch; None where the run does not say. ``threads`` likewise.
        changed_since: whether the code was not quite that of ``commit``.
        rows: how many pairs were trained on, and ``soft_rows`` how many of them with the soft labels of a teacher; None
            where the run does not say.
        parameters: of the whole network; None where the run kept no model.
        stages: the earlier trainings, by name.
    """

    command: str | None
    seconds: float
    interrupted: bool
    machine: str | None
    threads: int | None
    commit: str
    changed_since: bool
    rows: int | None
    soft_rows: int | None
    parameters: int | None
    stages: tuple[Stage, ...]

    @property
    def cpu_hours(self) -> float | None:
        """Hours times threads; None where the threads are not known."""
        return None if self.threads is None else self.seconds * self.threads / 3600

    @property
    def without_accelerator(self) -> bool:
        """Whether it is known that nothing but processors was used: torch was built for nothing else."""
        return self.machine is not None and self.machine.endswith(_PROCESSOR_ONLY)


def results_folder(model: Path) -> Path:
    """Return the folder of the results of the model in a folder: beside it, since its own has a hash of every file."""
    return model.parent / RESULTS / model.name


def read_training(model: Path) -> Training | None:
    """Return how the model in a folder was made, or None where that was not written down.

    Raises:
        UserError: the file is not valid.
    """
    path = results_folder(model) / TRAINING
    if not path.is_file():
        return None
    try:
        return TypeAdapter(Training).validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "the file"
        raise UserError(f"{path}: {where}: {problem['msg']}; expected what `stancekit export` wrote") from error


def write_training(training: Training, model: Path) -> Path:
    """Write beside the results of the model in a folder how it was made, and return the file.

    Raises:
        UserError: the folder cannot be written to.
    """
    path = results_folder(model) / TRAINING
    with whole_file(path) as stream:
        json.dump(asdict(training), stream, indent=2, ensure_ascii=False)
        stream.write("\n")
    return path
