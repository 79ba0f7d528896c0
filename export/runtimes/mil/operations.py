"""The MIL operations that our Core ML packages contain, each as a function of torch tensors.

Arguments have the names of the MIL specification, so an unsupported argument is detected before
anything runs. Every function computes in float32 and leaves rounding to its caller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["OPERATIONS"]


def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Sequence[int] = (1, 1),
    pad_type: str = "valid",
    pad: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Tensor:
    """Convolution of (N, C, H, W) by (O, C/groups, kh, kw); `pad` is top, bottom, left, right."""
    if pad_type in ("same", "same_lower"):
        pad = _same_padding(x, weight, strides, dilations, lower=pad_type == "same_lower")
    elif pad_type == "valid":
        pad = (0, 0, 0, 0)
    top, bottom, left, right = pad
    if top == bottom and left == right:
        padding = (top, left)
    else:
        x, padding = F.pad(x, (left, right, top, bottom)), (0, 0)
    return F.conv2d(x, weight, bias, tuple(strides), padding, tuple(dilations), groups)


def _same_padding(
    x: Tensor, weight: Tensor, strides: Sequence[int], dilations: Sequence[int], *, lower: bool
) -> list[int]:
    """Padding for an output of ceil(size / stride) values; an odd zero goes last unless `lower`."""
    padding: list[int] = []
    for axis in range(2):
        size, kernel = x.shape[2 + axis], weight.shape[2 + axis]
        outputs = -(-size // strides[axis])
        total = max(0, (outputs - 1) * strides[axis] + (kernel - 1) * dilations[axis] + 1 - size)
        less, more = total // 2, total - total // 2
        padding += [more, less] if lower else [less, more]
    return padding


def max_pool(
    x: Tensor,
    kernel_sizes: Sequence[int],
    strides: Sequence[int] = (1, 1),
    pad_type: str = "valid",
    pad: Sequence[int] = (0, 0, 0, 0),
    ceil_mode: bool = False,
) -> Tensor:
    """The largest value of each window of (N, C, H, W); padding is never the largest."""
    if pad_type not in ("valid", "custom"):
        raise ValueError(f"max_pool with pad_type {pad_type!r}")
    if pad_type == "custom" and any(pad):
        top, bottom, left, right = pad
        x = F.pad(x, (left, right, top, bottom), value=-torch.inf)
    return F.max_pool2d(x, tuple(kernel_sizes), tuple(strides), ceil_mode=ceil_mode)


def sigmoid_hard(x: Tensor, alpha: float, beta: float) -> Tensor:
    """`alpha` * `x` + `beta`, clipped to 0..1."""
    return (alpha * x + beta).clamp(0, 1)


def thresholded_relu(x: Tensor, alpha: float) -> Tensor:
    """`x` where it is at least `alpha`, else 0."""
    return torch.where(x >= alpha, x, 0.0)


def tile(x: Tensor, reps: Sequence[int]) -> Tensor:
    """`x` repeated `reps` times along its axes."""
    return x.repeat(tuple(reps))


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(N, C) by (D, C) to (N, D)."""
    return F.linear(x, weight, bias)


def slice_by_index(
    x: Tensor,
    begin: Sequence[int],
    end: Sequence[int],
    stride: Sequence[int] | None = None,
    begin_mask: Sequence[bool] | None = None,
    end_mask: Sequence[bool] | None = None,
    squeeze_mask: Sequence[bool] | None = None,
) -> Tensor:
    """A slice of `x`: a set mask bit means "from the start", "to the end" or "only this index"."""
    for axis in reversed(range(x.dim())):
        if squeeze_mask is not None and squeeze_mask[axis]:
            x = x.select(axis, begin[axis])
            continue
        first = None if begin_mask is not None and begin_mask[axis] else begin[axis]
        last = None if end_mask is not None and end_mask[axis] else end[axis]
        step = 1 if stride is None else stride[axis]
        x = x[(slice(None),) * axis + (slice(first, last, step),)]
    return x


def split(
    x: Tensor, axis: int, num_splits: int | None = None, split_sizes: Sequence[int] | None = None
) -> tuple[Tensor, ...]:
    """Consecutive slices of `x` along `axis`: `num_splits` equal ones or those of `split_sizes`."""
    if split_sizes is not None:
        return torch.split(x, list(split_sizes), axis)
    return torch.split(x, x.shape[axis] // (num_splits or 1), axis)


def concat(values: Sequence[Tensor], axis: int, interleave: bool = False) -> Tensor:
    """The values one after another along `axis`, or interleaved."""
    if not interleave:
        return torch.cat(tuple(values), axis)
    return torch.stack(tuple(values), axis + 1).flatten(axis, axis + 1)


def pad(x: Tensor, pad: Sequence[int], mode: str = "constant", constant_val: float = 0.0) -> Tensor:
    """`x` padded on its last axes; `pad` has (before, after) for each, first axis first."""
    pairs = [pad[i : i + 2] for i in range(0, len(pad), 2)]
    flat = [value for pair in reversed(pairs) for value in pair]
    return F.pad(x, flat, mode, constant_val if mode == "constant" else None)


def expand_dims(x: Tensor, axes: Sequence[int]) -> Tensor:
    """`x` with axes of size one inserted at the positions `axes` of the result."""
    for axis in sorted(axes):
        x = x.unsqueeze(axis)
    return x


def squeeze(x: Tensor, axes: Sequence[int]) -> Tensor:
    """`x` without its axes `axes`, which have size one."""
    return x.squeeze(tuple(axes))


def reduce_mean(x: Tensor, axes: Sequence[int], keep_dims: bool = False) -> Tensor:
    """The mean over `axes`."""
    return x.mean(tuple(axes), keep_dims)


def reduce_l2_norm(x: Tensor, axes: Sequence[int], keep_dims: bool = False) -> Tensor:
    """The Euclidean length over `axes`."""
    return x.square().sum(tuple(axes), keep_dims).sqrt()


def clip(x: Tensor, alpha: float, beta: float) -> Tensor:
    """`x` clipped to `alpha`..`beta`."""
    return x.clamp(alpha, beta)


def cast(x: Tensor, dtype: str) -> Tensor:
    """A change of floating type, which the declared type of the output causes."""
    return x


def _binary(operation: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def run(x: Tensor | float, y: Tensor | float) -> Tensor:
        return operation(torch.as_tensor(x), torch.as_tensor(y))

    return run


OPERATIONS: dict[str, Callable[..., Tensor | tuple[Tensor, ...]]] = {
    "add": _binary(torch.add),
    "cast": cast,
    "clip": clip,
    "concat": concat,
    "conv": conv,
    "expand_dims": expand_dims,
    "linear": linear,
    "max_pool": max_pool,
    "maximum": _binary(torch.maximum),
    "mul": _binary(torch.mul),
    "pad": pad,
    "real_div": _binary(torch.div),
    "reduce_l2_norm": reduce_l2_norm,
    "reduce_mean": reduce_mean,
    "relu": lambda x: torch.relu(x),
    "relu6": lambda x: x.clamp(0, 6),
    "reshape": lambda x, shape: x.reshape(tuple(shape)),
    "sigmoid_hard": sigmoid_hard,
    "slice_by_index": slice_by_index,
    "split": split,
    "squeeze": squeeze,
    "sub": _binary(torch.sub),
    "thresholded_relu": thresholded_relu,
    "tile": tile,
    "transpose": lambda x, perm: x.permute(tuple(perm)),
}
"""Every operation that the reference runner supports, by its MIL name."""
