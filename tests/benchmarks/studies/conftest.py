"""What the tests of several studies use."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgecmp.data import DATASETS, Dataset, load_dataset


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> str:
    """A few emoji of each split, as a data set with a name."""
    emoji = load_dataset("emoji")

    def load(gallery_domain: str | None = None) -> Dataset:
        return replace(
            emoji,
            train=emoji.train.subset(emoji.train.identities < 8).relabelled(),
            validation=emoji.validation.subset(emoji.validation.identities < 4),
            test=emoji.test.subset(emoji.test.identities < 4),
        )

    monkeypatch.setitem(DATASETS, "small-emoji", load)
    return "small-emoji"
