"""edgecmp: find, train, export, prove and time query networks compatible with a server gallery."""

from edgecmp.errors import UserError
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import TIERS
from edgecmp.version import __version__

__all__ = ["TIERS", "Architecture", "UserError", "__version__"]
