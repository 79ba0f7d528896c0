"""Prunes a gallery network into a query network (supplement C); one method per file."""

from edgecmp.pruning import channel as _channel
from edgecmp.pruning import magnitude as _magnitude
from edgecmp.pruning.prune import PruneReport, prune, prune_gallery
from edgecmp.pruning.registry import METHODS

__all__ = ["METHODS", "PruneReport", "prune", "prune_gallery"]

del _channel, _magnitude  # imported so that they register themselves
