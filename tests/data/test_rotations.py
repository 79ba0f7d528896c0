"""quarter_turns: four times the images, in numpy's directions, each an identity of its own."""

from __future__ import annotations

import numpy as np

from edgecmp.data import load_dataset, quarter_turns
from edgecmp.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(input_size=32)
UPRIGHT = load_dataset("emoji").train.subset(np.arange(40, 60)).relabelled()
TURNED = quarter_turns(UPRIGHT)


def test_every_image_comes_back_turned_to_the_left() -> None:
    upright = UPRIGHT.pixels(PREPROCESSING)
    for turn, turned in enumerate(np.split(TURNED.pixels(PREPROCESSING), 4)):
        for one, other in zip(upright, turned, strict=True):
            assert np.array_equal(np.rot90(one, turn), other)


def test_a_single_image_is_turned_like_the_prepared_ones() -> None:
    native = Preprocessing(input_size=64)
    for place in range(0, len(TURNED), 13):
        image = TURNED.source.image(int(TURNED.rows[place]))
        assert np.array_equal(np.asarray(image), TURNED.pixels(native, [place])[0])


def test_each_direction_has_identities_of_its_own_and_upright_ones_come_first() -> None:
    classes = len(UPRIGHT.identity_names)
    parts = np.split(TURNED.identities, 4)
    assert np.array_equal(parts[0], UPRIGHT.identities)
    assert all(np.array_equal(part - turn * classes, parts[0]) for turn, part in enumerate(parts))
    assert len(set(TURNED.identity_names)) == len(TURNED.identity_names) == 4 * classes


def test_a_choice_of_turned_images_is_read_in_its_order() -> None:
    chosen = [70, 3, 25]
    some = TURNED.pixels(PREPROCESSING, chosen)
    assert np.array_equal(some, TURNED.pixels(PREPROCESSING)[chosen])
    assert len(set(TURNED.keys)) == len(TURNED)
    assert TURNED.fingerprint != UPRIGHT.fingerprint
