"""An exported model: its graphs for the engines other than torch, each with what was measured of it.

``engines.json`` lists the label names, the input template, what the tokenizer puts around pairs, the calibration, the
variants with their measurements, and the hash of every other file. Nothing in the folder is executed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from stancekit.config.base import Schema, Sha256
from stancekit.config.schema import InputConfig
from stancekit.errors import UserError
from stancekit.files import sha256_of
from stancekit.labels import OUTCOMES
from stancekit.models.calibration import Calibration
from stancekit.models.saved import manifest_of
from stancekit.paths import cache
from stancekit.prediction.tokens import TokenLayout

ENGINES_FILE = "engines.json"
TOKENIZER_FILE = "tokenizer.json"
FORMAT = 1

GraphEngine = Literal["onnx", "openvino"]
GraphPrecision = Literal["fp32", "bf16", "int8_dynamic", "int8_static"]
_Share = Annotated[float, Field(ge=0, le=1)]


class Variant(Schema):
    """One way to run the model, and how it did beside torch in fp32 on the same labelled rows.

    ``agreement`` is the share of rows with the same outcome; ``f1_difference`` the three-way macro-F1 minus that of
    torch; ``speedup`` the rows per second over those of torch fp32 in the same interleaved run. ``refused`` says why it
    is not to be used, and then there is no ``file``. All numbers are 0 where it could not even be built.
    """

    engine: GraphEngine
    precision: GraphPrecision
    file: str | None
    megabytes: Annotated[float, Field(ge=0)]
    rows_per_second: Annotated[float, Field(ge=0)]
    speedup: Annotated[float, Field(ge=0)]
    agreement: _Share
    f1_difference: Annotated[float, Field(ge=-1, le=1)]
    refused: str | None = None

    @model_validator(mode="after")
    def _is_kept_or_refused(self) -> Variant:
        if (self.file is None) != (self.refused is not None):
            raise ValueError("expected either a file or why the variant was refused")
        return self

    @property
    def name(self) -> str:
        """What people call it: ``openvino int8_dynamic``."""
        return f"{self.engine} {self.precision}"


class Measured(Schema):
    """Where the variants were measured."""

    rows: int
    processor: str
    threads: int
    torch_rows_per_second: Annotated[float, Field(gt=0)]


class Layout(Schema):
    """A ``TokenLayout``, in a file."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    types: tuple[int, ...] | None
    pad: int

    def layout(self) -> TokenLayout:
        """Return it."""
        return TokenLayout(self.before, self.between, self.after, self.types, self.pad)


def _of_a_calibration(values: dict[str, float | int] | None) -> dict[str, float | int] | None:
    if values is not None:
        Calibration.from_dict(values)
    return values


class EnginesManifest(Schema):
    """What ``engines.json`` holds; ``source`` is the hash of the saved model's manifest, which has all hashes."""

    format: Literal[1]
    labels: tuple[str, ...]
    model: str
    source: Sha256
    input: InputConfig
    layout: Layout
    calibration: Annotated[dict[str, float | int] | None, AfterValidator(_of_a_calibration)]
    measured: Measured
    variants: tuple[Variant, ...]
    versions: dict[str, str]
    sha256: dict[str, Sha256]


@dataclass(frozen=True)
class ExportedModel:
    """An exported model's folder with its manifest."""

    folder: Path
    manifest: EnginesManifest

    @classmethod
    def read(cls, folder: Path) -> ExportedModel:
        """Return the exported model in a folder.

        Raises:
            UserError: the manifest is not valid, of another version or with other labels, or a file was changed.
        """
        path = folder / ENGINES_FILE
        try:
            manifest = EnginesManifest.model_validate_json(path.read_bytes())
        except ValidationError as error:
            problem = error.errors()[0]
            raise UserError(
                f"model: '{path}': {'.'.join(map(str, problem['loc']))}: {problem['msg']}; export the model again"
            ) from error
        if manifest.labels != OUTCOMES:
            raise UserError(f"model: the labels in '{path}' are {list(manifest.labels)}; expected {list(OUTCOMES)}")
        found = cls(folder, manifest)
        found.checked(TOKENIZER_FILE)
        return found

    @property
    def calibration(self) -> Calibration | None:
        """What the model's probabilities are scaled with."""
        given = self.manifest.calibration
        return None if given is None else Calibration.from_dict(given)

    def usable(self) -> list[Variant]:
        """Return the variants that were not refused, the fastest first."""
        kept = [variant for variant in self.manifest.variants if variant.refused is None]
        return sorted(kept, key=lambda variant: -variant.speedup)

    def checked(self, name: str) -> Path:
        """Return the path of one of the folder's files after comparing its hash; a graph's weights beside it too.

        Raises:
            UserError: the file is missing or was changed.
        """
        return checked_file(self.folder, name, self.manifest.sha256)


def checked_file(folder: Path, name: str, hashes: Mapping[str, str]) -> Path:
    """Return the path of a file of an export's folder after comparing its hash; a graph's weights beside it too.

    Raises:
        UserError: the file is missing or was changed.
    """
    names = [name, *([Path(name).with_suffix(".bin").name] if name.endswith(".xml") else [])]
    for one in names:
        path = folder / one
        expected = hashes.get(one)
        if not path.is_file() or expected is None:
            raise UserError(f"model: '{path}' is missing; the folder is not whole: export the model again")
        if (found := sha256_of(path)) != expected:
            raise UserError(
                f"model: the hash of '{path}' is wrong; the file was changed after it was exported\n"
                f"  expected sha256 {expected}\n  found    sha256 {found}"
            )
    return folder / name


def is_exported(folder: Path) -> bool:
    """Return whether a folder is that of an exported model."""
    return (folder / ENGINES_FILE).is_file()


def source_of(folder: Path) -> str:
    """Return what tells a saved model from every other: the hash of its manifest, which has those of its files.

    Raises:
        UserError: the folder is that of no saved model.
    """
    return sha256_of(manifest_of(folder))


def export_folder(source: str) -> Path:
    """Return the cache's folder for the export of a saved model, where ``engine=auto`` looks for it."""
    return cache() / "engines" / source[:32]


def write_manifest(folder: Path, values: Mapping[str, object]) -> EnginesManifest:
    """Write ``engines.json`` into a folder whose other files are all there, with their hashes; returns what it says."""
    hashes = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
    manifest = EnginesManifest.model_validate({"format": FORMAT, "labels": OUTCOMES, **values, "sha256": hashes})
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False)
    (folder / ENGINES_FILE).write_text(text + "\n", encoding="utf-8")
    return manifest
