"""The time of the weight gradient of a depthwise convolution, torch's and edgecmp's.

    OMP_NUM_THREADS=1 python -m edgecmp.benchmarks.studies.depthwise_gradient --json gradient.json

Times are medians over the rounds, in ms of processor time, channels last as in training. `used`
names the gradient that `edgecmp.networks.depthwise` selects. A second table shows the effect on a
whole training step, forward and backward, of the baselines at 64 pixels.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from edgecmp.benchmarks.studies.interleaved import Seconds, interleaved
from edgecmp.benchmarks.studies.study import print_rows, study_parser, write_study
from edgecmp.benchmarks.studies.supernet_references import with_torch_gradients
from edgecmp.networks.baselines import Baseline, BaselineNet
from edgecmp.networks.depthwise import is_faster, weight_gradient

__all__ = ["main", "row", "step"]

NETWORKS = ("proxylessnas_mobile", "mobilenetv3_large_w1", "mobilenetv2_w1", "shufflenetv2_w1")

MAPS = ((16, 64), (8, 160), (4, 320), (2, 640))
"""(side of the feature map, channels), as in the 100M tier at 64 pixels."""


def row(
    side: int, channels: int, kernel: int, stride: int, batch: int, rounds: int
) -> dict[str, Any]:
    """Times both gradients of one convolution in rounds."""
    x = torch.randn(batch, channels, side, side).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, 1, kernel, kernel)
    strides, padding = (stride, stride), (kernel // 2, kernel // 2)

    def forward() -> Tensor:
        return F.conv2d(x, weight, None, strides, padding, groups=channels)

    output_gradient = torch.randn_like(forward())

    def theirs() -> Tensor:
        gradient: Tensor = torch.ops.aten.convolution_backward(
            output_gradient,
            x,
            weight,
            None,
            strides,
            padding,
            (1, 1),
            False,
            (0, 0),
            channels,
            (False, True, False),
        )[1]
        return gradient

    def ours() -> Tensor:
        return weight_gradient(x, output_gradient, (kernel, kernel), strides, padding)

    expected = theirs()
    difference = (ours() - expected).abs().max() / expected.abs().max()
    times = interleaved({"forward": forward, "torch": theirs, "ours": ours}, rounds)
    return {
        "map": f"{side}x{side}",
        "kernel": f"{kernel}x{kernel}",
        "stride": stride,
        "forward_ms": _milliseconds(times["forward"]),
        "torch_ms": _milliseconds(times["torch"]),
        "ours_ms": _milliseconds(times["ours"]),
        "used": "ours" if is_faster((side, side), (kernel, kernel)) else "torch",
        "difference": float(difference),
    }


def step(name: str, batch: int, rounds: int) -> dict[str, Any]:
    """Times a training step of a baseline with both gradients."""
    ours = Baseline(name=name, input_size=64).build().train()
    ours.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    theirs = with_torch_gradients(ours)
    images = torch.randn(batch, 3, 64, 64).contiguous(memory_format=torch.channels_last)

    def train(network: BaselineNet) -> None:
        network(images).sum().backward()

    times = interleaved({"torch": partial(train, theirs), "ours": partial(train, ours)}, rounds)
    torch_ms, ours_ms = _milliseconds(times["torch"]), _milliseconds(times["ours"])
    return {
        "network": name,
        "torch_ms": torch_ms,
        "ours_ms": ours_ms,
        "ratio": round(torch_ms / ours_ms, 2),
    }


def _milliseconds(times: list[Seconds]) -> float:
    """The median processor time in ms."""
    return round(1e3 * median(taken.cpu for taken in times), 2)


def main(argv: list[str] | None = None) -> None:
    """Runs the study, prints the tables and, with --json, writes them."""
    parser = study_parser(__doc__)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(argv)
    torch.manual_seed(0)
    rows = [
        row(side, channels, kernel, stride, given.batch, given.turns)
        for side, channels in MAPS
        for kernel in (3, 5, 7)
        for stride in (1, 2)
    ]
    print_rows([{**one, "difference": f"{one['difference']:.0e}"} for one in rows])
    steps = [step(name, given.batch, given.turns) for name in NETWORKS]
    print_rows(steps)
    print(f"{torch.get_num_threads()} threads, batches of {given.batch}")
    if given.json:
        write_study(given.json, {"rows": rows, "steps": steps})


if __name__ == "__main__":
    main()
