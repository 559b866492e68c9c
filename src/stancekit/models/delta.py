"""A delta: of a tuned network only what differs from the network that it was tuned from, both as plain state dicts.

A changed matrix is stored as the product of two thin ones, the best of their rank by the theorem of Eckart & Young
(1936), or as 8-bit integers with a scale for every row. Vectors are stored in 16 bits, what the base has no values for
in full.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import prod, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

from stancekit.errors import UserError, nearest

if TYPE_CHECKING:
    import torch
    from torch import Tensor

FILE = "delta.safetensors"
FORMAT = 1
_HEADER = "stancekit.delta"
_LARGEST = 127


@dataclass(frozen=True)
class DeltaConfig:
    """How changed matrices are stored: as products of two of ``rank`` columns, or with None as 8-bit integers."""

    rank: int | None


@dataclass(frozen=True)
class DeltaSize:
    """The bytes that a delta takes, and what it loses.

    ``error`` is the Frobenius norm of what is lost, relative to that of the difference from the base, over all tensors
    that the base has values for; 0 where none of them differs.
    """

    bytes: int
    error: float


def write_delta(
    base: Mapping[str, Tensor], tuned: Mapping[str, Tensor], path: Path, config: DeltaConfig, drawn: Collection[str]
) -> DeltaSize:
    """Write what differs between two state dicts of one network; the same tensors give the same bytes.

    Args:
        drawn: the names of the tensors, such as those of a head, whose values in ``base`` are drawn at random and say
            nothing; they are stored whole.

    Raises:
        UserError: a tensor is not finite, or the two are not of one network.
    """
    import torch
    from safetensors.torch import save_file

    _refuse_other_network(base, tuned)
    stored: dict[str, Tensor] = {}
    lost = changed = 0.0
    for name, tensor in tuned.items():
        after, before = tensor.detach().cpu(), base[name].detach().cpu()
        if not torch.isfinite(after).all():
            raise UserError(f"model: '{name}' holds values that are no finite numbers; such a model cannot be used")
        if name not in drawn and torch.equal(after, before):
            continue
        if name in drawn or not after.is_floating_point():
            stored[f"{name}/whole"] = after.float() if after.is_floating_point() else after
            continue
        difference = after.float() - before.float()
        parts = _encoded(difference, config.rank)
        lost += float((difference - _decoded(parts, difference.shape)).double().square().sum())
        changed += float(difference.double().square().sum())
        stored |= {f"{name}/{kind}": part for kind, part in parts.items()}
    header = {"format": FORMAT, "matrices": "int8" if config.rank is None else f"rank {config.rank}"}
    # Under one key: safetensors writes several in an order that changes from one process to the next.
    save_file({key: part.contiguous() for key, part in stored.items()}, path, metadata={_HEADER: json.dumps(header)})
    return DeltaSize(path.stat().st_size, sqrt(lost / changed) if changed else 0.0)


def read_delta(path: Path, base: Mapping[str, Tensor], drawn: Collection[str]) -> dict[str, Tensor]:
    """Return the state dict of the tuned network; what did not change are the tensors of ``base`` themselves.

    Args:
        base: as ``write_delta`` was given it, but for the values of the tensors in ``drawn``.

    Raises:
        UserError: the file is missing, broken or of another format, it is a delta for another base, it lacks a tensor,
            or its values are no finite numbers.
    """
    import torch

    found = _read_parts(path)
    if unknown := sorted(set(found) - set(base)):
        raise UserError(
            f"model: '{path}' changes '{unknown[0]}', which the base does not have{nearest(unknown[0], base)}; "
            "it is a delta for another base"
        )
    if missing := sorted(name for name in drawn if "whole" not in found.get(name, {})):
        raise UserError(f"model: '{path}' lacks '{missing[0]}', which the base has no values for; it is not whole")
    tuned = dict(base)
    for name, parts in found.items():
        before = base[name]
        try:
            if set(parts) == {"whole"}:
                tensor = _of_shape(parts["whole"], before.shape).to(before.dtype)
            else:
                tensor = before.float() + _decoded(parts, before.shape).to(before.device)
        except (ValueError, RuntimeError, IndexError) as error:
            raise UserError(
                f"model: '{path}': '{name}' does not fit the base, it is a delta for another one: {error}"
            ) from error
        if not torch.isfinite(tensor).all():
            raise UserError(f"model: '{path}': '{name}' holds values that are no finite numbers")
        tuned[name] = tensor
    return tuned


def _refuse_other_network(base: Mapping[str, Tensor], tuned: Mapping[str, Tensor]) -> None:
    shapes, wanted = ({name: list(tensor.shape) for name, tensor in of.items()} for of in (tuned, base))
    for name in sorted({*shapes, *wanted}):
        if shapes.get(name) != wanted.get(name):
            raise UserError(
                f"model: it is no tuned version of its encoder: '{name}' has the shape {shapes.get(name, 'none')} in "
                f"the model and {wanted.get(name, 'none')} in the network built from the encoder"
            )


def _encoded(difference: Tensor, rank: int | None) -> dict[str, Tensor]:
    """Return the parts that a difference other than 0 is stored as."""
    import torch

    if difference.ndim < 2:
        return {"difference": difference.half()}
    parts: dict[str, Tensor] = {}
    rows = difference.flatten(1)
    touched = rows.any(dim=1)
    if not touched.all():
        # Of a table of embeddings only the rows of tokens that occurred may have changed.
        parts["rows"] = touched.nonzero().squeeze(1).to(torch.int32)
        rows = rows[touched]
    height, width = rows.shape
    if rank is None:
        least = torch.finfo(torch.float32).tiny
        scale = (rows.abs().amax(dim=1, keepdim=True) / _LARGEST).clamp(min=least)
        return parts | {"int8": (rows / scale).round().to(torch.int8), "scale": scale.squeeze(1)}
    if rank * (height + width) >= height * width:
        return parts | {"difference": rows.half()}
    left, values, right = torch.linalg.svd(rows, full_matrices=False)
    # Half of every singular value on either side: 16 bits hold few digits of small numbers.
    root = values[:rank].sqrt()
    return parts | {"left": (left[:, :rank] * root).half(), "right": (root.unsqueeze(1) * right[:rank]).half()}


def _decoded(parts: Mapping[str, Tensor], shape: torch.Size) -> Tensor:
    """Return the difference that is stored in parts.

    Raises:
        ValueError: the parts are not those of a difference of that shape; or RuntimeError or IndexError, from torch.
    """
    kinds = set(parts) - {"rows"}
    if kinds == {"difference"}:
        rows = parts["difference"].float()
    elif kinds == {"left", "right"}:
        rows = parts["left"].float() @ parts["right"].float()
    elif kinds == {"int8", "scale"}:
        rows = parts["int8"].float() * parts["scale"].unsqueeze(1)
    else:
        raise ValueError(f"its parts are {', '.join(sorted(parts))}")
    flat = (shape[0], prod(shape[1:])) if len(shape) > 1 else tuple(shape)
    if "rows" in parts:
        rows = rows.new_zeros(flat).index_copy(0, parts["rows"].long(), rows)
    return _of_shape(rows, flat).reshape(shape)


def _of_shape(tensor: Tensor, shape: Collection[int]) -> Tensor:
    if list(tensor.shape) != list(shape):
        raise ValueError(f"it has the shape {list(tensor.shape)}, expected {list(shape)}")
    return tensor


def _read_parts(path: Path) -> dict[str, dict[str, Tensor]]:
    """Return the stored parts of every tensor."""
    from safetensors import SafetensorError, safe_open

    found: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(_HEADER, "{}"))
            for key in file.keys():  # noqa: SIM118 -- a file of tensors is no mapping
                name, _, kind = key.rpartition("/")
                found.setdefault(name, {})[kind] = file.get_tensor(key)
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"model: '{path}' cannot be read as a delta: {str(error).splitlines()[0]}") from error
    if header.get("format") != FORMAT:
        raise UserError(f"model: '{path}' is a delta of format {header.get('format')!r}; this version reads {FORMAT}")
    return found
