"""The paper's tables: measured on the data of a recipe, beside the published figures."""

from edgecmp.benchmarks.paper.listing import Listing, listing
from edgecmp.benchmarks.paper.reproduce import TABLES, Reproduction, reproduce

__all__ = ["TABLES", "Listing", "Reproduction", "listing", "reproduce"]
