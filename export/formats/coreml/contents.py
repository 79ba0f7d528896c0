"""What a Core ML package contains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgecmp.export.contents import Content
from edgecmp.export.formats.coreml.package import package_errors, read_model
from edgecmp.export.guarded_open import damaged
from edgecmp.export.metadata import KEY
from edgecmp.quiet import quiet_coremltools

__all__ = ["coreml_contents"]


def coreml_contents(package: Path) -> Content:
    """The content of a .mlpackage folder.

    Raises:
        UserError: it cannot be read, or is truncated or damaged.
    """
    with package_errors(package):
        model = read_model(package)
    description = model.description
    content = Content(
        form=f"Core ML specification {model.specificationVersion}",
        inputs=[_describe(entry) for entry in description.input],
        outputs=[_describe(entry) for entry in description.output],
        has_metadata=KEY in description.metadata.userDefined,
    )
    for function in model.mlProgram.functions.values():
        block = function.block_specializations[function.opset]
        content.operators.update(op.type for op in block.operations if op.type != "const")
        for value in _stored_values(block):
            _count(content, value)
    needed = sum(size for _, size in content.weights.values())
    stored = sum(file.stat().st_size for file in package.rglob("*.bin"))
    if stored < needed:
        raise damaged(package, f"its weights need {needed:,} bytes, but it contains {stored:,}")
    return content


def _describe(entry: Any) -> str:
    """Name, type and shape of an input or output."""
    kind = entry.type.WhichOneof("Type")
    if kind == "imageType":
        return f"{entry.name}: {_image(entry.type.imageType)}"
    if kind == "multiArrayType":
        return f"{entry.name}: {_array(entry.type.multiArrayType)}"
    return f"{entry.name}: {kind}"


def _image(image: Any) -> str:
    with quiet_coremltools():
        from coremltools.proto.FeatureTypes_pb2 import ImageFeatureType

    space = ImageFeatureType.ColorSpace.Name(image.colorSpace)
    return f"{space} image ({image.height}, {image.width})"


def _array(array: Any) -> str:
    with quiet_coremltools():
        from coremltools.proto.FeatureTypes_pb2 import ArrayFeatureType

    kind = ArrayFeatureType.ArrayDataType.Name(array.dataType).lower()
    return f"{kind} ({', '.join(str(size) for size in array.shape)})"


def _stored_values(block: Any) -> Iterator[Any]:
    """The values of a program that are stored in its weight file."""
    for operation in block.operations:
        arguments = [
            argument.value for entry in operation.inputs.values() for argument in entry.arguments
        ]
        for value in (*operation.attributes.values(), *arguments):
            if value.WhichOneof("value") == "blobFileValue":
                yield value


def _count(content: Content, value: Any) -> None:
    """Adds a value of the weight file to the weights."""
    with quiet_coremltools():
        from coremltools.proto.MIL_pb2 import DataType

    tensor = value.type.tensorType
    kind = DataType.Name(tensor.dataType).lower()
    values = int(np.prod([axis.constant.size for axis in tensor.dimensions]))
    bits = int("".join(filter(str.isdigit, kind)) or 8)
    content.count_weight(kind, values, (values * bits + 7) // 8)
