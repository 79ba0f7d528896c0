"""The search: which architecture under a budget has the highest compatibility-aware reward."""

from edgecmp.search.rerank import Ranking, rerank
from edgecmp.search.result import SearchResult
from edgecmp.search.run import run

__all__ = ["Ranking", "SearchResult", "rerank", "run"]
