"""The machine under a benchmark: what it is, how fast it multiplies matrices, and what a network asks of it."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from stancekit.prediction.choosing import available_threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FLAGS = (
    "avx2",
    "avx512f",
    "avx_vnni",
    "avx512_vnni",
    "avx512_bf16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "bf16",
)
_SIZE = 2048
_TRIES = 10


def describe(packages: Iterable[str]) -> list[str]:
    """Return lines that say which machine this is, what else it was doing, and which versions run on it."""
    found = _cpuinfo()
    flags = set(found.get("flags", found.get("Features", "")).split())
    wanted = " ".join(flag for flag in _FLAGS if flag in flags)
    return [
        f"processor: {found.get('model name', platform.machine())}, {available_threads()} of {os.cpu_count()} cores, "
        f"{wanted or 'none of the flags that matter'}",
        f"threads: torch {torch.get_num_threads()}, OMP_NUM_THREADS {os.environ.get('OMP_NUM_THREADS', 'not set')}; "
        f"load before: {os.getloadavg()[0]:.1f}",
        f"versions: python {platform.python_version()}, {', '.join(map(_version, packages))}",
    ]


def peaks() -> dict[str, float]:
    """Return the billions of operations a second of the fastest matrix product, 2048 each way, by number format."""
    numbers = torch.randn(_SIZE, _SIZE)
    halves = numbers.bfloat16()
    bytes_ = torch.randint(-127, 128, (_SIZE, _SIZE), dtype=torch.int8)
    return {
        "fp32": _peak(lambda: numbers @ numbers),
        "bf16": _peak(lambda: halves @ halves),
        "int8": _peak(lambda: torch._int_mm(bytes_, bytes_)),
    }


def operations(network: Any, lengths: NDArray[np.int64]) -> float:
    """Return the multiplications and additions of one pass over rows of so many tokens, padding not counted.

    Those of the encoder's linear layers, 2 for every weight and token, and of attention, 4 * length^2 * hidden size in
    every layer. What an architecture has beyond that (DeBERTa's products with positions) is left out, as are the head
    and whatever is done element by element.
    """
    linear: int = sum(
        part.weight.numel()
        for name, part in network.base_model.named_modules()
        if isinstance(part, torch.nn.Linear) and not name.startswith("pooler")
    )
    config = network.config
    attention: float = 4.0 * config.num_hidden_layers * config.hidden_size * float((lengths**2).sum())
    return 2.0 * linear * float(lengths.sum()) + attention


def _peak(multiply: Callable[[], object]) -> float:
    multiply()
    taken = []
    for _ in range(_TRIES):
        begun = time.perf_counter()
        multiply()
        taken.append(time.perf_counter() - begun)
    return 2 * _SIZE**3 / min(taken) / 1e9


def _cpuinfo() -> dict[str, str]:
    """Return what Linux says of the first core; nothing elsewhere."""
    try:
        first, _, _ = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"
