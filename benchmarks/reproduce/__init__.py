"""The paper's tables, run on a recipe's data and laid beside the published figures."""

from edgecmp.benchmarks.reproduce.listing import Listing, listing
from edgecmp.benchmarks.reproduce.reproduce import TABLES, Reproduction, reproduce

__all__ = ["TABLES", "Listing", "Reproduction", "listing", "reproduce"]
