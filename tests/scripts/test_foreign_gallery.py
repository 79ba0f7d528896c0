"""The foreign gallery models: ImageNet's classes are recognised, and the files are the networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from edgecmp.gallery.open import open_gallery
from scripts.foreign_gallery import (
    LITE0,
    difference,
    efficientnet_lite0,
    kit_gallery,
    write_gallery,
)

CLASSES = {"china.jpg": 698, "flower.jpg": 985}
"""ImageNet's palace and daisy: what scikit-learn's two photographs show."""


def photographs() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Both, prepared: (2, 224, 224, 3)."""
    found = load_sample_images()
    assert [Path(name).name for name in found.filenames] == list(CLASSES)
    return np.stack([LITE0.fit(Image.fromarray(image)) for image in found.images])


@torch.inference_mode()
def test_the_file_knows_imagenets_classes(tmp_path: Path) -> None:
    """Of the features in the file, by the classifier of the package: preprocessing included."""
    foreign = efficientnet_lite0()
    model = open_gallery(write_gallery(foreign, tmp_path))
    assert model.preprocessing == open_gallery(tmp_path / "efficientnet_lite0.onnx").preprocessing
    found = model.embed(photographs())
    assert found.shape == (2, 1280)
    last = foreign.network.classifier._fc  # type: ignore[union-attr]
    assert isinstance(last, torch.nn.Linear)
    scores = torch.from_numpy(found) @ last.weight.T
    assert scores.argmax(1).tolist() == list(CLASSES.values())


def test_the_file_is_the_network(tmp_path: Path) -> None:
    foreign = kit_gallery()
    assert difference(foreign, write_gallery(foreign, tmp_path)) < 1e-5
