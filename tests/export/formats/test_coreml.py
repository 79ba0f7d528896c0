"""Core ML packages of every precision, input and system, through the reference runner."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.artefacts.manifest import Manifest
from edgecmp.errors import UserError
from edgecmp.export import export, targets
from edgecmp.export.formats.coreml import writer as coreml
from edgecmp.export.formats.coreml.systems import SYSTEMS, choose_system
from edgecmp.export.formats.coreml.weights import COMPRESSIONS, palette
from edgecmp.export.formats.coreml.writer import read_coreml, write_coreml
from edgecmp.export.formats.registry import Job
from edgecmp.export.lowering import lower
from edgecmp.export.metadata import Metadata
from edgecmp.export.parity.verdict import BOUNDS
from edgecmp.export.runtimes.mil.program import MilProgram
from edgecmp.export.runtimes.open import read_metadata
from edgecmp.export.runtimes.runners import MilReferenceRunner
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.baselines import BASELINES, Baseline
from edgecmp.preprocessing import Preprocessing
from edgecmp.quiet import quiet_coremltools
from scripts.check_mil import equals_apples
from tests.export.export_metadata import metadata_of
from tests.fixtures.runtimes import needs_coremltools

pytestmark = needs_coremltools

MakeImages = Callable[[int, int, int], Tensor]
Make = Callable[[str, str], Path]
Pixels = NDArray[np.uint8]

COMPRESSED = [
    ("int8-weights", "iOS16"),
    ("int8-weights", "iOS18"),
    ("palette8", "iOS17"),
    ("palette6", "iOS16"),
    ("palette6", "iOS18"),
]

VARIANTS = [*COMPRESSED, ("fp16", "iOS15"), ("fp32", "iOS18")]
"""Each system, each precision, and both forms of compressed weights; fp32 on iOS15: test_mil."""

NEAR = {"fp32": 0.99999, "fp16": 0.999, "int8-weights": 0.98, "palette8": 0.95, "palette6": 0.5}
"""Least cosines on a random network, which amplifies rounding far more than trained ones do."""

CODES = {"int8-weights": "int8", "palette8": "uint8", "palette6": "uint8"}
"""How compressed values are stored before iOS 18."""


@pytest.fixture(scope="module")
def pixels(images: MakeImages) -> Pixels:
    return ((images(8, 64, 9) + 1) * 127.5).byte().permute(0, 2, 3, 1).contiguous().numpy()


@pytest.fixture(scope="module")
def package(
    baseline_folder: Path, pixels: Pixels, tmp_path_factory: pytest.TempPathFactory
) -> Make:
    """package(precision, system): each is made once; those for iOS 17 read images."""
    folder = tmp_path_factory.mktemp("packages")

    @functools.cache
    def make(precision: str, system: str) -> Path:
        path = folder / f"{precision}-{system}.mlpackage"
        write(baseline_folder, precision, system, pixels, path)
        return path

    return make


def write(folder: Path, precision: str, system: str, pixels: Pixels, path: Path) -> None:
    bundle = QueryBundle.load(folder)
    images = system == "iOS17"
    metadata = metadata_of(
        bundle,
        target="coreml",
        precision=precision,
        input="image" if images else "tensor",
        options={"system": system},
    )
    network = lower(
        bundle.network,
        pixels=bundle.preprocessing if images else None,
        without=targets()["coreml"].without,
    )
    write_coreml(Job(network=network, metadata=metadata, images=pixels), path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "precision", "system"),
    [
        ("our own blocks", "fp16", "iOS17"),
        ("mobilenetv3_large_w1", "fp32", "iOS16"),
        ("shufflenetv2_w1", "palette6", "iOS18"),
    ],
)
def test_the_passes_that_are_left_out_change_nothing(
    name: str,
    precision: str,
    system: str,
    pixels: Pixels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same bytes as with all of coremltools' own."""
    form = Baseline(name=name) if name in BASELINES else Architecture.random("100M", seed=5)
    if isinstance(form, Architecture):
        assert set(form.blocks) == {0, 1, 2, 3}
    network = form.resized(64).build().eval()
    manifest = Manifest(kind="query", preprocessing=Preprocessing(input_size=64).to_dict())
    QueryBundle(network=network, manifest=manifest).save(tmp_path / "query")
    files = []
    for passes in ("ours", "all"):
        if passes == "all":
            monkeypatch.setattr(coreml, "_pipeline", lambda: None)
        path = tmp_path / f"{passes}.mlpackage"
        write(tmp_path / "query", precision, system, pixels, path)
        parts = sorted(part for part in path.rglob("*") if part.is_file())
        files.append({str(part.relative_to(path)): part.read_bytes() for part in parts})
    assert files[0] == files[1]


def opened(path: Path, folder: Path) -> Any:
    """The package in coremltools; a copy, since to open one there rewrites its manifest."""
    with quiet_coremltools():
        import coremltools

        copy = shutil.copytree(path, folder / path.name)
        return coremltools.models.MLModel(str(copy), skip_model_load=True)


def embedded(path: Path, pixels: Pixels) -> Tensor:
    return torch.from_numpy(MilReferenceRunner(path, read_metadata(path)).embed(pixels))


@pytest.mark.slow(quick=["fp16-iOS15"])
@pytest.mark.parametrize(("precision", "system"), VARIANTS)
def test_every_variant_is_near_torch(
    precision: str, system: str, package: Make, baseline_folder: Path, pixels: Pixels
) -> None:
    path = package(precision, system)
    bundle = QueryBundle.load(baseline_folder)
    with torch.no_grad():
        exact = bundle.network(bundle.preprocessing.normalise(pixels))
    found = embedded(path, pixels)
    assert F.cosine_similarity(found, exact).min() > NEAR[precision]
    options = Metadata.read(read_coreml(path), source="it").options
    assert options["system"] == system
    assert options.get("float32_layers") == (None if precision == "fp32" else "")


@pytest.mark.slow(quick=["fp16-iOS15", "palette8-iOS17"])
@pytest.mark.parametrize(("precision", "system"), VARIANTS)
def test_every_weight_is_what_apples_reader_reads(
    precision: str, system: str, package: Make
) -> None:
    program = MilProgram(package(precision, system))
    assert all(equals_apples(weight) for weight in program.weights.values())
    types = {weight.type for weight in program.weights.values()}
    if precision in CODES:
        code = "uint6" if (precision, system) == ("palette6", "iOS18") else CODES[precision]
        assert code in types
    values = sum(weight.values.size for weight in program.weights.values())
    assert values > 100_000


@pytest.mark.slow(quick=["palette6-iOS16"])
@pytest.mark.parametrize(("precision", "system"), COMPRESSED)
def test_weights_are_decompressed_as_coremltools_does(
    precision: str, system: str, package: Make, tmp_path: Path, images: MakeImages
) -> None:
    path = package(precision, system)
    with quiet_coremltools():
        from coremltools.optimize.coreml import decompress_weights

        plain = decompress_weights(opened(path, tmp_path))
        plain.save(str(tmp_path / "plain.mlpackage"))
    image = images(2, 64, 3)[:, None]
    theirs = MilProgram(tmp_path / "plain.mlpackage").run(image=image)["embedding"]
    assert torch.equal(MilProgram(path).run(image=image)["embedding"], theirs)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["int8-weights", "palette6"])
def test_compressed_packages_are_smaller_and_the_same_bytes_again(
    precision: str,
    package: Make,
    baseline_folder: Path,
    pixels: Pixels,
    tmp_path: Path,
) -> None:
    def files(path: Path) -> dict[Path, bytes]:
        return {f.relative_to(path): f.read_bytes() for f in path.rglob("*") if f.is_file()}

    first, again = package(precision, "iOS16"), tmp_path / "again.mlpackage"
    write(baseline_folder, precision, "iOS16", pixels, again)
    assert files(again) == files(first)
    float16 = files(package("fp16", "iOS15"))
    size, float16_size = (sum(map(len, content.values())) for content in (files(first), float16))
    assert size < 0.8 * float16_size


def test_an_image_package_declares_an_image(package: Make, tmp_path: Path) -> None:
    model = opened(package("palette8", "iOS17"), tmp_path)
    (given,) = model.get_spec().description.input
    assert given.type.WhichOneof("Type") == "imageType"
    assert (given.type.imageType.width, given.type.imageType.height) == (64, 64)
    colours = given.type.imageType.ColorSpace
    assert given.type.imageType.colorSpace == colours.Value("RGB")


@pytest.mark.parametrize("precision", ["fp32", "int8-weights"])
def test_inputs_and_outputs_are_float32_on_every_system(
    precision: str, package: Make, tmp_path: Path
) -> None:
    """coremltools would make them float16 from iOS 16 on."""
    model = opened(package(precision, "iOS18"), tmp_path)
    description = model.get_spec().description
    for value in (*description.input, *description.output):
        kind = value.type.multiArrayType
        assert kind.dataType == kind.ArrayDataType.Value("FLOAT32")


def test_systems() -> None:
    assert choose_system("fp16", None) == "iOS15"
    for precision in COMPRESSIONS:
        assert choose_system(precision, None) == "iOS16"
    assert [choose_system("fp32", system) for system in SYSTEMS] == list(SYSTEMS)
    assert set(targets()["coreml"].precisions) <= set(BOUNDS)


@pytest.mark.parametrize(
    ("target", "precision", "system", "says"),
    [
        ("coreml", "palette8", "iOS15", "iOS15 does not run weights.*--system iOS16"),
        ("coreml", "fp32", "iOS14", "Unknown system for coreml 'iOS14'.*iOS15, iOS16, iOS17"),
        ("tflite", "fp32", "iOS16", "--system does not apply to tflite.*for coreml"),
    ],
)
def test_refuses_a_system(
    target: str, precision: str, system: str, says: str, baseline_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=says):
        export(
            target,
            model=baseline_folder,
            precision=precision,
            system=system,
            data="emoji",
            out=tmp_path,
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("entries", [16, 64, 256])
def test_a_palette_is_near_the_best_there_is(entries: int) -> None:
    from coremltools._deps import kmeans1d

    values = np.random.default_rng(0).standard_t(3, 5000).astype(np.float16)
    table, indices = palette(values, entries)
    error = np.square(table[indices].astype(float) - values).sum()
    best = kmeans1d.cluster(values.astype(float), entries)
    least = np.square(np.array(best.centroids)[best.clusters] - values).sum()
    assert error < 1.2 * least
    assert np.all(
        np.abs(table[indices].astype(float) - values)
        <= np.abs(table.astype(float)[:, None] - values).min(0) + 1e-9
    )


def test_a_palette_looks_at_small_channels_too() -> None:
    generator = np.random.default_rng(0)
    small, large = generator.normal(size=(2, 8, 500))
    values = np.concatenate((small / 100, large)).astype(np.float32)
    table, indices = palette(values, 64)
    lost = np.square(table[indices].reshape(values.shape) - values).mean(1)
    shares = lost / np.square(values).mean(1)
    assert shares.max() < 0.02


def test_a_palette_of_few_values_is_exact() -> None:
    values = np.array([[1.5, -2.0], [0.25, 1.5]], np.float16)
    table, indices = palette(values, 16)
    assert (len(table), indices.tolist()) == (16, [2, 0, 1, 2])
    assert table[indices].tolist() == values.reshape(-1).tolist()
