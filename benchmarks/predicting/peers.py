"""The contenders of ``benchmarks/predict.py``: all have the same network, and go from Python rows to labels.

The peers read the model from a folder of transformers, where it is a sequence classifier like any other. All write the
pairs out, tokenise them and turn logits into labels within the time that is taken.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

import stancekit
from stancekit.config.schema import InputConfig
from stancekit.errors import UserError
from stancekit.labels import OUTCOMES
from stancekit.models.inputs import render
from stancekit.models.precision import use_bf16
from stancekit.pairs.model import Pair
from stancekit.prediction.choosing import available_threads
from stancekit.prediction.exported import ExportedModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stancekit.prediction.predictor import Predictor

PIPELINE = "transformers pipeline"
CROSS_ENCODER = "sentence-transformers CrossEncoder"
RAW_ONNX = "raw ONNX Runtime fp32"
RAW_OPENVINO = "raw OpenVINO, its default"
RAW_OPENVINO_FP32 = "raw OpenVINO, f32 hint"
_BATCH = 32
_PLACES: dict[str | None, int] = {label: i for i, label in enumerate(OUTCOMES)}

Row = Mapping[str, str | None]
"""``statement``, ``target`` and ``holder``."""


@dataclass(frozen=True)
class Answers:
    """The likeliest outcome of every row, as its place in ``OUTCOMES``, and its probability; both of shape (rows,)."""

    outcomes: NDArray[np.int64]
    confidence: NDArray[np.float64]


@dataclass(frozen=True)
class Contender:
    """What labels rows.

    Attributes:
        exact: whether it computes in fp32, and so has to give what torch does.
        calibrated: whether its probabilities are scaled; those of the peers are as the network gives them.
        slow: whether a part of the rows must do.
    """

    name: str
    label: Callable[[Sequence[Row]], Answers]
    exact: bool
    calibrated: bool = False
    slow: bool = False


@dataclass(frozen=True)
class Peers:
    """Makes the contenders that are not ours.

    Attributes:
        folder: what ``write_classifier`` wrote.
        exported: the same model's graphs.
    """

    folder: Path
    template: InputConfig
    exported: ExportedModel

    def all(self) -> list[Contender]:
        """Return those whose packages are installed; says which are not."""
        makers = (self._pipeline, self._pipeline_batched, self._cross_encoder, self._torch, self._onnx, self._openvino)
        found: list[Contender] = []
        for make in makers:
            try:
                found += make()
            except ModuleNotFoundError as error:
                print(f"{error.name}: not installed, not timed")
        return found

    def _pipeline(self) -> list[Contender]:
        return [Contender(f"{PIPELINE}, as it comes", self._piped(1), exact=True, slow=True)]

    def _pipeline_batched(self) -> list[Contender]:
        return [Contender(f"{PIPELINE}, batches of {_BATCH}", self._piped(_BATCH), exact=True)]

    def _piped(self, batch_size: int) -> Callable[[Sequence[Row]], Answers]:
        pipe: Any = pipeline(
            "text-classification",
            model=str(self.folder),
            tokenizer=str(self.folder),
            device="cpu",
            batch_size=batch_size,
        )

        def label(rows: Sequence[Row]) -> Answers:
            segments = [{"text": first, "text_pair": second} for first, second in self._segments(rows)]
            given = pipe(segments, truncation="only_first", max_length=self.template.max_length)
            return answers([one["label"] for one in given], [one["score"] for one in given])

        return label

    def _cross_encoder(self) -> list[Contender]:
        library = importlib.import_module("sentence_transformers")
        model = library.CrossEncoder(str(self.folder), device="cpu", max_length=self.template.max_length)

        def label(rows: Sequence[Row]) -> Answers:
            return _likeliest(model.predict(self._segments(rows), apply_softmax=True))

        return [Contender(CROSS_ENCODER, label, exact=True)]

    def _torch(self) -> list[Contender]:
        network: Any = AutoModelForSequenceClassification.from_pretrained(self.folder).eval()
        tokenizer = self._tokenizer()

        def label(rows: Sequence[Row]) -> Answers:
            segments = self._segments(rows)
            by_length = sorted(range(len(rows)), key=lambda i: sum(map(len, segments[i])))
            logits = np.zeros((len(rows), len(OUTCOMES)))
            with torch.inference_mode():
                for first in range(0, len(rows), _BATCH):
                    chosen = by_length[first : first + _BATCH]
                    batch = self._batch(tokenizer, [segments[i] for i in chosen], "pt")
                    logits[chosen] = network(**batch).logits.numpy()
            return _likeliest(_softmax(logits))

        return [Contender(f"torch fp32, sorted, batches of {_BATCH}", label, exact=True)]

    def _onnx(self) -> list[Contender]:
        graph = self._graph()
        library = importlib.import_module("onnxruntime")
        options = library.SessionOptions()
        options.intra_op_num_threads = available_threads()
        session = library.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        return [Contender(RAW_ONNX, self._in_order(lambda batch: session.run(["logits"], batch)[0]), exact=True)]

    def _openvino(self) -> list[Contender]:
        graph = self._graph()
        core = importlib.import_module("openvino").Core()
        default = core.compile_model(graph, "CPU")
        fp32 = core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return [
            # Where the processor has bf16, that is what it computes in unless told otherwise.
            Contender(RAW_OPENVINO, self._in_order(lambda batch: default(batch)[0]), exact=False),
            Contender(RAW_OPENVINO_FP32, self._in_order(lambda batch: fp32(batch)[0]), exact=True),
        ]

    def _in_order(self, run: Callable[[dict[str, Any]], NDArray[np.float32]]) -> Callable[[Sequence[Row]], Answers]:
        tokenizer = self._tokenizer()

        def label(rows: Sequence[Row]) -> Answers:
            segments = self._segments(rows)
            batches = (segments[first : first + _BATCH] for first in range(0, len(rows), _BATCH))
            return _likeliest(_softmax(np.concatenate([run(self._batch(tokenizer, one, "np")) for one in batches])))

        return label

    def _graph(self) -> Path:
        """Return the fp32 graph that torch wrote."""
        variants = self.exported.manifest.variants
        return self.exported.checked(next(one.file for one in variants if one.name == "onnx fp32" and one.file))

    def _tokenizer(self) -> Any:
        return AutoTokenizer.from_pretrained(self.folder)

    def _batch(self, tokenizer: Any, segments: Sequence[tuple[str, str]], tensors: str) -> dict[str, Any]:
        firsts, seconds = zip(*segments, strict=True)
        return dict(
            tokenizer(
                list(firsts),
                list(seconds),
                padding=True,
                truncation="only_first",
                max_length=self.template.max_length,
                return_tensors=tensors,
            )
        )

    def _segments(self, rows: Sequence[Row]) -> list[tuple[str, str]]:
        return [render(pair, self.template) for pair in pairs_of(rows)]


def ours(model: str, exported: ExportedModel) -> list[Contender]:
    """Return stancekit with the engine that it picks itself, first, and with every other that the export allows."""
    picked = stancekit.load(model)
    kept = [(variant.engine, variant.precision) for variant in exported.usable()]
    others = [*kept, ("torch", "fp32"), *([("torch", "bf16")] if use_bf16("auto") else [])]
    found = {picked.description: _ours(picked)}
    for engine, precision in others:
        try:
            predictor = stancekit.load(model, engine, precision=precision)
        except UserError as error:
            print(f"stancekit, {engine} {precision}: not timed: {error}")
            continue
        if predictor.description not in found:
            found[predictor.description] = _ours(predictor)
    return list(found.values())


def command_line(model: str, folder: Path, exact: bool) -> Contender:
    """Return ``stancekit predict`` from file to file, the start of the process and of the model included.

    Args:
        folder: of the files.
        exact: whether the engine that it picks computes in fp32.
    """
    written = 0

    def label(rows: Sequence[Row]) -> Answers:
        nonlocal written
        written += 1
        given, made = folder / f"rows-{written}.jsonl", folder / f"labelled-{written}.jsonl"
        given.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        predict([f"model={model}", f"input={given}", f"output={made}"])
        labelled = [json.loads(line) for line in made.read_text(encoding="utf-8").splitlines()]
        return answers([row["stance"] for row in labelled], [row["confidence"] for row in labelled])

    return Contender("stancekit predict, file to file", label, exact, calibrated=True)


def predict(words: Sequence[str], given: str | None = None) -> str:
    """Run ``stancekit predict`` as a process, with ``given`` on its standard input, and return its standard output.

    Raises:
        SystemExit: it failed; with what it said.
    """
    command = [sys.executable, "-m", "stancekit", "predict", *words]
    done = subprocess.run(command, input=given, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def pairs_of(rows: Sequence[Row]) -> list[Pair]:
    """Return the rows as pairs."""
    return [Pair(row["statement"] or "", row["target"] or "", row["holder"]) for row in rows]


def answers(labels: Sequence[str | None], confidence: Sequence[float | None]) -> Answers:
    """Return answers from label names.

    Raises:
        KeyError: a row has no label, or an unknown one.
    """
    return Answers(np.array([_PLACES[label] for label in labels]), np.array(confidence, dtype=np.float64))


def _ours(predictor: Predictor) -> Contender:
    def label(rows: Sequence[Row]) -> Answers:
        found = predictor.predict(rows)
        return answers([one.stance for one in found], [one.confidence for one in found])

    exact = " fp32," in predictor.description
    return Contender(f"stancekit, {predictor.description}", label, exact, calibrated=True)


def _softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _likeliest(probabilities: NDArray[Any]) -> Answers:
    outcomes = probabilities.argmax(axis=1)
    return Answers(outcomes, probabilities[np.arange(len(outcomes)), outcomes].astype(np.float64))
