"""How long does the weight gradient of a depthwise convolution take, torch's and ours?

    OMP_NUM_THREADS=1 python -m edgecmp.benchmarks.studies.depthwise_gradient --json gradient.json

Milliseconds of processor time, medians of turns, channels last as in training. `used` says which
of the two `edgecmp.networks.depthwise` takes there. Then what it makes of a whole training step,
forward and backward, of the baselines at 64 pixels.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from edgecmp.benchmarks.studies.supernet_speed import of_torch_convolutions
from edgecmp.files import provenance, write_json
from edgecmp.networks.baselines import Baseline, BaselineNet
from edgecmp.networks.depthwise import pays, weight_gradient
from edgecmp.report import table_text

__all__ = ["main", "row", "step"]

NETWORKS = ("proxylessnas_mobile", "mobilenetv3_large_w1", "mobilenetv2_w1", "shufflenetv2_w1")

MAPS = ((16, 64), (8, 160), (4, 320), (2, 640))
"""(side of the map, channels), as in the 100M tier at 64 pixels."""


def row(
    side: int, channels: int, kernel: int, stride: int, batch: int, turns: int
) -> dict[str, Any]:
    """Both gradients of one convolution, in turns."""
    x = torch.randn(batch, channels, side, side).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, 1, kernel, kernel)
    strides, padding = (stride, stride), (kernel // 2, kernel // 2)

    def forward() -> Tensor:
        return F.conv2d(x, weight, None, strides, padding, groups=channels)

    seen = torch.randn_like(forward())

    def theirs() -> Tensor:
        found: Tensor = torch.ops.aten.convolution_backward(
            seen,
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
        return found

    def ours() -> Tensor:
        return weight_gradient(x, seen, (kernel, kernel), strides, padding)

    expected, found = theirs(), ours()
    of_forward, of_theirs, of_ours = _milliseconds((forward, theirs, ours), turns)
    return {
        "map": f"{side}x{side}",
        "kernel": f"{kernel}x{kernel}",
        "stride": stride,
        "forward_ms": of_forward,
        "torch_ms": of_theirs,
        "ours_ms": of_ours,
        "used": "ours" if pays((side, side), (kernel, kernel)) else "torch",
        "difference": float((found - expected).abs().max() / expected.abs().max()),
    }


def step(name: str, batch: int, turns: int) -> dict[str, Any]:
    """A training step of the baseline of that name, by both gradients."""
    ours = Baseline(name=name, input_size=64).build().train()
    ours.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    theirs = of_torch_convolutions(ours)
    images = torch.randn(batch, 3, 64, 64).contiguous(memory_format=torch.channels_last)

    def train(network: BaselineNet) -> None:
        network(images).sum().backward()

    of_theirs, of_ours = _milliseconds((partial(train, theirs), partial(train, ours)), turns)
    return {
        "network": name,
        "torch_ms": of_theirs,
        "ours_ms": of_ours,
        "ratio": round(of_theirs / of_ours, 2),
    }


def _milliseconds(jobs: Sequence[Callable[[], object]], turns: int) -> list[float]:
    """Processor time of each job, the median of turns taken by all of them in order."""
    times: list[list[float]] = [[] for _ in jobs]
    for _ in range(turns):
        for job, taken in zip(jobs, times, strict=True):
            start = time.process_time()
            job()
            taken.append(time.process_time() - start)
    return [round(1e3 * median(taken), 2) for taken in times]


def main(argv: list[str] | None = None) -> None:
    """Measures, prints the table and, if asked, writes it."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
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
    print(
        table_text([{**one, "difference": f"{one['difference']:.0e}"} for one in rows], width=200)
    )
    steps = [step(name, given.batch, given.turns) for name in NETWORKS]
    print(table_text(steps, width=200))
    print(f"{torch.get_num_threads()} threads, batches of {given.batch}")
    if given.json:
        write_json(given.json, {"rows": rows, "steps": steps, "provenance": provenance()})


if __name__ == "__main__":
    main()
