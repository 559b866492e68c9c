"""What a card is made of: for every shipped model its manifest, its recipe, its results and what it cost."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from stancekit.cards.training import RESULTS, Training, read_training, results_folder
from stancekit.config.base import flat
from stancekit.errors import UserError, nearest
from stancekit.evaluation.model import Report
from stancekit.models.saved import CONFIG, read_manifest
from stancekit.models.shipped import shipped_models
from stancekit.paths import shown_path
from stancekit.repeats import experiment
from stancekit.repeats.experiment import Measured

PARTS = ("dev", "test", "test_seen", "seeds")
"""The parts of the data that a card reports on, in the order of its tables."""

_SCORE = {"value", "low", "high"}


@dataclass(frozen=True)
class Model:
    """A shipped model and all that is known of it.

    Attributes:
        recipe: the configuration that it was trained with, by dotted key.
        size: of its files, in bytes.
        training: how it was made, None where that was not written down.
        results: what `stancekit evaluate` found, by part; without the parts on which it was not evaluated.
        measured: the experiment of the same name, None where there is none or it was not measured.
    """

    name: str
    manifest: Mapping[str, Any]
    recipe: Mapping[str, Any]
    size: int
    training: Training | None
    results: Mapping[str, Report]
    measured: Measured | None

    def result(self, *parts: str) -> Report | None:
        """Return the report on the first of the parts that there is one of."""
        return next((self.results[part] for part in parts if part in self.results), None)


def evaluation(name: str, part: str) -> str:
    """Return the command that writes the results of a model on a part."""
    output = f"models/{RESULTS}/{name}/{part}.json"
    return f"stancekit evaluate model={name} data=stancebank split={part} output={output}"


def gather(names: Sequence[str]) -> list[Model]:
    """Return the models of those names, each once.

    Raises:
        UserError: one does not ship, or a file of it is bad, was changed, or is of another model.
    """
    known = shipped_models()
    if unknown := [name for name in names if name not in known]:
        shipped = ", ".join(known) or "nothing yet"
        raise UserError(f"models: '{unknown[0]}' does not ship{nearest(unknown[0], known)} (what ships: {shipped})")
    return [_model(known[name]) for name in dict.fromkeys(names)]


def missing(models: Sequence[Model]) -> list[str]:
    """Return what a card of these models calls not measured, each with what measures it."""
    found = []
    for model in models:
        name = model.name
        found += [f"{name} on {part}: {evaluation(name, part)}" for part in PARTS if part not in model.results]
        if model.training is None:
            found.append(f"{name}, its cost: stancekit export model=RUN output=models/{name}")
        if model.measured is None:
            found.append(f"{name}, its spread: stancekit train experiment={name}; stancekit report experiment={name}")
    return found


def _model(folder: Path) -> Model:
    manifest = read_manifest(folder)
    return Model(
        name=folder.name,
        manifest=manifest,
        recipe=flat(yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))),
        size=sum(file.stat().st_size for file in folder.iterdir()),
        training=read_training(folder),
        results=_results(folder, manifest),
        measured=experiment.read(folder.name),
    )


def _results(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Report]:
    """Return the reports of a model by part.

    Raises:
        UserError: one is no report, is on another part, or is of another model: every model has a temperature of its
            own, which its reports repeat.
    """
    found = {}
    for part in PARTS:
        file = results_folder(folder) / f"{part}.json"
        if not file.is_file():
            continue
        again = f"\n  {evaluation(folder.name, part)}"
        try:
            report = TypeAdapter(Report).validate_python(_with_nan(json.loads(file.read_text(encoding="utf-8"))))
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"])) or "the file"
            raise UserError(f"{shown_path(file)}: {where}: {problem['msg']}; expected a report, from{again}") from error
        except ValueError as error:
            raise UserError(f"{shown_path(file)} is not valid JSON: {error}; expected a report, from{again}") from error
        if report.part != part:
            raise UserError(f"{shown_path(file)} is a report on '{report.part}'; expected one on '{part}', from{again}")
        fitted = (manifest.get("calibration") or {}).get("temperature")
        if report.calibration.temperature != fitted:
            raise UserError(
                f"{shown_path(file)} is of another model than {shown_path(folder)}: its temperature is "
                f"{report.calibration.temperature}, expected {fitted}; evaluate again with{again}"
            )
        found[part] = report
    return found


def _with_nan(values: Any) -> Any:
    """Return the values of a report in which a score that is no number is NaN, and not null as JSON has it."""
    if isinstance(values, list):
        return [_with_nan(value) for value in values]
    if not isinstance(values, dict):
        return values
    undefined = math.nan if values.keys() == _SCORE else None
    return {key: undefined if value is None else _with_nan(value) for key, value in values.items()}
