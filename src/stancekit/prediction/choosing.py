"""Which engine runs a model here, and the model ready to score behind it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from stancekit.config.schema import EngineConfig
from stancekit.errors import UserError, nearest
from stancekit.prediction.engines.base import Engine
from stancekit.prediction.exported import (
    TOKENIZER_FILE,
    ExportedModel,
    GraphEngine,
    GraphPrecision,
    Variant,
    export_folder,
    is_exported,
    source_of,
)
from stancekit.prediction.scoring import ModelScorer, Scorer, TokenScorer

_PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino"}
BATCH_TOKENS: Final = {"openvino": 512, "onnx": 1024, "torch": 1024}
"""How many tokens an engine gets at once unless told otherwise, each on a processor: what was fastest."""
_GPU_TOKENS = 65536
_TORCH_PRECISIONS: Final = ("auto", "fp32", "bf16")
_BF16_FLAGS = {"avx512_bf16", "amx_bf16"}


@dataclass(frozen=True)
class Chosen:
    """A model behind an engine.

    Attributes:
        folder: where the model lies.
        model: the model's name, and the hash that stands for it.
        engine: what else decides which digits come out: engine, precision, threads, batches, versions.
        why: why this engine, for people.
    """

    scorer: Scorer
    folder: Path
    model: Mapping[str, str]
    engine: Mapping[str, str | int]
    why: str


def open_scorer(folder: Path, engine: EngineConfig, name: str = "…") -> Chosen:
    """Return the model in a folder, a saved or an exported one, behind the engine that the configuration asks for.

    Args:
        name: what ``model=`` named it, for the command that exports it.

    Raises:
        UserError: the engine is not installed, or has no graph of this model; says which command makes one.
    """
    threads = _threads(engine)
    if engine.name == "torch":
        return _with_torch(folder, engine, "as asked")
    torch_too = engine.name == "auto" and engine.precision in _TORCH_PRECISIONS and not is_exported(folder)
    if torch_too and _gpu():
        return _with_torch(folder, engine, "torch sees a GPU")
    asked = f"engine={engine.name}, engine.precision={engine.precision}"
    exported, missing = _exported_of(folder, name)
    if exported is None:
        if torch_too:
            return _with_torch(folder, engine, missing)
        if engine.name != "auto":
            _need(engine.name)
        raise UserError(f"{asked}: {missing}")
    candidates = [
        variant
        for variant in exported.manifest.variants
        if engine.name in ("auto", variant.engine) and engine.precision in ("auto", variant.precision)
    ]
    installed = [variant for variant in candidates if _installed(variant.engine)]
    usable = [variant for variant in exported.usable() if variant in installed and _runs_here(variant)]
    if usable:
        why = "as asked" if engine.name != "auto" else f"{usable[0].speedup:.1f} times torch fp32 when exported"
        return _with_graph(exported, usable[0], engine, threads, why)
    reason = _why_none(exported, candidates, installed, engine)
    if torch_too:
        return _with_torch(folder, engine, reason)
    raise UserError(f"{asked}: {reason}")


def _threads(engine: EngineConfig) -> int:
    """Return how many threads to compute with; on a cluster, workers share a machine by being many."""
    return engine.threads or (1 if engine.cluster else available_threads())


def available_threads() -> int:
    """Return how many of the processor's threads this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _exported_of(folder: Path, name: str) -> tuple[ExportedModel | None, str]:
    """Return the export of a model, or why there is none."""
    if is_exported(folder):
        return ExportedModel.read(folder), ""
    source = source_of(folder)
    kept = export_folder(source)
    if not is_exported(kept):
        return None, f"not exported; once, for faster predictions: stancekit export format=engines model={name}"
    found = ExportedModel.read(kept)
    if found.manifest.source != source:
        return None, f"the export in '{kept}' is of another model; remove that folder"
    return found, ""


def _why_none(
    exported: ExportedModel, candidates: list[Variant], installed: list[Variant], engine: EngineConfig
) -> str:
    if candidates and not installed:
        names = sorted({_PACKAGES[variant.engine] for variant in candidates})
        return f"not installed: {' and '.join(names)}; install with: pip install 'stancekit[fast]'"
    if engine.name != "auto":
        _need(engine.name)
    there = [one.name for one in exported.usable() if _installed(one.engine) and _runs_here(one)]
    if refused := [variant for variant in installed if variant.refused]:
        return (
            f"{refused[0].name} was refused when the model was exported: {refused[0].refused}\n  usable: {_list(there)}"
        )
    if installed:
        return f"{installed[0].name}: this processor does not compute in bf16\n  usable: {_list(there)}"
    wanted = f"{engine.name} {engine.precision}"
    return f"the export in '{exported.folder}' has no such variant{nearest(wanted, there)}\n  usable: {_list(there)}"


def _list(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _installed(engine: str) -> bool:
    return find_spec(_PACKAGES[engine]) is not None


def _need(engine: str) -> None:
    if not _installed(engine):
        raise UserError(
            f"engine={engine}: {_PACKAGES[engine]} is not installed; install it with: pip install 'stancekit[fast]'"
        )


def _runs_here(variant: Variant) -> bool:
    """Return whether the processor computes in the variant's format; others are emulated, slower than fp32."""
    return variant.precision != "bf16" or bool(_processor_flags() & _BF16_FLAGS)


def _processor_flags() -> set[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return set()
    line = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return set(line.split())


def _gpu() -> bool:
    """Return whether torch has a GPU; torch is only asked where a driver is."""
    if not any(Path(name).exists() for name in ("/dev/nvidiactl", "/dev/kfd")):
        return False
    import torch

    return torch.cuda.is_available()


def graph_engine(engine: GraphEngine, graph: Path, precision: GraphPrecision, threads: int) -> Engine:
    """Return the engine of that name on the graph in a file."""
    if engine == "onnx":
        from stancekit.prediction.engines.onnx import OnnxEngine

        return OnnxEngine(graph, precision, threads)
    from stancekit.prediction.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(graph, precision, threads)


def _with_graph(exported: ExportedModel, variant: Variant, engine: EngineConfig, threads: int, why: str) -> Chosen:
    from tokenizers import Tokenizer

    from stancekit.prediction.tokens import PairTokenizer

    assert variant.file is not None
    graph = exported.checked(variant.file)
    budget = engine.batch_tokens or BATCH_TOKENS[variant.engine]
    runs = graph_engine(variant.engine, graph, variant.precision, threads)
    tokenizer = Tokenizer.from_file(str(exported.folder / TOKENIZER_FILE))
    pairs = PairTokenizer(tokenizer, exported.manifest.layout.layout(), exported.manifest.input)
    model = {"name": exported.manifest.model, "sha256": exported.manifest.source}
    identity: dict[str, str | int] = {
        "name": variant.engine,
        "precision": variant.precision,
        "graph": exported.manifest.sha256[variant.file],
        "threads": threads,
        "batch_tokens": budget,
        "version": version(_PACKAGES[variant.engine]),
    }
    return Chosen(TokenScorer(pairs, runs, exported.calibration, budget), exported.folder, model, identity, why)


def _with_torch(folder: Path, engine: EngineConfig, why: str) -> Chosen:
    if engine.precision not in _TORCH_PRECISIONS:
        raise UserError(
            f"engine.precision={engine.precision}: torch computes in fp32 or bf16; expected auto or one of these"
        )
    if is_exported(folder):
        raise UserError(
            f"engine=torch: '{folder}' is an exported model, which has graphs for onnx and openvino alone; "
            "give the model that it was made of"
        )
    from stancekit.models.cross_encoder import CrossEncoder
    from stancekit.models.precision import use_bf16
    from stancekit.models.saved import load_model
    from stancekit.prediction.engines.torch import TorchEngine, devices, pair_tokenizer

    saved = load_model(folder, calibrated=False)
    model = {"name": saved.config.name, "sha256": source_of(folder)}
    identity: dict[str, str | int] = {"name": "torch", "version": version("torch")}
    tokenizer = pair_tokenizer(saved.model) if isinstance(saved.model, CrossEncoder) else None
    if tokenizer is None or not isinstance(saved.model, CrossEncoder):
        # It reads pairs itself, in batches of its own, and cannot be exported.
        kind = saved.config.kind.replace("_", " ")
        scorer: Scorer = ModelScorer(load_model(folder).model, f"the model itself, {kind}")
        return Chosen(scorer, folder, model, identity, why if engine.name == "torch" else "no other runs it")
    places = devices()
    # Unless asked, torch keeps the threads it has: a training may be going on in this process.
    threads = _threads(engine) if engine.threads or engine.cluster else None
    bf16 = use_bf16(engine.precision)
    runs = TorchEngine(saved.model.network, bf16, places, threads)
    budget = engine.batch_tokens or (BATCH_TOKENS["torch"] if places[0].type == "cpu" else _GPU_TOKENS)
    scorer = TokenScorer(tokenizer, runs, saved.calibration, budget)
    identity |= {"precision": "bf16" if bf16 else "fp32", "threads": runs.threads, "batch_tokens": budget}
    return Chosen(scorer, folder, model, identity | {"devices": ", ".join(map(str, places))}, why)
