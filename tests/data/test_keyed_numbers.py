"""Numbers that follow from a key: those of SHA-256, spread evenly, and normal noise."""

from __future__ import annotations

import hashlib

import numpy as np
from scipy.stats import kstest

from edgecmp.data.keyed_numbers import KeyedNumbers


def test_uniform_numbers_are_the_first_eight_bytes_of_sha_256() -> None:
    digest = hashlib.sha256(b"stops\nphotos/a.jpg").hexdigest()
    expected = -1 + 3 * int(digest[:16], 16) / 16**16
    assert KeyedNumbers("photos/a.jpg").uniform("stops", -1, 2) == expected
    assert KeyedNumbers("photos/a.jpg").choice("stops", 5) == int(digest[:16], 16) % 5


def test_they_are_spread_evenly_over_keys_and_purposes() -> None:
    by_key = [KeyedNumbers(f"{number}.jpg").uniform("x", 0, 1) for number in range(2000)]
    by_purpose = [KeyedNumbers("a.jpg").uniform(f"{number}", 0, 1) for number in range(2000)]
    for numbers in (by_key, by_purpose):
        assert kstest(numbers, "uniform").pvalue > 0.001


def test_noise_has_mean_0_and_deviation_1_and_follows_from_the_key() -> None:
    noise = KeyedNumbers("a.jpg").noise("n", (101, 99, 3))
    assert noise.shape == (101, 99, 3)
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02
    assert np.array_equal(noise, KeyedNumbers("a.jpg").noise("n", (101, 99, 3)))
    assert not np.array_equal(noise, KeyedNumbers("b.jpg").noise("n", (101, 99, 3)))
