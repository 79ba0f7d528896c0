"""edgecmp: find, train, export, prove and time query networks compatible with a server gallery.

All verbs are here: `edgecmp.search("100M", out="runs/search")`. Importing the package takes
milliseconds; a verb imports what it needs when it is called.
"""

import inspect as _inspect
import sys as _sys
from types import ModuleType as _ModuleType
from typing import Any as _Any

from edgecmp import api as _api
from edgecmp.api import *  # noqa: F403
from edgecmp.api import __all__ as _verbs
from edgecmp.errors import UserError
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import TIERS
from edgecmp.version import __version__

__all__ = ["TIERS", "Architecture", "UserError", "__version__", *_verbs]


class _VerbPackage(_ModuleType):
    """A sub-package that has the name of a verb, and is called like it."""

    def __call__(self, *arguments: _Any, **options: _Any) -> _Any:
        return self._verb(*arguments, **options)

    @property
    def _verb(self) -> _Any:
        return getattr(_api, self.__name__.rpartition(".")[2])

    @property
    def __signature__(self) -> _inspect.Signature:
        return _inspect.signature(self._verb)


class _Edgecmp(_ModuleType):
    """`edgecmp.search` and `edgecmp.export` are verbs, and packages once something imports them.

    Importing a package binds its name here, in the place of the verb: it becomes callable then.
    """

    def __setattr__(self, name: str, value: _Any) -> None:
        if name in _verbs and isinstance(value, _ModuleType):
            value.__class__ = _VerbPackage
        super().__setattr__(name, value)


_sys.modules[__name__].__class__ = _Edgecmp
