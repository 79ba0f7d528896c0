"""The one door to every dataset: by name, or by path to the user's own."""

from __future__ import annotations

from edgecmp.data import emoji  # noqa: F401  (registers itself)
from edgecmp.data.dataset import Dataset
from edgecmp.data.registry import DATASETS
from edgecmp.errors import unknown_choice

__all__ = ["load_dataset"]


def load_dataset(name_or_path: str, *, gallery_domain: str | None = None) -> Dataset:
    """A dataset.

    Args:
        name_or_path: a registered name such as "emoji".
        gallery_domain: the domain whose images form the gallery; None: the dataset's own choice.

    Raises:
        UserError: no such dataset.
    """
    if name_or_path in DATASETS:
        return DATASETS[name_or_path](gallery_domain)
    raise unknown_choice("dataset", name_or_path, sorted(DATASETS))
