"""``stancekit export``: a cross-encoder in a folder of its own: whole, as a delta, or as graphs for other engines."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from stancekit.cards.from_run import training_of
from stancekit.cards.training import write_training
from stancekit.config.schema import CrossEncoderConfig, ExportConfig
from stancekit.data.corpus import read_labelled
from stancekit.errors import UserError
from stancekit.models.delta import DeltaConfig
from stancekit.paths import shipped_root
from stancekit.tracking.models import run_of
from stancekit.tracking.registry import find_model
from stancekit.verbs.evaluate import rows_of

if TYPE_CHECKING:
    from stancekit.models.base import StanceModel
    from stancekit.models.saved import SavedModel
    from stancekit.pairs.model import Pair

_EXAMPLES = "data/seeds/pairs.jsonl"
_MOST_EXAMPLES = 32
_COMPARED_TEXTS = 200
_BATCH = 32
_LOSSY = 0.1


def run(config: ExportConfig) -> None:
    """Write the folder, and print its bytes and what became of the model on the way.

    Calibration, trace, configuration and the fingerprints of the data go with it.

    Raises:
        UserError: the model or the output is bad; nothing is left behind.
    """
    if config.format != "delta" and config.rank is not None:
        raise UserError(f"rank: format={config.format} has none; leave it out, or give format=delta")
    if config.format != "engines" and config.output is None:
        raise UserError("output: is missing; expected a new or an empty folder")
    folder = find_model(config.model, config.tracking)
    if config.format == "engines":
        _engines(config, folder)
    else:
        _weights(config, folder, Path(config.output or "").expanduser())


def _weights(config: ExportConfig, folder: Path, output: Path) -> None:
    """Write a saved model, whole or as a delta, and print by how much probabilities change."""
    _refuse_output(output, folder)
    saved = _cross_encoder(config, folder)

    from stancekit.models.saved import CONFIG, load_model, save_model

    resolved = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    delta = DeltaConfig(config.rank) if config.format == "delta" else None
    with _whole_folder(output) as new:
        kept = (resolved, saved.manifest["data"], saved.calibration, saved.trace)
        size = save_model(saved.model, new, saved.config, *kept, delta)
        taken = sum(path.stat().st_size for path in new.iterdir())
        change, rows = _largest_change(saved.model, load_model(new, calibrated=False).model)
    print(f"{output}: {taken:,} bytes")
    if size is not None:
        assert isinstance(saved.config, CrossEncoderConfig)
        print(f"  delta on {saved.config.encoder.name}: {size.bytes:,} bytes, relative error {size.error:.2g}")
        if size.error > _LOSSY:
            print("  that is much: a greater rank, or 8-bit integers (rank=null), would keep more")
    print(f"  largest change of a probability, over {rows} example pairs: {change:.2g}")
    if output.resolve().parent == (shipped_root() / "models").resolve() and (run_id := run_of(folder)):
        # What ships has a card, which says how it was made.
        print(f"  {write_training(training_of(run_id, config.tracking), output)}")


def _engines(config: ExportConfig, folder: Path) -> None:
    """Write the graphs for other engines, and print what was measured of each."""
    from stancekit.exporting.engines import export_engines
    from stancekit.exporting.table import print_variants
    from stancekit.prediction.exported import ENGINES_FILE, export_folder, is_exported, source_of

    if is_exported(folder):
        raise UserError(f"model={config.model}: '{folder}' is exported already; give the model that it was made of")
    saved = _cross_encoder(config, folder)
    output = Path(config.output).expanduser() if config.output else export_folder(source_of(folder))
    there = config.output is None and (output / ENGINES_FILE).is_file()
    encoder = _missing_embedder(config)
    if there and not config.overwrite and encoder is None:
        raise UserError(f"model={config.model}: exported already, to '{output}'; overwrite=true does it again")
    if not there:
        _refuse_output(output, folder)
    _, pairs = rows_of(config.data, config.split)
    pairs = [pair for pair in pairs if pair.label is not None]
    if not there or config.overwrite:
        with _whole_folder(output, replace=config.overwrite and config.output is None) as new:
            manifest = export_engines(saved, pairs, new, config.rows)
        print_variants(manifest)
        print(f"{output}: {sum(path.stat().st_size for path in output.iterdir()):,} bytes")
        use = f"model={config.model}" if config.output is None else f"model={config.output}"
        print(f"  used from now on by: stancekit predict {use} input=… output=…")
    if encoder is not None:
        _encoder(config, encoder, pairs)


def _missing_embedder(config: ExportConfig) -> Path | None:
    """Return the cache's folder that the relevance gate's encoder is to be exported to, or None: it need not be."""
    from stancekit.prediction.embedding import ENCODER_FILE, embedder_folder

    folder = embedder_folder(config.relevance.encoder)
    if folder is None or ((folder / ENCODER_FILE).is_file() and not config.overwrite):
        return None
    return folder


def _encoder(config: ExportConfig, folder: Path, pairs: Sequence[Pair]) -> None:
    """Write the graphs of the relevance gate's encoder, compared with torch on statements of the pairs."""
    from stancekit.exporting.encoders import export_encoder

    with _whole_folder(folder, replace=True) as new:
        manifest = export_encoder(config.relevance.encoder, new, [pair.statement for pair in pairs[:_COMPARED_TEXTS]])
    print(
        f"{folder}: {config.relevance.encoder.name}, for articles; cosines within {manifest.difference:.0e} of torch's"
    )


def _cross_encoder(config: ExportConfig, folder: Path) -> SavedModel:
    from stancekit.models.saved import load_model

    saved = load_model(folder, calibrated=False)
    if not isinstance(saved.config, CrossEncoderConfig):
        raise UserError(
            f"model={config.model}: it is a model of the kind '{saved.config.kind}'; expected a cross-encoder: only "
            "these have weights that differ from their encoder's, and graphs"
        )
    return saved


def _refuse_output(output: Path, folder: Path) -> None:
    if output.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"output: '{output}' lies in the folder of the model itself; expected another folder")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        what = "is not empty" if output.is_dir() else "is a file"
        raise UserError(f"output: '{output}' {what}; expected a new or an empty folder")


@contextmanager
def _whole_folder(output: Path, replace: bool = False) -> Iterator[Path]:
    """Give the path of a folder to be made beside ``output``, which takes its name when the block ends well.

    Args:
        replace: whether a folder that is there is removed then.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    from safetensors import SafetensorError

    output, temporary = output.resolve(), None
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".part", dir=output.parent))
        yield temporary / "model"
        if replace and output.exists():
            # Two steps, but what is lost between them can be exported again.
            output.rename(temporary / "old")
        (temporary / "model").replace(output)
    except (OSError, SafetensorError) as error:
        # Libraries raise OSError without a number for troubles of their own: those are not this folder's.
        if isinstance(error, OSError) and error.errno is None:
            raise
        raise UserError(
            f"output: '{output}' cannot be written: {getattr(error, 'strerror', None) or error}; nothing was kept"
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _largest_change(before: StanceModel, after: StanceModel) -> tuple[float, int]:
    """Return by how much a probability of the example pairs changes at most, and how many pairs these are."""
    import numpy as np

    pairs = read_labelled(shipped_root() / _EXAMPLES)[:_MOST_EXAMPLES]
    first, second = (model.predict(pairs, _BATCH).probabilities for model in (before, after))
    return float(np.abs(first - second).max()), len(pairs)
