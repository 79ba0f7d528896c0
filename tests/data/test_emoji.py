"""The shipped set is the one that the script built; its splits are disjoint, its vendors named."""

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edgecmp.data import load_dataset
from edgecmp.data.emoji import CONTENT_SHA256, EMOJI_FILE, EmojiFile
from edgecmp.data.split import split_identities
from edgecmp.errors import UserError
from edgecmp.preprocessing import Preprocessing

BUILT = "5a67207a09a0abab27bf6f9b2613b3615b371c5eb552f1d89781acbac8a667c4"
"""What scripts/build_emoji.py printed: identities, splits, vendors and decoded pixels."""


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    pytest.importorskip("resvg_py", reason="the builder's renderer: pip install resvg-py==0.5.0")
    path = Path(__file__).resolve().parents[2] / "scripts" / "build_emoji.py"
    spec = importlib.util.spec_from_file_location("build_emoji", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["build_emoji"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_shipped_pixels_are_the_built_ones() -> None:
    data = load_dataset("emoji")
    total = {}
    for split, images in enumerate((data.train, data.validation, data.test)):
        pixels = images.pixels(Preprocessing(input_size=64))
        for image, identity, domain in zip(pixels, images.identities, images.domains, strict=True):
            name, vendor = images.identity_names[identity], images.domain_names[domain]
            total[name, vendor] = f"{name} {split} {vendor}\n".encode() + image.tobytes()
    assert hashlib.sha256(b"".join(total[key] for key in sorted(total))).hexdigest() == BUILT


def test_splits_share_no_identity_and_follow_the_names() -> None:
    data = load_dataset("emoji")
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    names = {name: split for split, images in parts.items() for name in images.identity_names}
    assert len(names) == sum(len(images.identity_names) for images in parts.values()) == 1814
    assert names == split_identities(names)
    points = [point for name in names for point in name.split("+")]
    assert len(points) == len(set(points))
    assert len(data.test.identity_names) == 726
    assert len(data.validation.identity_names) == 109


@pytest.mark.slow
def test_no_drawing_belongs_to_two_identities() -> None:
    data = load_dataset("emoji")
    owner: dict[bytes, str] = {}
    for images in (data.train, data.validation, data.test):
        for image, identity in zip(
            images.pixels(Preprocessing(input_size=64)), images.identities, strict=True
        ):
            name = images.identity_names[identity]
            assert owner.setdefault(image.tobytes(), name) == name


def test_training_labels_are_dense() -> None:
    train = load_dataset("emoji").train
    assert np.array_equal(np.unique(train.identities), np.arange(len(train.identity_names)))
    assert len(train) == len(train.keys) == len(set(train.keys)) == 6985


@pytest.mark.parametrize("split", ["validation", "test"])
def test_retrieval_puts_one_vendor_in_the_gallery(split: str) -> None:
    task = load_dataset("emoji").retrieval(split)  # type: ignore[arg-type]
    google = task.gallery.domain_names.index("google")
    assert (task.gallery.domains == google).all()
    assert not (task.queries.domains == google).any()
    assert np.isin(task.queries.identities, task.gallery.identities).all()
    assert {"validation": (672, 107), "test": (4512, 721)}[split] == (
        len(task.queries),
        len(task.gallery),
    )


def test_another_vendor_can_be_the_gallery() -> None:
    data = load_dataset("emoji", gallery_domain="twitter")
    task = data.retrieval("validation")
    assert {key.split("/")[0] for key in task.gallery.keys} == {"twitter"}
    with pytest.raises(UserError, match="Did you mean twitter"):
        load_dataset("emoji", gallery_domain="tvitter")


def test_other_sizes_are_resized_and_indices_choose() -> None:
    test = load_dataset("emoji").test
    preprocessing = Preprocessing(input_size=40)
    some = test.pixels(preprocessing, [5, 2, 5])
    assert some.shape == (3, 40, 40, 3)
    assert np.array_equal(some[0], some[2])
    assert np.array_equal(some[1], test.subset([2]).pixels(preprocessing)[0])
    assert test.subset([2]).keys == (test.keys[2],)


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(input_size=64, geometry="crop", short_side=73),
        Preprocessing(input_size=48, width=80, geometry="stretch"),
        Preprocessing(input_size=64),
    ],
)
def test_drawings_are_prepared_as_any_other_image(preprocessing: Preprocessing) -> None:
    test = load_dataset("emoji").test
    expected = preprocessing.fit(test.source.image(int(test.rows[3])))
    np.testing.assert_array_equal(test.pixels(preprocessing, [3])[0], expected)


def test_different_sets_have_different_fingerprints() -> None:
    data = load_dataset("emoji")
    prints = {data.test.fingerprint, data.train.fingerprint, data.test.subset([0]).fingerprint}
    assert len(prints) == 3
    assert load_dataset("emoji").test.fingerprint in prints


def test_file_is_small_enough() -> None:
    assert EMOJI_FILE.stat().st_size <= 14e6


@pytest.mark.parametrize("damage", ["missing", "truncated", "changed"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "emoji.npz"
    whole = EMOJI_FILE.read_bytes()
    if damage == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "changed":
        with np.load(EMOJI_FILE, allow_pickle=False) as file:
            arrays = dict(file)
        arrays["identity"] = arrays["identity"][::-1]
        np.savez(path, **arrays)
    with pytest.raises(UserError, match=r"The embedded emoji set .*emoji\.npz .*Reinstall edgecmp"):
        EmojiFile(path, CONTENT_SHA256)


def test_licences_name_every_vendor_and_package(builder: ModuleType) -> None:
    text = (EMOJI_FILE.parent / "LICENSES.md").read_text(encoding="utf-8")
    for vendor in load_dataset("emoji").test.domain_names:
        row = next(line for line in text.splitlines() if line.startswith(f"| `{vendor}` |"))
        assert any(licence in row for licence in ("Apache-2.0", "MIT", "CC-BY-4.0", "CC-BY-SA-4.0"))
    for package in builder.PACKAGES:
        name, version = package.rsplit("@", 1)
        assert f"`{name}` {version}" in text


def test_builder_and_package_split_alike(builder: ModuleType) -> None:
    names = [f"1f{number:03x}" for number in range(200)]
    numbers = {"train": 0, "validation": 1, "test": 2}
    expected = {name: numbers[split] for name, split in split_identities(names).items()}
    assert builder.split_of(names) == expected


def test_builder_joins_identities_with_a_common_drawing(builder: ModuleType) -> None:
    def drawing(colour: str) -> bytes:
        shape = f'<rect width="64" height="64" fill="{colour}"/>'
        svg = f'<svg xmlns="http://www.w3.org/2000/svg">{shape}</svg>'
        webp: bytes = builder.render(
            builder.Drawing(points="x", vendor="v", certainty=0, name="x", content=svg.encode())
        )
        return webp

    vendors = ("a", "b", "c", "d")
    images = {
        ("1f1", vendor): drawing(c)
        for vendor, c in zip(vendors, ("red", "lime", "blue", "tan"), strict=True)
    }
    images |= {
        ("1f2", vendor): drawing(c) for vendor, c in zip(vendors[:2], ("red", "cyan"), strict=True)
    }
    images |= {
        ("1f3", vendor): drawing(c)
        for vendor, c in zip(vendors[:3], ("pink", "gold", "navy"), strict=True)
    }
    merged = builder.merge(dict(sorted(images.items())))
    assert list(merged) == [("1f1+1f2", vendor) for vendor in vendors]
    assert merged["1f1+1f2", "b"] == drawing("lime")
