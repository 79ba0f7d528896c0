"""Silence for coremltools: it warns of what does not matter here (see `quiet_coremltools`)."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

__all__ = ["quiet_coremltools"]


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
