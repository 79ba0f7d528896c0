"""Augmentation: the identity when every strength is zero, bounded, reproducible, per image."""

from __future__ import annotations

import torch

from edgecmp.training.augment import Augmentation

NONE = Augmentation(
    rotation=0,
    scale=0,
    stretch=0,
    shift=0,
    brightness=0,
    contrast=0,
    saturation=0,
    hue=0,
    gray=0,
    erase=0,
)


def _images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (5, 16, 16, 3), dtype=torch.uint8, generator=generator)


def test_zero_strength_changes_nothing() -> None:
    images = _images()
    changed = NONE(images, torch.Generator().manual_seed(1))
    torch.testing.assert_close(changed, images.permute(0, 3, 1, 2).float(), atol=0.02, rtol=0)


def test_range_shape_and_reproducibility() -> None:
    images = _images()
    first = Augmentation()(images, torch.Generator().manual_seed(1))
    again = Augmentation()(images, torch.Generator().manual_seed(1))
    other = Augmentation()(images, torch.Generator().manual_seed(2))
    assert first.shape == (5, 3, 16, 16)
    assert first.min() >= 0
    assert first.max() <= 255
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_each_image_is_changed_separately() -> None:
    images = _images()[:1].expand(4, -1, -1, -1)
    changed = Augmentation()(images, torch.Generator().manual_seed(1))
    assert not torch.allclose(changed[0], changed[1])


def test_white_background_stays_white_under_geometry() -> None:
    white = torch.full((3, 16, 16, 3), 255, dtype=torch.uint8)
    moved = Augmentation(brightness=0, contrast=0, erase=0)(white, torch.Generator().manual_seed(1))
    torch.testing.assert_close(moved, torch.full_like(moved, 255.0), atol=0.1, rtol=0)
