"""Metrics of retrieval (top-k), verification (TAR@FAR) and identification (TPIR@FPIR)."""

from edgecmp.metrics.exact_search import ranked
from edgecmp.metrics.identification import Searches, closed_set, search
from edgecmp.metrics.nearest import tar_nearest
from edgecmp.metrics.open_set import tpir_insightface, tpir_nist
from edgecmp.metrics.pairs import pair_scores
from edgecmp.metrics.retrieval import top_k
from edgecmp.metrics.verification import tar_at_far, tar_from_scores
from edgecmp.metrics.wilson import FEW_QUERIES, wilson

__all__ = [
    "FEW_QUERIES",
    "Searches",
    "closed_set",
    "pair_scores",
    "ranked",
    "search",
    "tar_at_far",
    "tar_from_scores",
    "tar_nearest",
    "top_k",
    "tpir_insightface",
    "tpir_nist",
    "wilson",
]
