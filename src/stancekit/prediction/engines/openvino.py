"""OpenVINO: an exported graph on the processor, several batches at once, without torch."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stancekit.prediction.batches import TokenBatch

if TYPE_CHECKING:
    from stancekit.prediction.engines.base import Logits

GROUP = 96
"""How many activations share a scale where they are quantised as they come (``int8_dynamic``).

Of the widths of encoders, it divides 384 and 768. On dev it is as exact as 64 and nearly as fast as 128.
"""


@functools.cache
def _core() -> Any:
    """Return the one runtime of this process, which is never given up.

    A runtime brings a stack for signal handlers, and at its end puts back the one that it found. Of two that end in the
    order in which they began, the second would put back what the first has freed, and the next Ctrl-C be a crash.
    """
    import openvino

    return openvino.Core()


class OpenVinoEngine:
    """A compiled graph with one stream per thread: each batch is one thread's, and as many are under way."""

    def __init__(self, graph: Path, precision: str, threads: int, cache: Path | None = None) -> None:
        """Read the graph in a file and compile it for this processor.

        Args:
            precision: ``fp32``, ``bf16``, ``int8_dynamic`` or ``int8_static``; what is not quantised in the last two is
                computed in bf16 where the processor can.
            threads: how many of the processor's to compute with.
            cache: where compiled graphs are kept: the next start is faster.
        """
        settings: dict[str, Any] = {"NUM_STREAMS": threads, "INFERENCE_NUM_THREADS": threads}
        # Every process would tie its threads to the first cores: two on one machine would share half of it.
        settings["ENABLE_CPU_PINNING"] = False
        if precision in ("fp32", "bf16"):
            settings["INFERENCE_PRECISION_HINT"] = {"fp32": "f32", "bf16": "bf16"}[precision]
        # Off unless asked for: it is on by itself for graphs with 8-bit weights, and with other groups.
        settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = GROUP if precision == "int8_dynamic" else 0
        if cache is not None:
            settings["CACHE_DIR"] = str(cache)
        self._compiled = _core().compile_model(graph, "CPU", settings)
        self._threads = threads
        self._lock = threading.Lock()
        self._free: list[Any] = []
        self.description = f"openvino {precision.replace('_', ' ')}, {threads} threads"

    def logits(self, batches: Iterable[TokenBatch]) -> Generator[Logits]:
        """Yield the logits of every batch as it is done; one caller at a time, who has all threads."""
        with self._lock:
            while len(self._free) < 2 * self._threads:
                self._free.append(self._compiled.create_infer_request())
            yield from self._run(iter(batches))

    def _run(self, batches: Iterator[TokenBatch]) -> Iterator[Logits]:
        # Twice as many requests as streams: a stream that is done finds its next batch waiting.
        waiting: list[tuple[Any, TokenBatch]] = []
        free = list(self._free)
        try:
            for batch in batches:
                if not free:
                    request, done = waiting.pop(0)
                    yield self._result(request, done)
                    free.append(request)
                request = free.pop()
                request.start_async(batch.inputs(), share_inputs=True)
                waiting.append((request, batch))
            while waiting:
                yield self._result(*waiting.pop(0))
        finally:
            # A request reads its batch's arrays until it is done, and only then can it be given another one.
            for request, _ in waiting:
                with contextlib.suppress(RuntimeError):
                    request.wait()

    def _result(self, request: Any, batch: TokenBatch) -> Logits:
        request.wait()
        return batch.rows, request.get_output_tensor(0).data.copy()
