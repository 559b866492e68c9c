"""ONNX Runtime: an exported graph on the processor, without torch."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from stancekit.prediction.batches import TokenBatch

if TYPE_CHECKING:
    from stancekit.prediction.engines.base import Logits


class OnnxEngine:
    """A graph in ONNX; its session runs batches of several threads at once."""

    def __init__(self, graph: Path, precision: str, threads: int) -> None:
        """Read the graph in a file and prepare it for this processor.

        Args:
            precision: what the graph computes in, for the description.
            threads: how many of the processor's to compute with.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Between batches the threads would otherwise wait in a loop, and keep the tokeniser from its turn.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        self.description = f"onnx {precision}, {threads} threads"

    def logits(self, batches: Iterable[TokenBatch]) -> Generator[Logits]:
        """Yield the logits of every batch, in order."""
        for batch in batches:
            (found,) = self._session.run(["logits"], batch.inputs())
            yield batch.rows, found
