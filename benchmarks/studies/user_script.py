"""What a user would write without edgecmp: MobileNetV2(0.5x) that repeats a gallery's embeddings.

This is the script that `edgecmp.benchmarks.studies.own_gallery` measures. It uses torch, pytorchcv
and ONNX Runtime alone: the photos are embedded once, then a network learns the embeddings of
augmented photos by their cosine until the time is up.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from pytorchcv.model_provider import get_model
from torch import Tensor, nn

__all__ = ["Student", "train"]


class Student(nn.Module):
    """MobileNetV2(0.5x) from random weights, with a linear layer to the gallery's width."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.features = get_model("mobilenetv2_wd2").features
        self.features.final_pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(1280, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Images in -1..1, (N, 3, S, S), to embeddings (N, D) of unit length."""
        return F.normalize(self.head(self.features(x).flatten(1)), dim=1)


def augment(x: Tensor, strength: float) -> Tensor:
    """Random crops, brightness and contrast of images in 0..255, (N, 3, S, S)."""
    n = len(x)
    side = 1 - 0.5 * strength * torch.rand(n)
    crop = torch.zeros(n, 2, 3)
    crop[:, 0, 0] = crop[:, 1, 1] = side
    crop[:, :, 2] = (torch.rand(n, 2) * 2 - 1) * (1 - side)[:, None]
    grid = F.affine_grid(crop, list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    contrast, brightness = (1 + strength * (torch.rand(2, n, 1, 1, 1) - 0.5)).unbind()
    return (((x - 128) * contrast + 128) * brightness).clamp(0, 255)


def train(
    photos: Iterable[Image.Image],
    gallery: Path,
    prepare: Callable[[Image.Image], NDArray[Any]],
    *,
    seconds: float,
    size: int = 64,
    lr: float = 2e-3,
    batch: int = 128,
    strength: float = 0.5,
    seed: int = 0,
) -> tuple[Student, dict[str, float]]:
    """The trained network after so many seconds, with its "embed_seconds" and "epochs".

    Args:
        photos: the training images, RGB.
        gallery: an ONNX file with one output.
        prepare: one image as that file reads it, (3, H, W) float32.
        seconds: of everything from reading the photos on.
        size: side of the network's images, in pixels.
        lr: of AdamW at its highest; it follows a cosine to 0.
        batch: images per step.
        strength: of the augmentation; 0 for none.
        seed: of the weights and all random choices.
    """
    import onnxruntime

    start = time.perf_counter()
    torch.manual_seed(seed)
    session = onnxruntime.InferenceSession(str(gallery), providers=["CPUExecutionProvider"])
    name, small, found, waiting = session.get_inputs()[0].name, [], [], []
    for photo in photos:
        small.append(np.array(photo.resize((size, size), Image.Resampling.BILINEAR)))
        waiting.append(prepare(photo))
        if len(waiting) == 32:
            found.append(session.run(None, {name: np.stack(waiting)})[0])
            waiting = []
    if waiting:
        found.append(session.run(None, {name: np.stack(waiting)})[0])
    targets = F.normalize(torch.from_numpy(np.concatenate(found)).flatten(1).float(), dim=1)
    pixels = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2)
    student = Student(targets.shape[1])
    student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(student.parameters(), lr=lr, weight_decay=0.05)
    embedded, steps, order = time.perf_counter() - start, 0, torch.empty(0, dtype=torch.long)
    while (now := time.perf_counter() - start) < seconds:
        done = (now - embedded) / (seconds - embedded)
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (steps + 1) / 50) * 0.5 * (1 + math.cos(math.pi * done))
        if len(order) < min(batch, len(pixels)):
            order = torch.randperm(len(pixels))
        rows, order = order[:batch], order[batch:]
        x = augment(pixels[rows].float(), strength) / 127.5 - 1
        x = x.contiguous(memory_format=torch.channels_last)  # twice as fast on a CPU
        loss = (1 - (student(x) * targets[rows]).sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
    epochs = steps * min(batch, len(pixels)) / len(pixels)
    return student.eval(), {"embed_seconds": embedded, "epochs": epochs}
