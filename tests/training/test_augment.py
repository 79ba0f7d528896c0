"""Augmentation: the identity when every strength is zero, bounded, reproducible, per image."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from edgecmp.training.augment import NONE, STRONG, Augmentation


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


def _at_once(
    strengths: Augmentation, images: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """The changes drawn and applied in one go: an independent copy."""

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator) * 2 - 1

    n, size = images.shape[:2]
    x = images.permute(0, 3, 1, 2).float() - 255.0
    angle = uniform(n) * math.radians(strengths.rotation)
    zoom = torch.exp(uniform(n) * strengths.scale)
    stretch = torch.exp(uniform(n) * strengths.stretch / 2)
    shift = uniform(2, n) * 2 * strengths.shift
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    rows = [
        torch.stack([cos * stretch, -sin * stretch, shift[0]], 1),
        torch.stack([sin / stretch, cos / stretch, shift[1]], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), [n, 3, size, size], align_corners=False)
    x = F.grid_sample(x, grid, "bilinear", "zeros", align_corners=False) + 255.0
    hue = (torch.rand(n, generator=generator) * 2 - 1) * strengths.hue
    kept = torch.exp((torch.rand(n, generator=generator) * 2 - 1) * strengths.saturation)
    kept = kept * (torch.rand(n, generator=generator) >= strengths.gray)
    third = torch.full((3, 3), 1 / 3)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    turned = third + torch.cos(hue)[:, None, None] * (torch.eye(3) - third)
    turned = turned + torch.sin(hue)[:, None, None] * cross
    luma = torch.tensor([0.299, 0.587, 0.114]).expand(3, 3)
    keep = kept[:, None, None]
    colour = torch.bmm(keep * torch.eye(3) + (1 - keep) * luma, turned)
    contrast = torch.exp(uniform(n) * strengths.contrast)[:, None, None]
    offset = (uniform(n) * strengths.brightness * 128.0)[:, None, None] + 128.0
    x = torch.bmm(colour * contrast, x.flatten(2) - 128.0) + offset
    x = x.view(n, 3, size, size).clamp_(0.0, 255.0)
    draws = torch.rand(n, 8, generator=generator)
    inside = []
    for axis in (0, 1):
        extent = (0.1 + 0.25 * draws[:, axis]) * size
        start = draws[:, 2 + axis] * (size - extent)
        steps = torch.arange(size)
        inside.append((steps >= start[:, None]) & (steps < (start + extent)[:, None]))
    mask = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    mask = mask & (draws[:, 4] < strengths.erase)[:, None, None, None]
    return torch.where(mask, draws[:, 5:8, None, None] * 255.0, x)


@pytest.mark.parametrize("size", [16, 33, 64])
def test_changes_drawn_before_they_are_applied_have_the_same_bits(size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (24, size, size, 3), dtype=torch.uint8, generator=generator)
    for strengths in (Augmentation(), STRONG):
        one, other = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
        expected = _at_once(strengths, images, one)
        draws = strengths.draw(24, other)
        assert torch.equal(draws.apply(images), expected)
        assert torch.equal(torch.rand(1, generator=one), torch.rand(1, generator=other))
        rows = torch.tensor([7, 3, 20])
        torch.testing.assert_close(
            draws.of(rows).apply(images[rows]), expected[rows], atol=1e-3, rtol=0
        )
