"""Suppressing messages of libraries that do not concern the user."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

__all__ = ["quiet_coremltools", "quiet_native"]


@contextmanager
def quiet_coremltools() -> Iterator[None]:
    """Suppresses coremltools' warnings and progress bars while it is imported or converts.

    It warns that torch and scikit-learn are newer than the versions it was tested with and, on
    systems other than macOS, that it cannot load Core ML. `edgecmp parity` checks its conversions
    instead. Exceptions are not suppressed.
    """
    logger = logging.getLogger("coremltools")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def quiet_native() -> Iterator[None]:
    """Suppresses what compiled code writes to stderr, such as TFLite's note about its delegate."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
