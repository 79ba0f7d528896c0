"""TFLite: a direct writer for the closed set of operations of a lowered network.

Batch 1. Input `image`: float32 (1, S, S, 3), already normalised, or the image itself, uint8
(1, S, S, 3) RGB; output `embedding`, float32 (1, D), unit length. With fp16 the weights are stored
in half the size behind DEQUANTIZE operators, which the runtimes resolve when they load the file;
with int8-weights they are stored as integers with one scale a channel, in the same way; arithmetic
stays float32. With int8 everything up to the pooled features is computed in integers.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

from edgecmp.errors import UserError
from edgecmp.export.guarded_open import read_file
from edgecmp.export.metadata import KEY
from edgecmp.export.targets.registry import Job, register_target
from edgecmp.files import write_atomic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgecmp.export.lowering import LoweredNet
    from edgecmp.preprocessing import Preprocessing

__all__ = ["read_tflite", "tflite_bytes", "write_tflite"]


def read_tflite(path: Path) -> bytes:
    """The metadata document of a .tflite file of ours; see `Target.read`."""
    from ai_edge_litert import schema_py_generated as schema

    data = read_file(path)
    again = "Write it again with `edgecmp export --target tflite`."
    if data[4:8] != b"TFL3":
        raise UserError(f"{path} is not a TFLite file.", again)
    try:
        schema.ModelT.InitFromPackedBuf(data)  # reads every table, so none may be cut off
        model = schema.Model.GetRootAs(data, 0)
        document = b""
        for index in range(model.MetadataLength()):
            entry = model.Metadata(index)
            if entry.Name() == KEY.encode():
                document = bytes(model.Buffers(entry.Buffer()).DataAsNumpy())
        last = max(
            model.Buffers(index)._tab.Pos + model.Buffers(index).DataLength()
            for index in range(model.BuffersLength())
        )
    except (IndexError, ValueError, AttributeError, TypeError, struct.error) as error:
        raise UserError(f"{path} is truncated or damaged.", again) from error
    if last > len(data):
        raise UserError(f"{path} is truncated or damaged.", again)
    if not document:
        raise UserError(
            f"{path} holds no edgecmp metadata: it was not written by `edgecmp export`.", again
        )
    return document


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
        preprocessing: for "int8": what makes them the network's input.
        document: the metadata document.
    """
    from edgecmp.export.targets.tflite.graph import write_graph

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
