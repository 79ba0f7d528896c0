"""Small .tflite files to time."""

from __future__ import annotations

from pathlib import Path

import torch

from edgecmp.export.lowering import Graph, LoweredNet
from edgecmp.export.lowering.graph import IMAGE, Conv
from edgecmp.export.tflite import tflite_bytes

__all__ = ["write_model", "write_models"]


def write_model(path: Path, channels: int = 8) -> Path:
    """One convolution of a 32-pixel image, as a .tflite file."""
    weight = torch.randn(channels, 3, 3, 3, generator=torch.Generator().manual_seed(channels))
    conv = Conv(name="conv", inputs=(IMAGE,), weight=weight, bias=torch.zeros(channels))
    path.write_bytes(tflite_bytes(LoweredNet(Graph(nodes=(conv,), input_shape=(3, 32, 32)))))
    return path


def write_models(folder: Path, count: int) -> list[Path]:
    """So many files with 8, 16, ... channels."""
    return [write_model(folder / f"{n}.tflite", 8 * (n + 1)) for n in range(count)]
