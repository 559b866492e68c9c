"""Which number format to compute in."""

from __future__ import annotations

import torch

from stancekit.config.schema import Precision


def use_bf16(precision: Precision) -> bool:
    """Return whether to compute under bf16 autocast; ``auto`` says yes where the hardware computes in it.

    On a CPU without AVX-512 bf16 or AMX, bf16 is emulated and slower than fp32.
    """
    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
