"""The search: which architecture under a budget has the highest compatibility-aware reward."""

from edgecmp.search.results.rerank import Ranking, rerank
from edgecmp.search.results.result import SearchResult
from edgecmp.search.run import run

__all__ = ["Ranking", "SearchResult", "rerank", "run"]
