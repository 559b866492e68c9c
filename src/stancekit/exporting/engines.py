"""A saved cross-encoder to a folder of graphs, each built, measured and kept or refused."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from stancekit.errors import UserError
from stancekit.exporting.graphs import BUILDERS, Graphs, quiet_quantisers, write_plain
from stancekit.exporting.measuring import compare, rows_per_second, some
from stancekit.models.base import label_indices
from stancekit.models.cross_encoder import CrossEncoder
from stancekit.models.saved import SavedModel
from stancekit.pairs.model import Pair
from stancekit.prediction.batches import TokenBatch, token_batches
from stancekit.prediction.choosing import BATCH_TOKENS, available_threads, graph_engine
from stancekit.prediction.engines.torch import TorchEngine, pair_tokenizer
from stancekit.prediction.exported import (
    TOKENIZER_FILE,
    EnginesManifest,
    GraphEngine,
    GraphPrecision,
    source_of,
    write_manifest,
)
from stancekit.prediction.scoring import TokenScorer
from stancekit.prediction.tokens import PairTokenizer, TokenizedPairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CALIBRATION_ROWS = 300
_TIMED_SECONDS = 3
"""About how long torch fp32 takes for the rows that are timed, of which there are 32 at least."""
_REASON = 300
"""Of what a library says when it fails, so many characters are kept."""
_INSTALL = "pip install 'stancekit[export]'"


@dataclass(frozen=True)
class _Rows:
    """Labelled rows, tokenised: those that scales are found on, and the others, that variants are measured on."""

    calibration: Sequence[TokenBatch]
    measured: TokenizedPairs
    gold: NDArray[np.int64]


def export_engines(
    saved: SavedModel, pairs: Sequence[Pair], folder: Path, most: int | None = None, seed: int = 0
) -> EnginesManifest:
    """Write a model's graphs into a new folder, with the tokenizer, and what was measured of each.

    Args:
        saved: a cross-encoder, with its calibration apart.
        pairs: labelled rows that the model was not trained on; some are for finding scales, the others for measuring.
        most: how many to measure on at most; None: all.
        seed: of the draw that says which are which.

    Returns:
        What the folder's manifest says. A variant that was refused has no file.

    Raises:
        UserError: a package is missing, the model is none that can be exported, or there are too few rows.
    """
    refuse_missing_packages()
    assert isinstance(saved.model, CrossEncoder)
    tokenizer = pair_tokenizer(saved.model)
    if tokenizer is None:
        raise UserError(
            "format=engines: the model's tokenizer is none of the tokenizers library that pads on the right, "
            "which is what the engines read"
        )
    rows = _tokenized(tokenizer, pairs, most, seed)
    folder.mkdir(parents=True)
    tokenizer.write(folder / TOKENIZER_FILE)
    threads = available_threads()
    _say("torch fp32: the labels to agree with")
    bench = _Bench.of(saved.model, tokenizer, rows, threads)
    graphs = Graphs(folder, rows.calibration)
    write_plain(saved.model, tokenizer.layout, graphs)
    variants = []
    for engine, precision in BUILDERS:
        _say(f"{engine} {precision}")
        variants.append(bench.variant(engine, precision, graphs))
    if not bench.scorers:
        raise UserError(f"format=engines: no engine runs this model; the first {variants[0]['refused']}")
    _say("how fast each is")
    torch_speed = bench.add_speeds(variants)
    _remove_refused(folder, variants)
    return write_manifest(
        folder,
        {
            "model": saved.config.name,
            "source": source_of(saved.folder),
            "input": saved.model.template,
            "layout": tokenizer.layout.as_dict(),
            "calibration": saved.calibration.as_dict() if saved.calibration else None,
            "measured": {
                "rows": len(rows.gold),
                "processor": _processor(),
                "threads": threads,
                "torch_rows_per_second": round(torch_speed, 1),
            },
            "variants": variants,
            "versions": {name: version(name) for name in ("stancekit", "torch", "onnxruntime", "openvino", "nncf")},
        },
    )


def refuse_missing_packages() -> None:
    """Refuse to export where a package for it is missing.

    Raises:
        UserError: one is; says how it is installed.
    """
    if missing := [name for name in ("onnx", "onnxruntime", "openvino", "nncf") if find_spec(name) is None]:
        raise UserError(f"format=engines needs {', '.join(missing)}; install with: {_INSTALL}")


def _tokenized(tokenizer: PairTokenizer, pairs: Sequence[Pair], most: int | None, seed: int) -> _Rows:
    found = tokenizer.tokenize(pairs)
    # Which rows scales are found on must not depend on how the file is sorted.
    order = [int(i) for i in np.random.default_rng(seed).permutation(len(pairs)) if i not in found.errors]
    cut = min(_CALIBRATION_ROWS, len(order) // 3)
    if not cut:
        raise UserError(f"data: {len(order)} rows are too few to find scales on and to measure with; expected hundreds")
    calibration = list(token_batches(some(found, order[:cut]), tokenizer.layout, 1, tokenizer.longest))
    rest = order[cut:][:most]
    return _Rows(calibration, some(found, rest), label_indices([pairs[i] for i in rest]))


@dataclass
class _Bench:
    """What every variant is measured beside: torch in fp32, on the same rows, with as many threads."""

    tokenizer: PairTokenizer
    rows: _Rows
    threads: int
    torch_fp32: TokenScorer
    reference: NDArray[np.float64]
    timed: TokenizedPairs
    scorers: dict[str, TokenScorer] = field(default_factory=dict)

    @classmethod
    def of(cls, model: CrossEncoder, tokenizer: PairTokenizer, rows: _Rows, threads: int) -> _Bench:
        engine = TorchEngine(model.network, False, [torch.device("cpu")], threads)
        scorer = TokenScorer(tokenizer, engine, None, BATCH_TOKENS["torch"])
        begun = time.perf_counter()
        reference = scorer.score(rows.measured).probabilities
        speed = len(rows.gold) / (time.perf_counter() - begun)
        timed = some(rows.measured, range(min(len(rows.gold), max(32, int(_TIMED_SECONDS * speed)))))
        return cls(tokenizer, rows, threads, scorer, reference, timed)

    def variant(self, engine: GraphEngine, precision: GraphPrecision, graphs: Graphs) -> dict[str, Any]:
        """Build a variant, and return what the manifest says of it but for its speed."""
        try:
            with quiet_quantisers():
                path = BUILDERS[engine, precision](graphs)
            runs = graph_engine(engine, path, precision, self.threads)
            scorer = TokenScorer(self.tokenizer, runs, None, BATCH_TOKENS[engine])
            probabilities = scorer.score(self.rows.measured).probabilities
        except OSError:
            raise
        except Exception as error:
            # On networks that they do not know, quantisers and engines fail in ways of their own; not all need to.
            return _not_built(engine, precision, error)
        found = compare(self.rows.gold, self.reference, probabilities)
        self.scorers[f"{engine} {precision}"] = scorer
        files = (path, path.with_suffix(".bin"))
        return {
            "engine": engine,
            "precision": precision,
            "file": None if found.refused else path.name,
            "megabytes": round(sum(file.stat().st_size for file in files if file.exists()) / 1e6, 1),
            "agreement": round(found.agreement, 4),
            "f1_difference": round(found.f1_difference, 4),
            "refused": found.refused,
        }

    def add_speeds(self, variants: Sequence[dict[str, Any]]) -> float:
        """Time all variants in turn with torch, add what came out, and return the rows per second of torch."""
        speeds = rows_per_second({"torch": self.torch_fp32, **self.scorers}, self.timed)
        for variant in variants:
            speed = speeds.get(f"{variant['engine']} {variant['precision']}", 0.0)
            variant |= {"rows_per_second": round(speed, 1), "speedup": round(speed / speeds["torch"], 2)}
        return speeds["torch"]


def _not_built(engine: GraphEngine, precision: GraphPrecision, error: Exception) -> dict[str, Any]:
    """Return what the manifest says of a variant that cannot be built or run."""
    nothing = dict.fromkeys(("megabytes", "agreement", "f1_difference"), 0)
    words = " ".join(str(error).split())[:_REASON]
    refused = f"cannot be built: {type(error).__name__}: {words}"
    return {"engine": engine, "precision": precision, "file": None, **nothing, "refused": refused}


def _remove_refused(folder: Path, variants: Sequence[dict[str, Any]]) -> None:
    kept = {TOKENIZER_FILE}
    for variant in variants:
        if variant["file"]:
            kept |= {variant["file"], str(Path(variant["file"]).with_suffix(".bin"))}
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _say(what: str) -> None:
    print(f"  {what} …", file=sys.stderr, flush=True)
