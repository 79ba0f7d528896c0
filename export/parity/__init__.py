"""`edgecmp parity`: does an exported file retrieve what the network retrieves, and if not, why?

The package has the name of the function in it, `run.parity`, and is called like it.
"""

import sys as _sys
from types import ModuleType as _ModuleType
from typing import Any as _Any


class _Parity(_ModuleType):
    """The package, as a function."""

    def __call__(self, *arguments: _Any, **options: _Any) -> _Any:
        from edgecmp.export.parity.run import parity

        return parity(*arguments, **options)


_sys.modules[__name__].__class__ = _Parity
