"""Job: the facts about data and gallery that a recipe is fitted to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from edgecmp import kit
from edgecmp.data import load_dataset
from edgecmp.gallery.source import Need, open_source
from edgecmp.training.job import EXAMPLE, Job


def test_the_facts_of_a_folder_and_the_kits_gallery(tmp_path: Path) -> None:
    """Images of 90 x 40 to 90 x 60: the shorter side counts."""
    for split, identities in (("train", 3), ("validation", 2), ("test", 2)):
        for identity in range(identities):
            folder = tmp_path / split / f"{split}{identity}"
            folder.mkdir(parents=True)
            for index, side in enumerate((40, 50, 60)):
                pixels = np.full((90, side, 3), 10 * identity + index, np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    job = Job.of(load_dataset(tmp_path), open_source(kit.path("gallery")), has_start=True)
    assert job == Job(
        images=9,
        identities=3,
        median_side=50,
        embedding_dim=128,
        provides=frozenset(Need),
        same_pixels=True,
        gallery_size=64,
        has_start=True,
    )
    assert job.per_identity == 3
    said = job.describe().split("; ")
    assert said == [
        "9 images of 3 identities, 50 px",
        "a gallery model that reads 64 px, 128 values",
        "with a start",
    ]


def test_a_job_without_a_gallery_and_one_with_a_table_say_so() -> None:
    assert replace(EXAMPLE, provides=frozenset()).describe().endswith("no gallery; with a start")
    table = replace(EXAMPLE, provides=frozenset({Need.EMBEDDINGS}), gallery_size=None)
    assert "; a table of embeddings, 512 values; " in table.describe()
