"""Losses: one formula a file; each takes embeddings of unit length."""

from edgecmp.losses.bct import BCT
from edgecmp.losses.margin import CosFace
from edgecmp.losses.regression import EmbeddingRegression

__all__ = ["BCT", "CosFace", "EmbeddingRegression"]
