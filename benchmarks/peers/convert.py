"""One conversion of one network, in the environment of the converter.

`edgecmp.benchmarks.peers.run` runs this module as `python -m edgecmp.benchmarks.peers.convert` with
the Python of the peer. The time of a converter is measured from the network in memory to the
finished file, without imports.

The folder of the network contains architecture.json and weights.safetensors (and a manifest, which
"ours" needs). The environment needs torch, numpy, safetensors and rich; "litert-torch-lowered" also
needs the packages that `edgecmp.export.lowering` imports, such as faiss and pytorchcv.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from edgecmp.files import read_tensors, write_json
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.query import QueryNet
from edgecmp.networks.random_weights import patch_images

__all__ = ["CONVERTERS", "convert", "load_network", "main"]

CALIBRATION_IMAGES = 32
"""For litert-torch's int8: only the time matters here, so random patches are sufficient."""

Files = dict[str, Any]
"""By precision: seconds and name of the written file, or the reason why there is none."""


def load_network(folder: Path) -> QueryNet:
    """The network in a folder, in evaluation mode."""
    network = Architecture.load(folder).build()
    network.load_state_dict(read_tensors(folder / "weights.safetensors", what="the weights"))
    return network.eval()


def ours(folder: Path, out: Path) -> Files:
    """`edgecmp.export` to TFLite, in every precision."""
    return _ours("tflite", folder, out)


def onnx_ours(folder: Path, out: Path) -> Files:
    """`edgecmp.export` to ONNX."""
    return {"fp32": _ours("onnx", folder, out)["fp32"]}


def _ours(target: str, folder: Path, out: Path) -> Files:
    import edgecmp.artefacts.bundle  # all imports happen before the clock starts
    import edgecmp.export.lowering
    import edgecmp.kit
    from edgecmp.export import export
    from edgecmp.export.formats import registry

    chosen = registry.target(target)
    if target == "tflite":
        import edgecmp.export.formats.tflite.graph  # noqa: F401
    else:
        import onnx  # noqa: F401
        import onnxsim  # noqa: F401
    files: Files = {}
    for precision in chosen.precisions if target == "tflite" else ("fp32",):
        path = out.with_name(f"{out.name}-{precision}{chosen.suffix}")
        data = "emoji" if precision in chosen.calibrated else None
        start = time.perf_counter()
        try:
            export(target, model=folder, precision=precision, data=data, out=path)
            files[precision] = {"seconds": time.perf_counter() - start, "file": path.name}
        except Exception as error:  # one precision fails, the others are still recorded
            files[precision] = {"reason": f"{type(error).__name__}: {error}"}
    return files


def onnx_torch(folder: Path, out: Path) -> Files:
    """`torch.onnx.export` of the original network."""
    import onnxscript  # noqa: F401

    network, path = load_network(folder), out.with_name(f"{out.name}-fp32.onnx")
    start = time.perf_counter()
    torch.onnx.export(
        network, (_example(network),), path, dynamo=True, external_data=False, verbose=False
    )
    return {"fp32": {"seconds": time.perf_counter() - start, "file": path.name}}


def litert_torch_default(folder: Path, out: Path) -> Files:
    """`litert_torch.convert` of the original network, then ai-edge-quantizer on the file."""
    import litert_torch

    network = load_network(folder)
    plain = out.with_name(f"{out.name}-fp32.tflite")
    start = time.perf_counter()
    litert_torch.convert(network, (_example(network),)).export(str(plain))
    seconds = time.perf_counter() - start
    files: Files = {"fp32": {"seconds": seconds, "file": plain.name}}
    quantise = _quantisers()
    for precision, run in quantise.items():
        path = out.with_name(f"{out.name}-{precision}.tflite")
        start = time.perf_counter()
        try:
            run(str(plain), str(path), network.architecture.input_size)
            spent = time.perf_counter() - start
            files[precision] = {"seconds": seconds + spent, "file": path.name}
        except Exception as error:  # recorded: failures are part of the comparison
            files[precision] = {"reason": f"{type(error).__name__}: {error}"}
    return files


def _quantisers() -> dict[str, Callable[[str, str, int], None]]:
    """By precision: a function (fp32 file, file to write, input size)."""
    from ai_edge_quantizer import algorithm_manager, qtyping, quantizer, recipe

    def fp16(source: str, path: str, size: int) -> None:
        work = quantizer.Quantizer(source)
        work.update_quantization_recipe(
            regex=".*",
            operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
            op_config=qtyping.OpQuantizationConfig(
                weight_tensor_config=qtyping.TensorQuantizationConfig(
                    num_bits=16, dtype=qtyping.TensorDataType.FLOAT
                ),
                compute_precision=qtyping.ComputePrecision.FLOAT,
                explicit_dequantize=True,
            ),
            algorithm_key=algorithm_manager.AlgorithmName.FLOAT_CASTING,
        )
        work.quantize().export_model(path, overwrite=True)

    def int8_weights(source: str, path: str, size: int) -> None:
        work = quantizer.Quantizer(source)
        work.load_quantization_recipe(recipe.weight_only_wi8_afp32())
        work.quantize().export_model(path, overwrite=True)

    def int8(source: str, path: str, size: int) -> None:
        work = quantizer.Quantizer(source)
        work.load_quantization_recipe(recipe.static_wi8_ai8())
        images = patch_images(CALIBRATION_IMAGES, size, 0)
        batches = [{"args_0": image[None].numpy()} for image in images]
        found = work.calibrate({"serving_default": batches})
        work.quantize(found).export_model(path, overwrite=True)

    return {"fp16": fp16, "int8-weights": int8_weights, "int8": int8}


def litert_torch_lowered(folder: Path, out: Path) -> Files:
    """`litert_torch.convert` of edgecmp's lowered module."""
    import litert_torch

    from edgecmp.export.lowering import lower

    network, path = load_network(folder), out.with_name(f"{out.name}-fp32.tflite")
    start = time.perf_counter()
    litert_torch.convert(lower(network), (_example(network),)).export(str(path))
    return {"fp32": {"seconds": time.perf_counter() - start, "file": path.name}}


def executorch(folder: Path, out: Path) -> Files:
    """ExecuTorch with the XNNPACK partitioner, of the original network."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    network, path = load_network(folder), out.with_name(f"{out.name}-fp32.pte")
    start = time.perf_counter()
    program = torch.export.export(network, (_example(network),))
    edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    path.write_bytes(edge.to_executorch().buffer)
    return {"fp32": {"seconds": time.perf_counter() - start, "file": path.name}}


CONVERTERS: dict[str, tuple[Callable[[Path, Path], Files], tuple[str, ...]]] = {
    "ours": (ours, ("torch",)),
    "onnx-ours": (onnx_ours, ("torch", "onnx", "onnxsim")),
    "onnx-torch": (onnx_torch, ("torch", "onnx", "onnxscript")),
    "litert-torch": (litert_torch_default, ("torch", "litert-torch", "ai-edge-quantizer")),
    "litert-torch-lowered": (litert_torch_lowered, ("torch", "litert-torch")),
    "executorch": (executorch, ("torch", "executorch")),
}
"""By name: the converting function, and the packages whose versions are recorded."""


def _example(network: QueryNet) -> torch.Tensor:
    size = network.architecture.input_size
    return torch.zeros(1, 3, size, size)


def convert(name: str, folder: Path, out: Path) -> dict[str, Any]:
    """Runs a converter; `out` is the folder and the prefix of the names of its files.

    Returns:
        "files": by precision (see `Files`); "versions": versions of the packages, by name.
    """
    run, packages = CONVERTERS[name]
    with torch.no_grad():
        files = run(folder, out)
    return {
        "files": files,
        "versions": {package: importlib.metadata.version(package) for package in packages},
    }


def main() -> None:
    """Runs `convert` and writes its document to <out>.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=list(CONVERTERS))
    parser.add_argument("--network", type=Path, required=True, help="folder of the network")
    parser.add_argument("--out", type=Path, required=True, help="prefix of the names of the files")
    given = parser.parse_args()
    document = convert(given.name, given.network, given.out)
    write_json(given.out.with_name(f"{given.out.name}.json"), document)


if __name__ == "__main__":
    main()
