"""What is measured: retrieval (top-k) and verification (TAR@FAR)."""

from edgecmp.metrics.retrieval import ranked, top_k
from edgecmp.metrics.verification import tar_at_far, tar_from_scores

__all__ = ["ranked", "tar_at_far", "tar_from_scores", "top_k"]
