"""Silence for libraries that tell the user what does not matter here."""

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
    """Holds back coremltools' warnings and progress bars while it is imported or converts.

    It says that torch and scikit-learn are newer than those it was tested with and, off macOS, that
    it cannot load Core ML itself. What it converts is proven by `edgecmp parity` instead. Errors
    are exceptions and still come through.
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
    """Holds back what compiled code writes to stderr, such as TFLite's note about its delegate."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
