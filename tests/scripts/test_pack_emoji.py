"""The emoji set packed as a user's data is, when read again, the embedded set."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edgecmp.data import Dataset, ImageSet, load_dataset
from edgecmp.data.split import split_identities
from edgecmp.preprocessing import Preprocessing
from scripts.pack_emoji import drawings, folder_name, main, select

SIDE = Preprocessing(input_size=64)
SPLITS = ("train", "validation", "test")


def pack(folder: Path, *arguments: object) -> Path:
    main(["--out", str(folder), "--images", "60", *map(str, arguments)])
    return folder


def sets(dataset: Dataset) -> dict[str, ImageSet]:
    return {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}


def digest(images: ImageSet, index: int) -> int:
    return hash(images.pixels(SIDE, [index]).tobytes())


def pictures(images: ImageSet) -> Counter[tuple[str, int]]:
    """The identity and the pixels of each image."""
    return Counter(
        (folder_name(images.identity_names[identity]), digest(images, index))
        for index, identity in enumerate(images.identities)
    )


def selected(split: str, **how: object) -> Counter[tuple[str, int]]:
    """`pictures` of what is to be packed, read from the embedded set."""
    emoji = load_dataset("emoji")
    chosen = select(drawings(emoji), **{"images": 60, **how})  # type: ignore[arg-type]
    images = sets(emoji)[split]
    return pictures(images.subset([one.index for one in chosen if one.split == split]))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--splits",),
        ("--splits", "--format", "webp"),
        ("--shape", "manifest", "--splits"),
        ("--shape", "manifest", "--splits", "--domains", "vendors"),
        ("--shape", "shards"),
    ],
    ids=" ".join,
)
def test_splits_identities_and_pixels_are_those_of_the_embedded_set(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    folder = pack(tmp_path / "packed", *arguments)
    path = next((path for path in (folder / "photos.toml",) if path.exists()), folder)
    if path == folder and "manifest" in arguments:
        path = folder / "photos.csv"
    packed = load_dataset(path)
    for split in SPLITS:
        assert pictures(sets(packed)[split]) == selected(split)
    # Google's drawings are the gallery, as in the embedded set:
    task = packed.retrieval("test")
    emoji, names = load_dataset("emoji").retrieval("test").gallery, set(packed.test.identity_names)
    among = [folder_name(emoji.identity_names[one]) in names for one in emoji.identities]
    assert pictures(task.gallery) == pictures(emoji.subset(np.array(among)))
    assert len(task.queries) > len(task.gallery)


def test_a_table_has_as_many_domains_as_asked(tmp_path: Path) -> None:
    domains = {}
    for name in ("none", "roles", "vendors"):
        folder = pack(tmp_path / name, "--shape", "manifest", "--domains", name, "--splits")
        domains[name] = load_dataset(folder / "photos.csv").train.domain_names
    assert domains["none"] == ("",)
    assert domains["roles"] == ("gallery", "query")
    assert len(domains["vendors"]) == 10


def test_flat_files_have_no_labels(tmp_path: Path) -> None:
    folder = pack(tmp_path / "flat", "--shape", "flat")
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"IMG_{number:05d}.png" for number in range(1, 61)]


def test_a_share_and_what_it_leaves_out_are_all_training_images(tmp_path: Path) -> None:
    whole = selected("train")
    parts = [
        pictures(load_dataset(pack(tmp_path / str(share), "--splits", "--share", share)).train)
        for share in (0.25, 0.5)
    ]
    assert parts[0] < parts[1] < whole
    assert {name for name, _ in parts[0]} == {name for name, _ in whole}
    rest = selected("train", share=0.25, left_out=True)
    assert parts[0] + rest == whole
    assert selected("test", share=0.25) == selected("test")
    assert not selected("test", share=0.25, left_out=True)


def test_smaller_selections_are_parts_of_larger_ones() -> None:
    among = drawings(load_dataset("emoji"))
    fifty, hundred = (set(select(among, images=number)) for number in (50, 100))
    assert len(fifty) == 50
    assert fifty < hundred
    few = select(among, identities=300, vendors=["google", "twitter"])
    assert {one.vendor for one in few} == {"google", "twitter"}
    assert len({one.identity for one in few}) == 300


def test_folders_of_all_identities_are_split_as_the_embedded_set_is() -> None:
    """Without --splits; a name that is shortened counts as another one."""
    embedded = {one.identity: one.split for one in drawings(load_dataset("emoji"))}
    found = split_identities(map(folder_name, embedded))
    assert len(found) == len(embedded)
    moved = [name for name, split in embedded.items() if found[folder_name(name)] != split]
    shortened = [name for name in embedded if folder_name(name) != name]
    assert max(map(len, found)) <= 200
    assert 0 < len(shortened) < 10
    assert len(moved) <= 2 * len(shortened)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--share", "0.5"), "--share needs --splits"),
        (("--vendors", "apple"), "unknown vendors"),
        (("--identities", "5000"), "there are 1,814 identities, not 5,000"),
        (("--shape", "flat", "--share", "1", "--left-out"), "nothing is selected"),
    ],
)
def test_what_cannot_be_packed_is_refused(
    arguments: tuple[str, ...],
    reason: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        pack(tmp_path / "packed", *arguments)
    assert reason in capsys.readouterr().err
