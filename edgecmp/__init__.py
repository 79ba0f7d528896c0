"""edgecmp: find, train, export, prove and time query networks compatible with a server gallery."""

from edgecmp.architecture import TIERS, Architecture
from edgecmp.errors import UserError
from edgecmp.version import __version__

__all__ = ["TIERS", "Architecture", "UserError", "__version__"]
