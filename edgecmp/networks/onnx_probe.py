"""Runs an opened ONNX file on a few images, to refuse networks that cannot embed a gallery."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import UserError
from edgecmp.networks.collapse import warn_if_collapsed
from edgecmp.networks.onnx_file import OnnxFile
from edgecmp.progress import say

__all__ = ["Probed", "probe", "probe_images"]

BATCH = 32
BATCH_PIXELS = 2**21
"""Pixels of the images in a batch: large images are embedded a few at a time, since the memory of a
vision transformer grows with the square of their pixels."""
PROBES = 3
SAME = 1e-6
"""Largest difference, relative to the values, between outputs of a constant network."""
ROUNDING = 1e-2
"""Largest difference, relative to the length, that float rounding explains in half precision."""
WIDEST = 65_536
"""Most values of an embedding."""

Run = Callable[[NDArray[Any]], NDArray[np.float32]]
"""Prepared images (n, H, W, 3) uint8 to embeddings (n, D), in one call of the runtime."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Probed:
    """The facts that the test images show.

    Attributes:
        batch: number of images per call.
        embedding_dim: D.
    """

    batch: int
    embedding_dim: int


def probe(file: OnnxFile, run: Run, size: tuple[int, int], name: str) -> Probed:
    """Runs the file on test images, alone and together.

    Args:
        file: the opened file.
        run: runs one batch, of exactly `file.batch_size` images if that is fixed.
        size: height and width of the images, in pixels.
        name: of the network, for messages.

    Raises:
        UserError: the file does not run, or its embeddings are constant, not finite, or depend on
            the other images of the batch.
    """
    images = probe_images(*size)
    count = file.batch_size
    together = None
    if count is None and any(kind.startswith("DynamicQuantize") for kind in file.operators):
        say(
            f"{name} quantises each batch by the values in it, so that its images are embedded one "
            "by one."
        )
    elif count is None:
        together = _together(run, images)
    elif count > 1:
        together = run(np.resize(images, (count, *images.shape[1:])))[:PROBES]
    if together is None:
        outputs = np.concatenate([run(image[None]) for image in images])
        return Probed(batch=1, embedding_dim=_checked(outputs, file, name))
    dim = _checked(together, file, name)
    _check_alone(run(np.repeat(images[:1], count or 1, axis=0))[0], together[0], file)
    most = max(1, BATCH_PIXELS // (size[0] * size[1]))
    return Probed(batch=count or min(BATCH, most), embedding_dim=dim)


def probe_images(height: int, width: int) -> NDArray[np.uint8]:
    """Three unlike images, (3, H, W, 3): coloured fields, a gradient, a disc on a fine pattern."""
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    across = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    fields = np.random.default_rng(0).integers(0, 256, (4, 4, 3))
    rows, columns = (3.999 * down).astype(int), (3.999 * across).astype(int)
    gradient = np.stack(np.broadcast_arrays(255 * across, 255 * down, 255 * (1 - across)), axis=-1)
    pattern = np.where(
        (np.arange(height)[:, None] // 2 + np.arange(width)[None] // 2) % 2, 230, 180
    )
    disc = np.where((down - 0.5) ** 2 + (across - 0.5) ** 2 < 0.1, 40, pattern)
    drawn = np.stack([disc, disc // 2, 255 - disc], axis=-1)
    images: NDArray[np.uint8] = np.stack([fields[rows, columns], gradient, drawn]).astype(np.uint8)
    return images


def _together(run: Run, images: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """The outputs of one batch; None if the network only runs on single images."""
    try:
        return run(images)
    except UserError:
        return None


def _check_alone(alone: NDArray[np.float32], together: NDArray[np.float32], file: OnnxFile) -> None:
    """Refuses a network that embeds an image differently alone and with others."""
    if np.linalg.norm(alone - together) <= ROUNDING * np.linalg.norm(together):
        return
    lengths = float(np.linalg.norm(alone) * np.linalg.norm(together))
    raise UserError(
        f"{file.path} cannot be used: it embeds the same image differently alone and in a batch "
        f"(cosine {float(alone @ together) / max(lengths, 1e-30):.4f}), as batch normalisation and "
        "dropout in training mode do.",
        "Export the network again in evaluation mode, in PyTorch after `model.eval()`.",
    )


def _checked(outputs: NDArray[np.float32], file: OnnxFile, name: str) -> int:
    """D of usable embeddings of different images."""
    if not np.isfinite(outputs).all():
        raise file.unusable("its embedding of a test image is not finite")
    dim = outputs.shape[1]
    if dim > WIDEST:
        raise file.unusable(f"its embeddings have {dim:,} values, more than {WIDEST:,}")
    scale = max(float(np.abs(outputs).max()), 1e-30)
    if float(np.ptp(outputs, axis=0).max()) <= SAME * scale:
        raise UserError(
            f"{file.path} returns the same embedding for every image.",
            "Check that mean and std in its description are those of its training, and that "
            "trained weights were exported.",
        )
    warn_if_collapsed(outputs, name)
    return dim
