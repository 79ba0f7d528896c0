"""Losses, one per file; their formulas are stated for embeddings of unit length."""

from edgecmp.losses.bct import BCT
from edgecmp.losses.decoupled_differences import DecoupledDifferences
from edgecmp.losses.margin import CosFace
from edgecmp.losses.regression import EmbeddingRegression
from edgecmp.losses.similarity_divergence import SimilarityDivergence
from edgecmp.losses.soft_labels import SoftLabels
from edgecmp.losses.squared_distance import SquaredDistance

__all__ = [
    "BCT",
    "CosFace",
    "DecoupledDifferences",
    "EmbeddingRegression",
    "SimilarityDivergence",
    "SoftLabels",
    "SquaredDistance",
]
