"""The reference runner against Apple's own weight reader, torch, and bad packages."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.errors import UserError
from edgecmp.export.formats.coreml.writer import read_coreml, write_coreml
from edgecmp.export.formats.registry import Job, target
from edgecmp.export.lowering import lower
from edgecmp.export.metadata import Metadata
from edgecmp.export.runtimes.mil.operations import OPERATIONS
from edgecmp.export.runtimes.mil.program import MilProgram
from edgecmp.export.runtimes.mil.values import Constants
from edgecmp.export.runtimes.mil.weights import DECOMPRESSIONS
from edgecmp.files import sha256_json
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.query import QueryNet
from edgecmp.quiet import quiet_coremltools
from scripts.check_mil import equals_apples
from tests.export.coreml_reference import convert
from tests.fixtures.runtimes import needs_coremltools

pytestmark = needs_coremltools

with quiet_coremltools():
    from coremltools.converters.mil.mil import types
    from coremltools.converters.mil.mil.types import type_mapping
    from coremltools.libmilstoragepython import _BlobStorageWriter
    from coremltools.proto.MIL_pb2 import DataType, Value


Packages = dict[str, Path]
MakeImages = Callable[[int, int, int], Tensor]
MakeNetwork = Callable[[Architecture, int], QueryNet]

SMALL_TYPES = [("int4", -8, 7), *((f"uint{bits}", 0, 2**bits - 1) for bits in (1, 2, 3, 4, 6))]


@pytest.fixture(scope="module")
def network(query_folder: Path) -> QueryNet:
    network = QueryBundle.load(query_folder).network
    assert isinstance(network, QueryNet)
    return network


@pytest.fixture(scope="module")
def packages(exported: Callable[[str, str], Path]) -> Packages:
    return {precision: exported("coreml", precision) for precision in ("fp32", "fp16")}


def metadata(architecture: Architecture) -> Metadata:
    preprocessing = {"input_size": architecture.input_size}
    return Metadata(
        target="coreml",
        precision="fp32",
        input="tensor",
        architecture=architecture.to_dict(),
        preprocessing=preprocessing,
        preprocessing_fingerprint=sha256_json(preprocessing),
        gallery_sha256="0" * 64,
        weights_sha256="1" * 64,
        provenance={"edgecmp": "test"},
    )


def embeddings(package: Path, images: Tensor) -> Tensor:
    return MilProgram(package).run(image=images[:, None])["embedding"][:, 0]


@pytest.mark.slow
def test_every_weight_is_what_apples_reader_reads(packages: Packages, network: QueryNet) -> None:
    """The other precisions and systems: see test_coreml.py."""
    program = MilProgram(packages["fp32"])
    kernels = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    stored = {weight.offset: weight.values.size for weight in program.weights.values()}
    assert sum(stored.values()) >= sum(m.weight.numel() for m in kernels if m.weight.numel() > 64)
    assert all(equals_apples(weight) for weight in program.weights.values())


@pytest.mark.parametrize(("name", "low", "high"), [*SMALL_TYPES])
def test_numbers_of_less_than_a_byte(name: str, low: int, high: int, tmp_path: Path) -> None:
    """Packed by Apple's writer, read by us; 101 values end inside a byte."""
    values = np.random.default_rng(0).integers(low, high + 1, 101).astype(np.int8)
    packed = values.astype(type_mapping.nptype_from_builtin(getattr(types, name)))
    file = tmp_path / "weight.bin"
    writer = _BlobStorageWriter(str(file))
    offset = getattr(writer, f"write_{name}_data")(packed)
    del writer
    message = Value()
    message.type.tensorType.dataType = DataType.Value(name.upper())
    message.type.tensorType.dimensions.add().constant.size = len(values)
    message.blobFileValue.fileName = "@model_path/weight.bin"
    message.blobFileValue.offset = offset
    constants = Constants(tmp_path)
    read = constants.read(message, "it")
    assert isinstance(read, np.ndarray)
    assert read.tolist() == values.tolist()
    assert equals_apples(constants.weights["it"])


def test_a_table_of_vectors_and_of_blocks() -> None:
    """The two examples of the MIL specification of iOS 18."""
    lut_to_dense = DECOMPRESSIONS["constexpr_lut_to_dense"]
    indices = np.array([[2, 3], [3, 0], [1, 0], [3, 0], [2, 1], [0, 3]], np.uint8)
    lut = np.array([1, 5, 9, 13, 2, 10, 18, 26], np.float32).reshape(2, 1, 4, 1)
    expected = [[9, 13], [13, 1], [5, 1], [26, 2], [18, 10], [2, 26]]
    assert lut_to_dense(indices=indices, lut=lut).tolist() == expected
    indices = np.array([[[0, 0], [1, 0]], [[1, 1], [0, 0]]], np.uint8)
    lut = np.array([1, 2, 3, 4, 5, 6], np.float32).reshape(1, 1, 1, 2, 3)
    joined = lut_to_dense(indices=indices, lut=lut, vector_axis=np.array(1))
    assert joined.shape == (2, 6, 2)
    assert joined[0].tolist() == [[1, 1], [2, 2], [3, 3], [4, 1], [5, 2], [6, 3]]
    with pytest.raises(ValueError, match="needs a vector_axis"):
        lut_to_dense(indices=indices, lut=lut)
    with pytest.raises(ValueError, match="beyond its table"):
        lut_to_dense(indices=indices + 1, lut=lut, vector_axis=np.array(1))


def test_blocks_have_their_own_scale_and_offset() -> None:
    shift_scale = DECOMPRESSIONS["constexpr_blockwise_shift_scale"]
    data = np.arange(8, dtype=np.int8).reshape(2, 4)
    scale, offset = np.array([[1, 10], [2, 20]], np.float32), np.array([[0, 1], [4, 4]], np.int8)
    expected = [[0, 1, 10, 20], [0, 2, 40, 60]]
    assert shift_scale(data=data, scale=scale, offset=offset).tolist() == expected
    with pytest.raises(ValueError, match="does not divide into blocks of"):
        shift_scale(data=data, scale=scale[:, :1].repeat(3, 1))


def test_casts_of_constants() -> None:
    values = np.array([1.5, 65504], np.float16)
    found = DECOMPRESSIONS["constexpr_cast"](source_val=values, output_dtype="fp32")
    assert found.dtype == np.float32
    assert found.tolist() == [1.5, 65504.0]


def exact(network: QueryNet, pictures: Tensor) -> Tensor:
    """What the network gives in float64: torch's own float32 is off by as much as a package is."""
    with torch.no_grad():
        embedded: Tensor = copy.deepcopy(network).double()(pictures.double())
        return embedded.float()


def test_fp32_package_computes_what_torch_computes(
    packages: Packages, network: QueryNet, images: MakeImages
) -> None:
    pictures = images(12, 64, 3)
    found = embeddings(packages["fp32"], pictures)
    torch.testing.assert_close(found, exact(network, pictures), atol=1e-5, rtol=0)


def test_fp16_package_is_near_torch_but_rounded(
    packages: Packages, network: QueryNet, images: MakeImages
) -> None:
    pictures = images(12, 64, 3)
    found = embeddings(packages["fp16"], pictures)
    assert F.cosine_similarity(found, exact(network, pictures)).min() > 0.999
    assert torch.equal(found, found.half().float())


def test_a_batch_is_computed_as_its_images_alone(packages: Packages, images: MakeImages) -> None:
    pictures = images(3, 64, 8)
    alone = torch.cat([embeddings(packages["fp32"], picture[None]) for picture in pictures])
    torch.testing.assert_close(embeddings(packages["fp32"], pictures), alone, atol=1e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_random_networks_of_any_form(
    random_network: MakeNetwork, images: MakeImages, tmp_path: Path, seed: int
) -> None:
    """An odd size, where padding is not symmetric; shuffles left in; 7x7 kernels split."""
    architecture = Architecture.random("100M", seed=seed, embedding_dim=16, input_size=33)
    network = random_network(architecture, seed)
    package = tmp_path / "random.mlpackage"
    lowered = lower(network, without=("fold_shuffle", *["split_depthwise"] * (not seed)))
    write_coreml(Job(network=lowered, metadata=metadata(architecture)), package)
    pictures = images(4, 33, seed)
    torch.testing.assert_close(
        embeddings(package, pictures), exact(network, pictures), atol=1e-5, rtol=0
    )


class Arithmetic(nn.Module):
    """The operations of the runner's table that our networks do not reach."""

    def forward(self, x: Tensor) -> Tensor:
        left, right = torch.split(x, [1, 2], 1)
        x = torch.cat((left * right, (left - right).clamp(-0.25, 0.5)), 1)
        x = F.pad(x, (1, 0, 2, 1), value=0.75) + 1.0
        x = x.permute(0, 2, 1, 3).unsqueeze(1).squeeze(1)
        x = x[:, 1::2, -3:, 1:-1]
        return x / torch.maximum(x, torch.ones(1))


def test_other_operations_of_the_table(tmp_path: Path) -> None:
    x = torch.randn(1, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    module = Arithmetic().eval()
    package = convert(module, x, tmp_path)
    torch.testing.assert_close(MilProgram(package).run(image=x[None])["embedding"][0], module(x))


def test_concat_can_take_values_in_turns() -> None:
    x, y = torch.arange(4.0).reshape(1, 2, 2), 10 + torch.arange(4.0).reshape(1, 2, 2)
    result = OPERATIONS["concat"](values=[x, y], axis=1, interleave=True)
    assert isinstance(result, Tensor)
    assert result[0, :, 0].tolist() == [0, 10, 2, 12]


@pytest.mark.parametrize(("size", "kernel", "stride"), [(7, 3, 1), (8, 3, 2), (9, 5, 2), (6, 1, 1)])
def test_same_padding_gives_every_stride_a_value(size: int, kernel: int, stride: int) -> None:
    x, weight = torch.randn(1, 2, size, size), torch.randn(3, 2, kernel, kernel)
    outputs = -(-size // stride)
    for pad_type in ("same", "same_lower"):
        result = OPERATIONS["conv"](x=x, weight=weight, strides=(stride, stride), pad_type=pad_type)
        assert isinstance(result, Tensor)
        assert result.shape == (1, 3, outputs, outputs)
    if stride == 1:
        upper = OPERATIONS["conv"](x=x, weight=weight, pad_type="same")
        torch.testing.assert_close(upper, F.conv2d(x, weight, padding="same"))


def test_the_same_network_gives_the_same_bytes(
    packages: Packages, network: QueryNet, tmp_path: Path
) -> None:
    again = tmp_path / "again.mlpackage"
    document = Metadata.read(read_coreml(packages["fp32"]), source="a package")
    write_coreml(
        Job(network=lower(network, without=target("coreml").without), metadata=document), again
    )
    files = sorted(file.relative_to(again) for file in again.rglob("*") if file.is_file())
    assert len(files) == 3
    for file in files:
        assert (again / file).read_bytes() == (packages["fp32"] / file).read_bytes()


def damaged(package: Path, folder: Path) -> tuple[Path, Path, Path]:
    """A copy of a package, with the paths of its program and its weights."""
    copy = folder / "damaged.mlpackage"
    shutil.copytree(package, copy)
    data = copy / "Data" / "com.apple.CoreML"
    return copy, data / "model.mlmodel", data / "weights" / "weight.bin"


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("part", [0, 1])
def test_a_truncated_package_is_refused(
    packages: Packages, tmp_path: Path, share: float, part: int
) -> None:
    copy, *files = damaged(packages["fp32"], tmp_path)
    content = files[part].read_bytes()
    files[part].write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"damaged\.mlpackage is not a complete Core ML package"):
        read_coreml(copy)


@pytest.mark.parametrize("missing", ["Manifest.json", "Data"])
def test_a_package_with_a_missing_part_is_refused(
    packages: Packages, tmp_path: Path, missing: str
) -> None:
    copy, *_ = damaged(packages["fp32"], tmp_path)
    target = copy / missing
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    with pytest.raises(UserError, match="not a complete Core ML package"):
        read_coreml(copy)


def test_an_overwritten_weight_header_is_refused(packages: Packages, tmp_path: Path) -> None:
    copy, _, weights = damaged(packages["fp32"], tmp_path)
    content = bytearray(weights.read_bytes())
    offset = next(iter(MilProgram(copy).weights.values())).offset
    content[offset : offset + 4] = b"\0\0\0\0"
    weights.write_bytes(bytes(content))
    with pytest.raises(UserError, match="contains no record of its constant"):
        read_coreml(copy)


def test_flipped_bytes_of_the_program_never_crash_the_reader(
    packages: Packages, tmp_path: Path
) -> None:
    copy, model, _ = damaged(packages["fp32"], tmp_path)
    content, generator = model.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        flipped = bytearray(content)
        for place in generator.integers(0, len(content), 20):
            flipped[place] ^= 1 << int(generator.integers(8))
        model.write_bytes(bytes(flipped))
        try:
            MilProgram(copy)
        except UserError:
            refused += 1
    assert refused > 30


def test_an_unknown_operation_is_named(tmp_path: Path) -> None:
    package = convert(nn.Sigmoid().eval(), torch.zeros(1, 4), tmp_path)
    with pytest.raises(UserError, match="the operation 'sigmoid', which the reference runner"):
        MilProgram(package)


def test_an_external_package_is_refused(tmp_path: Path) -> None:
    package = convert(nn.ReLU().eval(), torch.zeros(1, 4), tmp_path)
    with pytest.raises(UserError, match="contains no edgecmp metadata"):
        read_coreml(package)
