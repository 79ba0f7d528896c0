"""What a Core ML package contains."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgecmp.export.contents import Content
from edgecmp.export.formats.coreml.package import model_path, package_errors, part, read_model
from edgecmp.integrity import KEY
from edgecmp.quiet import quiet_coremltools

__all__ = ["coreml_contents"]


def coreml_contents(package: Path) -> Content:
    """The content of a .mlpackage folder.

    Raises:
        UserError: it cannot be read, or is truncated or damaged.
    """
    with package_errors(package):
        model, folder = read_model(package), model_path(package).parent
        description = model.description
        content = Content(
            form=f"Core ML specification {model.specificationVersion}",
            inputs=[_describe(entry) for entry in description.input],
            outputs=[_describe(entry) for entry in description.output],
            has_metadata=KEY in description.metadata.userDefined,
        )
        form = model.WhichOneof("Type")
        if form != "mlProgram":
            content.form += f", {form or 'empty'}"
        for function in model.mlProgram.functions.values():
            block = function.block_specializations[function.opset]
            content.operators.update(op.type for op in block.operations if op.type != "const")
            for value in _stored_values(block):
                kind, values, size = _stored(value)
                _check_file(value.blobFileValue, size, folder)
                content.count_weight(kind, values, size)
    return content


def _check_file(reference: Any, size: int, folder: Path) -> None:
    """Refuses a value of `size` bytes whose file is not in the package, or ends before it.

    Raises:
        ValueError, OSError: the reason.
    """
    name = reference.fileName.removeprefix("@model_path/")
    file = part(folder, name)
    if not file.is_file():
        raise ValueError(f"its weights {name!r} are missing")
    needed = reference.offset + size
    if file.stat().st_size < needed:
        raise ValueError(
            f"its weights need {needed:,} bytes, but {name!r} has {file.stat().st_size:,}"
        )


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


def _stored(value: Any) -> tuple[str, int, int]:
    """Type of a stored tensor, number of its values, and their bytes."""
    with quiet_coremltools():
        from coremltools.proto.MIL_pb2 import DataType

    tensor = value.type.tensorType
    known = tensor.dataType in DataType.values()
    kind = DataType.Name(tensor.dataType).lower() if known else f"type {tensor.dataType}"
    values = math.prod(axis.constant.size for axis in tensor.dimensions)
    bits = int("".join(filter(str.isdigit, kind)) or 8) if known else 8
    return kind, values, (values * bits + 7) // 8
