"""Datasets with a name: `@register_dataset("emoji")` decorates the function that loads one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from edgecmp.data.dataset import Dataset

__all__ = ["DATASETS", "Loader", "register_dataset"]

Loader: TypeAlias = Callable[[str | None], Dataset]
"""Takes the gallery domain (None: the dataset's default) and returns the dataset."""

DATASETS: dict[str, Loader] = {}


def register_dataset(name: str) -> Callable[[Loader], Loader]:
    """Registers a loader under `name` for `load_dataset`."""

    def register(loader: Loader) -> Loader:
        if name in DATASETS:
            raise ValueError(f"two datasets are called {name!r}")
        DATASETS[name] = loader
        return loader

    return register
