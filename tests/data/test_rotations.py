"""quarter_turns: each image in four rotations, numpy's way, each a separate identity."""

from __future__ import annotations

import numpy as np

from edgecmp.data import load_dataset, quarter_turns
from edgecmp.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(input_size=32)
UPRIGHT = load_dataset("emoji").train.subset(np.arange(40, 60)).relabelled()
ROTATED = quarter_turns(UPRIGHT)


def test_every_image_is_rotated_counterclockwise() -> None:
    upright = UPRIGHT.pixels(PREPROCESSING)
    for turns, rotated in enumerate(np.split(ROTATED.pixels(PREPROCESSING), 4)):
        for one, other in zip(upright, rotated, strict=True):
            assert np.array_equal(np.rot90(one, turns), other)


def test_images_that_are_not_square_are_prepared_after_they_are_turned() -> None:
    """As `fit` prepares the turned image; only the resizing's rounding may differ."""
    prepare = Preprocessing(input_size=24, width=40)
    chosen = np.arange(0, len(ROTATED), 7)
    found = ROTATED.pixels(prepare, chosen)
    assert found.shape == (len(chosen), *prepare.shape)
    for place, prepared in zip(chosen, found, strict=True):
        expected = prepare.fit(ROTATED.source.image(int(ROTATED.rows[place])))
        assert np.abs(prepared.astype(int) - expected.astype(int)).max() <= 2


def test_a_single_image_is_rotated_like_the_prepared_ones() -> None:
    native = Preprocessing(input_size=64)
    for place in range(0, len(ROTATED), 13):
        image = ROTATED.source.image(int(ROTATED.rows[place]))
        assert np.array_equal(np.asarray(image), ROTATED.pixels(native, [place])[0])


def test_each_rotation_has_separate_identities_and_the_upright_ones_come_first() -> None:
    classes = len(UPRIGHT.identity_names)
    parts = np.split(ROTATED.identities, 4)
    assert np.array_equal(parts[0], UPRIGHT.identities)
    assert all(np.array_equal(part - turns * classes, parts[0]) for turns, part in enumerate(parts))
    assert len(set(ROTATED.identity_names)) == len(ROTATED.identity_names) == 4 * classes


def test_a_choice_of_rotated_images_is_read_in_its_order() -> None:
    chosen = [70, 3, 25]
    some = ROTATED.pixels(PREPROCESSING, chosen)
    assert np.array_equal(some, ROTATED.pixels(PREPROCESSING)[chosen])
    assert len(set(ROTATED.keys)) == len(ROTATED)
    assert ROTATED.fingerprint != UPRIGHT.fingerprint
