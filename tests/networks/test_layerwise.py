"""LayerwiseEmbedder: equal to direct evaluation, and the same bits whatever is cached."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecmp.networks.architecture import Architecture
from edgecmp.networks.feature_cache import PrefixCache
from edgecmp.networks.layerwise import LayerwiseEmbedder
from edgecmp.networks.random_weights import patch_images, randomise_norms
from edgecmp.networks.recalibrate import recalibrate
from edgecmp.networks.supernet import Supernet
from edgecmp.networks.tiers import DEPTH

CALIBRATION = [
    x.contiguous(memory_format=torch.channels_last)
    for x in (patch_images(12, 32, 0), patch_images(12, 32, 1))
]
IMAGES = [patch_images(6, 32, 2), patch_images(5, 32, 3)]


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    torch.manual_seed(0)
    network = Supernet("100M", embedding_dim=16, input_size=32)
    with torch.no_grad():
        randomise_norms(network)
    return network.eval()


def _architecture(choices: list[int]) -> Architecture:
    """Few choices per layer, so that prefixes are often shared."""
    return Architecture(
        tier="100M",
        blocks=tuple(3 * (choice % 2) for choice in choices),
        widths=tuple(4 * (choice // 2) for choice in choices),
        embedding_dim=16,
        input_size=32,
    )


ARCHITECTURES = st.lists(st.integers(0, 3), min_size=DEPTH, max_size=DEPTH).map(_architecture)


@pytest.mark.parametrize("seed", range(3))
def test_it_embeds_as_the_extracted_and_recalibrated_subnet_in_float64(
    supernet: Supernet, seed: int
) -> None:
    architecture = Architecture.random("100M", seed=seed, embedding_dim=16, input_size=32)
    exact = copy.deepcopy(supernet.extract(architecture)).double()
    recalibrate(exact, [x.double() for x in CALIBRATION])
    with torch.no_grad():
        expected = torch.cat([exact(x.double()) for x in IMAGES]).numpy()
    found = LayerwiseEmbedder(supernet, CALIBRATION, IMAGES).embed(architecture)
    assert np.abs(found - expected).max() < 5e-5  # statistics over 12 positions amplify rounding
    assert np.abs(expected[1:] - expected[:-1]).max() > 0.01


@settings(max_examples=8)
@given(asked=st.lists(ARCHITECTURES, min_size=1, max_size=4), megabytes=st.sampled_from([0.3, 100]))
def test_cached_maps_change_no_bit(
    supernet: Supernet, asked: list[Architecture], megabytes: float
) -> None:
    limit = int(megabytes * 2**20)
    keeping = LayerwiseEmbedder(supernet, CALIBRATION, IMAGES, cache_bytes=limit)
    for architecture in [*asked, *asked]:
        fresh = LayerwiseEmbedder(supernet, CALIBRATION, IMAGES, cache_bytes=0)
        assert np.array_equal(keeping.embed(architecture), fresh.embed(architecture))
        assert keeping.cache.bytes <= limit
        assert fresh.cache.bytes == 0


def test_the_supernet_is_left_as_it_was(supernet: Supernet) -> None:
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    LayerwiseEmbedder(supernet, CALIBRATION, IMAGES).embed(_architecture([0] * DEPTH))
    assert all(torch.equal(before[name], v) for name, v in supernet.state_dict().items())


KEYS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=4).map(tuple)


@given(asked=st.lists(KEYS, max_size=40), limit=st.integers(0, 100))
def test_the_cache_satisfies_its_bound_and_returns_the_maps_it_was_given(
    asked: list[tuple[tuple[int, int], ...]], limit: int
) -> None:
    cache = PrefixCache(limit * 4)
    taken: dict[tuple[tuple[int, int], ...], torch.Tensor] = {}
    for choices in asked:
        done, maps = cache.longest(choices)
        assert (maps is None) == (done == 0)
        if maps is not None:
            assert maps[0] is taken[choices[:done]]
        for depth in range(done + 1, len(choices) + 1):
            taken[choices[:depth]] = torch.zeros(10 * depth)
            cache.keep(choices[:depth], (taken[choices[:depth]],))
        assert cache.bytes <= cache.limit


def test_maps_are_cached_at_the_second_occurrence() -> None:
    cache, maps = PrefixCache(1000), (torch.zeros(10),)
    choices = ((0, 1), (2, 3))
    for expected in (0, 0, 2):
        done, _ = cache.longest(choices)
        assert done == expected
        for depth in range(done + 1, 3):
            cache.keep(choices[:depth], maps)


def test_deep_maps_are_evicted_for_shallow_ones_and_never_the_reverse() -> None:
    cache, maps = PrefixCache(40), (torch.zeros(10),)
    deep, shallow = ((0, 0), (0, 0)), ((1, 1),)
    for choices in (deep, deep, shallow, shallow, deep):
        cache.keep(choices, maps)
    assert cache.longest(deep)[0] == 0
    assert cache.longest(shallow)[0] == 1
