"""`python -m edgecmp` is the command `edgecmp`."""

import sys

from edgecmp.cli import main

__all__: list[str] = []

sys.exit(main())
