"""coremltools' own conversion, without edgecmp's writer."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from edgecmp.quiet import quiet_coremltools

__all__ = ["convert"]


def convert(module: nn.Module, image: Tensor, folder: Path) -> Path:
    """The package of a module that reads a value like `image`, in float32 for iOS 15."""
    with quiet_coremltools():
        import coremltools

        model = coremltools.convert(
            torch.jit.trace(module, image, check_trace=False),  # type: ignore[no-untyped-call]
            inputs=[coremltools.TensorType(name="image", shape=tuple(image.shape))],
            outputs=[coremltools.TensorType(name="embedding")],
            convert_to="mlprogram",
            minimum_deployment_target=coremltools.target.iOS15,
            compute_precision=coremltools.precision.FLOAT32,
            skip_model_load=True,
        )
        model.save(str(folder / "module.mlpackage"))
    return folder / "module.mlpackage"
