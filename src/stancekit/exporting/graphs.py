"""The graphs of a cross-encoder: in ONNX as torch writes it, in OpenVINO's form, and with 8-bit matrices.

``int8_dynamic`` has 8-bit weights, and quantises activations as they come: ONNX Runtime with one scale for a whole
batch, OpenVINO with one for every few values of a token. ``int8_static`` has scales for both, found on calibration
rows by NNCF's post-training quantisation with SmoothQuant (Xiao et al., 2023).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stancekit.models.cross_encoder import CrossEncoder
from stancekit.prediction.batches import TokenBatch
from stancekit.prediction.exported import GraphEngine, GraphPrecision
from stancekit.prediction.tokens import TokenLayout

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

_OPSET = 17
"""The oldest that has all that is needed, LayerNormalization above all; what is written in it runs widely."""
_PLAIN = "fp32.onnx"


@dataclass(frozen=True)
class Graphs:
    """The folder that graphs are written to, each from the plain one, which must be there.

    Attributes:
        calibration: inputs of single rows, in all lengths, for ``int8_static``.
    """

    folder: Path
    calibration: Sequence[TokenBatch]

    @property
    def plain(self) -> Path:
        """The graph that torch wrote."""
        return self.folder / _PLAIN

    def onnx_fp32(self) -> Path:
        """Return the plain graph."""
        return self.plain

    def onnx_int8_dynamic(self) -> Path:
        """Quantise the weights for ONNX Runtime, with a scale for every output channel."""
        from onnxruntime.quantization import QuantType, quantize_dynamic

        path = self.folder / "onnx_int8_dynamic.onnx"
        quantize_dynamic(self.plain, path, weight_type=QuantType.QInt8, per_channel=True)
        return path

    def onnx_int8_static(self) -> Path:
        """Quantise weights and activations for ONNX Runtime."""
        import onnx

        path = self.folder / "onnx_int8_static.onnx"
        onnx.save(self._static(onnx.load(self.plain)), path)
        return path

    def openvino_fp32(self) -> Path:
        """Write the plain graph in OpenVINO's form, which is read sooner; bf16 is computed from it too."""
        path = self.folder / "openvino_fp32.xml"
        if not path.exists():
            self._save(self._read(), path)
        return path

    def openvino_int8_dynamic(self) -> Path:
        """Store the weights as 8-bit integers, with a scale for every output channel."""
        import nncf

        path = self.folder / "openvino_int8_dynamic.xml"
        self._save(nncf.compress_weights(self._read(), mode=nncf.CompressWeightsMode.INT8_SYM), path)
        return path

    def openvino_int8_static(self) -> Path:
        """Quantise weights and activations for OpenVINO."""
        path = self.folder / "openvino_int8_static.xml"
        self._save(self._static(self._read()), path)
        return path

    def _read(self) -> Any:
        import openvino

        return openvino.Core().read_model(self.plain)

    def _save(self, graph: Any, path: Path) -> None:
        import openvino

        openvino.save_model(graph, path, compress_to_fp16=False)

    def _static(self, graph: Any) -> Any:
        import nncf

        def inputs(batch: TokenBatch) -> dict[str, NDArray[np.int64]]:
            return batch.inputs()

        return nncf.quantize(
            graph,
            nncf.Dataset(list(self.calibration), inputs),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(self.calibration),
        )


BUILDERS: dict[tuple[GraphEngine, GraphPrecision], Callable[[Graphs], Path]] = {
    ("onnx", "fp32"): Graphs.onnx_fp32,
    ("onnx", "int8_dynamic"): Graphs.onnx_int8_dynamic,
    ("onnx", "int8_static"): Graphs.onnx_int8_static,
    ("openvino", "fp32"): Graphs.openvino_fp32,
    ("openvino", "bf16"): Graphs.openvino_fp32,
    ("openvino", "int8_dynamic"): Graphs.openvino_int8_dynamic,
    ("openvino", "int8_static"): Graphs.openvino_int8_static,
}
"""What writes the graph of every variant and returns its path."""


def write_plain(model: CrossEncoder, layout: TokenLayout, graphs: Graphs) -> None:
    """Write a cross-encoder as ONNX: token ids in, the logits of the four outcomes out; any rows, any length."""

    def logits(inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        found: torch.Tensor = model.network(**inputs).logits
        return found

    write_onnx(model.network, logits, layout, graphs.plain)


def write_onnx(
    network: torch.nn.Module,
    compute: Callable[[Mapping[str, torch.Tensor]], torch.Tensor],
    layout: TokenLayout,
    path: Path,
) -> None:
    """Write as ONNX what is computed of token ids with a network: one row out for every row in; any rows, any length.

    Args:
        compute: from the inputs by their names to the output, called ``logits`` in the graph.
    """
    import torch

    names = ["input_ids", "attention_mask", *(["token_type_ids"] if layout.types is not None else [])]

    class Traced(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            return compute(dict(zip(names, inputs, strict=True)))

    # Two rows of unlike length: what is traced must not take either size, or a full mask, for granted.
    ids = torch.full((2, 16), layout.pad)
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    example = (ids, mask, *([torch.zeros_like(ids)] if layout.types is not None else []))
    free = {name: {0: "rows", 1: "length"} for name in names}
    with torch.inference_mode(), warnings.catch_warnings():
        # That this exporter will go one day, and what it thinks of Python values that are the same for all inputs.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Traced().eval().cpu(),
            example,
            path,
            input_names=names,
            output_names=["logits"],
            dynamic_axes={**free, "logits": {0: "rows"}},
            opset_version=_OPSET,
            dynamo=False,
        )


@contextmanager
def quiet_quantisers() -> Iterator[None]:
    """Keep what NNCF and ONNX Runtime's quantiser say, and draw, from the terminal."""
    import io
    from contextlib import redirect_stderr, redirect_stdout

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
