"""Labelled images: the embedded emoji set, and readers for the user's data."""

from edgecmp.data.dataset import Dataset, Retrieval
from edgecmp.data.image_set import ImageSet, ImageSource
from edgecmp.data.load import load_dataset
from edgecmp.data.registry import DATASETS, register_dataset
from edgecmp.data.rotations import quarter_turns

__all__ = [
    "DATASETS",
    "Dataset",
    "ImageSet",
    "ImageSource",
    "Retrieval",
    "load_dataset",
    "quarter_turns",
    "register_dataset",
]
