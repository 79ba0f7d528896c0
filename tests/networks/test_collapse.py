"""Embeddings that are almost the same for all images are reported; others are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecmp.data import load_dataset
from edgecmp.errors import UserError
from edgecmp.networks.collapse import typical_cosine, warn_if_collapsed
from edgecmp.networks.embed import embed_set
from edgecmp.preprocessing import Preprocessing


@given(st.integers(2, 700), st.floats(0, 100), st.integers(0, 9))
def test_the_typical_cosine_is_that_of_all_pairs(count: int, offset: float, seed: int) -> None:
    """Of a sample of many, against the expectation of unit Gaussians around a common vector."""
    rows = np.random.default_rng(seed).standard_normal((count, 64)) + offset
    expected = offset**2 / (offset**2 + 1)
    assert abs(typical_cosine(rows) - expected) < 0.4
    assert abs(typical_cosine(rows * 7.5) - typical_cosine(rows)) < 1e-9


@pytest.mark.parametrize(
    ("noise", "warned"), [(0.001, True), (0.02, True), (0.1, False), (1.0, False)]
)
def test_only_a_collapse_is_reported(
    noise: float, warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    common = rng.standard_normal(128)
    rows = common + noise * rng.standard_normal((500, 128))
    warn_if_collapsed(rows.astype(np.float32), "gallery.toml")
    assert (
        "gallery.toml embeds different images almost alike" in capsys.readouterr().err
    ) is warned


def test_one_image_or_a_few_equal_ones_are_no_collapse(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    distinct = rng.standard_normal((9, 32))
    warn_if_collapsed(distinct[:1], "net")
    warn_if_collapsed(distinct[:0], "net")
    warn_if_collapsed(np.concatenate([distinct, distinct, distinct]), "net")
    assert capsys.readouterr().err == ""


class Constant:
    """An `Embedder` that returns one value everywhere."""

    name = "runs/gallery"
    sha256 = "0" * 64
    preprocessing = Preprocessing(input_size=32)
    gallery_sha256 = None
    external = False
    embedding_dim = 4

    def __init__(self, value: float) -> None:
        self.value = value

    def embed(self, images: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return np.full((len(images), 4), self.value, np.float32)


def test_a_set_of_images_is_checked_when_it_is_embedded(
    capsys: pytest.CaptureFixture[str],
) -> None:
    images = load_dataset("emoji").test.subset(range(6))
    embed_set(Constant(0.5), images)
    assert "runs/gallery embeds different images almost alike" in capsys.readouterr().err
    with pytest.raises(UserError, match="runs/gallery returns embeddings that are not finite"):
        embed_set(Constant(np.nan), images)
