"""TFLite: writes the closed set of operations of a lowered network directly, without a converter.

Batch 1. Input `image`: float32 (1, S, S, 3), already normalised, or the image itself, uint8
(1, S, S, 3) RGB; output `embedding`, float32 (1, D), unit length. With fp16 the weights are stored
as float16 behind DEQUANTIZE operators, which the runtimes resolve when they load the file; with
int8-weights they are stored as integers with one scale per channel, in the same way; arithmetic
stays float32. With int8 everything up to the pooled features is computed in integers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgecmp.export.formats.registry import Job, register_target
from edgecmp.export.formats.tflite.parse import parse_tflite, tflite_errors
from edgecmp.export.guarded_open import no_metadata
from edgecmp.files import write_atomic
from edgecmp.integrity import KEY

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgecmp.export.lowering import LoweredNet
    from edgecmp.preprocessing import Preprocessing

__all__ = ["read_tflite", "tflite_bytes", "write_tflite"]


def read_tflite(path: Path) -> bytes:
    """The metadata document of a .tflite file that edgecmp exported; see `Target.read`."""
    model = parse_tflite(path)
    with tflite_errors(path):
        for entry in model.metadata or ():
            if entry.name == KEY.encode():
                return bytes(model.buffers[entry.buffer].data)
    raise no_metadata(path, "tflite")


def tflite_bytes(
    network: LoweredNet,
    *,
    precision: str = "fp32",
    images: NDArray[np.uint8] | None = None,
    preprocessing: Preprocessing | None = None,
    document: bytes = b"",
) -> bytes:
    """The network as a TFLite file.

    Args:
        network: float32; its `input_size` becomes the file's.
        precision: one of the target's.
        images: for "int8": real training images (N, S, S, 3).
        preprocessing: for "int8": how these images become the network's input.
        document: the metadata document; none is stored if it is empty.
    """
    from edgecmp.export.formats.tflite.graph import write_graph

    metadata = {KEY: document} if document else {}
    if precision == "int8":
        from edgecmp.export.quantisation.quantise import quantise

        assert images is not None
        assert preprocessing is not None
        graph, plan = quantise(network, images, preprocessing)
        return write_graph(graph, store="int8", plan=plan, metadata=metadata)
    store = "int8" if precision == "int8-weights" else precision
    return write_graph(network.graph, store=store, metadata=metadata)


@register_target(
    "tflite",
    suffix=".tflite",
    precisions=("fp32", "fp16", "int8-weights", "int8"),
    calibrated=("int8",),
    packages=("ai_edge_litert", "flatbuffers"),
    read=read_tflite,
)
def write_tflite(job: Job, path: Path) -> None:
    """Writes the file; see `Target.write`."""
    model = tflite_bytes(
        job.network,
        precision=job.metadata.precision,
        images=job.images,
        preprocessing=job.metadata.build_preprocessing(),
        document=job.metadata.write(),
    )
    write_atomic(path, model)
